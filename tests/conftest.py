"""What all tests share: quiet threads, and where the data is."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores already

import pytest
from hypothesis import settings

settings.register_profile("noisy", deadline=None)  # machines here are shared: time proves nothing
settings.register_profile("soak", deadline=None, max_examples=3000)  # what `make soak` runs
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "noisy"))

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real faces and embeddings beside the checkout; they do not belong to the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED.parent.name}/{SHARED.name} beside the checkout")
    return SHARED
