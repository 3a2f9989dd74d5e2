"""What a shell offers after a tab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from margin_losses import MARGINS
from recognition.backbones.registry import BACKBONES
from recognition.cli import completion
from recognition.evaluation.options import PARTS
from recognition.faces.models.facenet import PUBLISHED

MAIN = "import sys; sys.argv[0] = 'recognition'; from recognition.cli import main; main()"


def recognition(*words: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def offered(line: str) -> list[str]:
    """By the protocol of bash: the words, and which of them the cursor is at."""
    at = str(len(line.split(" ")) - 1)
    return recognition(
        _RECOGNITION_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=at
    ).split()


def test_names_are_those_that_there_are() -> None:
    assert tuple(MARGINS) == completion.HEADS
    assert tuple(BACKBONES) == completion.BACKBONES
    assert completion.PARTS == PARTS
    assert tuple(PUBLISHED) == completion.PUBLISHED


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("recognition com", ["compare"]),
        ("recognition compare --head mv", ["mvsoftmax", "mvarcface"]),
        ("recognition train --backbone iresnet1", ["iresnet18", "iresnet100"]),
        ("recognition train --schedule c", ["constant", "cosine"]),
        ("recognition evaluate --only ret", ["retrieval"]),
        ("recognition weights fetch ca", ["casia-webface"]),
    ],
)
def test_a_tab_offers_names(line: str, names: list[str]) -> None:
    assert offered(line) == names


def test_a_tab_waits_for_no_torch() -> None:
    code = "import sys; from recognition.cli import app; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_completion_is_shown_and_installed(tmp_path: Path) -> None:
    script = recognition("--show-completion", "bash")
    assert "_RECOGNITION_COMPLETE=complete_bash" in script
    recognition("--install-completion", "bash", HOME=str(tmp_path))
    (installed,) = tmp_path.glob(".bash_completions/*")
    assert "_RECOGNITION_COMPLETE=complete_bash" in installed.read_text()
    assert str(installed) in (tmp_path / ".bashrc").read_text()
