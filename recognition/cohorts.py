"""People who are neither enrolled nor searched for, and what scores are worth against them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.comparisons.compared_pictures import Compared
from recognition.comparisons.scores import Scores
from recognition.comparisons.steps import Similarities
from recognition.embeddings import Floats, People, people_of, unit_rows
from recognition.errors import InputError
from recognition.metrics.normalisation import (
    ADAPTIVE,
    SYMMETRIC,
    TOP,
    Method,
    Spread,
    check_top,
    chosen,
    counted,
    crossed,
    crossed_pairs,
    known_method,
    normalise_scores,
    spread_of,
    spread_outside,
)
from recognition.metrics.searches import KEPT, Searches
from recognition.other_people import require_other_people
from recognition.progress import Advance, Watch, unwatched
from recognition.search.identify import prepare, search_prepared
from recognition.search.score_blocks import score_blocks

Rows = npt.NDArray[np.int64]
CELLS = 2**21  # cohort scores of a tile in memory at a time
LEAST = 32  # pictures of a tile, however large the cohort is
FILLED = 64  # a tile is multiplied whole if one of so many pairs in it is asked for


@dataclass(frozen=True)
class Normaliser:
    """Scores against a cohort of other people, see `recognition.metrics.normalisation`.

    Attributes:
        cohort: (C, D) unit embeddings of the cohort's pictures.
        people: who is on them.
        method: "z", "t", "zt", "s", "as1" or "as2".
        top: K of the adaptive ones.
    """

    cohort: Floats
    people: People
    method: Method
    top: int = TOP

    @classmethod
    def of(
        cls,
        embeddings: npt.ArrayLike,
        labels: npt.ArrayLike,
        method: str = "as",
        *,
        top: int = TOP,
    ) -> "Normaliser":
        """One that holds scores against these pictures.

        Args:
            embeddings: (C, D), not necessarily normalised.
            labels: (C,) the person on each picture.
            method: "z", "t", "zt", "s", "as1", "as2", or "as" for "as1".
            top: K, the number of highest cohort scores that the adaptive methods look at.

        Raises:
            InputError: embeddings or labels that cannot be used, fewer than 2 pictures, an unknown
                method, K below 2, or for ZT a picture with fewer than 2 of other people.
        """
        unit = unit_rows(embeddings, what="embeddings of the cohort")
        people = people_of(labels, len(unit), what="labels of the cohort")
        if len(unit) < 2:
            raise InputError(
                "expected a cohort of 2 pictures or more, got 1, which has no spread; some "
                f"{TOP} pictures of other people do well"
            )
        made = cls(unit, people, known_method(method), check_top(top))
        if made.method == "zt":
            made._own_spread  # noqa: B018 refuses a cohort of too few people
        return made

    @property
    def pictures(self) -> int:
        """C."""
        return len(self.cohort)

    @property
    def symmetric(self) -> bool:
        """Whether both pictures of a pair are treated alike."""
        return self.method in SYMMETRIC

    @property
    def _looked_at(self) -> int | None:
        """K, or None for all."""
        return self.top if self.method in ADAPTIVE else None

    def require_apart(self, embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Refuse a cohort that shares a person or a picture with what is evaluated.

        Pictures are the same where their unit embeddings, rounded to float32, are.

        Raises:
            InputError: another dimension, or an overlap; it names the people.
        """
        require_other_people(embeddings, labels, self.cohort, self.people, "the cohort")

    def spread(
        self, unit: Floats, *, searched: bool = False, advance: Advance | None = None
    ) -> Spread:
        """(N,) the spread of the cohort's scores with N unit embeddings, a block at a time.

        For ZT a searched picture's are of the Z-normed scores.
        """
        found = []
        for rows, block in score_blocks(unit, self.cohort):
            if searched and self.method == "zt":
                found.append(spread_of(counted(block, self._own_spread)))
            else:
                found.append(spread_of(block, self._looked_at))
            if advance is not None:
                advance(rows.stop)
        return _joined(found)

    @cached_property
    def _own_spread(self) -> Spread:
        """(C,) of each picture of the cohort with those of the cohort's other people."""
        codes = self.people.codes
        return _joined(
            [
                spread_outside(block, codes[rows, None] == codes)
                for rows, block in score_blocks(self.cohort, self.cohort)
            ]
        )

    def scores(
        self,
        raw: Scores,
        embeddings: npt.ArrayLike,
        compared: Compared,
        *,
        watch: Watch = unwatched,
    ) -> Scores:
        """The same comparisons with normalised scores, in the same order.

        The first picture of a pair is the enrolled one.

        Args:
            raw: what `compare_all` or `compare_pairs` made of the same embeddings.
            embeddings: (N, D).
            compared: `all_pairs` or `listed_pairs`.
            watch: told how far it is.

        Raises:
            InputError: embeddings without a direction or of another dimension.
        """
        unit = unit_rows(embeddings)
        kinds = (raw.mated, compared.mated), (raw.nonmated, compared.nonmated)
        if self.method == "as2":
            total = len(raw.mated) + len(raw.nonmated)
            rows = [np.concatenate(side) for side in zip(*compared, strict=True)]
            given = np.concatenate([raw.mated, raw.nonmated])
            with watch("normalising pairs", total) as advance:
                made = self._crossed(unit, given, (rows[0], rows[1]), advance)
            return replace(raw, mated=made[: len(raw.mated)], nonmated=made[len(raw.mated) :])
        with watch("scoring the cohort", len(unit)) as advance:
            one = self.spread(unit, advance=advance)
            other = self.spread(unit, searched=True) if self.method == "zt" else one
        mated, nonmated = (
            normalise_scores(self.method, scores, one.at(rows[0]), other.at(rows[1])).astype(
                np.float32
            )
            for scores, rows in kinds
        )
        return replace(raw, mated=mated, nonmated=nonmated)

    def _crossed(
        self, unit: Floats, scores: Similarities, rows: tuple[Rows, Rows], advance: Advance
    ) -> Similarities:
        """AS2 of pairs, tile by tile; where a tile has few of its pairs, each by itself."""
        step = self._step
        made = np.empty(len(scores), np.float32)
        done = 0
        for places in _tiles(rows, len(unit), step):
            firsts, one = np.unique(rows[0][places], return_inverse=True)
            seconds, other = np.unique(rows[1][places], return_inverse=True)
            if FILLED * len(places) > len(firsts) * len(seconds):
                sides = self._sides(unit[firsts]), self._sides(unit[seconds])
                enrolled = crossed(sides[0][0], sides[1][1]).at((one, other))
                searched = crossed(sides[1][0], sides[0][1]).at((other, one))
                made[places] = normalise_scores("as2", scores[places], enrolled, searched)
                done += len(places)
                advance(done)
                continue
            for start in range(0, len(places), step):
                part = places[start : start + step]
                two = self._sides(unit[rows[0][part]]), self._sides(unit[rows[1][part]])
                enrolled = crossed_pairs(two[0][0], two[1][1])
                searched = crossed_pairs(two[1][0], two[0][1])
                made[part] = normalise_scores("as2", scores[part], enrolled, searched)
                done += len(part)
                advance(done)
        return made

    @property
    def _step(self) -> int:
        """Pictures on each side of a tile."""
        return max(LEAST, min(CELLS // self.pictures, int(CELLS**0.5)))

    def _sides(self, unit: Floats) -> tuple[Similarities, Floats]:
        """Cohort scores of a tile of pictures, and which of them are the highest."""
        scores = np.concatenate([block for _, block in score_blocks(unit, self.cohort)])
        return scores, chosen(scores, self.top)

    def search(
        self,
        gallery_embeddings: npt.ArrayLike,
        gallery_labels: npt.ArrayLike,
        probe_embeddings: npt.ArrayLike,
        probe_labels: npt.ArrayLike,
        *,
        keep: int = KEPT,
        watch: Watch = unwatched,
    ) -> Searches:
        """As `search_people`, with normalised scores: a person's template is the enrolled side.

        Raises:
            InputError: see `search_people`.
        """
        task = prepare(gallery_embeddings, gallery_labels, probe_embeddings, probe_labels)
        if self.method == "as2":
            return search_prepared(
                task,
                keep=keep,
                watch=watch,
                change=lambda rows, block: self._crossed_block(
                    task.templates, task.probes[rows], block
                ),
            )
        both = len(task.templates) + len(task.probes)
        with watch("scoring the cohort", both) as advance:
            enrolled = self.spread(task.templates, advance=advance)
            searched = self.spread(task.probes, searched=True)

        def change(rows: slice, block: Similarities) -> Similarities:
            side = searched.at((rows, None))
            return normalise_scores(self.method, block, enrolled, side).astype(np.float32)

        return search_prepared(task, keep=keep, watch=watch, change=change)

    def _crossed_block(
        self, templates: Floats, probes: Floats, block: Similarities
    ) -> Similarities:
        step = self._step
        for top in range(0, len(probes), step):
            scores, weights = self._sides(probes[top : top + step])
            for left in range(0, len(templates), step):
                theirs, choice = self._sides(templates[left : left + step])
                tile = np.s_[top : top + step, left : left + step]
                enrolled = Spread(*(each.T for each in crossed(theirs, weights)))
                block[tile] = normalise_scores(
                    "as2", block[tile], enrolled, crossed(scores, choice)
                )
        return block


def _joined(parts: list[Spread]) -> Spread:
    mean, deviation = (np.concatenate(side) for side in zip(*parts, strict=True))
    return Spread(mean, deviation)


def _tiles(rows: tuple[Rows, Rows], pictures: int, step: int) -> Iterator[Rows]:
    """The places of pairs, those of the same tile of `step` x `step` pictures together."""
    across = -(-pictures // step)
    tile = (rows[0] // step) * across + rows[1] // step
    order = np.argsort(tile, kind="stable")
    ends = np.flatnonzero(np.diff(tile[order])) + 1
    yield from np.split(order, ends)
