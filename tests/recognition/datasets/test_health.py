"""What is odd about pictures before anything is learned: too few of a person, one under two names."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from recognition import peak_memory
from recognition.datasets.health import copies_of, few_pictures, health_of, shared_pictures
from recognition.datasets.pictures import Pictures


def pictures(shades, labels) -> Pictures:
    images = np.zeros((len(shades), 4, 4, 3), np.uint8)
    images[:, 1, 2, 0] = shades
    ids = np.array([f"{name}/{k}.png" for k, name in enumerate(labels)])
    return Pictures(images, np.array(labels), ids, "here")


def test_people_with_few_pictures_are_counted() -> None:
    labels = ["one"] + ["two"] * 2 + ["four"] * 4 + ["five"] * 5
    assert few_pictures(labels) == {"fewer_than_2": 1, "fewer_than_5": 3}


def test_equal_pixels_under_two_names_are_named_once_for_each_other_name() -> None:
    found = copies_of(pictures([7, 7, 8, 7, 7, 9, 9], list("aabbccc")))
    assert found["rows"] == [["a/0.png", "a", "b/3.png", "b"], ["a/0.png", "a", "c/4.png", "c"]]
    assert found["total"] == 2
    assert found["headings"] == ["picture", "person", "picture too", "person too"]
    assert copies_of(pictures([1, 1, 2], list("aab")))["total"] == 0


def test_one_pixel_that_differs_is_another_picture() -> None:
    assert copies_of(pictures([7, 6], ["a", "b"]))["rows"] == []


def test_pictures_on_both_sides_are_counted() -> None:
    one, other = pictures([1, 2, 3, 3], list("aabb")), pictures([3, 4], list("cd"))
    assert (shared_pictures(one, other), shared_pictures(other, one)) == (2, 1)


def test_a_long_list_is_cut_and_counted_in_full() -> None:
    found = health_of(pictures([7] * 40, [f"p{k:02d}" for k in range(40)]))
    assert (len(found["copies"]["rows"]), found["copies"]["total"]) == (12, 39)
    assert found["fewer_than_2"] == 40


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_peak_is_told_in_gib_whatever_the_system_counts_in(monkeypatch, system, unit) -> None:
    usage = SimpleNamespace(ru_maxrss=3 * 2**30 // unit)
    fake = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    monkeypatch.setitem(sys.modules, "resource", fake)
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory.peak_gib() == 3
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory.peak_gib() is None


def test_the_peak_of_this_process_is_plausible() -> None:
    assert 0.01 < peak_memory.peak_gib() < 500
