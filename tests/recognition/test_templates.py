"""Pooling as IJB does it, against a transcription in loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition import templates
from recognition.errors import InputError
from recognition.templates import Pooling, pool_templates

Array = np.ndarray[Any, Any]
WAYS = [
    Pooling(pictures, media, mirror, weighted)
    for pictures in ("kept", "unit")
    for media in ("mean", "unit", "none")
    for mirror in ("none", "sum", "concatenated")
    for weighted in (True, False)
]


def slow(rows: Array, owner: Array, media: Array | None, weight: Array | None, how: Pooling) -> Any:
    """A picture at a time, a media at a time, a template at a time: slow and obviously right."""
    vectors = []
    for template in sorted(set(owner.tolist())):
        films: dict[Any, list[Array]] = {}
        for i in range(len(rows)):
            if owner[i] != template:
                continue
            x = rows[i].astype(np.float64)
            if how.mirror == "sum":
                half = len(x) // 2
                x = x[:half] + x[half:]
            if how.pictures == "unit":
                x = x / np.linalg.norm(x)
            if weight is not None and how.weighted:
                x = x * weight[i]
            film = i if media is None else media[i]
            films.setdefault(0 if how.media == "none" else film, []).append(x)
        means = [sum(film) / len(film) for film in films.values()]
        if how.media == "unit":
            means = [mean / np.linalg.norm(mean) for mean in means]
        h = sum(means)
        vectors.append(h / np.linalg.norm(h))
    return np.array(vectors)


@pytest.mark.parametrize("media_by", ["mean", "unit", "none"])
@given(data=st.data())
def test_one_sparse_product_is_the_loop_over_templates(media_by: str, data: st.DataObject) -> None:
    how = data.draw(st.sampled_from([way for way in WAYS if way.media == media_by]))
    pictures = data.draw(st.integers(1, 20))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows = random.normal(size=(pictures, 6)).astype(data.draw(st.sampled_from(["f2", "f4", "f8"])))
    owner = random.integers(0, 5, pictures)
    media = random.integers(0, 3, pictures) if data.draw(st.booleans()) else None
    weight = random.uniform(0.1, 2, pictures) if data.draw(st.booleans()) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "ROWS", data.draw(st.integers(1, 9)))
        pooled = pool_templates(rows, owner, media, pooling=how, weights=weight)
    assert pooled.names.tolist() == sorted(set(owner.tolist()))
    assert pooled.pictures.tolist() == [(owner == name).sum() for name in pooled.names]
    np.testing.assert_allclose(pooled.vectors, slow(rows, owner, media, weight, how), atol=1e-12)


@given(seed=st.integers(0, 2**32))
def test_the_order_of_the_pictures_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, owner = random.normal(size=(30, 8)).astype(np.float32), random.integers(0, 6, 30)
    media, order = random.integers(0, 4, 30), random.permutation(30)
    one = pool_templates(rows, owner, media)
    two = pool_templates(rows[order], owner[order], media[order])
    np.testing.assert_allclose(one.vectors, two.vectors, atol=1e-15)


def test_a_long_video_counts_as_much_as_a_photograph() -> None:
    rows = np.array([[1.0, 0.0]] * 99 + [[0.0, 1.0]])
    media = ["film"] * 99 + ["photograph"]
    [vector] = pool_templates(rows, ["t"] * 100, media).vectors
    np.testing.assert_allclose(vector, [0.5**0.5] * 2)
    [vector] = pool_templates(rows, ["t"] * 100, media, pooling=Pooling(media="none")).vectors
    assert vector[0] > 0.99


def test_a_media_in_two_templates_is_two() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    together = pool_templates(rows, ["a", "b", "a", "b"], ["m", "m", "n", "n"])
    apart = pool_templates(rows, ["a", "b", "a", "b"], ["m", "p", "n", "q"])
    np.testing.assert_array_equal(together.vectors, apart.vectors)
    np.testing.assert_allclose(together.vectors, 0.5**0.5)


def test_long_embeddings_count_more_if_norms_are_kept() -> None:
    rows = np.array([[3.0, 0.0], [0.0, 1.0]])
    [kept] = pool_templates(rows, [7, 7]).vectors
    [unit] = pool_templates(rows, [7, 7], pooling=Pooling("unit")).vectors
    np.testing.assert_allclose(kept, [3 / 10**0.5, 1 / 10**0.5])
    np.testing.assert_allclose(unit, [0.5**0.5] * 2)


def test_mirrors_may_come_as_a_second_array() -> None:
    random = np.random.default_rng(0)
    one, two = random.normal(size=(2, 9, 4)).astype(np.float32)
    owner, halves = np.arange(9) % 2, np.concatenate([one, two], axis=1)
    for mirror, width in (("sum", 4), ("concatenated", 8)):
        how = Pooling("unit", mirror=mirror)
        given_twice = pool_templates(one, owner, pooling=how, mirrored=two)
        np.testing.assert_array_equal(
            given_twice.vectors, pool_templates(halves, owner, pooling=how).vectors
        )
        assert given_twice.vectors.shape == (2, width)


def test_named_templates_come_in_their_order_and_others_are_passed_over() -> None:
    rows = np.eye(3)
    pooled = pool_templates(rows, ["a", "b", "c"], names=["c", "a"])
    assert pooled.names.tolist() == ["c", "a"]
    np.testing.assert_array_equal(pooled.vectors, rows[[2, 0]])
    numbered = pool_templates(rows, [10, 9, 8], names=["10", "8"])
    np.testing.assert_array_equal(numbered.vectors, rows[[0, 2]])


def test_sums_are_taken_in_float64() -> None:
    rows = np.array([[1.0, 0.0]] + [[2.0**-25, 0.0]] * 2**10 + [[0.0, 1.0]], np.float32)
    [vector] = pool_templates(rows, np.zeros(len(rows), int)).vectors
    assert vector[0] / vector[1] == pytest.approx(1 + 2.0**-15, rel=1e-12)  # float32 loses them


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": [[1.0, 0.0], [np.nan, 0.0]]}, "row 1 holds NaN"),
        ({"embeddings": [[np.inf, 0.0], [1.0, 0.0]]}, "row 0 holds NaN, infinity"),
        ({"embeddings": [[1.0, 0.0], [0.0, 0.0]]}, "row 1 is all zeros"),
        ({"embeddings": [[1e200, 0.0], [1.0, 0.0]]}, "row 0 holds NaN, infinity or more"),
        ({"embeddings": [1.0, 2.0]}, "must be a matrix of real numbers"),
        ({"embeddings": [["a", "b"]]}, "must be a matrix of real numbers"),
        ({"templates": ["a"]}, "must name one for each of 2 pictures, not for 1"),
        ({"templates": [0.5, 1.0]}, "text or a whole number"),
        ({"media": ["m"]}, "media must name one for each of 2 pictures"),
        ({"weights": [1.0]}, "one weight for each of 2 pictures"),
        ({"weights": ["x", "y"]}, "one weight for each of 2 pictures"),
        ({"weights": [1.0, 0.0]}, "weights above 0, but that of picture 1 is 0.0"),
        ({"weights": [-1.0, 1.0]}, "that of picture 0 is -1.0"),
        ({"weights": [1.0, np.nan]}, "that of picture 1 is nan"),
        ({"weights": [1.0, np.inf]}, "that of picture 1 is inf"),
        ({"names": ["a", "z"]}, r"expected pictures of every template, but 'z' has none \(1 such"),
        ({"names": ["a", "a"]}, "each once"),
        ({"names": []}, "text or a whole number"),
        ({"names": np.array([], str)}, "each once, got 0"),
        ({"mirrored": [[1.0, 0.0], [1.0, 0.0]]}, "a pooling that uses them"),
        ({"mirrored": [[1.0]], "pooling": Pooling(mirror="sum")}, "mirrored embeddings of shape"),
        ({"embeddings": [[1.0] * 3] * 2, "pooling": Pooling(mirror="sum")}, "in two halves"),
        (
            {"embeddings": [[1.0, 0.0], [-1.0, 0.0]], "templates": ["a", "a"]},
            "pictures of template 'a' cancel out",
        ),
        (
            {
                "embeddings": [[3.0, 0.0], [-3.0, 1e-17]],
                "templates": ["a", "a"],
                "media": ["m", "m"],
                "pooling": Pooling(media="unit"),
            },
            "pictures of template 'a' cancel out",
        ),
    ],
)
def test_what_cannot_be_pooled_is_refused(change: dict[str, Any], message: str) -> None:
    sound = {"embeddings": [[1.0, 0.0], [0.0, 1.0]], "templates": ["a", "b"]}
    with pytest.raises(InputError, match=message):
        pool_templates(**(sound | change))


def test_words_name_every_way() -> None:
    for how in WAYS:
        assert Pooling.of(how.words) == how
    assert Pooling.of([]) == Pooling()
    with pytest.raises(InputError, match="'unit-media' contradicts another"):
        Pooling.of(["no-media", "unit-media"])
    with pytest.raises(InputError, match=r"a word for pooling among kept-norms, .* not 'mean'"):
        Pooling.of(["mean"])
    with pytest.raises(InputError, match="expected media of a pooling among mean, unit, none"):
        Pooling(media="sum")  # type: ignore[arg-type]


def test_somebody_who_watches_sees_it_end() -> None:
    from contextlib import contextmanager

    seen: list[int] = []

    @contextmanager
    def watch(what: str, total: int) -> Any:
        yield lambda done, note="": seen.append(done)
        assert seen[-1] == total == 3

    pool_templates(np.eye(3), [1, 1, 2], watch=watch)
    assert seen
