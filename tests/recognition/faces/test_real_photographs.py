"""Real photographs, from a folder to a file: the faces that the folder's README names."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeEmbedder
from PIL import Image

from recognition import embed_folder
from recognition.faces.mtcnn import Mtcnn

ON_SEVERAL = {
    "inbox/kit_with_rose.jpg": 2,
    "inbox/obama_and_biden.jpg": 3,
    "odd/multiface.jpg": 6,
}
DOUBTFUL = ["inbox/obama_and_biden.jpg", "people/obama/obama.jpg"]


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    return Mtcnn()


@pytest.mark.slow
def test_every_face_is_found_and_what_is_none_is_doubtful(shared_data, detector, tmp_path):
    folder = shared_data / "photos"
    out = tmp_path / "faces.npz"
    done = embed_folder(folder, out, model=FakeEmbedder(), detector=detector)
    found = Counter(done.faces.photos.tolist())
    assert found == {
        name: ON_SEVERAL.get(name, 1) for name in done.faces.photographs[:, 0].tolist()
    }
    assert found.total() == 23
    assert [each.photo for each in done.faces.doubtful] == DOUBTFUL
    assert done.skipped == ()
    again = embed_folder(folder, out, model=FakeEmbedder(), detector=detector)
    assert (again.fresh, again.reused) == (0, 15)


def test_all_eight_orientations_have_the_same_embedding(shared_data, detector, tmp_path):
    """Each is stored turned, with the tag that turns it back; without a loss all pixels are alike."""
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    with Image.open(shared_data / "photos/people/biden/biden.jpg") as image:
        upright = image.convert("RGB").resize((image.width // 3, image.height // 3))
    for orientation, turn in stored.items():
        turned = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned.save(tmp_path / f"{orientation}.png", exif=exif)
    done = embed_folder(
        tmp_path, Path(tmp_path, "faces.npz"), model=FakeEmbedder(), detector=detector
    )
    assert len(done.faces) == 8
    rows = done.faces.embeddings
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-3)
    np.testing.assert_allclose(done.faces.boxes - done.faces.boxes[0], 0, atol=0.01)
