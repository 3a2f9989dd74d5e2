"""What is in the three collections of a gallery on Milvus.

`NAME_samples` has a row a sample, `NAME_enrolments` a row an enrolment, `NAME_about` what is said of
the gallery. Milvus has no transactions, but a row is there or not. So a sample counts only when the
row of its enrolment is there, which is written after all its samples and deleted before them: a
crash leaves samples that nobody sees, never half of an enrolment. Nothing but keys of our own
making gets into a filter.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from recognition.errors import InputError
from recognition.gallery.milvus_address import Address
from recognition.gallery.milvus_client import connect, disconnect, speaking
from recognition.gallery.milvus_rows import (
    Row,
    SampleRow,
    as_text,
    enrolment_of,
    in_calls,
    require_key,
    sample_key,
)
from recognition.gallery.milvus_schema import ABOUT, ENROLMENTS, SAMPLES, STRONG, clear, make, named
from recognition.gallery.milvus_search import Proposals, Singles

# Milvus answers a strong read only once it knows that nothing written before is missing, some 0.2 s
# later. Of the reads of one search the first is strong. Who was removed by then is not in its list;
# for what is, the state that a server has at hand will do, and a strong read for what that lacks.
AT_HAND = "Eventually"
AT_ONCE = 1_000  # rows read or deleted in a call
PROBED = 64  # of IVF's lists
FIELDS = ["key", "person", "name", "metadata", "enrolled", "size", "gone"]  # of an enrolment


class Collections:
    """The collections of one gallery."""

    def __init__(self, address: Address, client: Any) -> None:
        self.address = address
        self._client = client
        self._kind = address.kind
        self._closed = False

    @classmethod
    def connect(cls, address: Address) -> Self:
        """To the server, or the file.

        Raises:
            InputError: pymilvus is missing, or the server does not answer.
        """
        return cls(address, connect(address))

    def close(self) -> None:
        """Let go of the connection; a second time does nothing."""
        if not self._closed:
            self._closed = True
            disconnect(self.address, self._client)

    def create(self, dimension: int, about: dict[str, str]) -> None:
        """Make them; the gallery is there once its row in `about` is.

        Raises:
            InputError: there is such a gallery already, or something else has its name.
        """
        with speaking(self.address):
            if self._finished():
                raise InputError(
                    f"{self.address} exists already; open it, or give the gallery another name"
                )
            for kind in (SAMPLES, ENROLMENTS, ABOUT):
                clear(self._client, self.address, kind)
                make(self._client, self.address, kind, dimension)
        self.put(about)

    def open(self) -> dict[str, str]:
        """Get ready to read; what is said about the gallery.

        Raises:
            InputError: there is no gallery of this name.
        """
        with speaking(self.address):
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
            {"key": key, "value": as_text(value, f"the {key}"), "none": [0.0, 0.0]}
            for key, value in about.items()
        ]
        with speaking(self.address):
            self._client.upsert(self._named(ABOUT), rows)

    def take_back(self, key: str) -> None:
        """Say nothing of it any more."""
        self._delete(ABOUT, [key])

    # enrolments

    def count(self) -> int:
        """How many are finished."""
        with speaking(self.address):
            (found,) = self._client.query(
                self._named(ENROLMENTS),
                filter="",
                output_fields=["count(*)"],
                consistency_level=STRONG,
            )
        return int(found["count(*)"])

    def enrolments(self) -> list[Row]:
        """All that are finished, in their order."""
        return sorted(_row(found) for found in self._all(ENROLMENTS, FIELDS))

    def enrolments_of(self, person: str) -> list[Row]:
        """Those of a person, by the key, in their order."""
        with speaking(self.address):
            found = self._client.query(
                self._named(ENROLMENTS),
                filter=f'person == "{require_key(person)}"',
                output_fields=FIELDS,
                consistency_level=STRONG,
            )
        return sorted(map(_row, found))

    def finish(self, rows: Sequence[Row]) -> None:
        """Let the samples of these enrolments be seen, but for those that are gone."""
        written = [
            {
                **row._asdict(),
                "name": as_text(row.name, "the name"),
                "metadata": as_text(row.metadata, f"the metadata of {row.name[:80]!r}"),
                "gone": as_text(row.gone, f"what was discarded of {row.name[:80]!r}"),
                "none": [0.0, 0.0],
            }
            for row in rows
        ]
        with speaking(self.address):
            for some in in_calls(written, lambda row: len(row["name"]) + len(row["metadata"])):
                self._client.upsert(self._named(ENROLMENTS), some)

    def add(self, samples: Sequence[SampleRow]) -> None:
        """Write samples that nobody sees yet."""
        written = [
            {
                **sample._asdict(),
                "source": as_text(sample.source, "a source"),
                "digest": as_text(sample.digest, "a digest"),
            }
            for sample in samples
        ]
        with speaking(self.address):
            for some in in_calls(written, lambda row: row["vector"].nbytes + len(row["source"])):
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
        with speaking(self.address):
            self._client.delete(self._named(SAMPLES), filter=f'person == "{require_key(person)}"')
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
        with speaking(self.address):
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
        wanted = {sample: enrolment_of(sample) for sample in samples}
        found = self._soon(ENROLMENTS, sorted(set(wanted.values())), ["key", "name", "gone"])
        names = {row["key"]: json.loads(row["name"]) for row in found}
        gone = {sample_key(row["key"], at) for row in found for at in json.loads(row["gone"])}
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
        return named(self.address, kind)

    def _finished(self) -> bool:
        """Whether there is a gallery: what is said about it is written last."""
        name = self._named(ABOUT)
        if not self._client.has_collection(name) or not self._client.list_indexes(name):
            return False
        self._client.load_collection(name)
        return bool(self.about("contract"))

    def _delete(self, kind: str, keys: Sequence[str]) -> None:
        with speaking(self.address):
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
        with speaking(self.address):
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
        with speaking(self.address):
            rows = self._client.query_iterator(
                self._named(kind),
                batch_size=AT_ONCE,
                output_fields=fields,
                consistency_level=STRONG,
            )
        try:
            while True:
                with speaking(self.address):
                    batch = rows.next()
                if not batch:
                    break
                yield list(batch)
        finally:
            rows.close()


def _row(found: dict[str, Any]) -> Row:
    told = {field: json.loads(found[field]) for field in ("name", "metadata", "gone")}
    return Row(**{field: found[field] for field in FIELDS} | told)
