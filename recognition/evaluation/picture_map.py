"""Embeddings as points of a plane: for the eye, never for a number."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from recognition.embeddings import Floats, people_of, unit_rows
from recognition.evaluation.checks import require_entries
from recognition.evaluation.options import MapMethod, known_map
from recognition.progress import Watch, unwatched
from recognition.protocols import sample_people

MOST = 1500  # pictures on a map
PERPLEXITY = 30.0  # how many neighbours t-SNE has in view of each picture, where there are enough
PLACES = 4  # decimals that are kept: more than a screen shows
FLAT = 1e-12  # a variance of unit vectors that is nothing but rounding


@dataclass(frozen=True)
class PictureMap:
    """Where pictures lie in a plane, and who is on them.

    Attributes:
        method: "pca" or "tsne".
        explained: the shares of the variance along both axes; zero where the pictures do not
            differ, and None with t-SNE, whose axes mean nothing.
        x: (S,) across.
        y: (S,) up.
        person: (S,) who is on each picture.
        picture: (S,) its name.
        shown: S, how many pictures there are on the map.
        of: how many there were.
    """

    method: str
    explained: tuple[float, float] | None
    x: tuple[float, ...]
    y: tuple[float, ...]
    person: tuple[str, ...]
    picture: tuple[str, ...]
    shown: int
    of: int


def map_pictures(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    ids: npt.ArrayLike | None = None,
    method: MapMethod = "pca",
    seed: int = 0,
    watch: Watch = unwatched,
) -> PictureMap | None:
    """At most 1,500 pictures in a plane; None for "none", and for fewer than three pictures.

    Of more pictures, people are drawn at random and shown with all of theirs; only where two
    people alone have more are pictures of theirs drawn.

    PCA shows the two directions in which the unit vectors differ most. An axis points to where
    the picture that is farthest out lies, so that the same pictures make the same map. t-SNE
    (van der Maaten and Hinton, 2008) keeps by cosine who is near whom, beginning from the PCA; far
    distances and the sizes of its clusters mean nothing.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        ids: (N,) names of the pictures; their rows if None.
        method: "pca", "tsne" or "none".
        seed: of who is shown, and of t-SNE.
        watch: told when t-SNE begins and ends, which takes seconds.

    Raises:
        InputError: a method there is not, or arrays that do not fit.
    """
    given = np.asarray(embeddings)
    people = people_of(labels, len(given))
    require_entries(len(given), "list of ids", ids)
    if known_map(method) == "none" or len(given) < 3:
        return None
    persons = people.names[people.codes]
    places = _shown(persons, seed)
    unit = unit_rows(given[places])
    points, shares = principal_plane(unit)
    if method == "tsne":
        with watch("t-SNE of the embeddings", 1) as advance:
            points = _neighbour_plane(unit, points, seed)
            advance(1)
    names = np.arange(len(given)).astype(str) if ids is None else np.asarray(ids).astype(str)
    x, y = (tuple((np.round(axis, PLACES) + 0.0).tolist()) for axis in points.T)  # no -0
    return PictureMap(
        method,
        shares if method == "pca" else None,
        x,
        y,
        tuple(persons[places].tolist()),
        tuple(names[places].tolist()),
        len(places),
        len(given),
    )


def _shown(persons: npt.NDArray[np.str_], seed: int) -> npt.NDArray[np.int64]:
    """The places of the pictures that are shown, ascending."""
    kept = sample_people(persons, most_pictures=MOST, seed=seed)
    places = np.flatnonzero(np.isin(persons, kept))
    if len(places) <= MOST:
        return places
    return np.sort(np.random.default_rng(seed).permutation(places)[:MOST])


def principal_plane(unit: Floats) -> tuple[Floats, tuple[float, float]]:
    """Points (N, 2) along the two directions of most variance, and the shares of it there.

    >>> principal_plane(np.array([[0.0, 1], [0, -1], [1, 0], [-1, 0], [0, 1]]))[1]
    (0.583..., 0.416...)
    """
    centred = unit - unit.mean(axis=0)
    variance = float(np.einsum("ij,ij->", centred, centred))
    points = np.zeros((len(unit), 2))
    if variance < FLAT * len(unit):
        return points, (0.0, 0.0)
    tall = len(centred) > centred.shape[1]
    squares = centred.T @ centred if tall else centred @ centred.T
    axes = min(2, len(squares))
    found, vectors = eigh(squares, subset_by_index=(len(squares) - axes, len(squares) - 1))
    found, vectors = np.clip(found[::-1], 0, None), vectors[:, ::-1]
    points[:, :axes] = centred @ vectors if tall else vectors * np.sqrt(found)
    farthest = points[np.abs(points).argmax(axis=0), [0, 1]]
    points *= np.where(farthest < 0, -1, 1)
    shares = [*(found / variance).tolist(), 0.0][:2]
    return points, (min(1.0, shares[0]), min(1.0, shares[1]))


def _neighbour_plane(unit: Floats, start: Floats, seed: int) -> Floats:
    """Points (N, 2) by t-SNE, from the plane of PCA, made small as scikit-learn makes it."""
    from sklearn.manifold import TSNE

    spread = float(start[:, 0].std()) or 1.0
    found: Floats = TSNE(
        2,
        metric="cosine",
        init=(start / spread * 1e-4).astype(np.float32),
        perplexity=min(PERPLEXITY, (len(unit) - 1) / 3),
        learning_rate="auto",
        random_state=seed,
    ).fit_transform(unit)
    return found.astype(np.float64)
