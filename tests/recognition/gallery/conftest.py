"""Both kinds of gallery; those on milvus-lite share one file, each under a name of its own."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery.interface import Gallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())
Place = Callable[[], str]

_numbers = count()


@pytest.fixture(scope="session")
def milvus_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of milvus-lite that stays open; its server is a thread of this process."""
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    path = tmp_path_factory.mktemp("milvus") / "test.db"
    try:
        keeper = Gallery.create(f"milvus://{path}/keeper", CONTRACT)
    except InputError as error:
        pytest.skip(f"milvus-lite does not work here: {error}")
    with keeper:
        yield path


@pytest.fixture(params=["embedded", "milvus"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest) -> Place:
    """Where a new gallery may be made; another place with every call."""
    if kind == "milvus":
        path = request.getfixturevalue("milvus_file")
        return lambda: f"milvus://{path}/g{next(_numbers)}"
    folder = request.getfixturevalue("tmp_path")
    return lambda: f"{folder / f'people{next(_numbers)}.gallery'}"


@pytest.fixture
def gallery(place: Place) -> Iterator[Gallery]:
    with Gallery.create(place(), CONTRACT) as gallery:
        yield gallery
