"""The people most alike a probe, exactly, when somebody else searches and only proposes.

Milvus multiplies in float32 and lists samples, not people. What it proposes is scored again in
float64 from the stored vectors; if its list cannot be shown to hold the best people, a longer one
is asked for, and in the end every vector.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, as_scores, unit_rows
from recognition.search.score_blocks import score_blocks

Singles = npt.NDArray[np.float32]
Proposals = list[tuple[str, float]]

LEAST, MOST = 64, 16_384  # samples proposed; Milvus lists no more than the latter
LISTED = 2**17  # proposals asked for at a time, over all probes


class Table(Protocol):
    """Samples somewhere else. Each belongs to an enrolment, and only finished ones count."""

    def propose(self, probes: Singles, width: int) -> list[Proposals]:
        """The `width` samples most alike each unit probe with float32 cosines, best first."""
        ...

    def names(self, samples: Iterable[str]) -> dict[str, str]:
        """The person of each sample; those of unfinished enrolments have none."""
        ...

    def vectors(self, samples: Sequence[str]) -> dict[str, Singles]:
        """The vectors of samples, as far as they are there."""
        ...

    def everything(self) -> Iterator[tuple[list[str], Singles]]:
        """All samples and their vectors (n, D), some at a time."""
        ...


class Found(NamedTuple):
    """A person found, by the best sample."""

    name: str
    score: float
    sample: str


def best_people(table: Table, probes: Floats, k: int) -> list[list[Found]]:
    """The k people most alike each of (m, D) unit probes, by their best sample.

    Scores are products of unit rows in float64, rounded by `as_scores`. Equal ones are listed by
    name; of equal samples of a person the first is named.

    With g the bound of `_guard`, a sample that was not proposed scores at most the last proposal
    plus g. So a list is enough if the k-th person on it is better than its last sample by more than
    2 g, and what is within 2 g of the k-th is scored again. Where a score differs from the proposed
    one by more than g, Milvus does not multiply as it should, and every vector is looked at.
    """
    found: dict[int, list[Found]] = {}
    left, full = list(range(len(probes))), []
    width = max(LEAST, 4 * k)
    while left and width <= MOST:
        unsure = []
        step = max(1, LISTED // width)
        for start in range(0, len(left), step):
            some = left[start : start + step]
            lists = _Lists(table, probes[some], k, width)
            found.update((some[at], best) for at, best in lists.found.items())
            full += [some[at] for at in lists.wrong]
            unsure += [some[at] for at in lists.unsure]
        left = unsure
        width = MOST if width < MOST < 4 * width else 4 * width
    full += left
    if full:
        found.update(zip(full, _in_full(table, probes[full], k), strict=True))
    return [found[at] for at in range(len(probes))]


class _Lists:
    """Lists of proposals, and what they decide.

    Attributes:
        found: the best people of those probes whose list is enough.
        unsure: probes that need a longer list.
        wrong: probes whose proposals came with scores that cannot be.
    """

    def __init__(self, table: Table, probes: Floats, k: int, width: int) -> None:
        self.found: dict[int, list[Found]] = {}
        self.unsure: list[int] = []
        self.wrong: list[int] = []
        lists = table.propose(probes.astype(np.float32), width)
        names = table.names({sample for one in lists for sample, _ in one})
        wanted = {}
        for at, proposed in enumerate(lists):
            near = _near(proposed, names, k, len(proposed) < width, _guard(probes))
            if near is None:
                self.unsure.append(at)
            else:
                wanted[at] = near
        vectors = table.vectors(sorted({sample for near in wanted.values() for sample, _ in near}))
        for at, near in wanted.items():
            if not all(sample in vectors for sample, _ in near):  # removed since
                self.unsure.append(at)
            else:
                self._settle(at, near, vectors, names, probes, k)

    def _settle(
        self,
        at: int,
        near: Proposals,
        vectors: dict[str, Singles],
        names: dict[str, str],
        probes: Floats,
        k: int,
    ) -> None:
        samples = [sample for sample, _ in near]
        if not samples:
            self.found[at] = []
            return
        unit = unit_rows(np.stack([vectors[sample] for sample in samples]))
        scores = as_scores(np.einsum("ij,j->i", unit, probes[at]))
        if np.abs(scores - np.array([score for _, score in near])).max() > _guard(probes):
            self.wrong.append(at)
            return
        best = _Best(k)
        best.add(samples, scores, names)
        self.found[at] = best.listed()


def _near(
    proposed: Proposals, names: dict[str, str], k: int, whole: bool, g: float
) -> Proposals | None:
    """The proposals that may be of the k best people; None where the list is too short to tell."""
    counted = [(sample, score) for sample, score in proposed if sample in names]
    people: dict[str, float] = {}
    for sample, score in counted:  # best first
        people.setdefault(names[sample], score)
    scores = sorted(people.values(), reverse=True)
    if len(scores) < k:
        return counted if whole else None
    kth = scores[k - 1]
    if not whole and kth - proposed[-1][1] <= 2 * g:
        return None
    return [(sample, score) for sample, score in counted if score >= kth - 2 * g]


class _Best:
    """The k best people so far."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.floor = np.float32(-np.inf)  # what scores less is not among them
        self.people: dict[str, Found] = {}

    def add(self, samples: Sequence[str], scores: Singles, names: dict[str, str]) -> None:
        for at in np.flatnonzero(scores >= self.floor).tolist():
            name = names.get(samples[at])
            if name is None:
                continue
            one = Found(name, float(scores[at]), samples[at])
            other = self.people.get(name)
            if other is None or (-one.score, one.sample) < (-other.score, other.sample):
                self.people[name] = one
        if len(self.people) >= self.k:
            kept = self.listed()
            self.people = {one.name: one for one in kept}
            self.floor = np.float32(kept[-1].score)

    def listed(self) -> list[Found]:
        return sorted(self.people.values(), key=lambda one: (-one.score, one.name))[: self.k]


def _in_full(table: Table, probes: Floats, k: int) -> list[list[Found]]:
    """By the scores of all vectors."""
    best = [_Best(k) for _ in probes]
    for samples, vectors in table.everything():
        names = table.names(samples)
        for part, block in score_blocks(probes, unit_rows(vectors)):
            for one, scores in zip(best[part], block, strict=True):
                one.add(samples, scores, names)
    return [one.listed() for one in best]


def _guard(probes: Floats) -> float:
    """How far a cosine in float32 can be from the score.

    Beside the product, for which `guard` is, the norms of both are sums of D squares: half as many
    roundings each, as the root halves them.
    """
    return 2 * guard(probes.shape[1])
