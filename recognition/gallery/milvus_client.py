"""Connections to Milvus, and what goes wrong with them: with `milvus_schema` the door to pymilvus."""

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recognition.errors import InputError
from recognition.gallery.milvus_address import Address

PATIENCE = 10.0  # seconds for a connection

_open: Counter[str] = Counter()  # files of milvus-lite that galleries of this process use
_opening = threading.Lock()


def connect(address: Address) -> Any:
    """A client of the server, or of the file.

    Raises:
        InputError: pymilvus is missing, or the server does not answer.
    """
    try:
        import pymilvus  # noqa: F401
    except ImportError:
        raise InputError(
            f"{address} needs pymilvus; install it with pip install 'margin-recognition[milvus]'"
        ) from None
    with speaking(address):
        return _client(address)


def disconnect(address: Address, client: Any) -> None:
    """Let go of the connection, and of the file with the last gallery in it."""
    client.close()
    if address.local:
        _release(address.server)


@contextmanager
def speaking(address: Address) -> Iterator[None]:
    """What goes wrong on the way, in one sentence; never what was sent."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        said = str(getattr(error, "message", "") or type(error).__name__).splitlines()[0][:200]
        way = (
            "milvus-lite has to be installed (pip install 'margin-recognition[milvus]'), and only one "
            "process can have the file open"
            if address.local
            else "check that it runs, its address, and MILVUS_TOKEN"
        )
        raise InputError(f"{address}: Milvus did not do what was asked ({said}); {way}") from error


def _client(address: Address) -> Any:
    from pymilvus import MilvusClient

    for library in ("pymilvus", "milvus_lite"):  # errors are raised; logs would show what was sent
        logging.getLogger(library).setLevel(logging.CRITICAL)
    wishes: dict[str, Any] = {"uri": address.server, "timeout": PATIENCE}
    if address.database:
        wishes["db_name"] = address.database
    if not address.local:
        return MilvusClient(token=os.environ.get("MILVUS_TOKEN", ""), **wishes)
    folder = Path(address.server)
    if not folder.parent.is_dir():
        raise InputError(f"expected the folder {folder.parent} of {address}, but there is none")
    with _opening:
        folder.mkdir(mode=0o700, exist_ok=True)
        client = MilvusClient(**wishes)
        _open[address.server] += 1
    return client


def _release(path: str) -> None:
    from milvus_lite.server_manager import server_manager_instance

    with _opening:
        _open[path] -= 1
        if not _open[path]:
            del _open[path]
            server_manager_instance.release_server(path)
