"""The drawings of a training run: validation and what every step showed, with the numbers behind."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from recognition.report.evaluation.cells import Results
from recognition.report.html.curve_tables import curve_table
from recognition.report.html.document import Drawing
from recognition.report.html.svg import svg_of
from recognition.report.training_figures import Point, course, course_figure, validation_figure

Line = Mapping[str, float]  # a line of log.csv

METRICS = {"eer": "equal error rate", "auc": "area under the ROC curve", "rank1": "rank-1 rate"}
PERCENT = 100.0


class _Course(NamedTuple):
    """A drawing of the log: its columns by their names in the legend, and what is to be seen."""

    key: str
    title: str
    columns: Mapping[str, str]
    label: str
    sentence: str
    factor: float = 1.0
    logarithmic: bool = False


COURSES = (
    _Course(
        "loss", "Loss", {"loss": "loss"}, "loss, margin included",
        "The loss of the batches. It belongs to this head and scale: only its course means "
        "something, and people never seen can go worse while it falls.",
    ),
    _Course(
        "accuracy", "People learned from, told apart", {"accuracy": "own class first"},
        "own class first, %",
        "The share of pictures whose own class is the nearest, without a margin. These people are "
        "learned from: that it comes near 100 % says nothing of people never seen.", PERCENT,
    ),
    _Course(
        "angle", "Angle to the own class", {"angle": "angle to the own class"}, "degrees",
        "How far pictures are from the centre of their own class, in degrees: falling means that "
        "people draw together.", 180 / math.pi,
    ),
    _Course(
        "cosine", "Likeness of different people", {"cosine": "cosine of different people"},
        "mean cosine",
        "The mean cosine between embeddings of different people in a batch. Near 0 they lie apart; "
        "near 1 all embeddings are alike, and nothing is learned.",
    ),
    _Course(
        "rates", "Learning rates", {"lr": "network", "head_lr": "head"}, "learning rate",
        "How far a step goes, of the network and of the head.",
    ),
    _Course(
        "gradient", "Gradient", {"gradient": "norm"}, "norm, before it is clipped",
        "The norm of the network's gradient on a logarithmic axis. Jumps and 0 are signs of "
        "trouble.", logarithmic=True,
    ),
)  # fmt: skip


def metric_name(metric: str) -> str:
    """The number that the best is kept by, in words; also of rates at a target.

    >>> metric_name("tar@fmr=0.01"), metric_name("eer")
    ('TAR at FMR 0.01', 'equal error rate')
    """
    if metric in METRICS:
        return METRICS[metric]
    rate, _, target = metric.partition("@")
    return f"{rate.upper()} at {target.upper().replace('=', ' ')}"


def validations(results: Results, lines: Sequence[Line]) -> list[Point]:
    """Every validation that gave a number, in order; the last one, and the best, with intervals."""
    metric = results["config"]["validation"]["metric"]
    found = {
        int(line["step"]): Point(int(line["step"]), line["validation"])
        for line in lines
        if math.isfinite(line["validation"])
    }
    last, best = results["last_estimates"].get(metric), results["best"]
    if best and best["step"] in found:
        found[best["step"]] = (
            _point(best["step"], results["estimates"].get(metric)) or (found[best["step"]])
        )
    end = _point(results["steps"], last)
    if end is not None:
        found[end.step] = end
    return [found[step] for step in sorted(found)]


def _point(step: int, estimate: Mapping[str, Any] | None) -> Point | None:
    if estimate is None or estimate["value"] is None:
        return None
    return Point(step, *(estimate[key] for key in ("value", "low", "high")))


def validation_drawing(results: Results, points: Sequence[Point]) -> Drawing:
    """What is seen of people apart; `points` is at least one."""
    name = metric_name(results["config"]["validation"]["metric"])
    best = results["best"].get("step", -1) if results["best"] else -1
    columns: dict[str, tuple[Sequence[float | None], str]] = {
        "step": ([one.step for one in points], "count"),
        name: ([one.value for one in points], "share"),
        "from": ([one.low for one in points], "share"),
        "to": ([one.high for one in points], "share"),
    }
    people = results["validation"]["people"]
    sentence = (
        f"The {name} of the {people:,} people not learned from, over the steps. The filled point "
        "is the network that is kept; bars are 95 % intervals by person, of the kept and the last "
        "network. Differences smaller than the bars may be chance."
    )
    figure = validation_figure(points, best, f"{name}, %", PERCENT)
    table = curve_table("Validations", columns)
    return Drawing("validation", "People never seen", svg_of(figure, "validation"), sentence, table)


def course_drawings(lines: Sequence[Line]) -> Iterator[Drawing]:
    """What every step showed, as far as the log has it."""
    steps = [line["step"] for line in lines]
    for told in COURSES:
        courses = {
            name: course(steps, [told.factor * line[column] for line in lines])
            for column, name in told.columns.items()
        }
        if not all(len(one.steps) for one in courses.values()):
            continue
        figure = course_figure(courses, told.label, logarithmic=told.logarithmic)
        few = {name: course(steps, [told.factor * line[column] for line in lines], 12)
               for column, name in told.columns.items()}  # fmt: skip
        shortest = min(len(one.steps) for one in few.values())
        columns: dict[str, tuple[Sequence[float | None], str]] = {
            "about step": (next(iter(few.values())).steps.round()[:shortest].tolist(), "count"),
            **{name: (one.values[:shortest].tolist(), "number") for name, one in few.items()},
        }
        table = curve_table(f"{told.title}, means of neighbouring steps", columns)
        yield Drawing(told.key, told.title, svg_of(figure, told.key), told.sentence, table)
