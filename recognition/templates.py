"""Several pictures of one person as one vector, as IJB compares people.

A template t is a set of pictures, some of them frames of one video (one media). With f_i the
embedding of a picture, v_i its weight, and m a media of t with n_m pictures in t

    g_m = (1 / n_m) Σ_{i in m} v_i f_i          h_t = Σ_m g_m          x_t = h_t / ‖h_t‖

so that a video of many frames counts no more than a photograph, and a picture with a long
embedding counts more than one with a short one. What others do differently is a field of
`Pooling`. A media in two templates is two media: a template knows its own pictures only.

Sources: Klare et al., Pushing the Frontiers of Unconstrained Face Detection and Recognition
(IJB-A), CVPR 2015; Maze et al., IARPA Janus Benchmark-C, ICB 2018; the way from frames to media to
templates is that of the evaluation scripts of insightface, which weigh by the detector's score.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.progress import Watch, unwatched

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

ROWS = 2**12  # pictures in float64 at a time; measured: fewer waste calls, more the cache

_WORDS: dict[str, tuple[str, Any]] = {
    "kept-norms": ("pictures", "kept"),
    "unit-pictures": ("pictures", "unit"),
    "media-means": ("media", "mean"),
    "unit-media": ("media", "unit"),
    "no-media": ("media", "none"),
    "mirror-sum": ("mirror", "sum"),
    "mirror-concatenated": ("mirror", "concatenated"),
    "unweighted": ("weighted", False),
}


@dataclass(frozen=True)
class Pooling:
    """How the pictures of a template become one vector.

    Attributes:
        pictures: "kept" takes embeddings with their length, "unit" without it.
        media: "mean" takes the mean of each media, "unit" brings those means to unit length too,
            and "none" takes all pictures alike: a simple mean.
        mirror: what becomes of a second embedding, of the mirrored picture: "sum" adds it to the
            first, "concatenated" appends it. "none" if there is none.
        weighted: whether weights, where there are any, count.

    Raises:
        InputError: a value that is none of these.

    >>> Pooling.of(["unit-pictures", "mirror-sum"])
    Pooling(pictures='unit', media='mean', mirror='sum', weighted=True)
    """

    pictures: Literal["kept", "unit"] = "kept"
    media: Literal["mean", "unit", "none"] = "mean"
    mirror: Literal["none", "sum", "concatenated"] = "none"
    weighted: bool = True

    def __post_init__(self) -> None:
        known = {
            "pictures": ("kept", "unit"),
            "media": ("mean", "unit", "none"),
            "mirror": ("none", "sum", "concatenated"),
            "weighted": (True, False),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"expected {name} of a pooling among {', '.join(map(str, values))}, not "
                    f"{getattr(self, name)!r}"
                )

    @classmethod
    def of(cls, words: Iterable[str]) -> "Pooling":
        """The pooling that so many words describe; without any it is that of IJB.

        Raises:
            InputError: a word that is not known, or two that contradict each other.
        """
        fields: dict[str, Any] = {}
        for word in words:
            if word not in _WORDS:
                raise InputError(
                    f"expected a word for pooling among {', '.join(_WORDS)}, not {word!r}"
                )
            name, value = _WORDS[word]
            if fields.setdefault(name, value) != value:
                raise InputError(
                    f"expected words for pooling that go together, but {word!r} contradicts "
                    "another one; leave one out"
                )
        return cls(**fields)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that `of` would understand, defaults included."""
        return tuple(word for word, (name, value) in _WORDS.items() if getattr(self, name) == value)


@dataclass(frozen=True)
class Templates:
    """T templates, one vector each.

    Attributes:
        names: (T,) as they were given, text or whole numbers.
        vectors: (T, D) unit, in float64: sums are not rounded to what came in.
        pictures: (T,) how many pictures each has.
    """

    names: Array
    vectors: Floats
    pictures: Places

    def __len__(self) -> int:
        return len(self.names)


