"""What `recognition evaluate` does, in order: read, judge, write, show."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

from recognition.cli.console import bar, command_line, show_tables
from recognition.cohorts import Normaliser
from recognition.datasets.blufr import read_blufr
from recognition.datasets.choosing import of_people
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.datasets.megaface import read_features
from recognition.datasets.pair_lists import PairList, read_pairs
from recognition.datasets.people_lists import read_chosen
from recognition.datasets.score_files import read_scores
from recognition.datasets.weight_files import read_weights
from recognition.errors import InputError
from recognition.evaluation.blufr import evaluate_blufr
from recognition.evaluation.distractors import Distractors
from recognition.evaluation.everything import evaluate, evaluate_scores
from recognition.evaluation.findings import Findings
from recognition.evaluation.options import Options
from recognition.evaluation.quality import Quality, column_quality, norm_quality
from recognition.evaluation.task import Grouping
from recognition.metrics.normalisation import TOP, known_method
from recognition.report.curves import save_curves
from recognition.report.run_folder import check_free, run_folder
from recognition.report.sheet import headline, markdown, notes, summary, tables
from recognition.report.text import legible

SHOWN = 10  # failed pictures named on stderr


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated; embeddings or scores, never both."""

    embeddings: Path | None
    pairs: Path | None
    scores: Sequence[Path]
    distances: bool
    compare: Path | None
    group: str | None
    checkpoint: Path | None
    options: Options
    people: str | None = None
    names: Path | None = None
    distractors: Path | None = None
    distractors_list: Path | None = None
    blufr: Path | None = None
    quality: str | None = None
    cohort: Path | None = None
    normalise: str | None = None
    cohort_top: int | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        if (self.embeddings is None) == (not self.scores):
            raise InputError(
                "expected a file of embeddings, or --scores, and not both; "
                "try: recognition evaluate faces.npz"
            )
        if len(self.scores) > 2:
            raise InputError(
                "--scores: expected one file, or two lists of which the first is mated, got "
                f"{len(self.scores)}"
            )
        of_embeddings = {
            "--pairs": self.pairs,
            "--compare": self.compare,
            "--group": self.group,
            "--checkpoint": self.checkpoint,
            "--people": self.people,
            "--weights": self.weights,
            "--cohort": self.cohort,
            "--quality": self.quality,
            "--distractors": self.distractors,
            "--blufr": self.blufr,
        }
        for option, path, names in (
            ("--list", self.embeddings, self.names),
            ("--distractors-list", self.distractors, self.distractors_list),
        ):
            if names is not None and (path is None or not path.is_dir()):
                raise InputError(
                    f"{option}: expected it beside a folder of MegaFace's feature files, got "
                    f"{path or 'none'}; a file of embeddings has its own labels"
                )
        given = [name for name, value in of_embeddings.items() if value is not None]
        if self.blufr is not None and (len(given) > 1 or not self._judged_as_usual):
            raise InputError(
                "--blufr: expected no other option of what to judge, which its protocol fixes, got "
                f"{', '.join(name for name in given if name != '--blufr') or 'rates or parts'} "
                "too; evaluate once with and once without it"
            )
        if self.scores and given:
            raise InputError(f"{', '.join(given)} goes with embeddings, not with --scores")
        if self.distances and not self.scores:
            raise InputError("--distances goes with --scores")
        if self.pairs is not None and self.people is not None:
            raise InputError("--people chooses among all pictures; leave it out beside --pairs")
        by_person = [name for name in given if name not in ("--pairs", "--checkpoint")]
        if self.anonymous and by_person:
            raise InputError(
                f"{', '.join(by_person)} is judged by person, and a .bin does not know the people; "
                "write its pairs into a CSV and labels into the file of embeddings"
            )
        if self.weights is not None and (
            self.pairs is not None or "separability" not in self.options.parts
        ):
            raise InputError(
                "--weights adds to separability, which is of all pictures; leave out --pairs, and "
                "name --only separability if parts are named"
            )
        if self.cohort is None and (self.normalise or self.cohort_top):
            raise InputError("--normalise and --cohort-top go with --cohort")
        known_method(self.normalise or "as")

    @property
    def anonymous(self) -> bool:
        """Whether only the pairs, those of a .bin, know which pictures show one person."""
        return self.pairs is not None and self.pairs.suffix.lower() == ".bin"

    @property
    def _judged_as_usual(self) -> bool:
        """Whether no rates, thresholds or parts were asked for."""
        asked, usual = self.options, Options()
        return all(
            tuple(getattr(asked, name)) == tuple(getattr(usual, name))
            for name in ("fmr", "fpir", "thresholds", "parts")
        )

    @property
    def source(self) -> str:
        """The file or files, for people."""
        return " and ".join(str(path) for path in (self.embeddings, *self.scores) if path)

    @property
    def title(self) -> str:
        """The names of the files, without their folders."""
        return " and ".join(path.name for path in (self.embeddings, *self.scores) if path)

    @property
    def name(self) -> str:
        """For the run folder."""
        return (self.embeddings or self.scores[0]).stem or "evaluation"


