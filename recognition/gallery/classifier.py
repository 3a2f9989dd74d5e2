"""The gallery's decisions for those who work with scikit-learn: who is it, or nobody known?"""

from numbers import Real
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from recognition.embeddings import Floats, unit_rows
from recognition.errors import InputError
from recognition.gallery.answers import PersonScore, Threshold
from recognition.gallery.held_out import best_among, held_out_threshold, searched
from recognition.gallery.vectors import gallery_rows
from recognition.search.person_means import Templates
from recognition.search.quantised import Singles
from recognition.search.scan import Part
from recognition.search.score_blocks import score_blocks

Labels = npt.NDArray[Any]

UNKNOWN = "unknown"  # where people are called by text
NOBODY = np.int8(-1)  # where they are numbers


class OpenSetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Names the person most alike where the score reaches a threshold, and nobody else.

    The search and the decisions are those of `Gallery`: cosines, exact; accepted at score >=
    threshold; of equal people the first of `classes_`. Strangers are -1 where people are numbers,
    "unknown" where they are text.

    Args:
        threshold: a score; or "auto": set by `fit` and `partial_fit` on the people they get, each
            of whom searches as a stranger among the others (`recognition.gallery.held_out`). Then
            at most `fpir` of such searches give a name. That holds for strangers who are like
            these people, and not for people the network was trained on.
        fpir: the share of strangers' searches that may give a name, for "auto".
        person_score: what of a person counts: "best", the sample most alike, or "template", the
            mean of the unit samples.

    Attributes:
        classes_: (C,) the people, sorted.
        threshold_: the `Threshold` that decides, and where it comes from. `threshold_.note` says
            what the people were too few for.
        n_features_in_: numbers in an embedding.

    >>> people = OpenSetClassifier(threshold=0.9).fit([[1, 0], [3, 1], [0, 2]], ["ada", "ada", "bo"])
    >>> people.predict([[5, 1], [1, 1]]).tolist()
    ['ada', 'unknown']
    """

    def __init__(
        self,
        threshold: float | str = "auto",
        *,
        fpir: float = 0.01,
        person_score: PersonScore = "best",
    ) -> None:
        self.threshold = threshold
        self.fpir = fpir
        self.person_score = person_score

    def fit(self, X: Any, y: Any) -> Self:
        """Know these people and no others.

        Args:
            X: (N, D) embeddings, of any length.
            y: (N,) the person on each: text or whole numbers.

        Raises:
            InputError: options or embeddings that cannot be used, a person called as strangers
                are, or with "auto" fewer than two people.
        """
        return self._learn(X, y, anew=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Know people who came later, or more pictures of those who are known.

        An "auto" threshold is set anew, as it does not hold for more people; that searches for up
        to 10,000 of all pictures.

        Args:
            X: (M, D) embeddings.
            y: (M,) the person on each.
            classes: not needed, since anybody may come later; where it is given, as scikit-learn's
                meta-estimators do, all of `y` must be in it.

        Raises:
            InputError: as for `fit`; what was known is as it was.
        """
        if classes is not None and not np.isin(np.asarray(y), np.asarray(classes)).all():
            raise InputError("expected people who are in classes, got others; leave classes out")
        return self._learn(X, y, anew=not hasattr(self, "classes_"))

    def predict(self, X: Any) -> Labels:
        """(M,) the person on each of (M, D) embeddings; -1 or "unknown" for strangers.

        Raises:
            InputError: embeddings that cannot be used.
        """
        best, scores = self._best(X)
        known = scores >= self.threshold_.value
        named = self.classes_[best]
        if named.dtype.kind == "u":
            named = named.astype(np.int64)  # unsigned numbers have no -1
        return np.where(known, named, _stranger(named))

    def score_samples(self, X: Any) -> Floats:
        """(M,) the score of the person most alike: a stranger where it is below `threshold_.value`.

        Raises:
            InputError: embeddings that cannot be used.
        """
        return self._best(X)[1]

    def decision_function(self, X: Any) -> Floats:
        """(M, C) how far the score of each person is above the threshold.

        The highest is who `predict` names, unless it is below 0. Of two people only, as
        scikit-learn has it, (M,): the score of the second less that of the first, which does not
        tell strangers; `score_samples` does.

        Raises:
            InputError: embeddings that cannot be used.
        """
        probes = self._probes(X)
        rows, owners = self._columns(), self._owners()
        starts = np.searchsorted(owners, np.arange(len(self.classes_)))
        scores = np.empty((len(probes), len(self.classes_)))
        for some, block in score_blocks(probes, rows):
            scores[some] = np.maximum.reduceat(block, starts, axis=1)
        if len(self.classes_) == 2:
            return scores[:, 1] - scores[:, 0]
        return scores - self.threshold_.value

    def _learn(self, X: Any, y: Any, *, anew: bool) -> Self:
        self._require_options()
        X, y = validate_data(self, X, y, reset=anew, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        names, codes = np.unique(column_or_1d(y), return_inverse=True)
        _require_people(names)
        parts: list[Part] = [] if anew else self._parts
        known: Labels = names[:0] if anew else self.classes_
        if len(known) and (known.dtype.kind in "UO") != (names.dtype.kind in "UO"):
            raise InputError(
                f"expected people named as those who are known, such as {known[0]!r}, got "
                f"{names[0]!r}; use text for all, or numbers for all"
            )
        everybody = np.union1d(known, names)
        places = np.searchsorted(everybody, known)
        parts = [part._replace(people=places[part.people]) for part in parts]
        rows = gallery_rows(X, what="X")
        parts.append(Part.of(rows, np.searchsorted(everybody, names)[codes].astype(np.int64)))
        where = searched(parts, self.person_score, everybody)
        if isinstance(self.threshold, str):
            threshold = held_out_threshold(parts, where, fpir=self.fpir, by=self.person_score)
        else:
            threshold = Threshold(float(self.threshold), score=self.person_score)
        self._parts: list[Part] = parts
        self._where = where
        self.classes_: Labels = everybody
        self.threshold_ = threshold
        return self

    def _require_options(self) -> None:
        given: Any = self.threshold  # anything may come
        number = isinstance(given, Real) and not isinstance(given, bool)
        if not number and (not isinstance(given, str) or given != "auto"):
            raise InputError(
                f"threshold: expected a score or 'auto', got {self.threshold!r}; cosines are from "
                "-1 to 1"
            )
        if self.person_score not in get_args(PersonScore):
            raise InputError(
                f"person_score: expected {' or '.join(get_args(PersonScore))}, got "
                f"{self.person_score!r}"
            )

    def _probes(self, X: Any) -> Floats:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return unit_rows(gallery_rows(X, what="X"))

    def _best(self, X: Any) -> tuple[npt.NDArray[np.int64], Floats]:
        """(M,) the place in `classes_` of the best person, and the score."""
        probes = self._probes(X)  # before anything is asked that only `fit` makes
        firsts = [hits[0] for hits in best_among(self._where, probes, 1)]
        people = np.array([hit.person for hit in firsts], np.int64)
        return people, np.array([hit.score for hit in firsts])

    def _columns(self) -> Floats:
        """What `decision_function` multiplies with, by person: unit samples, or templates."""
        if isinstance(self._where, Templates):
            return self._where.exact(np.arange(len(self.classes_)))
        vectors: Singles = np.concatenate([part.rows.vectors for part in self._where])
        owners = np.concatenate([part.people for part in self._where])
        return unit_rows(vectors[np.argsort(owners, kind="stable")])

    def _owners(self) -> npt.NDArray[np.int64]:
        if isinstance(self._where, Templates):
            return np.arange(len(self.classes_))
        return np.sort(np.concatenate([part.people for part in self._where]))


def _stranger(names: Labels) -> str | np.int8:
    return UNKNOWN if names.dtype.kind in "UO" else NOBODY


def _require_people(names: Labels) -> None:
    if names.dtype.kind == "O" and not all(isinstance(name, str) for name in names):
        raise InputError("expected people named by text or whole numbers, got other objects")
    if names.dtype.kind == "f" and (names != np.rint(names)).any():
        raise InputError("expected people named by text or whole numbers, got other numbers")
    stranger = _stranger(names)
    if (names == stranger).any():
        raise InputError(
            f"expected no person to be called {stranger}, which is what strangers are; give "
            "that person another name"
        )
