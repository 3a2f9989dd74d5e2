"""What `index bench` does, in order."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from recognition.cli.console import bar, show_lines, show_tables
from recognition.contract import require_same
from recognition.datasets._files import shown
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.errors import InputError
from recognition.gallery.embedded_gallery import EmbeddedGallery
from recognition.report.table import Table
from recognition.search.bench import BATCH, Bench, KindResult, bench_indexes
from recognition.search.index_kinds import parse_kind
from recognition.whole_files import written_whole

MEGA = 2.0**20


def run_bench(
    vectors: Path,
    queries: Path | None,
    kinds: Sequence[str],
    *,
    k: int,
    fpir: float,
    threshold: float | None,
    most: int,
    seed: int,
    write: Path | None,
    as_json: bool,
) -> None:
    """Measure, print, and write the choice down.

    Raises:
        InputError: files or options that make no sense; nothing is written.
    """
    asked = [parse_kind(text) for text in kinds]
    found = read_embeddings(vectors)
    probes = None if queries is None else read_embeddings(queries)
    if probes is not None and found.contract is not None and probes.contract is not None:
        require_same(found.contract, probes.contract, names=("the vectors", "the queries"))
    _require_target(write, found)
    made = bench_indexes(
        found.embeddings,
        found.labels,
        queries=None if probes is None else (probes.embeddings, probes.labels),
        kinds=asked,
        k=k,
        fpir=fpir,
        threshold=threshold,
        most_queries=most,
        seed=seed,
        watch=bar,
    )
    if as_json:
        typer.echo(json.dumps(made.as_dict(), indent=2))
    else:
        _show(made)
    if write is not None:
        typer.echo(_written(write, made), err=as_json)


def _require_target(write: Path | None, found: EmbeddingFile) -> None:
    """Refuse before an hour of work what could not be written after it."""
    if write is None:
        return
    if not write.is_dir():
        if write.suffix.lower() != ".json" or not write.absolute().parent.is_dir():
            raise InputError(
                f"expected a gallery or a .json file in a folder that there is, got {shown(write)}; "
                "make the gallery with recognition gallery create"
            )
        return
    with EmbeddedGallery.open(write) as gallery:
        dimension = found.embeddings.shape[1]
        if gallery.contract.dimension != dimension:
            raise InputError(
                f"expected vectors of the gallery's {gallery.contract.dimension} dimensions, got "
                f"{dimension}; measure on embeddings of its model"
            )
        if found.contract is not None and gallery.contract.sha256:
            require_same(found.contract, gallery.contract, names=("the vectors", "the gallery"))


def _written(write: Path, made: Bench) -> str:
    if write.is_dir():
        with EmbeddedGallery.open(write) as gallery:
            gallery.set_index(parse_kind(made.recommended))
        return f"{shown(write)} is searched by {made.recommended} from now on"
    with written_whole(write) as file:
        file.write(json.dumps(made.as_dict(), indent=2).encode())
    return f"Wrote {shown(write)}"


def _show(made: Bench) -> None:
    headings = ["kind", f"recall %\n@1, @{made.k}", "added\nFNIR %", "alone\nms", "batch\nms"]
    rows = [_row(one) for one in made.results]
    legend = (
        "recall @1: the first person is as alike as the exact search's. added FNIR: of searches for "
        "somebody enrolled, those that the exact search answers and this kind does not, with its 95 "
        "% interval by person. alone: median and 95th percentile of a search for one probe. batch: "
        f"a probe of {BATCH} together. MiB: beside the vectors, and below the seconds to build it."
    )
    title = "Kinds of index, on these vectors"
    show_tables([Table(title, [*headings, "MiB,\nbuilt s"], rows, [legend, *made.notes])])
    rate = "" if made.fpir is None else f", for FPIR {made.fpir:g}"
    fnir = "" if made.fnir is None else f", where the exact search misses {made.fnir:.2%}"
    about = (
        f"{made.samples:,} samples of {made.people:,} people, {made.dimension} dimensions; "
        f"{made.mated:,} searches for somebody enrolled and {made.strangers:,} for strangers; "
        f"threshold {made.threshold:.4f}{rate}{fnir}."
    )
    show_lines([about, f"Recommended: {made.recommended}"])


def _row(one: KindResult) -> list[tuple[str, str]]:
    if not one.approximate:
        added, span = "none", ""
    elif one.added_fnir is None or one.low is None or one.high is None:
        added, span = "untold", ""
    else:
        added, span = f"{one.added_fnir:.2%}"[:-1], f"{one.low:.2%}–{one.high:.2%}".replace("%", "")
    name, _, options = one.kind.partition(":")
    return [
        (name, options),
        (f"{one.recall_1:.2%}"[:-1], f"{one.recall_k:.2%}"[:-1]),
        (added, span),
        (f"{one.single_ms:.2f}", f"{one.single_95_ms:.2f}"),
        (f"{one.batch_ms:.2f}", ""),
        (f"{one.bytes / MEGA:,.1f}", f"{one.build_seconds:.1f}"),
    ]