def run_evaluation(asked: Asked, folder: Path, *, as_json: bool) -> None:
    """Evaluate, write the run folder, print.

    Raises:
        InputError: anything that cannot be; nothing has been written by then.
    """
    start = time.perf_counter()
    check_free(folder)
    findings = _of_scores(asked) if asked.scores else _of_embeddings(asked)
    results = _described(asked, findings, time.perf_counter() - start)
    text = json.dumps(results, indent=1, allow_nan=False)
    with run_folder(folder) as partial:
        (partial / "results.json").write_text(text + "\n", encoding="utf-8")
        (partial / "table.md").write_text(markdown(results), encoding="utf-8")
        save_curves(results, partial)
    if as_json:
        typer.echo(text)
        return
    _show([headline(results), "", *summary(results), ""])
    show_tables(tables(results))
    _show([*notes(results), "", f"Written to {legible(str(folder))}"])


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


def _described(asked: Asked, findings: Findings, seconds: float) -> dict[str, Any]:
    found = findings.as_dict()
    found["input"]["source"] = legible(asked.source)
    if found["comparison"] is not None and asked.compare is not None:
        found["comparison"]["name"] = legible(asked.compare.name)
    return {
        "format": 1,
        "version": metadata.version("margin-recognition"),
        "command": legible(command_line()),
        "seconds": round(seconds, 1),
        "name": legible(asked.title),
        "seed": asked.options.seed,
        "resamples": asked.options.replicates,
        **found,
    }


def _of_scores(asked: Asked) -> Findings:
    paths = tuple(asked.scores)
    given = paths[0] if len(paths) == 1 else (paths[0], paths[1])
    return evaluate_scores(read_scores(given, distances=asked.distances), options=asked.options)


def _of_embeddings(asked: Asked) -> Findings:
    if asked.embeddings is None:
        raise InputError("expected a file of embeddings")
    table = _read(asked.embeddings, asked.names, labelled=not asked.anonymous)
    _name_failures(table)
    weights = read_weights(asked.weights) if asked.weights is not None else None
    if asked.blufr is not None:
        return evaluate_blufr(table, read_blufr(asked.blufr), watch=bar)
    other: npt.NDArray[Any] | None = None
    left_out: list[str] = []
    if asked.compare is not None:
        table, other, left_out = _aligned(table, asked.compare)
    if asked.people is not None:
        chosen = read_chosen(asked.people)
        places, said = of_people(
            table.everyone, chosen, seed=asked.options.seed, what=legible(asked.title)
        )
        if other is not None:
            other = other[places[places < len(table)]]
        table = table.at(places)
        left_out += said
    cohort = None
    if asked.cohort is not None:
        others = _read(asked.cohort)
        cohort = Normaliser.of(
            others.embeddings,
            others.labels,
            asked.normalise or "as",
            top=asked.cohort_top or TOP,
        )
    distractors = None
    if asked.distractors is not None:
        strangers = _read(asked.distractors, asked.distractors_list)
        distractors = Distractors(strangers.embeddings, strangers.labels, len(strangers.failures))
    findings = evaluate(
        table.embeddings,
        table.labels,
        options=asked.options,
        pairs=_pairs(asked, table),
        other=other,
        grouping=_grouping(asked, table),
        failures=table.failures,
        checkpoint=asked.checkpoint,
        ids=table.ids,
        weights=weights,
        distractors=distractors,
        normaliser=cohort,
        quality=_quality(asked, table),
        watch=bar,
    )
    if left_out:
        findings.input["notes"].extend(left_out)
    return findings


