"""Every picture against every other as a large table keeps it: a tail with its people."""

import dataclasses

import numpy as np

from recognition.comparisons.scores import Scores, accepted, threshold_allowing
from recognition.comparisons.steps import Steps


@dataclasses.dataclass(frozen=True)
class Tally:
    """What intervals ask of a tally; it knows all scores, and answers by the tail alone."""

    scores: Scores
    tail: np.ndarray
    tail_persons: np.ndarray
    pictures: np.ndarray

    @classmethod
    def of(cls, scores, pictures):
        """The whole of scores of every picture against every other."""
        order = np.argsort(-scores.nonmated, kind="stable")
        return cls(scores, scores.nonmated[order], scores.nonmated_persons[order], pictures)

    def cut(self, kept):
        return dataclasses.replace(
            self, tail=self.tail[:kept], tail_persons=self.tail_persons[:kept]
        )

    @property
    def mated(self):
        return self.scores.mated

    @property
    def mated_person(self):
        return self.scores.mated_person

    @property
    def nonmated_count(self):
        return len(self.scores.nonmated)

    @property
    def steps(self) -> Steps:
        return self.scores.steps

    def false_matches(self, threshold):
        if len(self.tail) < self.nonmated_count and threshold <= self.tail[-1]:
            return self.nonmated_count
        return accepted(self.tail, threshold)

    def threshold_allowing(self, errors):
        if len(self.tail) <= errors < self.nonmated_count:
            return float(np.nextafter(self.tail[-1], np.float32(np.inf)))
        return threshold_allowing(self.tail, errors)
