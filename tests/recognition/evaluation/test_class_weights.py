import numpy as np
import pytest
import torch

from margin_losses import dominant_centers
from recognition.datasets.weight_files import ClassWeights
from recognition.errors import InputError
from recognition.evaluation.class_weights import check_classes, classes_of
from recognition.metrics.separability import features_of

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(["a", "b", "c", "d"], 5)
FEATURES = features_of(RANDOM.normal(size=(20, 6)), LABELS)


def test_rows_go_to_their_people_as_unit_vectors():
    weights = RANDOM.normal(size=(5, 6)) * 7
    found = classes_of(ClassWeights(weights, np.array(["c", "x", "a", "d", "y"])), FEATURES)
    assert found.labels.tolist() == ["c", "a", "d"]
    assert found.own.tolist() == [2, 0, 3]
    assert found.left_out == 2
    np.testing.assert_allclose(np.linalg.norm(found.weights, axis=1), 1)
    np.testing.assert_allclose(found.weights[0], weights[0] / np.linalg.norm(weights[0]))


@pytest.mark.parametrize("numbers", [1, 2**22])
def test_of_sub_centres_the_one_most_pictures_are_nearest_to(numbers, monkeypatch):
    monkeypatch.setattr("recognition.evaluation.class_weights.NUMBERS", numbers)
    weights = np.random.default_rng(3).normal(size=(4, 3, 6))
    order = np.array(["b", "d", "a", "c"])
    found = classes_of(ClassWeights(weights, order), FEATURES)
    rows = torch.from_numpy(np.searchsorted(np.sort(order), LABELS))
    sorted_weights = torch.from_numpy(weights[np.argsort(order)])
    theirs = dominant_centers(torch.from_numpy(FEATURES.unit), rows, sorted_weights).numpy()
    for label, row in zip(found.labels, found.weights, strict=True):
        place = "abcd".index(label)
        expected = sorted_weights[place, theirs[place]].numpy()
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected))


def test_what_fits_nobody_is_refused():
    strangers = ClassWeights(np.eye(3, 6), np.array(["x", "y", "a"]))
    with pytest.raises(InputError, match="of the 3 classes 1 have"):
        classes_of(strangers, FEATURES)
    biased = ClassWeights(np.eye(3, 7), np.array(["a", "b", "c"]))
    with pytest.raises(InputError, match="6 dimensions, got 7; leave out the column of the bias"):
        check_classes(biased, FEATURES.people.names, 6)
    with pytest.raises(InputError, match="the network that the head was trained with"):
        check_classes(biased, FEATURES.people.names, 512)
