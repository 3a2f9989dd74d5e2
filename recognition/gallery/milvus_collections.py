"""The three collections of a gallery on Milvus: the only door to pymilvus.

`NAME_samples` has a row a sample, `NAME_enrolments` a row an enrolment, `NAME_about` what is said of
the gallery. Milvus has no transactions, but a row is there or not. So a sample counts only when the
row of its enrolment is there, which is written after all its samples and deleted before them: a
crash leaves samples that nobody sees, never half of an enrolment.

Keys are hexadecimal digits of our own making, and nothing else gets into a filter. Texts are kept as
JSON, so that no NUL gets to the server.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from recognition.errors import InputError
from recognition.gallery.milvus_address import Address
from recognition.gallery.milvus_search import Proposals, Singles

SAMPLES, ENROLMENTS, ABOUT = "samples", "enrolments", "about"
TEXT = 65_535  # bytes in a text field of Milvus, the most there can be
KEY = 64
# Milvus answers a strong read only once it knows that nothing written before is missing, some 0.2 s
# later. Of the reads of one search the first is strong. Who was removed by then is not in its list;
# for what is, the state that a server has at hand will do, and a strong read for what that lacks.
STRONG, AT_HAND = "Strong", "Eventually"
PATIENCE = 10.0  # seconds for a connection
AT_ONCE = 1_000  # rows read or deleted in a call
CALL = 8 * 2**20  # bytes written in a call; servers refuse 64 MiB
INDEX = {
    "flat": ("FLAT", {}),
    "hnsw": ("HNSW", {"M": 32, "efConstruction": 400}),
    "ivf": ("IVF_FLAT", {"nlist": 1024}),
}
PROBED = 64  # of IVF's lists

_open: Counter[str] = Counter()  # files of milvus-lite that galleries of this process use
_opening = threading.Lock()


class Row(NamedTuple):
    """A finished enrolment."""

    key: str
    person: str
    name: str
    metadata: dict[str, Any]
    enrolled: str
    size: int
    gone: tuple[int, ...] = ()

    @property
    def samples(self) -> list[str]:
        """The keys of its samples, in their order, but for those that are gone."""
        gone = set(self.gone)
        return [_sample_key(self.key, at) for at in range(self.size) if at not in gone]

    def without(self, samples: Container[str]) -> Self:
        """The enrolment with these samples gone, too."""
        keys = (_sample_key(self.key, at) for at in range(self.size))
        new = {at for at, key in enumerate(keys) if key in samples}
        return self._replace(gone=tuple(sorted({*self.gone, *new})))


class SampleRow(NamedTuple):
    """A sample as it is written."""

    key: str
    person: str
    source: str
    digest: str
    vector: Singles


class Collections:
    """The collections of one gallery."""

    def __init__(self, address: Address, client: Any) -> None:
        self.address = address
        self._client = client
        self._kind = address.kind

    @classmethod
    def connect(cls, address: Address) -> Self:
        """To the server, or the file.

        Raises:
            InputError: pymilvus is missing, or the server does not answer.
        """
        try:
            import pymilvus  # noqa: F401
        except ImportError:
            raise InputError(
                f"{address} needs pymilvus; install it with "
                "pip install 'margin-recognition[milvus]'"
            ) from None
        with _speaking(address):
            return cls(address, _client(address))

    def close(self) -> None:
        """Let go of the connection, and of the file with the last gallery in it."""
        self._client.close()
        if self.address.local:
            _release(self.address.server)

    def create(self, dimension: int, about: dict[str, str]) -> None:
        """Make them; the gallery is there once its row in `about` is.

        Raises:
            InputError: there is such a gallery already, or something else has its name.
        """
        with _speaking(self.address):
            if self._finished():
                raise InputError(
                    f"{self.address} exists already; open it, or give the gallery another name"
                )
            for kind in (SAMPLES, ENROLMENTS, ABOUT):
                self._clear(kind)
                self._make(kind, dimension)
        self.put(about)

    def open(self) -> dict[str, str]:
        """Get ready to read; what is said about the gallery.

        Raises:
            InputError: there is no gallery of this name.
        """
        with _speaking(self.address):
            if not self._finished():
                raise InputError(
                    f"expected a gallery at {self.address}, but there is none of this name; make "
                    "one with recognition gallery create"
                )
            for kind in (SAMPLES, ENROLMENTS):
                self._client.load_collection(self._named(kind))
        about = self.about("format", "contract", "index")
        self._kind = about.get("index", "flat")  # type: ignore[assignment]
        return about

    # what is said about the gallery

    def about(self, *keys: str) -> dict[str, str]:
        """What is said by these keys, as far as anything is."""
        rows = self._some(ABOUT, keys, ["key", "value"])
        return {row["key"]: json.loads(row["value"]) for row in rows}

    def put(self, about: dict[str, str]) -> None:
        """Say this, instead of what was said by the same keys, all at once."""
        rows = [
            {"key": key, "value": _text(value, f"the {key}"), "none": [0.0, 0.0]}
            for key, value in about.items()
        ]
        with _speaking(self.address):
            self._client.upsert(self._named(ABOUT), rows)

    def take_back(self, key: str) -> None:
        """Say nothing of it any more."""
        self._delete(ABOUT, [key])

    # enrolments

    def count(self) -> int:
        """How many are finished."""
        with _speaking(self.address):
            (found,) = self._client.query(
                self._named(ENROLMENTS),
                filter="",
                output_fields=["count(*)"],
                consistency_level=STRONG,
            )
        return int(found["count(*)"])

    def enrolments(self) -> list[Row]:
        """All that are finished, in their order."""
        return sorted(_row(found) for found in self._all(ENROLMENTS, _FIELDS))

    def enrolments_of(self, person: str) -> list[Row]:
        """Those of a person, by the key, in their order."""
        with _speaking(self.address):
            found = self._client.query(
                self._named(ENROLMENTS),
                filter=f'person == "{_hex(person)}"',
                output_fields=_FIELDS,
                consistency_level=STRONG,
            )
        return sorted(map(_row, found))

    def finish(self, rows: Sequence[Row]) -> None:
        """Let the samples of these enrolments be seen, but for those that are gone."""
        written = [
            {
                **row._asdict(),
                "name": _text(row.name, "the name"),
                "metadata": _text(row.metadata, f"the metadata of {row.name[:80]!r}"),
                "gone": _text(row.gone, f"what was discarded of {row.name[:80]!r}"),
                "none": [0.0, 0.0],
            }
            for row in rows
        ]
        with _speaking(self.address):
            for some in _in_calls(written, lambda row: len(row["name"]) + len(row["metadata"])):
                self._client.upsert(self._named(ENROLMENTS), some)

    def add(self, samples: Sequence[SampleRow]) -> None:
        """Write samples that nobody sees yet."""
        written = [
            {
                **sample._asdict(),
                "source": _text(sample.source, "a source"),
                "digest": _text(sample.digest, "a digest"),
            }
            for sample in samples
        ]
        with _speaking(self.address):
            for some in _in_calls(written, lambda row: row["vector"].nbytes + len(row["source"])):
                self._client.insert(self._named(SAMPLES), some)

    def delete(self, rows: Sequence[Row]) -> None:
        """Take enrolments out, then their samples."""
        self._delete(ENROLMENTS, [row.key for row in rows])
        self._delete(SAMPLES, [sample for row in rows for sample in row.samples])

    def discard(self, rows: Sequence[Row], samples: Sequence[str]) -> None:
        """Say of enrolments which samples are gone, then delete these."""
        self.finish(rows)
        self._delete(SAMPLES, samples)

    def purge(self, person: str) -> None:
        """Delete every sample of a person, of unfinished enrolments too, and have Milvus tidy up."""
        with _speaking(self.address):
            self._client.delete(self._named(SAMPLES), filter=f'person == "{_hex(person)}"')
            for kind in (SAMPLES, ENROLMENTS, ABOUT):
                self._client.flush(self._named(kind))
                self._client.compact(self._named(kind))

    # the samples, as `milvus_search.Table` has them

    def propose(self, probes: Singles, width: int) -> list[Proposals]:
        """The `width` samples most alike each unit probe with float32 cosines, best first."""
        wish: dict[str, int] = {}
        if self._kind == "hnsw":
            wish = {"ef": max(2 * width, 256)}
        elif self._kind == "ivf":
            wish = {"nprobe": PROBED}
        with _speaking(self.address):
            found = self._client.search(
                self._named(SAMPLES),
                data=list(probes),
                anns_field="vector",
                limit=width,
                output_fields=["key"],
                search_params={"metric_type": "COSINE", "params": wish},
                consistency_level=STRONG,
            )
        return [[(hit["key"], float(hit["distance"])) for hit in hits] for hits in found]

    def names(self, samples: Iterable[str]) -> dict[str, str]:
        """The person of each sample; those of unfinished enrolments have none."""
        wanted = {sample: sample.rpartition("-")[0] for sample in samples}
        found = self._soon(ENROLMENTS, sorted(set(wanted.values())), ["key", "name", "gone"])
        names = {row["key"]: json.loads(row["name"]) for row in found}
        gone = {_sample_key(row["key"], at) for row in found for at in json.loads(row["gone"])}
        return {
            sample: names[key]
            for sample, key in wanted.items()
            if key in names and sample not in gone
        }

    def vectors(self, samples: Sequence[str]) -> dict[str, Singles]:
        """The vectors of samples, as far as they are there."""
        found = self._soon(SAMPLES, samples, ["key", "vector"])
        return {row["key"]: np.array(row["vector"], np.float32) for row in found}

    def everything(self) -> Iterator[tuple[list[str], Singles]]:
        """All samples and their vectors (n, D), some at a time."""
        for rows in self._batches(SAMPLES, ["key", "vector"]):
            yield (
                [row["key"] for row in rows],
                np.array([row["vector"] for row in rows], np.float32),
            )

    def known(self) -> Iterator[tuple[str, str, str]]:
        """Name, source and digest of every sample that is seen and has a digest."""
        for rows in self._batches(SAMPLES, ["key", "source", "digest"]):
            told = {
                row["key"]: (json.loads(row["source"]), json.loads(row["digest"])) for row in rows
            }
            names = self.names(key for key, (_, digest) in told.items() if digest)
            for key, name in names.items():
                yield (name, *told[key])

    def read(self, samples: Sequence[str], *fields: str) -> dict[str, tuple[Any, ...]]:
        """The fields asked for of samples, by key, texts as they were."""
        found = self._soon(SAMPLES, samples, ["key", *fields])
        texts = ("source", "digest")
        return {
            row["key"]: tuple(json.loads(row[f]) if f in texts else row[f] for f in fields)
            for row in found
        }

    # pymilvus

    def _named(self, kind: str) -> str:
        return f"{self.address.name}_{kind}"

    def _finished(self) -> bool:
        """Whether there is a gallery: what is said about it is written last."""
        name = self._named(ABOUT)
        if not self._client.has_collection(name) or not self._client.list_indexes(name):
            return False
        self._client.load_collection(name)
        return bool(self.about("contract"))

    def _clear(self, kind: str) -> None:
        """Drop what a gallery that was never finished left, which holds nobody."""
        name = self._named(kind)
        if not self._client.has_collection(name):
            return
        fields = {field["name"] for field in self._client.describe_collection(name)["fields"]}
        if fields != {"key", *_FIELDS_OF[kind]} or self._rows_in(name):
            raise InputError(
                f"{self.address}: the collection {name} is something else's; give the gallery "
                "another name"
            )
        self._client.drop_collection(name)

    def _rows_in(self, name: str) -> bool:
        if not self._client.list_indexes(name):  # nothing was written: that comes after indexing
            return False
        self._client.load_collection(name)
        found = self._client.query(
            name, filter='key != ""', limit=1, output_fields=["key"], consistency_level=STRONG
        )
        return bool(found)

    def _make(self, kind: str, dimension: int) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(enable_dynamic_field=False)
        schema.add_field("key", DataType.VARCHAR, max_length=KEY, is_primary=True)
        for field, length in _TEXTS[kind].items():
            schema.add_field(field, DataType.VARCHAR, max_length=length)
        if kind == ENROLMENTS:
            schema.add_field("size", DataType.INT64)
        index = self._client.prepare_index_params()
        if kind == SAMPLES:
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            type_, params = INDEX[self._kind]
            index.add_index("vector", index_type=type_, metric_type="COSINE", params=params)
        else:  # Milvus wants a vector in every collection
            schema.add_field("none", DataType.FLOAT_VECTOR, dim=2)
            index.add_index("none", index_type="FLAT", metric_type="L2")
        if "person" in _TEXTS[kind]:
            scalar = "INVERTED" if self.address.local else ""  # whichever the server has for text
            index.add_index("person", index_type=scalar)
        name = self._named(kind)
        self._client.create_collection(name, schema=schema, num_shards=1, consistency_level=STRONG)
        self._client.create_index(name, index, sync=False)
        self._client.load_collection(name)

    def _delete(self, kind: str, keys: Sequence[str]) -> None:
        with _speaking(self.address):
            for start in range(0, len(keys), AT_ONCE):
                self._client.delete(self._named(kind), ids=list(keys[start : start + AT_ONCE]))

    def _soon(self, kind: str, keys: Sequence[str], fields: list[str]) -> list[dict[str, Any]]:
        found = self._some(kind, keys, fields, AT_HAND)
        there = {row["key"] for row in found}
        missing = [key for key in keys if key not in there]
        return found + self._some(kind, missing, fields)

    def _some(
        self, kind: str, keys: Sequence[str], fields: list[str], level: str = STRONG
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        with _speaking(self.address):
            for start in range(0, len(keys), AT_ONCE):
                found += self._client.query(
                    self._named(kind),
                    ids=list(keys[start : start + AT_ONCE]),
                    output_fields=fields,
                    consistency_level=level,
                )
        return found

    def _all(self, kind: str, fields: list[str]) -> list[dict[str, Any]]:
        return [row for rows in self._batches(kind, fields) for row in rows]

    def _batches(self, kind: str, fields: list[str]) -> Iterator[list[dict[str, Any]]]:
        with _speaking(self.address):
            rows = self._client.query_iterator(
                self._named(kind),
                batch_size=AT_ONCE,
                output_fields=fields,
                consistency_level=STRONG,
            )
        try:
            while True:
                with _speaking(self.address):
                    batch = rows.next()
                if not batch:
                    break
                yield list(batch)
        finally:
            rows.close()


_FIELDS = ["key", "person", "name", "metadata", "enrolled", "size", "gone"]
_TEXTS = {
    SAMPLES: {"person": KEY, "source": TEXT, "digest": TEXT},
    ENROLMENTS: {"person": KEY, "name": TEXT, "metadata": TEXT, "enrolled": KEY, "gone": TEXT},
    ABOUT: {"value": TEXT},
}


_FIELDS_OF = {
    SAMPLES: {*_TEXTS[SAMPLES], "vector"},
    ENROLMENTS: {*_TEXTS[ENROLMENTS], "size", "none"},
    ABOUT: {*_TEXTS[ABOUT], "none"},
}


def require_fits(value: object, what: str) -> None:
    """Refuse what a text field of Milvus cannot hold.

    Raises:
        InputError: it is too long.
    """
    _text(value, what)


def _row(found: dict[str, Any]) -> Row:
    told = {field: json.loads(found[field]) for field in ("name", "metadata", "gone")}
    return Row(**{field: found[field] for field in _FIELDS} | told)


def fits(value: object) -> bool:
    """Whether a text field of Milvus can hold it."""
    return len(_json(value).encode()) <= TEXT


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, as JSON can spell it
        return json.dumps(value)
    return text


def _text(value: object, what: str) -> str:
    text = _json(value)
    if (size := len(text.encode())) > TEXT:
        raise InputError(
            f"{what}: expected at most {TEXT:,} bytes in JSON, got {size:,}; a text field of "
            "Milvus holds no more, a gallery in a folder does"
        )
    return text


def _sample_key(enrolment: str, at: int) -> str:
    return f"{enrolment}-{at:08x}"


def _hex(key: str) -> str:
    if not key or set(key) - set("0123456789abcdef"):
        raise ValueError("only keys of our own making get into a filter")
    return key


def _in_calls(
    rows: Sequence[dict[str, Any]], size: Callable[[dict[str, Any]], int]
) -> Iterator[list[dict[str, Any]]]:
    """Rows as many at a time as fit in a call; other fields than those counted are small."""
    some: list[dict[str, Any]] = []
    taken = 0
    for row in rows:
        bytes_ = 4 * size(row) + 512
        if some and taken + bytes_ > CALL:
            yield some
            some, taken = [], 0
        some.append(row)
        taken += bytes_
    if some:
        yield some


@contextmanager
def _speaking(address: Address) -> Iterator[None]:
    """What goes wrong on the way, in one sentence; never what was sent."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        said = str(getattr(error, "message", "") or type(error).__name__).splitlines()[0][:200]
        way = (
            "milvus-lite has to be installed, and only one process can have the file open"
            if address.local
            else "check that it runs, its address, and MILVUS_TOKEN"
        )
        raise InputError(f"{address}: Milvus did not do what was asked ({said}); {way}") from error


def _client(address: Address) -> Any:
    import logging
    import os

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
