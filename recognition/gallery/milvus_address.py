"""Where a gallery on Milvus is: the server or file, the gallery's name, and how it is indexed."""

import re
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from recognition.errors import InputError

IndexKind = Literal["flat", "hnsw", "ivf"]

PLAIN, ENCRYPTED = "milvus", "milvus+tls"
PORT = 19530
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")  # Milvus takes 255, the ends of ours are added
FORMS = (
    "milvus://host:port/name, milvus+tls://host:port/name or, in a file of milvus-lite, "
    "milvus:///folder/file.db/name"
)


class Address(NamedTuple):
    """What `milvus://host:port/name` says; it never holds a password.

    Attributes:
        server: what pymilvus connects to: a URL, or the path of a file of milvus-lite.
        name: of the gallery, one of many on a server.
        kind: of index: `flat` is exact; `hnsw` and `ivf` look at fewer vectors, and may miss people.
        database: of the server; empty for its default.
    """

    server: str
    name: str
    kind: IndexKind = "flat"
    database: str = ""

    @property
    def local(self) -> bool:
        """Whether it is a file of milvus-lite, which only one process can have open."""
        return "://" not in self.server

    def __str__(self) -> str:
        """The address as it is written, without an index."""
        database = f"?database={self.database}" if self.database else ""
        if self.local:
            return f"{PLAIN}://{quote(self.server)}/{self.name}{database}"
        scheme, _, host = self.server.partition("://")
        return f"{ENCRYPTED if scheme == 'https' else PLAIN}://{host}/{self.name}{database}"

    @classmethod
    def parse(cls, where: Path | str) -> Self:
        """The address in a text.

        Raises:
            InputError: it is none, or holds a password.

        >>> Address.parse("milvus://localhost/people")
        Address(server='http://localhost:19530', name='people', kind='flat', database='')
        >>> Address.parse("milvus:///var/lib/small.db/people?index=hnsw").server
        '/var/lib/small.db'
        """
        try:
            parts = urlsplit(str(where))
            host, port = parts.hostname, parts.port
        except ValueError:  # its message may hold a password
            raise _refused("an address", "a text that is none") from None
        wishes = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.username is not None or parts.password is not None:
            raise InputError(
                "expected no user and no password in the address of a gallery, where they would be "
                "shown; set MILVUS_TOKEN to user:password or to the token instead"
            )
        folder, _, name = unquote(parts.path).rpartition("/")
        if not NAME.fullmatch(name):
            raise _refused(
                "the gallery's name (letters, digits and _, not beginning with a digit, at most "
                "200) at the end of its address",
                repr(name[:80]),
            )
        kind = wishes.pop("index", "flat")
        database = wishes.pop("database", "")
        if kind not in get_args(IndexKind) or (database and not NAME.fullmatch(database)) or wishes:
            raise _refused(
                f"nothing but index={'|'.join(get_args(IndexKind))} and database=NAME after the ?",
                f"{', '.join(map(repr, {**wishes, 'index': kind}))[:80]}",
            )
        if host is None:
            return cls(_file(folder), name, kind, database)  # type: ignore[arg-type]
        if folder:
            raise _refused("one name after the server", repr(parts.path[:80]))
        scheme = "https" if parts.scheme == ENCRYPTED else "http"
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{scheme}://{shown}:{port or PORT}", name, kind, database)  # type: ignore[arg-type]


def is_milvus(where: Path | str) -> bool:
    """Whether this names a gallery on Milvus, not a folder."""
    return isinstance(where, str) and where.startswith((f"{PLAIN}://", f"{ENCRYPTED}://"))


def _file(path: str) -> str:
    whole = "" if "\0" in path else str(Path(path).resolve())
    if not whole.endswith(".db"):  # by which pymilvus knows it
        raise _refused("a file that ends in .db before the gallery's name", repr(path[:80]))
    return whole


def _refused(expected: str, came: str) -> InputError:
    return InputError(f"expected {expected}, got {came}; write {FORMS}")