def _read(path: Path, names: Path | None = None, *, labelled: bool = True) -> EmbeddingFile:
    """A file of embeddings, or a folder of MegaFace's features."""
    if path.is_dir():
        return read_features(path, names, watch=bar)
    return read_embeddings(path, labelled=labelled)


def _name_failures(table: EmbeddingFile) -> None:
    for failure in table.failures[:SHOWN]:
        typer.echo(f"failed {failure.id!r}: {failure.reason}", err=True)
    if len(table.failures) > SHOWN:
        more = len(table.failures) - SHOWN
        typer.echo(f"failed {more} more; results.json lists them all", err=True)


def _pairs(asked: Asked, table: EmbeddingFile) -> PairList | None:
    if asked.pairs is None:
        return None
    return read_pairs(asked.pairs, table.ids, table.labels, failed=table.failures)


def _grouping(asked: Asked, table: EmbeddingFile) -> Grouping | None:
    if asked.group is None:
        return None
    return Grouping(asked.group, _column(asked, table, "--group", asked.group))


def _quality(asked: Asked, table: EmbeddingFile) -> Quality | None:
    """A column, or the length of the embeddings unless the file has a column named norm."""
    if asked.quality is None:
        return None
    if asked.quality == "norm" and "norm" not in table.columns:
        return norm_quality(table.embeddings)
    return column_quality(asked.quality, _column(asked, table, "--quality", asked.quality))


def _column(asked: Asked, table: EmbeddingFile, option: str, name: str) -> npt.NDArray[np.str_]:
    if name not in table.columns:
        known = ", ".join(table.columns) or "none"
        raise InputError(
            f"{option}: expected a column of {asked.source}, not {name!r}; it has: {known}"
        )
    return table.columns[name]


def _aligned(table: EmbeddingFile, path: Path) -> tuple[EmbeddingFile, npt.NDArray[Any], list[str]]:
    """The pictures that both models embedded, in the order of the first.

    Raises:
        InputError: no picture in common, or another person on one.
    """
    other = read_embeddings(path)
    _, here, there = np.intersect1d(table.ids, other.ids, return_indices=True)
    if not len(here):
        raise InputError(
            f"--compare: expected the same pictures in {path}, but no id is in both files; "
            "write the same ids into both"
        )
    order = np.argsort(here)
    here, there = here[order], there[order]
    wrong = table.labels[here] != other.labels[there]
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"--compare: expected the same people in {path}, but picture "
            f"{str(table.ids[here[at]])!r} shows {str(table.labels[here[at]])!r} here and "
            f"{str(other.labels[there[at]])!r} there ({int(wrong.sum())} such pictures); check "
            "the labels"
        )
    missing = len(table) - len(here), len(other) - len(here)
    left_out: list[str] = []
    if any(missing):
        left_out.append(
            f"{missing[0]} pictures are not embedded in {legible(path.name)} and {missing[1]} only "
            "there: everything is judged on those in both"
        )
    columns = {name: values[here] for name, values in table.columns.items()}
    both = EmbeddingFile(
        table.embeddings[here], table.labels[here], table.ids[here], columns, table.failures
    )
    return both, other.embeddings[there], left_out
