"""What `recognition compare` does, in order: find the data, train, judge, write, show."""

import json
import time
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import typer

from recognition.backbones.registry import find_backbone
from recognition.cli.console import (
    REPORT,
    bar,
    command_line,
    counter,
    name_skipped,
    show_lines,
    show_run_folder,
    show_tables,
)
from recognition.cli.run_log import logged
from recognition.datasets.decoding import Source
from recognition.datasets.drawn import draw_faces
from recognition.datasets.fetchers import fetch_lfw, fetch_olivetti
from recognition.datasets.people_lists import read_chosen
from recognition.datasets.pictures import Pictures
from recognition.datasets.sources import read_pictures
from recognition.errors import InputError
from recognition.protocols import split_people
from recognition.report.comparison.figures import save_figures
from recognition.report.comparison.tables import markdown, notes, tables, verdict
from recognition.report.html.compared import document
from recognition.report.html.render import render
from recognition.report.results_folder import check_free, run_folder
from recognition.report.thumbnails import pictures_of, thumbnails
from recognition.training.comparison_results import describe, describe_data, printable
from recognition.training.head_comparison import Plan, Run, Task, compare
from recognition.training.weights import save_weights

DRAWN, DRAWN_QUICK = (300, 20), (90, 10)  # people, pictures of each
OTHER_PEOPLE = 1000  # added to the seed: nobody of the drawn faces that choices.py was found on
SHOWN = 10  # skipped files named on stderr


@dataclass(frozen=True)
class Data:
    """Where pictures come from; just one way may be named."""

    directory: Path | None
    train: Path | None
    test: Path | None
    known: str | None
    test_share: float | None
    quick: bool
    people: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.train is None) != (self.test is None):
            given, missing = ("--train", "--test") if self.test is None else ("--test", "--train")
            raise InputError(f"{given} goes with {missing}; name both, or one source alone")
        named = [self.directory, self.train, self.known]
        if len(named) - named.count(None) > 1:
            raise InputError(
                "expected one source: a folder, .rec or .csv, --train with --test, or --data"
            )
        if self.people is not None and not (self.directory or self.train):
            raise InputError(
                "--people goes with a folder, a .rec or a .csv, alone or as --train and --test"
            )
        if self.test_share is not None and (self.train or not 0 < self.test_share < 1):
            raise InputError(
                "--test-share: expected a share between 0 and 1 of one source of people, got "
                f"{self.test_share:g}" + (" beside --train and --test" if self.train else "")
            )

    @property
    def name(self) -> str:
        """For the run folder."""
        if self.train is not None:
            return "folders"
        return (
            (self.directory.resolve().name or "root") if self.directory else self.known or "drawn"
        )

    def task(self, seed: int, size: int) -> Task:
        """The pictures to learn from and to be judged on, for one seed."""
        if self.train is not None and self.test is not None:
            return Task(self._read(self.train, size), self._read(self.test, size))
        share = self.test_share or (0.5 if self.directory or self.known else 1 / 3)
        pictures = self._pictures(seed, size)
        learn, strangers = split_people(pictures.labels, test=share, seed=seed)
        return Task(pictures.of(learn), pictures.of(strangers))

    def _read(self, path: Path, size: int) -> Pictures:
        return _read(path, size, self.people, self.seed)

    def _pictures(self, seed: int, size: int) -> Pictures:
        if self.directory is not None:
            return self._read(self.directory, size)
        if self.known is not None:
            fetch = {"olivetti": fetch_olivetti, "lfw": fetch_lfw}[self.known]
            typer.echo(f"fetching {self.known} through scikit-learn ...", err=True)
            return fetch(size=size)
        people, pictures = DRAWN_QUICK if self.quick else DRAWN
        # split otherwise, the people whom the settings were found on could be among the strangers
        others = OTHER_PEOPLE if self.quick or self.test_share else 0
        with bar("drawing faces", people * pictures) as advance:
            return draw_faces(people, pictures, size=size, seed=seed + others, progress=advance)


@cache  # every seed splits the same pictures anew
def _read(path: Path, size: int, people: str | None, seed: int) -> Pictures:
    chosen = read_chosen(people) if people else None
    with counter(f"reading {path.name}") as count:
        pictures = read_pictures(path, size=size, people=chosen, seed=seed, progress=count)
    for note in pictures.notes:
        typer.echo(note, err=True)
    for skipped in pictures.skipped[:SHOWN]:
        typer.echo(f"skipped {skipped.path!r}: {skipped.reason}", err=True)
    if len(pictures.skipped) > SHOWN:
        more = len(pictures.skipped) - SHOWN
        typer.echo(f"skipped {more} more; results.json lists them all", err=True)
    return pictures


def _worst_pictures(run: Run, test: Pictures) -> dict[str, Source]:
    """The pixels of the pictures in a head's lists, by the names they have there."""
    places = {printable(name): place for place, name in enumerate(test.ids.tolist())}
    names = pictures_of([asdict(each) for each in run.evaluation.worst])
    return {printable(name): test.images[places[printable(name)]].copy() for name in names}


def run_comparison(
    source: Data, plan: Plan, folder: Path, *, as_json: bool, images: bool = False
) -> None:
    """Compare, write the run folder, print; with `images` the report shows the worst pairs.

    Raises:
        InputError: anything that cannot be; nothing has been written by then.
    """
    start = time.perf_counter()
    check_free(folder)
    size = find_backbone(plan.recipe.backbone).input_size
    runs: list[Run] = []
    shown: dict[str, Source] = {}
    data: dict[int, dict[str, Any]] = {}

    @lru_cache(maxsize=1)  # tasks are asked for twice: all are checked before there is a folder
    def task_of(seed: int) -> Task:
        task = source.task(seed, size)
        data[seed] = describe_data(task, seed)
        return task

    pending = compare(task_of, plan, watch=bar)
    with run_folder(folder) as partial, logged(partial / "run.log"):
        for run, trained in pending:
            save_weights(run, trained, partial / "weights", plan.recipe)
            runs.append(run)
            if images and run.seed == plan.seeds[0]:
                shown |= _worst_pictures(run, task_of(run.seed).test)
        seconds = time.perf_counter() - start
        results = describe(runs, plan, list(data.values()), command=command_line(), seconds=seconds)
        text = json.dumps(results, indent=1, allow_nan=False)
        small = thumbnails(shown)
        name_skipped(small.skipped)
        page = render(document(results, small.pictures))
        (partial / "results.json").write_text(text + "\n", encoding="utf-8")
        (partial / "table.md").write_text(markdown(results), encoding="utf-8")
        (partial / REPORT).write_text(page, encoding="utf-8")
        save_figures(results, partial)
    if as_json:
        typer.echo(text)
        return
    show_tables(tables(results))
    show_lines([*notes(results), "", *verdict(results), ""])
    show_run_folder(folder)