def pool_templates(
    embeddings: npt.ArrayLike,
    templates: npt.ArrayLike,
    media: npt.ArrayLike | None = None,
    *,
    pooling: Pooling | None = None,
    weights: npt.ArrayLike | None = None,
    mirrored: npt.ArrayLike | None = None,
    names: npt.ArrayLike | None = None,
    watch: Watch = unwatched,
) -> Templates:
    """One unit vector for each template of N pictures.

    Sums are taken in float64, whatever the embeddings are stored in, so that neither the order of
    the pictures nor how many are taken at a time shows beyond the last bits. Beside the result
    4,096 pictures, or those of the largest template, are in memory in float64.

    Args:
        embeddings: (N, D) real numbers, of the length the network gave them. With a mirror, and
            no array for it, the first half of the columns is the picture, the second its mirror.
        templates: (N,) the template of each picture, text or whole numbers.
        media: (N,) the media of each picture; without it every picture is one of its own.
        pooling: how; IJB's way if None.
        weights: (N,) a weight above 0 for each picture, e.g. how sure the detector was.
        mirrored: (N, D) embeddings of the mirrored pictures.
        names: (T,) the templates to make, in this order; pictures of others are passed over.
            If None, all there are, sorted.
        watch: told how many pictures are done.

    Raises:
        InputError: embeddings that are no finite numbers or all zeros, another number of
            templates, media or weights, a weight that is not above 0, a template without
            pictures, or one whose pictures cancel out.

    >>> pooled = pool_templates([[1, 0], [1, 0], [0, 1]], ["a", "a", "a"], ["film", "film", "b"])
    >>> pooled.vectors
    array([[0.7071, 0.7071]])
    """
    how = pooling or Pooling()
    pictures = _Pictures.of(embeddings, mirrored, how)
    order, owner, wanted = _by_template(templates, names, pictures.count)
    films = _films(media, pictures.count, how)
    weight = _weights(weights if how.weighted else None, pictures.count)
    if films is not None:
        order = order[np.lexsort((films[order], owner))]  # owner is sorted and stays so
    sizes = np.bincount(owner, minlength=len(wanted))
    ends = np.cumsum(sizes)
    vectors = np.empty((len(wanted), pictures.width))
    with watch("pooling templates", len(order)) as advance:
        for part in _parts(ends):
            rows = order[int(ends[part.start] - sizes[part.start]) : int(ends[part.stop - 1])]
            vectors[part] = _pooled(pictures, rows, sizes[part], films, weight, how, wanted[part])
            advance(int(ends[part.stop - 1]))
    return Templates(wanted, vectors, sizes)


@dataclass(frozen=True)
class _Pictures:
    """Embeddings, and perhaps those of the mirrored pictures, as they came."""

    first: Array
    second: Array | None
    how: Pooling

    @classmethod
    def of(
        cls, embeddings: npt.ArrayLike, mirrored: npt.ArrayLike | None, how: Pooling
    ) -> "_Pictures":
        first = _matrix(embeddings, "embeddings")
        second = None if mirrored is None else _matrix(mirrored, "embeddings of mirrored pictures")
        if second is not None and (second.shape != first.shape or how.mirror == "none"):
            raise InputError(
                f"expected mirrored embeddings of shape {first.shape} and a pooling that uses them, "
                f"got {second.shape} and mirror={how.mirror!r}; pass mirror='sum', or leave them out"
            )
        if second is None and how.mirror == "sum" and first.shape[1] % 2:
            raise InputError(
                "expected embeddings in two halves of the same length, the picture's and its "
                f"mirror's, got {first.shape[1]} columns; embed both, or leave out the mirror"
            )
        return cls(first, second, how)

    @property
    def count(self) -> int:
        return len(self.first)

    @property
    def width(self) -> int:
        columns = int(self.first.shape[1])
        if self.second is None:
            return columns // 2 if self.how.mirror == "sum" else columns
        return columns * (2 if self.how.mirror == "concatenated" else 1)

    def rows(self, which: Places) -> tuple[Floats, Floats]:
        """The embeddings of some pictures (n, D) in float64, and their lengths (n,)."""
        one = self.first[which].astype(np.float64)
        if self.second is not None:
            two = self.second[which].astype(np.float64)
            one = one + two if self.how.mirror == "sum" else np.concatenate([one, two], axis=1)
        elif self.how.mirror == "sum":
            one = one[:, : self.width] + one[:, self.width :]
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            lengths = np.sqrt(np.einsum("ij,ij->i", one, one))
        bad = ~((lengths > 0) & (lengths < np.inf))
        if bad.any():
            at = int(bad.argmax())
            came = "is all zeros" if lengths[at] == 0 else "holds NaN, infinity or more than 1e150"
            raise InputError(
                f"embeddings must be finite and have a direction, but row {int(which[at])} {came}; "
                "leave such pictures out of their templates"
            )
        return one, lengths


def _matrix(embeddings: npt.ArrayLike, what: str) -> Array:
    given = np.asarray(embeddings)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "fiu":
        raise InputError(
            f"{what} must be a matrix of real numbers, one picture a row, not an array of shape "
            f"{given.shape} and type {given.dtype}; pass shape (pictures, dimensions)"
        )
    return given


def _names(given: npt.ArrayLike, count: int | None, what: str) -> Array:
    named = np.asarray(given)
    if named.ndim != 1 or named.dtype.kind not in "Uiu":
        raise InputError(
            f"{what} must be one name (text or a whole number) per picture, not an array of "
            f"shape {named.shape} and type {named.dtype}; pass a flat list of names"
        )
    if count is not None and len(named) != count:
        raise InputError(
            f"{what} must name one for each of {count} pictures, not for {len(named)}; pass as "
            "many as there are rows of embeddings"
        )
    return named


