"""The package as its users install it: a wheel, in an environment with what it asks for and no more.

The new environment holds links to the libraries that the core requires, and to what these
require: none of the extras, nothing of ours but the wheel.
"""

import email
import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

ROOT = Path(__file__).parents[1]
NAME = "margin-recognition"
PACKAGES = ("margin_losses", "recognition")
EXTRAS = {
    "heif": {"pillow-heif"},
    "parquet": {"pyarrow"},
    "milvus": {"pymilvus", "milvus-lite"},
    "tensorboard": {"tensorboard"},
    "timm": {"timm"},
    "onnx": {"onnx", "onnxruntime", "onnxscript"},
}
LIBRARIES = {name.replace("-", "_") for names in EXTRAS.values() for name in names}
QUICK = {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": mpl.get_configdir()}  # fonts are known
DATA = "recognition/report/later/page.css"  # no Python: it has to be there all the same


def sources() -> set[str]:
    """What belongs to the repository: what git tracks, and what it would if it were added."""
    if not (ROOT / ".git").exists():
        pytest.skip("git alone knows which files belong here")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def ran(*command: object, cwd: Path, code: int = 0) -> str:
    """What a command prints, in an environment in which nothing points here."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "COLUMNS": "300", **QUICK},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files without git, one file of data more among them."""
    folder = tmp_path_factory.mktemp("copy")
    for name in sources():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / DATA).parent.mkdir()
    (folder / DATA).write_text("p { }\n")
    return folder


