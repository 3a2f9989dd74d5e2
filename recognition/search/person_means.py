"""The people most alike a probe by their templates, exactly: the mean of a person's samples.

Templates rounded to float32 are searched as samples are, a little further than was asked for; those
that rounding could have put in another place are made again from their samples, in float64.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats, People, as_scores, centres, unit_rows
from recognition.search.quantised import Singles
from recognition.search.scan import Hit, Part, best_people

Places = npt.NDArray[np.int64]

SPARE = 8  # people looked at beyond those asked for
GATHERED = 2**14  # samples in float64 at a time
# Rounding a unit vector to float32 turns it by less than 2^-23, and rounding the score takes less
# than 2^-24: two scores can change places when they are no more than twice both apart.
ROUNDED = np.float32(2.0**-21)


class Templates(NamedTuple):
    """One vector for each of C people: m / ‖m‖, m the mean of their unit samples in float64.

    Attributes:
        part: (C, D) templates in float32, by number of the person.
        samples: the parts that they were made of.
        order: (n,) samples that are alive, by person, counted through all parts.
        starts: (C + 1,) where in `order` each person begins.
    """

    part: Part
    samples: tuple[Part, ...]
    order: Places
    starts: Places

    @classmethod
    def of(cls, parts: Sequence[Part], name: Callable[[int], str] = str) -> Self:
        """The templates of everybody who is alive, from one pass over their samples.

        Args:
            parts: the samples.
            name: of a person's number, for errors.

        Raises:
            InputError: a person whose samples cancel out.
        """
        alive = np.concatenate([part.alive for part in parts]) if parts else np.empty(0, bool)
        owners = np.concatenate([part.people for part in parts]) if parts else np.empty(0, int)
        places = np.flatnonzero(alive)
        order = places[np.argsort(owners[places], kind="stable")]
        people, first = np.unique(owners[order], return_index=True)
        starts = np.append(first, len(order)).astype(np.int64)
        dimension = parts[0].rows.vectors.shape[1] if parts else 1
        empty = Part.of(np.empty((0, dimension), np.float32), people[:0])
        blank = cls(empty, tuple(parts), order, starts)
        vectors = np.empty((len(people), dimension), np.float32)
        for some in _groups(starts):
            shown = np.array([name(int(people[at])) for at in range(some.start, some.stop)])
            vectors[some] = blank.exact(np.arange(some.start, some.stop), shown)
        return cls(Part.of(vectors, people), tuple(parts), order, starts)

    def exact(self, which: Places, names: npt.NDArray[np.str_] | None = None) -> Floats:
        """(c, D) some templates in float64, as `centres` makes them."""
        counts = self.starts[which + 1] - self.starts[which]
        rows = np.concatenate([self.order[self.starts[at] : self.starts[at + 1]] for at in which])
        shown = which.astype(str) if names is None else names
        people = People(shown, np.repeat(np.arange(len(which)), counts))
        return centres(unit_rows(_gathered(self.samples, rows)), people)


def best_templates(templates: Templates, probes: Floats, k: int) -> list[list[Hit]]:
    """The k people most alike each of (m, D) unit probes, by their template.

    Scores are products in float64, rounded by `as_scores`, as those of `search_people`. Equal ones
    are listed by number of the person, and all that equal the k-th, as in `best_people`; `place`
    is that of the template.
    """
    found: list[list[Hit]] = [[] for _ in probes]
    left = list(range(len(probes)))
    width = k + SPARE
    while left:
        rough = best_people([templates.part], probes[left], width)
        for at, hits in zip(left, rough, strict=True):
            found[at] = hits
        left = [at for at in left if not _settled(found[at], k, width)]
        width *= 2
    return [_exactly(templates, hits, probe, k) for hits, probe in zip(found, probes, strict=True)]


def _settled(hits: Sequence[Hit], k: int, width: int) -> bool:
    return len(hits) < width or bool(hits[-1].score < hits[k - 1].score - ROUNDED)


def _exactly(templates: Templates, hits: Sequence[Hit], probe: Floats, k: int) -> list[Hit]:
    floor = hits[k - 1].score - ROUNDED if len(hits) > k else -np.inf
    near = [hit for hit in hits if hit.score >= floor]
    if not near:
        return []
    made = templates.exact(np.array([hit.place for hit in near], np.int64))
    scores = as_scores(np.einsum("ij,j->i", made, probe)).tolist()
    exact = [hit._replace(score=score) for hit, score in zip(near, scores, strict=True)]
    ranked = sorted(exact, key=lambda hit: (-hit.score, hit.person))
    last = ranked[k - 1].score if len(ranked) > k else -np.inf
    return [hit for hit in ranked if hit.score >= last]


def _groups(starts: Places) -> list[slice]:
    """People one after the other, as many as have `GATHERED` samples together, and at least one."""
    groups, begin = [], 0
    while begin < len(starts) - 1:
        limit = int(np.searchsorted(starts, starts[begin] + GATHERED, side="right")) - 1
        end = max(begin + 1, limit)
        groups.append(slice(begin, end))
        begin = end
    return groups


def _gathered(parts: Sequence[Part], rows: Places) -> Singles:
    """Samples by their places, counted through all parts."""
    firsts = np.cumsum([0, *(len(part.rows) for part in parts)])
    which = np.searchsorted(firsts, rows, side="right") - 1
    out = np.empty((len(rows), parts[0].rows.vectors.shape[1]), np.float32)
    for number in np.unique(which):
        here = which == number
        out[here] = parts[number].rows.vectors[rows[here] - firsts[number]]
    return out
