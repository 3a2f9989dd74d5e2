"""The fetchers, with a cache of our own making and without a network."""

import socket
import warnings
from email.message import Message
from http.client import IncompleteRead
from urllib.error import HTTPError, URLError

import joblib
import numpy as np
import pytest
import sklearn.datasets
import sklearn.datasets._olivetti_faces as olivetti
from PIL import Image

from recognition.datasets import fetchers
from recognition.datasets.fetchers import fetch_lfw, fetch_olivetti
from recognition.datasets.folder import read_folder
from recognition.errors import InputError

FETCHERS = [(fetch_olivetti, "fetch_olivetti_faces"), (fetch_lfw, "fetch_lfw_people")]
PEOPLE = {"Ann_van_Dam": 3, "Bob_Ray": 2, "Cy_Zoë": 1}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def olivetti_cache(tmp_path):
    """400 rows of 64 x 64, columns first, as scikit-learn keeps them; row i is of one grey, i/2."""
    faces = np.repeat((np.arange(400) // 2).astype(np.uint8)[:, None], 64 * 64, 1)
    faces[:, :2] = 0, 255  # the ends of the range, in the upper left
    joblib.dump(faces, tmp_path / "olivetti_py3.pkz", compress=6)
    return tmp_path


@pytest.fixture
def lfw_cache(tmp_path):
    """250 x 250 pixels a picture, one colour each, with a black frame that the crop removes."""
    home = tmp_path / "lfw_home"
    for person, (name, pictures) in enumerate(PEOPLE.items()):
        folder = home / "lfw_funneled" / name
        folder.mkdir(parents=True)
        for i in range(pictures):
            image = Image.new("RGB", (250, 250))
            image.paste((200, 80 * person, 80 * i), (50, 56, 200, 206))
            image.save(folder / f"{name}_{i + 1:04d}.jpg", quality=95)
    for name in ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"):
        (home / name).write_text("")
    return tmp_path


def refused(call, *messages: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    for message in messages:
        assert message in str(error.value)
    assert "\n" not in str(error.value)


# -- a filled cache --------------------------------------------------------------------------------


def test_olivetti_from_a_filled_cache(olivetti_cache, capsys):
    pictures = fetch_olivetti(data_home=olivetti_cache)
    assert pictures.images.shape == (400, 64, 64, 3)
    assert pictures.images[:, 30, 30].tolist() == [[i // 2] * 3 for i in range(400)]
    assert pictures.images[0, 1, 0].tolist() == [255] * 3  # columns first
    assert pictures.people.tolist() == [f"p{i:02d}" for i in range(40)]
    assert pictures.ids[[0, 9, 10, 399]].tolist() == ["p00/000", "p00/009", "p01/000", "p39/009"]
    assert pictures.source == "the Olivetti faces"
    assert capsys.readouterr().out == ""
    assert np.unique(pictures.labels, return_counts=True)[1].tolist() == [10] * 40


def test_olivetti_in_another_size(olivetti_cache):
    pictures = fetch_olivetti(size=(20, 16), data_home=olivetti_cache)
    assert pictures.images.shape == (400, 20, 16, 3)
    assert pictures.images[100, 12, 8].tolist() == [50] * 3


@pytest.mark.parametrize("size", [64, 160, (48, 32)], ids=str)
def test_lfw_from_a_filled_cache(lfw_cache, size):
    pictures = fetch_lfw(size=size, data_home=lfw_cache, min_pictures=2)
    height, width = size if isinstance(size, tuple) else (size, size)
    assert pictures.images.shape == (5, height, width, 3)
    assert pictures.labels.tolist() == ["Ann van Dam"] * 3 + ["Bob Ray"] * 2
    assert pictures.ids.tolist() == [
        *("Ann van Dam/000", "Ann van Dam/001", "Ann van Dam/002"),
        *("Bob Ray/000", "Bob Ray/001"),
    ]
    # red everywhere: no frame is left; green is the person, blue the picture
    assert pictures.images[..., 0].min() > 190
    middle = pictures.images[:, height // 2, width // 2].astype(int)
    assert np.rint(middle[:, 1] / 80).tolist() == [0, 0, 0, 1, 1]
    assert sorted(np.rint(middle[:3, 2] / 80).tolist()) == [0, 1, 2]
    again = fetch_lfw(size=size, data_home=lfw_cache, min_pictures=2)  # from joblib's own cache
    assert (again.images == pictures.images).all()
    assert (again.ids == pictures.ids).all()


def test_lfw_as_a_folder_has_its_own_file_names(lfw_cache):
    pictures = read_folder(lfw_cache / "lfw_home/lfw_funneled")
    assert pictures.ids[0] == "Ann_van_Dam/Ann_van_Dam_0001.jpg"
    assert set(pictures.labels) == set(PEOPLE)


def test_the_default_cache_is_scikit_learns(olivetti_cache, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(olivetti_cache))
    assert len(fetch_olivetti(size=8)) == 400


# -- no cache, no network --------------------------------------------------------------------------


@pytest.mark.parametrize(("fetch", "name"), FETCHERS)
def test_without_network_and_cache_a_plain_sentence_comes(fetch, name, tmp_path, capsys):
    refused(
        lambda: fetch(data_home=tmp_path / "new"),
        f"whole in the cache folder {tmp_path / 'new'} or from the network, got neither "
        "(Temporary failure in name resolution); run this once where there is a network and copy "
        "that folder here, or give a folder of pictures",
        "the Olivetti faces" if fetch is fetch_olivetti else "LFW",
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError("no route to host"), "got neither (no route to host)"),
        (URLError(TimeoutError("timed out")), "got neither (timed out)"),
        (URLError(ConnectionRefusedError(111, "refused")), "got neither (refused)"),
        (HTTPError("http://x", 403, "Forbidden", Message(), None), "got neither (Forbidden)"),
        (OSError("The SHA256 checksum of x differs"), "used (The SHA256 checksum of x differs)"),
        (PermissionError(13, "Permission denied"), "got neither (Permission denied)"),
        (IncompleteRead(b"abc"), "got neither (IncompleteRead: IncompleteRead(3 bytes read))"),
        (EOFError(), "that cannot be used (EOFError: no reason given); delete them"),
        (ValueError("cannot reshape\nat all"), "cannot be used (ValueError: cannot reshape); dele"),
    ],
    ids=lambda value: (
        type(value).__name__ + str(value)[:30] if isinstance(value, Exception) else ""
    ),
)
@pytest.mark.parametrize(("fetch", "name"), FETCHERS)
def test_every_failure_becomes_one_sentence(fetch, name, error, reason, tmp_path, monkeypatch):
    asked = {}

    def fail(**options):
        asked.update(options)
        raise error

    monkeypatch.setattr(sklearn.datasets, name, fail)
    refused(lambda: fetch(data_home=tmp_path), reason, str(tmp_path), "or give a folder of picture")
    assert asked["n_retries"] == 1
    assert asked["delay"] <= 0.5


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    monkeypatch.undo()  # this host may be found
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetchers, "_SILENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(olivetti, "FACES", olivetti.FACES._replace(url=url))
        refused(lambda: fetch_olivetti(data_home=tmp_path), "got neither (timed out)")
    assert socket.getdefaulttimeout() is None
    assert list(tmp_path.iterdir()) == []


def test_a_warning_of_a_retry_stays_inside(tmp_path):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        refused(lambda: fetch_olivetti(data_home=tmp_path), "got neither")
    assert seen == []


def test_a_damaged_cache_is_named(tmp_path):
    (tmp_path / "olivetti_py3.pkz").write_bytes(b"damaged")
    refused(lambda: fetch_olivetti(data_home=tmp_path), "got files that cannot be used", "delete")


def test_a_cache_of_another_shape_is_named(tmp_path):
    joblib.dump(np.arange(10), tmp_path / "olivetti_py3.pkz")
    refused(lambda: fetch_olivetti(data_home=tmp_path), "ValueError: cannot reshape array")


def test_a_broken_picture_in_the_cache_is_named(lfw_cache):
    (lfw_cache / "lfw_home/lfw_funneled/Bob_Ray/Bob_Ray_0001.jpg").write_bytes(b"broken")
    refused(
        lambda: fetch_lfw(data_home=lfw_cache, min_pictures=1), "cannot be used (not a PPM, PNG"
    )


def test_a_cache_without_so_many_pictures_of_anyone(lfw_cache):
    refused(lambda: fetch_lfw(data_home=lfw_cache), "min_faces_per_person=10 is too restrictive")


def test_a_cache_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    refused(lambda: fetch_olivetti(data_home=tmp_path / "file"), "got neither (File exists)")


@pytest.mark.parametrize("pictures", [0, -1, 531])
def test_an_impossible_number_of_pictures(pictures, tmp_path):
    refused(
        lambda: fetch_lfw(data_home=tmp_path, min_pictures=pictures),
        f"min_pictures: expected 1 to 530, the most that LFW has of anyone, got {pictures}; 10 is",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("fetch", "name"), FETCHERS)
def test_an_impossible_size(fetch, name, tmp_path):
    refused(lambda: fetch(size=0, data_home=tmp_path), "in whole pixels >= 1, got 0")
