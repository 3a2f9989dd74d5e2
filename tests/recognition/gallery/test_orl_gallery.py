"""Twenty people enrolled, ten strangers to set the threshold on, and ten others: real faces."""

from pathlib import Path

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.gallery.calibration import calibrate
from recognition.gallery.gallery import Gallery

ORL = Path(__file__).parents[4] / "shared/data/orl_mobilefacenet.npz"


@pytest.mark.skipif(not ORL.exists(), reason="shared/data/orl_mobilefacenet.npz is not here")
def test_people_are_found_and_other_strangers_rarely_named(tmp_path: Path) -> None:
    with np.load(ORL) as file:
        vectors, labels = file["embeddings"], file["labels"]
    person = np.array([int(label[1:]) for label in labels])
    picture = np.array([int(name.split("/")[1].split(".")[0]) for name in np.load(ORL)["ids"]])
    contract = Contract("mobilefacenet", "00" * 32, 256, Preprocessing())
    with Gallery.create(tmp_path / "g", contract) as gallery:
        for number in range(1, 21):
            gallery.enroll(f"s{number}", vectors[(person == number) & (picture <= 5)])
        used = (person > 20) & (person <= 30) | (person <= 20) & (picture == 6)
        threshold = calibrate(gallery, vectors[used], labels[used], fpir=0.05)
        assert (threshold.strangers, threshold.people, threshold.mated) == (10, 20, 20)
        gallery.set_threshold(threshold)
        known = (person <= 20) & (picture > 6)
        names = [answer.name for answer in gallery.identify(vectors[known])]
        right = np.mean([name == label for name, label in zip(names, labels[known], strict=True)])
        assert right >= 0.95
        assert 1 - threshold.fnir_high <= right
        others = [answer.name is not None for answer in gallery.identify(vectors[person > 30])]
        assert threshold.low <= np.mean(others) <= threshold.high