def built(folder: Path, out: Path) -> Path:
    """The wheel of a folder, made without a network."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    ran(sys.executable, "-m", "pip", "wheel", folder, *options, "-w", out, cwd=folder)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(copy, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_both_packages_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    ours = {name for name in sources() if name.startswith(tuple(f"{one}/" for one in PACKAGES))}
    assert {name for name in held if ".dist-info/" not in name} == ours | {DATA}
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        about = {name.partition(".dist-info/")[2]: file.read(name) for name in file.namelist()}
    told = email.message_from_bytes(about["METADATA"])
    assert about["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert told["License-Expression"] == "MIT"
    assert b"recognition = recognition.cli:main" in about["entry_points.txt"]
    assert told.get_payload().lstrip().startswith("# margin-recognition")
    wanted = [Requirement(text) for text in told.get_all("Requires-Dist")]
    assert len({each.name for each in wanted if not each.marker}) == sum(
        not each.marker for each in wanted
    ), "nothing is asked for twice"
    by_extra = {
        extra: {
            each.name for each in wanted if each.marker and each.marker.evaluate({"extra": extra})
        }
        for extra in told.get_all("Provides-Extra")
    }
    assert by_extra.pop("dev") > by_extra.pop("all") == set.union(*EXTRAS.values())
    assert by_extra == EXTRAS


def test_a_wheel_can_be_built_of_the_source_distribution(
    copy: Path, wheel: Path, tmp_path: Path
) -> None:
    (copy / "stray.bin").write_bytes(b"in nobody's way")
    ran(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=copy)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert not (unpacked / "stray.bin").exists()
    assert (unpacked / "tests/test_wheel.py").exists()
    again = built(unpacked, tmp_path / "again")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {n: one.read(n) for n in one.namelist()} == {
            n: other.read(n) for n in other.namelist()
        }


def required(names: list[str]) -> Iterator[metadata.Distribution]:
    """Installed distributions, and what they require without their extras."""
    seen: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        yield found
        for text in found.requires or []:
            each = Requirement(text)
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                names.append(each.name)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment, with the wheel and the core's libraries."""
    home = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(symlinks=True).create(home)
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as file:
        (name,) = (each for each in file.namelist() if each.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(file.read(name))
    core = [each for each in map(Requirement, told.get_all("Requires-Dist")) if not each.marker]
    for distribution in required([each.name for each in core]):
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists() and not top.endswith(".pth"):
                (site / top).symlink_to(distribution.locate_file(top))
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    python = home / "bin/python"
    ran(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=home)
    return home / "bin"


def test_it_runs_where_it_is_installed_and_nowhere_else(installed: Path, tmp_path: Path) -> None:
    where = "from importlib.util import find_spec\n"
    where += "print(find_spec('recognition').origin, find_spec('margin_losses').origin)"
    for file in ran(installed / "python", "-c", where, cwd=tmp_path).split():
        assert installed.parent in Path(file).parents
    version = ran(installed / "recognition", "--version", cwd=tmp_path).strip()
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert "compare" in ran(installed / "recognition", "--help", cwd=tmp_path)
    assert "arcface" in ran(installed / "python", "-m", "margin_losses", cwd=tmp_path)


@pytest.mark.slow
def test_a_comparison_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    asked = ["compare", "--quick", "--steps", "2", "--head", "arcface", "--out", "X"]
    assert "Written to X" in ran(installed / "recognition", *asked, cwd=tmp_path)
    assert {each.name for each in (tmp_path / "X").iterdir()} >= {
        "results.json",
        "table.md",
        "report.html",
        "scores.png",
        "det.png",
        "weights",
        "run.log",
    }
    assert json.loads((tmp_path / "X/results.json").read_text())
    assert list((tmp_path / "X/weights").glob("*.backbone.safetensors"))


EVERYTHING = """
import importlib.util, json, sys
from pathlib import Path
from typer.main import get_command
from typer.testing import CliRunner
assert not [name for name in sys.argv[1:] if importlib.util.find_spec(name)], "an extra is here"
import margin_losses, recognition, recognition.faces
for package in (margin_losses, recognition, recognition.faces):
    for name in package.__all__:
        getattr(package, name)
from recognition.cli import app

def said(*words):
    done = CliRunner().invoke(app, list(words))
    return [done.exit_code, done.stdout, done.stderr]

helped = {}
for name, verb in get_command(app).commands.items():
    for words in [[name], *([name, each] for each in getattr(verb, "commands", []))]:
        helped[" ".join(words)] = said(*words, "--help")[0]
milvus = f"milvus://{Path.cwd()}/people.db/people"
print(json.dumps({
    "help": helped,
    "evaluate": said("evaluate", "faces.npz", "--only", "verification", "--resamples", "20", "--out", "judged"),
    "doctor": said("doctor"),
    "parquet": said("evaluate", "faces.parquet"),
    "timm": said("compare", "--backbone", "timm:resnet18"),
    "onnx": said("embed", "photos", "--model", "face.onnx"),
    "heif": said("detect", "photos"),
    "milvus": said("gallery", "list", milvus),
    "tensorboard": said("train", "--steps", "1", "--batch-size", "2", "--people", "4", "people",
                        "--validation-share", "0.5", "--head", "arcface", "--out", "run"),
    "export": said("export", "onnx", "run", "-o", "face2.onnx"),
}))
"""


@pytest.mark.slow
def test_the_core_needs_no_extra_and_says_which_one_something_needs(
    installed: Path, tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    np.savez(tmp_path / "faces.npz", embeddings=rows, labels=np.arange(40) % 10)
    (tmp_path / "faces.parquet").write_bytes(b"PAR1")
    (tmp_path / "photos").mkdir()
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    (tmp_path / "photos/a.heic").write_bytes(heic)
    (tmp_path / "face.onnx").write_bytes(b"a network")
    card = {"height": 112, "width": 112, "mean": 127.5, "std": 127.5}
    (tmp_path / "face.json").write_text(json.dumps(card))
    for person in range(4):
        for picture in range(3):
            path = tmp_path / f"people/{person}/{picture}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), 60 * person + picture, np.uint8)).save(path)
    output = ran(installed / "python", "-c", EVERYTHING, *sorted(LIBRARIES), cwd=tmp_path)
    found = json.loads(output.splitlines()[-1])
    helped = found.pop("help")
    assert helped
    assert not any(helped.values())
    assert found["evaluate"][0] == 0, found["evaluate"]
    code, said, _ = found.pop("doctor")
    assert code == 0
    assert all(f"pip install '{NAME}[{extra}]'" in said for extra in [*EXTRAS, "all"])
    assert found["tensorboard"][0] == 0, found["tensorboard"]
    assert f"pip install '{NAME}[tensorboard]'" in found["tensorboard"][1]
    for extra in ("parquet", "timm", "onnx", "heif", "milvus"):
        code, said, errors = found[extra]
        assert (code, said) == (2, ""), found[extra]
        assert f"pip install '{NAME}[{extra}]'" in errors
        assert len(errors.splitlines()) == 1, "one line"
    assert found["export"][0] == 2
    assert f"pip install '{NAME}[onnx]'" in found["export"][2]
