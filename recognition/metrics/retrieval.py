"""A picture against all others: are its neighbours of the same person?

Every picture with another one of its person is a query, all other pictures are what is searched,
and the R_q others of the same person are relevant. A wrong neighbour with the same score as a
relevant one stands before it. Every number is a mean over queries, so a person counts as often as
it has pictures.

Sources: Musgrave, Belongie and Lim, A Metric Learning Reality Check, ECCV 2020, section 3.2
(R-precision, MAP@R); recall@k as in Jégou et al., PAMI 2011, and all of metric learning since.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RelevantRanks:
    """Where the relevant pictures of Q queries stand, each query among N - 1 other pictures.

    Attributes:
        queries: (Q,) the person on each query.
        relevant: (Q,) R_q, how many other pictures of that person there are, 1 or more.
        ranks: (R_1 + ... + R_Q,) their ranks, ascending within each query, query after query.
        lone: pictures that are no query because their person has no other.
        pictures: N, lone ones included.

    Raises:
        InputError: no queries, or ranks that contradict this description.
    """

    queries: npt.NDArray[np.str_]
    relevant: Counts
    ranks: Counts
    lone: int
    pictures: int

    def __post_init__(self) -> None:
        one = self.relevant.shape == self.queries.shape and self.relevant.ndim == 1
        fits = one and len(self.queries) > 0 and self.relevant.min() >= 1
        if not fits or self.ranks.shape != (int(self.relevant.sum()),):
            raise InputError(
                f"expected the number of relevant pictures, at least 1, for each query and a rank "
                f"for each of these, got shapes {self.queries.shape}, {self.relevant.shape} and "
                f"{self.ranks.shape}; build RelevantRanks with rank_relevant"
            )
        later = np.ones(len(self.ranks), bool)
        later[self._starts] = False
        falls = (np.diff(self.ranks) <= 0) & later[1:]
        short = self.pictures != len(self.queries) + self.lone
        if falls.any() or self.ranks.min() < 1 or self.ranks.max() >= self.pictures or short:
            raise InputError(
                f"expected ranks that ascend within each query, from 1 to the {self.pictures - 1} "
                "other pictures, and every picture to be a query or lone; build RelevantRanks "
                "with rank_relevant"
            )

    @cached_property
    def _starts(self) -> Counts:
        return np.cumsum(self.relevant) - self.relevant

    @cached_property
    def first(self) -> Counts:
        """(Q,) the rank of the first relevant picture."""
        ranks: Counts = self.ranks[self._starts]
        return ranks

    @cached_property
    def r_precisions(self) -> Floats:
        """(Q,) #{relevant: rank <= R_q} / R_q."""
        return self._sums(np.ones(len(self.ranks))) / self.relevant

    @cached_property
    def average_precisions(self) -> Floats:
        """(Q,) AP@R = 1/R_q Σ_{relevant, rank <= R_q} precision(rank)."""
        place = np.arange(len(self.ranks)) - np.repeat(self._starts, self.relevant)
        return self._sums((place + 1) / self.ranks) / self.relevant

    def _sums(self, values: Floats) -> Floats:
        """(Q,) the sum over the relevant among the first R_q."""
        among = self.ranks <= np.repeat(self.relevant, self.relevant)
        sums: Floats = np.add.reduceat(np.where(among, values, 0), self._starts)
        return sums

    def hits(self, k: int) -> npt.NDArray[np.bool_]:
        """(Q,) whether a relevant picture is among the first k.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"expected k from 1 on, not {k}")
        found: npt.NDArray[np.bool_] = self.first <= k
        return found


def recall_at(ranks: RelevantRanks, k: int) -> float:
    """Recall@k = #{queries with a relevant picture among the first k} / #{queries}.

    The hit rate that metric learning calls recall; not the share of the relevant that are found.
    It is 1 from k = N - 1 on.

    Raises:
        InputError: k below 1.
    """
    return int(ranks.hits(k).sum()) / len(ranks.queries)


def precision_at_1(ranks: RelevantRanks) -> float:
    """#{queries whose nearest picture is relevant} / #{queries}; the same number as recall@1."""
    return recall_at(ranks, 1)


def r_precision(ranks: RelevantRanks) -> float:
    """RP = mean over queries of #{relevant among the first R_q} / R_q (Musgrave et al. 2020)."""
    return float(ranks.r_precisions.mean())


def mean_average_precision_at_r(ranks: RelevantRanks) -> float:
    """MAP@R = mean over queries of 1/R_q Σ_{i <= R_q} rel_i P(i) (Musgrave et al. 2020, eq. 1).

    P(i) is the precision among the first i. The denominator is R_q, whatever was found.
    """
    return float(ranks.average_precisions.mean())
