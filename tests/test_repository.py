"""The repository keeps its own promises."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import save_network
from PIL import Image

import margin_losses
from margin_losses import MARGINS
from margin_losses.registry import table
from recognition.cli import app
from recognition.cli.compare import compare
from recognition.datasets.drawn import draw_faces
from recognition.metrics.listing import table as metrics_table
from recognition.training.head_choices import DEFAULT_HEADS, FOUND, TRIALS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SOURCES = sorted([*ROOT.glob("margin_losses/**/*.py"), *ROOT.glob("recognition/**/*.py")])
PACKAGES = ["margin_losses", "margin_losses.article", "recognition", "recognition.metrics"]
LAZY = ["recognition", "recognition.datasets", "recognition.evaluation", "recognition.faces"]
LAZY += ["recognition.gallery", "recognition.search", "recognition.training"]
PACKAGES += ["recognition.metrics.separability", "recognition.comparisons", *LAZY[1:]]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), public


@pytest.mark.parametrize("name", LAZY)
def test_lazy_names_are_all_listed(name: str) -> None:
    package: Any = importlib.import_module(name)
    assert sorted(package.__all__) == sorted(package._HOME)
    assert set(package.__all__) <= set(dir(package))
    assert not {"TYPE_CHECKING", "load_on_use"} & set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'face_'"):
        package.face_  # noqa: B018


@pytest.mark.parametrize("name", LAZY)
def test_no_lazy_name_is_that_of_a_module(name: str) -> None:
    """Imported, the module would stand where the name should."""
    package: Any = importlib.import_module(name)
    assert not set(package.__all__) & {path.stem for path in Path(package.__path__[0]).iterdir()}
    for public, home in package._HOME.items():  # where it is defined, as a type checker sees it
        assert f"from {name}.{home} import" in inspect.getsource(package), public


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import recognition", {"torch", "faiss", "sklearn", "scipy", "matplotlib"}),
        ("import margin_losses", {"recognition", "faiss", "sklearn", "scipy", "matplotlib"}),
        ("from recognition.faces import find_photos", {"torch", "faiss", "sklearn", "matplotlib"}),
        ("from recognition.gallery import check", {"torch", "faiss", "sklearn", "matplotlib"}),
        ("import recognition.training, recognition.search", {"torch", "faiss", "numpy"}),
        ("import recognition.cli.app", {"torch", "faiss", "sklearn", "matplotlib", "numpy"}),
        ("from recognition import evaluate_strangers", {"torch", "faiss", "sklearn"}),
    ],
)
def test_imports_are_light(statement: str, unwanted: set[str]) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unwanted & set(done.stdout.split())


RESTRICTED = ROOT / "recognition/datasets/insightface_bin.py"


def test_nothing_is_unpickled() -> None:
    """No pickle, no joblib, no object arrays, no torch.load: by syntax, so comments may speak."""
    unpickling = {"pickle", "joblib", "shelve", "marshal", "dill"}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names}
                names |= {(getattr(node, "module", "") or "").split(".")[0]}
                assert not names & unpickling or source == RESTRICTED, source
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle" or ast.unparse(node.value) == "False", source
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), source


def test_the_one_unpickler_looks_nothing_up() -> None:
    """insightface's .bin files: `pickle` is there for a class that decides by itself what is called."""
    tree = ast.parse(RESTRICTED.read_text())
    uses = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert {use for use in uses if use.startswith("pickle.")} == {"pickle.Unpickler"}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not {(node.module or "").split(".")[0] for node in imports} & {"pickle", "importlib"}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    (unpickler,) = (c for c in classes if "pickle.Unpickler" in map(ast.unparse, c.bases))
    (look_up,) = (f for f in unpickler.body if getattr(f, "name", "") == "find_class")
    assert "super" not in ast.unparse(look_up)
    assert not {"getattr", "__import__", "eval", "exec"} & {
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    }


def test_library_code_never_prints_or_asserts() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            assert not isinstance(node, ast.Assert), source
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "print", source


def test_the_readme_has_the_table_of_heads() -> None:
    assert table() in README


def test_the_readme_has_the_table_of_metrics() -> None:
    assert metrics_table() in README


def test_the_readme_names_every_verb_and_every_make_target() -> None:
    verbs = [(command, "") for command in app.registered_commands]
    for group in app.registered_groups:
        verbs += [(each, f"{group.name} ") for each in group.typer_instance.registered_commands]
    for command, group in verbs:
        name = command.name or command.callback.__name__
        assert f"recognition {group}{name}" in README
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    for target in targets:
        assert f"`make {target}`" in README


@pytest.fixture
def somebodys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README's examples take for granted: two photographs and a network."""
    monkeypatch.chdir(tmp_path)
    for name, drawn in zip(("a.jpg", "b.jpg"), draw_faces(2, 1, size=128).images, strict=True):
        photo = np.pad(drawn, [(40, 40), (40, 40), (0, 0)], constant_values=128)
        Image.fromarray(photo).save(name, quality=95)
    weights = np.random.default_rng(0).normal(size=(3 * 112 * 112, 8)).astype(np.float32)
    save_network(tmp_path / "face.onnx", weights, side=112)


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_examples_run(code: str, request: pytest.FixtureRequest) -> None:
    if "face.onnx" in code:
        request.getfixturevalue("somebodys_folder")
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.usefixtures("somebodys_folder")
def test_the_readmes_two_photographs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (
        each for each in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "a.jpg" in each
    )
    told: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), told)
    assert told["one"].shape == (8,)
    assert re.fullmatch(r"cosine -?[01]\.\d{4}\n", capsys.readouterr().out)


def test_the_help_names_every_head() -> None:
    option = inspect.get_annotations(compare)["head"].__metadata__[0]
    for name in MARGINS:
        assert name in option.help


def test_every_head_has_nine_trials_and_a_setting_found_among_them() -> None:
    assert set(TRIALS) == set(FOUND) == set(MARGINS)
    assert set(DEFAULT_HEADS) <= set(MARGINS)
    for name, trials in TRIALS.items():
        choices = 1 if MARGINS[name].chooses_scale else 9
        assert len(set(trials)) == choices, "the same effort for each"
        assert FOUND[name] in trials
        for trial in trials:
            assert isinstance(margin_losses.HeadSpec.parse(trial).margin, margin_losses.Margin)


NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_end_with_an_assertion(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert "assert " in code[-1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    assert not any(cell.get("outputs") for cell in json.loads(path.read_text())["cells"])


def test_the_version_is_told_once() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"## {version[1]}" in changes
