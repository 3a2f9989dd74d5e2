"""What there is of torchvision, and that finding out leaves no trace."""

import logging
import subprocess
import sys
from types import ModuleType

import pytest

from recognition.errors import InputError
from recognition.faces import facenet_mtcnn, torchvision_operators

TRACES = """
import logging, sys
logging.raiseExceptions = True
import torch
def loaded():
    return sorted(name for name in sys.modules if name.split(".")[0] in ("torchvision", "facenet_pytorch"))
def imported(name):
    try:
        __import__(name)
    except Exception as error:
        return type(error).__name__, str(error)
    return "", ""
if {first}:
    clean = imported("torchvision"), imported("facenet_pytorch")
    for name in loaded():
        del sys.modules[name]
    print(clean)
else:
    from recognition.faces.facenet_mtcnn import mtcnn_module, network
    from recognition.faces.torchvision_operators import operators
    whole = operators().whole
    assert mtcnn_module() is mtcnn_module()
    network("PNet"), network("RNet"), network("ONet")
    mtcnn_module().MTCNN
    assert whole or loaded() == [], loaded()
    print((imported("torchvision"), imported("facenet_pytorch")))
"""


def ran(code):
    command = [sys.executable, "-W", "error", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_imports_by_others_do_afterwards_what_they_would_have_done():
    before = ran(TRACES.format(first=True))
    assert ran(TRACES.format(first=False)) == before


@pytest.fixture
def afresh():
    torchvision_operators.operators.cache_clear()
    torchvision_operators._said.clear()
    yield
    torchvision_operators.operators.cache_clear()
    torchvision_operators._said.clear()


@pytest.fixture
def broken(monkeypatch, afresh):
    """A torchvision whose import dies half-way, as PyPI's does beside a CPU-only torch."""

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "torchvision":
                sys.modules["torchvision.extension"] = ModuleType("torchvision.extension")
                raise RuntimeError("operator torchvision::nms does not exist\nmore")

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])


def test_a_broken_torchvision_is_told_with_its_reason_and_leaves_nothing(broken):
    assert torchvision_operators.operators() == torchvision_operators.Operators(
        False, "operator torchvision::nms does not exist"
    )
    assert "torchvision.extension" not in sys.modules


def test_a_broken_torchvision_is_said_once(broken, caplog):
    with caplog.at_level(logging.WARNING, "recognition"):
        assert torchvision_operators.suppression() is torchvision_operators.suppression()
    (record,) = caplog.records
    assert "recognition doctor" in record.getMessage(), "which tells the reason"
    assert len(record.getMessage()) < 80, "one line of a terminal, as every command says it"


def test_who_tells_it_is_not_followed_by_a_line(broken, caplog):
    assert not torchvision_operators.told().whole
    torchvision_operators.suppression()
    assert not caplog.records


def test_a_missing_torchvision_is_told(monkeypatch, afresh):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    found = torchvision_operators.operators()
    assert not found.whole
    assert "torchvision" in found.reason


def test_a_whole_torchvision_lends_its_own_operator(monkeypatch, afresh, caplog):
    whole, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
    ops.nms = lambda boxes, scores, threshold: boxes
    monkeypatch.setitem(sys.modules, "torchvision", whole)
    monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    assert torchvision_operators.operators() == torchvision_operators.Operators(True)
    assert torchvision_operators.suppression() is ops.nms
    assert not caplog.records


def test_stand_ins_go_and_what_was_there_comes_back(monkeypatch):
    theirs = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", theirs)
    with torchvision_operators.standing_in():
        from torchvision.ops.boxes import batched_nms

        assert sys.modules["torchvision"] is not theirs
    assert batched_nms is torchvision_operators.nms.batched_nms
    assert sys.modules["torchvision"] is theirs


def test_a_missing_facenet_pytorch_is_one_sentence_with_the_command(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "facenet_pytorch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install facenet-pytorch==2\.5\.3"):
        facenet_mtcnn.mtcnn_module()


def test_other_weights_are_refused(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rnet.pt").write_bytes(b"\x80\x02cos\nsystem\n")
    facenet_mtcnn.mtcnn_module()
    monkeypatch.setattr(facenet_mtcnn, "folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"weights of RNet .* sha256 bbb937de72ef"):
        facenet_mtcnn.network("RNet")
    with pytest.raises(
        InputError, match=r"weights of ONet at .*onet\.pt, but there is no such file"
    ):
        facenet_mtcnn.network("ONet")