def _films(media: npt.ArrayLike | None, count: int, how: Pooling) -> Places | None:
    """The number of each picture's media; None where all pictures count alike."""
    if how.media == "none" or (media is None and how.media == "mean"):
        return None
    if media is None:
        return np.arange(count)
    return np.unique(_names(media, count, "media"), return_inverse=True)[1]


def _by_template(
    templates: npt.ArrayLike, names: npt.ArrayLike | None, count: int
) -> tuple[Places, Places, Array]:
    """Pictures sorted by template, the place of each one's template, and the templates."""
    given = _names(templates, count, "templates")
    found, codes = np.unique(given, return_inverse=True)
    if names is None:
        order = np.argsort(codes, kind="stable")
        return order, codes[order], found
    wanted = _names(names, None, "names of templates")
    asked = wanted
    if "U" in (wanted.dtype.kind, found.dtype.kind):
        asked, found = wanted.astype(str), found.astype(str)
    if len(np.unique(asked)) < len(asked) or not len(asked):
        raise InputError(
            f"expected some templates, each once, got {len(wanted)} names; name each only once"
        )
    sorter = np.argsort(found, kind="stable")
    at = np.searchsorted(found, asked, sorter=sorter).clip(max=len(found) - 1)
    missing = found[sorter[at]] != asked
    if missing.any():
        raise InputError(
            f"expected pictures of every template, but {str(wanted[missing.argmax()])!r} has none "
            f"({int(missing.sum())} such templates of {len(wanted)}); embed a picture of each, or "
            "leave these templates out"
        )
    place = np.full(len(found), -1)
    place[sorter[at]] = np.arange(len(wanted))
    owner = place[codes]
    order = np.argsort(owner, kind="stable")
    order = order[np.count_nonzero(owner < 0) :]
    return order, owner[order], wanted


def _weights(weights: npt.ArrayLike | None, count: int) -> Floats | None:
    if weights is None:
        return None
    given = np.asarray(weights)
    if given.shape != (count,) or given.dtype.kind not in "fiu":
        raise InputError(
            f"expected one weight for each of {count} pictures, got shape {given.shape} of "
            f"{given.dtype}; pass a flat list of numbers"
        )
    numbers: Floats = given.astype(np.float64)
    bad = ~((numbers > 0) & (numbers < np.inf))
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"expected weights above 0, but that of picture {at} is {numbers[at]} ({int(bad.sum())} "
            f"such pictures of {count}); leave these pictures out, or pool without weights"
        )
    return numbers


def _parts(ends: Places) -> Iterator[slice]:
    """Some templates at a time: at most ROWS pictures, or one template."""
    start = done = 0
    while start < len(ends):
        stop = max(start + 1, int(np.searchsorted(ends, done + ROWS, side="right")))
        yield slice(start, stop)
        start, done = stop, int(ends[stop - 1])


def _pooled(
    pictures: _Pictures,
    which: Places,
    sizes: Places,
    films: Places | None,
    weight: Floats | None,
    how: Pooling,
    names: Array,
) -> Floats:
    """The vectors of some templates, whose pictures lie one after the other, and so do media."""
    rows, lengths = pictures.rows(which)
    share = np.ones(len(which)) if weight is None else weight[which]
    reach = share if how.pictures == "unit" else share * lengths  # the length of what is summed
    share = share / lengths if how.pictures == "unit" else share
    starts = np.append(0, np.cumsum(sizes))
    if films is not None:
        begins, frames = _media(films[which], starts)
        share, reach = share / np.repeat(frames, frames), reach / np.repeat(frames, frames)
        if how.media == "unit":
            owner = np.repeat(names, sizes)[begins[:-1]]
            rows = _unit(_sum(share, begins, rows), np.add.reduceat(reach, begins[:-1]), owner)
            starts = np.searchsorted(begins[:-1], starts)
            share = reach = np.ones(len(rows))
    return _unit(_sum(share, starts, rows), np.add.reduceat(reach, starts[:-1]), names)


def _media(films: Places, starts: Places) -> tuple[Places, Places]:
    """Where each media of each template begins, the end added, and how many pictures it has."""
    first = np.append(True, films[1:] != films[:-1])
    first[starts[:-1]] = True
    begins = np.append(np.flatnonzero(first), len(films))
    return begins, np.diff(begins)


def _sum(share: Floats, starts: Places, rows: Floats) -> Floats:
    """Σ share_i rows_i from each start to the next, as one sparse product."""
    shape = (len(starts) - 1, len(rows))
    sums: Floats = csr_array((share, np.arange(len(rows)), starts), shape=shape) @ rows
    return sums


def _unit(sums: Floats, reach: Floats, names: Array) -> Floats:
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    cancelled = lengths <= 64 * np.finfo(np.float64).eps * reach  # what rounding leaves of zero
    if cancelled.any():
        raise InputError(
            f"the pictures of template {str(names[cancelled.argmax()])!r} cancel out, so that it "
            "has no direction; expected pictures of one person to point the same way: check which "
            "pictures it has"
        )
    unit: Floats = sums / lengths[:, None]
    return unit
