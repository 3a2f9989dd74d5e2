import pytest


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    """No test sees or changes what this machine remembers of weights."""
    monkeypatch.setenv("RECOGNITION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RECOGNITION_FACENET_WEIGHTS", raising=False)
