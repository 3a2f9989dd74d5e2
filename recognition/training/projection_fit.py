"""How a projection of frozen embeddings is learned, for as many steps as helps others."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from margin_losses import HeadSpec, MarginHead
from recognition.comparisons import compare_all
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics import equal_error_rate
from recognition.protocols import person_folds, sample_people
from recognition.training.head_choices import FOUND
from recognition.training.projection import Projection, identity, principal

Names = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float64]

JUDGED = 1_000  # pictures of people held out, at most: half a million comparisons
OFTEN = 10  # how many numbers of steps are tried


@dataclass(frozen=True)
class ProjectionRecipe:
    """AdamW with a short warm-up and a cosine decay, drawn back to where it began.

    Attributes:
        head: a margin by name, `"arcface:m=0.4,s=10"`; a bare name takes the scale and margin found
            on the drawn faces where the formula is on cosines, and else the paper's.
        dim: numbers in a projected embedding; 0 for as many as before.
        bias: whether there is one.
        steps: at most; fewer where people held out are told apart better by then.
        batch_size: pictures a batch.
        lr: the highest change of W in a step, by its largest singular value, about: that of a
            matrix of D columns whose entries change by lr / D each.
        pull: how far W is drawn back to its start at each step, as a share, when the learning
            rate is at its highest.
        holdouts: groups of people who are held out in turn, to choose the number of steps.
    """

    head: str = "arcface"
    dim: int = 0
    bias: bool = False
    steps: int = 100
    batch_size: int = 256
    lr: float = 0.2
    pull: float = 0.01
    holdouts: int = 4

    def __post_init__(self) -> None:
        for name, low in (("dim", 0), ("steps", 1), ("batch_size", 2), ("holdouts", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(f"{name}: expected a whole number >= {low}, got {value}")
        if not 0 < self.lr <= 10:
            raise InputError(f"lr: expected 0 < lr <= 10, got {self.lr:g}")
        if not 0 <= self.pull <= 1:
            raise InputError(f"pull: expected 0 <= pull <= 1, got {self.pull:g}")
        self.setting  # noqa: B018 refuses what is no head

    @property
    def setting(self) -> str:
        """The head with its options."""
        key = self.head.strip().lower()
        try:
            spec = HeadSpec.parse(key)
        except ValueError as error:
            raise InputError(str(error)) from None
        return FOUND.get(key, key) if spec.margin.geometry.is_cosine else key

    @property
    def tried(self) -> list[int]:
        """Numbers of steps among which is chosen: 0, which leaves the start as it is, to all."""
        return sorted({round(self.steps * k / OFTEN) for k in range(OFTEN + 1)})

    def share_at(self, step: int) -> float:
        """The learning rate of a step as a share of the highest, 0 <= step < steps."""
        rise = max(1, round(0.1 * self.steps))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))


@dataclass(frozen=True)
class Fitted:
    """What was learned of some people.

    Attributes:
        projection: after `steps` steps.
        steps: how many were taken.
        held_out: for each number of steps that was tried, the equal error rate on people held out;
            empty where none were.
        losses: (steps,) of each batch.
    """

    projection: Projection
    steps: int
    held_out: Sequence[tuple[int, float]]
    losses: npt.NDArray[np.float32]


Advance = Callable[[int], None]  # trainings x steps done


def require_learnable(embeddings: Floats, labels: Names, recipe: ProjectionRecipe) -> None:
    """Refuse people from whom nothing could be learned, or the number of steps not be chosen.

    Raises:
        InputError: too few people with several pictures, a head that needs more, or more dimensions
            than there are.
    """
    if recipe.dim > embeddings.shape[1]:
        raise InputError(
            f"dim: expected at most the {embeddings.shape[1]} dimensions of the embeddings, got "
            f"{recipe.dim}"
        )
    folds = person_folds(labels, recipe.holdouts, seed=0)
    fewest = len(np.unique(labels)) - max(map(len, folds))
    try:
        with torch.random.fork_rng(devices=[]):
            MarginHead(2, fewest, recipe.setting)
    except ValueError as error:
        raise InputError(f"{error}; add people, or take another head") from None


def fit(
    embeddings: Floats,
    labels: Names,
    recipe: ProjectionRecipe,
    *,
    seed: int,
    advance: Advance = lambda done: None,
) -> Fitted:
    """Learn a projection of these people, stopping where others were told apart best.

    Groups of the people are held out in turn, and the equal error rate on them is measured after
    each number of steps; the best on average, and of equal ones the fewest steps, is then taken
    on all of them. None at all is among them: then the start is kept.

    Args:
        embeddings: (N, D) unit rows.
        labels: (N,).
        recipe: how.
        seed: of groups, class weights and batches.
        advance: told how many steps are done, of (holdouts + 1) * steps.

    Raises:
        InputError: training that runs away.
    """
    tried = recipe.tried
    rates = np.zeros(len(tried))
    folds = person_folds(labels, recipe.holdouts, seed=seed)
    for place, held in enumerate(folds):
        out = np.isin(labels, held)
        judged = out & np.isin(labels, few_people(labels[out], JUDGED, seed))
        path = _descend(embeddings[~out], labels[~out], recipe, seed)
        for at, (step, projection, _) in enumerate(_stops(path, tried)):
            scores = compare_all(projection.apply(embeddings[judged]), labels[judged])
            rates[at] += equal_error_rate(scores).rate / len(folds)
            advance(place * recipe.steps + step)
    steps = tried[int(rates.argmin())]
    projection, losses = _run(embeddings, labels, recipe, seed, steps)
    advance((len(folds) + 1) * recipe.steps)
    return Fitted(projection, steps, list(zip(tried, rates.tolist(), strict=True)), losses)


def few_people(labels: Names, most: int, seed: int) -> Names:
    """Everybody, or some at random with several pictures each where there are too many pictures."""
    people = people_of(labels)
    if len(labels) <= most:
        return people.names
    several = labels[people.pictures[people.codes] > 1]
    return sample_people(several, most_pictures=most, seed=seed)


def _run(
    embeddings: Floats, labels: Names, recipe: ProjectionRecipe, seed: int, steps: int
) -> tuple[Projection, npt.NDArray[np.float32]]:
    losses: list[float] = []
    for step, projection, loss in _descend(embeddings, labels, recipe, seed):
        if step:
            losses.append(loss)
        if step == steps:
            return projection(), np.array(losses, np.float32)
    raise InputError(f"expected at most {recipe.steps} steps, got {steps}")


Stop = tuple[int, Callable[[], Projection], float]  # steps done, what it is by now, the last loss


def _stops(path: Iterator[Stop], wanted: Sequence[int]) -> Iterator[tuple[int, Projection, float]]:
    for step, projection, loss in path:
        if step in wanted:
            yield step, projection(), loss


def _descend(
    embeddings: Floats, labels: Names, recipe: ProjectionRecipe, seed: int
) -> Iterator[Stop]:
    """The start, and then what there is after each step."""
    people = people_of(labels)
    dim = recipe.dim or embeddings.shape[1]
    start = identity(dim) if dim == embeddings.shape[1] else principal(embeddings, dim)
    x = torch.from_numpy(embeddings.astype(np.float32))
    y = torch.from_numpy(people.codes)
    origin = torch.from_numpy(start.weight)
    weight = nn.Parameter(origin.clone())
    bias = nn.Parameter(torch.zeros(dim)) if recipe.bias else None
    head = _head(x @ origin.T, y, len(people.names), recipe.setting, seed)
    rates = [(weight, recipe.lr / embeddings.shape[1])]
    rates += [] if bias is None else [(bias, recipe.lr / embeddings.shape[1])]
    rates += [(each, recipe.lr / math.sqrt(dim)) for each in head.parameters()]
    optimiser = torch.optim.AdamW(
        [{"params": [each], "highest": rate} for each, rate in rates], lr=0.0, weight_decay=0.0
    )
    batches = _batches(len(x), recipe.batch_size, seed)

    def now() -> Projection:
        kept = None if bias is None else bias.detach().numpy().copy()
        return Projection(weight.detach().numpy().copy(), kept)

    yield 0, now, math.nan
    for step in range(recipe.steps):
        share = recipe.share_at(step)
        for group in optimiser.param_groups:
            group["lr"] = share * group["highest"]
        rows = next(batches)
        with torch.enable_grad():
            loss = head(F.linear(x[rows], weight, bias), y[rows])
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"learning with {head.margin!r} has run away: at step {step} the loss is no longer "
                f"finite; try a smaller scale, or a smaller learning rate than {recipe.lr:g}"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            weight.lerp_(origin, share * recipe.pull)
        yield step + 1, now, value


def _head(x: Tensor, y: Tensor, people: int, setting: str, seed: int) -> MarginHead:
    """Class weights that begin as the mean directions of the people, not anywhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MarginHead(x.shape[1], people, setting)
    means = torch.zeros(people, x.shape[1]).index_add_(0, y, F.normalize(x))
    means = F.normalize(means)
    with torch.no_grad():
        if head.weight.ndim == 3:  # sub-centres that are all alike would stay so
            head.weight.mul_(0.1).add_(means[:, None])
        else:
            head.weight.copy_(means)
    return head.train()


def _batches(pictures: int, size: int, seed: int) -> Iterator[Tensor]:
    """Shuffled epochs without end, every batch of one size."""
    generator = torch.Generator().manual_seed(seed)
    size = min(size, pictures)
    while True:
        for rows in torch.split(torch.randperm(pictures, generator=generator), size):
            if len(rows) == size:
                yield rows
