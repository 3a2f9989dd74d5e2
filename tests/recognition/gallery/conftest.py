"""Both kinds of gallery; those on milvus-lite share one file, each under a name of its own.

`RECOGNITION_TEST_MILVUS=milvus://host:port` has a server asked instead of a file of milvus-lite.
"""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery.interface import Gallery
from recognition.gallery.milvus_address import Address
from recognition.gallery.milvus_collections import Collections

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())
Place = Callable[[], str]

SERVER = os.environ.get("RECOGNITION_TEST_MILVUS", "")


@pytest.fixture(scope="session")
def milvus_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file of milvus-lite that stays open, with its server a thread of this process."""
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    if SERVER:
        yield SERVER
        return
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    root = f"milvus://{tmp_path_factory.mktemp('milvus') / 'test.db'}"
    try:
        Collections.connect(Address.parse(f"{root}/people")).close()
    except InputError as error:
        pytest.skip(f"milvus-lite does not work here: {error}")
    with Gallery.create(f"{root}/keeper", CONTRACT):
        yield root


@pytest.fixture
def on_milvus(milvus_root: str) -> Iterator[Place]:
    """Where a new gallery on Milvus may be made; another place with every call."""
    made = []

    def place() -> str:
        made.append(f"{milvus_root}/g{uuid4().hex}")
        return made[-1]

    yield place
    for where in made if SERVER else ():
        drop(where)


def drop(where: str) -> None:
    """Nothing of a gallery is left on a server."""
    collections = Collections.connect(Address.parse(where))
    for name in collections._client.list_collections():
        if name.startswith(collections.address.name):
            collections._client.drop_collection(name)
    collections.close()


@pytest.fixture(params=["embedded", "milvus"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest) -> Place:
    """Where a new gallery may be made; another place with every call."""
    if kind == "milvus":
        found: Place = request.getfixturevalue("on_milvus")
        return found
    folder = request.getfixturevalue("tmp_path")
    return lambda: f"{folder / uuid4().hex}.gallery"


@pytest.fixture
def gallery(place: Place) -> Iterator[Gallery]:
    with Gallery.create(place(), CONTRACT) as gallery:
        yield gallery
