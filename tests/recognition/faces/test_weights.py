"""`recognition weights`: what is here, what is fetched, what has changed."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from recognition.cli import app
from recognition.errors import InputError
from recognition.faces.models import fetching, load_embedder, pins
from recognition.faces.models.facenet import PUBLISHED, cache_folder, converted_path, hash_of
from recognition.faces.models.fetching import fetch_weights
from recognition.progress import unwatched

VGG, CASIA = (PUBLISHED[name].file for name in ("vggface2", "casia-webface"))


class Answer:
    """What the server says next."""

    body = b""
    length: str | None = None
    status = 200
    location = ""


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(Answer.status)
            if Answer.location:
                self.send_header("Location", Answer.location)
            if Answer.length != "none":
                self.send_header("Content-Length", Answer.length or str(len(Answer.body)))
            self.end_headers()
            self.wfile.write(Answer.body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def url(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("body", "length", "status", "location"):
        monkeypatch.setattr(Answer, name, getattr(Answer, name))
    server.asked.clear()
    return f"http://127.0.0.1:{server.server_port}/v2.2.9/"


def left():
    return sorted(path.name for path in cache_folder().glob("*"))


def test_what_is_fetched_is_checked_remembered_and_used(files, server, url):
    Answer.body = (files / VGG).read_bytes()
    stages = []

    def watch(what, total):
        stages.append((what, total))
        return unwatched(what, total)

    fetched = fetch_weights("vggface2", accept_licence=True, source=url, watch=watch)
    assert server.asked == [f"/v2.2.9/{VGG}"]
    assert left() == [VGG]
    assert fetched.path.read_bytes() == Answer.body
    assert fetched.sha256 == hash_of(fetched.path) == pins.pinned(VGG)
    assert stages == [(f"fetching {VGG}, MB", len(Answer.body) >> 20)]
    assert load_embedder("vggface2").contract.sha256 == fetched.sha256
    with pytest.raises(InputError, match="is there already"):
        fetch_weights("vggface2", accept_licence=True, source=url)


def test_another_file_than_the_first_is_not_kept(files, url):
    pins.pin(VGG, "a" * 64, files / VGG)
    Answer.body = (files / VGG).read_bytes()
    with pytest.raises(InputError, match="has changed"):
        fetch_weights("vggface2", accept_licence=True, source=url)
    assert left() == []


def test_swapped_files_are_not_kept(files, url):
    Answer.body = (files / CASIA).read_bytes()
    with pytest.raises(InputError, match="got those of casia-webface"):
        fetch_weights("vggface2", accept_licence=True, source=url)
    assert left() == []
    assert pins.pinned(VGG) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 404}, "cannot be fetched .Not Found"),
        ({"body": b""}, "is empty"),
        ({"body": b"<html>sign in</html>"}, "cannot be read"),
        ({"body": b"abc", "length": "1000"}, "broke off after 3 of 1,000 bytes"),
        ({"body": b"abc", "length": str(1 << 40)}, "at most 512 MB .* got 1,099,511,627,776 bytes"),
        ({"status": 302, "location": "ftp://127.0.0.1/x"}, "cannot be fetched"),
        ({"status": 302, "location": "file:///etc/passwd"}, "cannot be fetched"),
    ],
)
def test_an_answer_that_is_no_weights_leaves_nothing(url, monkeypatch, answer, words):
    for name, value in answer.items():
        monkeypatch.setattr(Answer, name, value)
    with pytest.raises(InputError, match=words):
        fetch_weights("casia-webface", accept_licence=True, source=url)
    assert left() == []


def test_an_answer_without_end_is_cut_off(url, monkeypatch):
    monkeypatch.setattr(fetching, "MOST_BYTES", 1 << 20)
    Answer.body, Answer.length = bytes((1 << 20) + 1), "none"
    with pytest.raises(InputError, match="got more bytes than that"):
        fetch_weights("vggface2", accept_licence=True, source=url)
    assert left() == []


def test_nothing_is_asked_before_the_licence_is_accepted(server, url):
    with pytest.raises(InputError, match=r"unclear.*--accept-licence"):
        fetch_weights("vggface2", accept_licence=False, source=url)
    assert server.asked == []
    assert not cache_folder().exists()


@pytest.mark.parametrize("source", ["file:///tmp", "ftp://x", "x", ""])
def test_only_the_web_is_fetched_from(source):
    with pytest.raises(InputError, match="expected a URL with https"):
        fetch_weights("vggface2", accept_licence=True, source=source)
    assert left() == []


def test_unknown_weights_and_silent_servers_are_refused():
    with pytest.raises(InputError, match="unknown weights 'x'; known: vggface2, casia-webface"):
        fetch_weights("x", accept_licence=True)
    with pytest.raises(InputError, match=r"cannot be fetched .Connection refused"):
        fetch_weights("vggface2", accept_licence=True, source="http://127.0.0.1:1")


def said(*arguments, code=0):
    found = CliRunner().invoke(app, ["weights", *arguments])
    assert found.exit_code == code, found.output
    return " ".join(found.output.split())  # wherever lines are cut


def test_the_list_says_what_is_here_and_what_has_changed(cache, monkeypatch):
    sha256 = hash_of(cache)
    assert f"sha256 {sha256}, never used yet" in "".join(
        said("list").replace("\n ", "").split("\n")
    )
    assert "casia-webface: not here; recognition weights fetch casia-webface" in said("list")
    here, absent = json.loads(CliRunner().invoke(app, ["weights", "list", "--json"]).stdout)[
        "weights"
    ]
    assert here == {"name": "vggface2", "path": str(cache), "sha256": sha256, "first_sha256": None}
    assert absent == {"name": "casia-webface", "path": None}
    load_embedder()
    assert "as when first used" in said("list")
    pins.pin_path(VGG).unlink()
    pins.pin(VGG, "b" * 64, cache)
    monkeypatch.setenv("RECOGNITION_FACENET_WEIGHTS", str(cache))
    text = said("list")
    assert "CHANGED" in text
    assert text.startswith(f"$RECOGNITION_FACENET_WEIGHTS: {cache}, ")


def test_verify_tells_hashes_or_what_is_wrong(cache, tmp_path):
    assert said("verify").split() == [hash_of(cache), str(cache)]
    assert not (tmp_path / "home").exists(), "checking remembers nothing"
    contract = load_embedder().contract
    converted = converted_path(contract.sha256)
    assert said("verify").split()[2:] == [hash_of(converted), str(converted)]
    converted.write_bytes(converted.read_bytes() + b"x")
    assert "has changed" in said("verify", code=1)
    converted.unlink()
    pins.pin_path(VGG).unlink()
    (tmp_path / "cut.pt").write_bytes(cache.read_bytes()[:1000])
    assert "cannot be read" in said("verify", str(tmp_path / "cut.pt"), code=1)
    told = CliRunner().invoke(
        app, ["weights", "verify", str(cache), str(tmp_path / "cut.pt"), "--json"]
    )
    sound, cut = json.loads(told.stdout)["files"]
    assert (told.exit_code, sound["sha256"], sound["problem"]) == (1, hash_of(cache), None)
    assert cut["sha256"] is None
    assert "cannot be read" in cut["problem"]
    said("verify", "nowhere.pt", code=2)
    cache.unlink()
    assert "there are no weights" in said("verify", code=2)


def test_fetch_tells_the_hash_and_the_licence(files, url):
    assert "unclear" in said("fetch", "--from", url, code=2)
    assert "known: vggface2, casia" in said("fetch", "vggface", "--from", url, code=2)
    Answer.body = (files / VGG).read_bytes()
    text = said("fetch", "vggface2", "--accept-licence", "--from", url)
    assert hash_of(files / VGG) in text
    assert "unclear" in text
