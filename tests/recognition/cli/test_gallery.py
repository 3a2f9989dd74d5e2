"""The verbs of a gallery, as a person at a terminal meets them."""

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from typer.main import get_command
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.cli.gallery import gallery as verbs
from recognition.cli.gallery_people import write_csv
from recognition.errors import InputError

NASTY = [
    "../../x", "CON", "a\0b", "😀", "\u202eright-to-left", "x" * 10_000, "=cmd()", "<script>",
    "new\nline", "' OR 1=1 --", "\x1b[31mred", "@SUM(A1)", "+1", "＝1", "[bold]", "a,b\"c", "é", "unknown",
]  # fmt: skip
SCREEN = {"COLUMNS": "100"}


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither weights nor a detector's networks are there: the doors hand out fakes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "recognition.faces.models.loading.load_embedder",
        lambda model, device="cpu": FakeEmbedder(model or "fake"),
    )
    monkeypatch.setattr("recognition.faces.mtcnn.Mtcnn", lambda device="cpu": FakeDetector())


def run(*arguments: object, code: int = 0, given: str | None = None) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)], input=given, env=SCREEN)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def words(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


def told(result: Result) -> dict:
    return json.loads(result.stdout)


@pytest.fixture
def photographs() -> Path:
    for number, person in enumerate(["ann", "bob"]):
        for picture in range(2):
            save_photo(Path(f"people/{person}/{picture}.png"), 0.99, shade=90 * number + picture)
    save_photo(Path("people/bob/none.png"))
    Path("people/bob/text.jpg").write_text("hello")
    save_photo(Path("people/nobody.png"), 0.99, shade=200)
    return Path("people")


@pytest.fixture
def embedded() -> Path:
    """Ten people with four pictures each, of whom p0 to p3 are to be enrolled."""
    random = np.random.default_rng(3)
    labels = np.repeat([f"p{n}" for n in range(10)], 4)
    centres = random.normal(size=(10, 8)).repeat(4, axis=0)
    vectors = (centres + 0.2 * random.normal(size=(40, 8))).astype(np.float32)
    ids = np.array([f"{label}/{n % 4}.jpg" for n, label in enumerate(labels)])
    known = np.arange(40) < 16
    first = known & (np.arange(40) % 4 < 2)
    np.savez("enrol.npz", embeddings=vectors[first], labels=labels[first], ids=ids[first])
    rest = {"embeddings": vectors[~first], "labels": labels[~first], "ids": ids[~first]}
    np.savez("probes.npz", **rest)
    run("gallery", "create", "g", "--like", "enrol.npz")
    run("gallery", "sync", "g", "enrol.npz")
    return Path("g")


def test_photographs_are_enrolled_calibrated_and_identified(photographs: Path) -> None:
    assert "by fake (" in words(run("gallery", "create", "g"))
    first = words(run("gallery", "sync", "g", photographs))
    assert "4 added, of 2 people; 0 changed, 0 unchanged, 0 gone, 3 skipped" in first
    assert "bob/none.png: no face" in first
    assert "nobody.png: in nobody's folder" in first
    again = words(run("gallery", "sync", "g", photographs))
    assert "0 added, of 0 people; 0 changed, 4 unchanged, 0 gone, 3 skipped" in again
    save_photo(photographs / "ann/0.png", 0.99, shade=5)
    (photographs / "bob/1.png").unlink()
    found = told(run("gallery", "sync", "g", photographs, "--json"))
    assert [one["source"] for one in found["changed"]] == ["ann/0.png"]
    assert [one["source"] for one in found["gone"]] == ["bob/1.png"]
    assert not found["removed"]
    assert "1 gone" in words(run("gallery", "sync", "g", photographs, "--delete"))
    assert "0 gone" in words(run("gallery", "sync", "g", photographs))
    result = run("identify", "g", photographs / "bob", "--threshold", 0.99)
    (line,) = rows(result)
    assert (line["photo"], line["name"], line["known"]) == ("0.png", "bob", "yes")
    assert float(line["score"]) >= float(line["threshold"]) == 0.99
    assert "skipped none.png: no face" in result.stderr
    assert "skipped text.jpg: " in result.stderr


def test_nothing_is_looked_at_again_that_did_not_change(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("gallery", "create", "g")
    first = told(run("gallery", "sync", "g", photographs, "--json"))
    (photographs / "bob/text.jpg").unlink()
    doors = "recognition.faces.models.loading.load_embedder", "recognition.faces.mtcnn.Mtcnn"
    for door in doors:
        monkeypatch.setattr(door, None)  # whoever loads a model fails
    again = told(run("gallery", "sync", "g", photographs, "--json"))
    assert again["unchanged"] == 4
    gone = {"path": "bob/text.jpg"}
    assert again["skipped"] == [one for one in first["skipped"] if one["path"] != gone["path"]]
    monkeypatch.undo()


def test_photographs_with_nobody_are_looked_at_anew_by_other_settings(photographs: Path) -> None:
    save_photo(photographs / "bob/doubtful.png", 0.6, shade=90)
    run("gallery", "create", "g")
    first = words(run("gallery", "sync", "g", photographs))
    assert "bob/doubtful.png: only doubtful detections, the best 0.60" in first
    digest = hashlib.sha256((photographs / "bob/none.png").read_bytes()).hexdigest().encode()

    def kept() -> bool:
        return any(digest in path.read_bytes() for path in Path("g").rglob("*") if path.is_file())

    assert kept()
    run("gallery", "erase", "g", "ann", "--yes")
    assert not kept(), "it may be hers"
    assert "2 added, of 1 people" in words(run("gallery", "sync", "g", photographs))
    lower = words(run("gallery", "sync", "g", photographs, "--min-score", 0.5))
    assert "1 added, of 1 people" in lower


def test_the_same_picture_enrolled_twice_is_one(photographs: Path) -> None:
    run("gallery", "create", "g")
    for _ in range(2):
        run("gallery", "enroll", "g", "ada", photographs / "ann/0.png")
    assert [one["pictures"] for one in rows(run("gallery", "list", "g"))] == ["1"]


def test_every_face_of_a_photograph_has_a_line(photographs: Path) -> None:
    run("gallery", "create", "g")
    run("gallery", "sync", "g", photographs)
    save_photo(Path("two.png"), 0.99, 0.97, 0.5, shade=90)
    found = rows(run("identify", "g", "two.png", "--threshold", 1.0))
    assert [(line["photo"], line["face"]) for line in found] == [("two.png", "0"), ("two.png", "1")]
    assert [line["name"] for line in found] == ["bob", "unknown"]


def test_what_recognition_embed_wrote_is_identified_as_its_photographs_are(
    photographs: Path,
) -> None:
    run("gallery", "create", "g")
    run("gallery", "sync", "g", photographs)
    run("embed", "people", "-o", "faces.npz")
    for options in ([], ["--explain"]):
        direct = run("identify", "g", photographs, "--threshold", 0.9, *options)
        assert (
            run("identify", "g", "faces.npz", "--threshold", 0.9, *options).stdout == direct.stdout
        )
    run("embed", "people", "-o", "labelled.npz", "--labelled")
    assert "4 unchanged" in words(run("gallery", "sync", "g", "labelled.npz")), "by the same bytes"


def test_another_model_is_refused(photographs: Path, embedded: Path) -> None:
    run("gallery", "create", "h", "--model", "other")
    refused = words(run("gallery", "sync", "h", photographs, code=2))
    assert "cannot be compared" in refused
    run("gallery", "sync", "h", photographs, "--model", "other")
    assert "cannot be compared" in words(run("identify", "h", photographs, code=2))
    assert "whose model is known" in words(run("gallery", "sync", "g", photographs, code=2))
    assert "say --trust" in words(run("gallery", "sync", "h", "enrol.npz", code=2))
    assert "expected 27 dimensions" in words(run("identify", "h", "enrol.npz", "--trust", code=2))
    run("embed", "people", "-o", "faces.npz", "--model", "fake")
    assert "cannot be compared" in words(run("identify", "h", "faces.npz", "--trust", code=2))
    assert "the gallery does not say which model" in words(
        run("identify", "g", "faces.npz", code=2)
    )


def test_a_threshold_is_set_and_used(embedded: Path) -> None:
    before = run("identify", "g", "probes.npz")
    assert {line["name"] for line in rows(before)} == {"unknown"}
    assert (
        "no threshold, so everybody is unknown; set one with recognition calibrate" in before.stderr
    )
    tried = run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--dry-run")
    assert "Not set" in tried.stdout
    assert "no threshold" in run("gallery", "stats", "g").stdout
    done = words(run("calibrate", "g", "probes.npz", "--fpir", 0.25))
    assert "for FPIR 0.25" in done
    assert "among 4 people, set on 6 strangers" in done
    assert "FNIR 0 (95 %" in done
    assert "more strangers with as many pictures each" in done
    result = run("identify", "g", "probes.npz", "--explain")
    assert result.stderr == ""
    found = rows(result)
    mates = [line for line in found if line["photo"].split("/")[0] in {"p0", "p1", "p2", "p3"}]
    assert all(line["name"] == line["photo"].split("/")[0] for line in mates)
    named = [line for line in found if line not in mates and line["name"] != "unknown"]
    assert len(named) <= 6
    for line in found:
        assert (line["known"] == "yes") == (float(line["score"]) >= float(line["threshold"]))
        assert float(line["margin"]) == pytest.approx(
            float(line["score_1"]) - float(line["score_2"])
        )
        first, second, third = (float(line[f"score_{n}"]) for n in (1, 2, 3))
        assert float(line["score"]) == first >= second >= third
    answers = told(run("identify", "g", "probes.npz", "--json"))["faces"]
    assert [answer["name"] or "unknown" for answer in answers] == [line["name"] for line in found]
    assert answers[0]["threshold"]["strangers"] == 6


def test_too_few_strangers_are_refused_and_nothing_is_changed(embedded: Path) -> None:
    refused = run("calibrate", "g", "probes.npz", code=2)
    assert "FPIR 0.01 cannot be measured with 24 searches of strangers" in refused.stderr
    assert "6 strangers are here: add 69 more" in refused.stderr
    assert "no threshold" in run("gallery", "stats", "g").stdout
    assert "expected one of fpir" in run("calibrate", "g", "probes.npz", "--fpir", 2, code=2).stderr
    both = run("calibrate", "g", "probes.npz", "--fpir", 0.2, "--fmr", 0.2, code=2)
    assert "expected one of fpir" in both.stderr
    assert told(run("calibrate", "g", "probes.npz", "--fmr", 0.1, "--json"))["rule"] == "fmr"


def test_a_gallery_that_has_outgrown_its_threshold_says_so(embedded: Path) -> None:
    run("calibrate", "g", "probes.npz", "--fpir", 0.25)
    np.savez("more.npz", embeddings=np.eye(8)[:2], labels=["y", "z"], ids=["y/1", "z/1"])
    for result in (
        run("gallery", "sync", "g", "more.npz"),
        run("identify", "g", "probes.npz"),
        run("gallery", "stats", "g"),
    ):
        assert "set for 4 people and 6 are enrolled" in words(result)
    assert told(run("gallery", "stats", "g", "--json"))["outgrown"]


@pytest.mark.parametrize("name", NASTY)
def test_hostile_names_go_through_every_verb(name: str, tmp_path: Path) -> None:
    np.savez("one.npz", embeddings=np.eye(4)[:1], labels=["x"], ids=["x/1.jpg"])
    np.savez("probe.npz", embeddings=np.eye(4)[:1] + 0.1, labels=["x"], ids=[name])
    run("gallery", "create", "g", "--like", "one.npz")
    shown = [run("gallery", "enroll", "g", name, "one.npz", "--metadata", json.dumps({"n": name}))]
    shown += [run("gallery", "list", "g"), run("gallery", "show", "g", name)]
    shown += [run("identify", "g", "probe.npz", "--threshold", 0.5, "--explain")]
    (line,) = rows(shown[-1])
    assert line["known"] == "yes"
    for cell in (line["name"], line["photo"], line["nearest_1"]):
        assert not cell.startswith(tuple("=+-@＝"))
    assert told(run("gallery", "list", "g", "--json"))["people"][0]["name"] == name
    assert told(run("gallery", "show", "g", name, "--json"))["metadata"] == {"n": name}
    assert told(run("gallery", "show", "g", name, "--json"))["samples"][0]["source"] == "x/1.jpg"
    assert (
        told(run("identify", "g", "probe.npz", "--json"))["faces"][0]["candidates"][0]["name"]
        == name
    )
    shown += [run("gallery", "export", "g", "out", "--person", name)]
    assert told(run("gallery", "erase", "g", name, "--yes", "--json"))["complete"]
    tag = name.encode()
    if len(tag) > 4 and name != "unknown":  # as the licence is
        assert not any(tag in path.read_bytes() for path in Path("g").rglob("*") if path.is_file())
    shown += [run("gallery", "import", "g", "out.json"), run("gallery", "stats", "g")]
    assert told(run("gallery", "list", "g", "--json"))["people"][0]["name"] == name
    shown += [run("gallery", "erase", "g", name, given="y\n")]
    run("gallery", "import", "g", "out.npz")
    shown += [run("gallery", "remove", "g", name)]
    shown += [run("gallery", "show", "g", name, code=2)]
    for result in shown:
        for text in (result.stdout, result.stderr):
            assert all(letter.isprintable() or letter == "\n" for letter in text), repr(text)
    assert {path.name for path in tmp_path.iterdir()} == {
        "one.npz", "probe.npz", "g", "out.npz", "out.json",
    }  # fmt: skip


def test_hostile_names_come_from_folders_and_files_too() -> None:
    names = [name for name in NASTY if "/" not in name and "\0" not in name and len(name) < 200]
    for shade, name in enumerate(names):
        save_photo(Path("people", name, "1.png"), 0.99, shade=10 * shade)
    run("gallery", "create", "g")
    run("gallery", "sync", "g", "people")
    found = {one["name"] for one in told(run("gallery", "list", "g", "--json"))["people"]}
    assert found == set(names)
    run("embed", "people", "-o", "faces.npz", "--labelled")
    assert f"{len(names)} unchanged" in words(run("gallery", "sync", "g", "faces.npz"))
    run("calibrate", "g", "faces.npz", code=2)


def test_erasing_asks_first_and_prints_a_receipt(embedded: Path) -> None:
    refused = run("gallery", "erase", "g", "p1", code=2)
    assert "expected an answer, yes or no, but nobody is there" in refused.stderr
    kept = run("gallery", "erase", "g", "p1", "--json", given="n\n", code=1)
    assert "Nobody was erased" in kept.stderr
    assert "{" not in kept.stdout, "no JSON of what was not done"
    assert told(run("gallery", "show", "g", "p1", "--json"))["samples"]
    done = words(run("gallery", "erase", "g", "p1", "--yes"))
    assert "Erased p1 with 2 pictures" in done
    assert "no byte of it is left" in done
    assert "who is in a folder that you sync is enrolled again" in done
    assert "got 'p1'; recognition gallery list" in run("gallery", "erase", "g", "p1", code=2).stderr


def test_a_receipt_says_what_could_not_be_erased(
    embedded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognition.gallery.store.Store.truncate_log", lambda self, seconds: False)
    done = words(run("gallery", "erase", "g", "p1", "--yes", code=1))
    assert "not completely" in done
    assert "left: somebody reads the gallery" in done


def test_enrolling_takes_all_pictures_or_none(photographs: Path) -> None:
    run("gallery", "create", "g")
    photos = [photographs / "ann/0.png", photographs / "ann/1.png"]
    assert "Enrolled 2 pictures of ada" in run("gallery", "enroll", "g", "ada", *photos).stdout
    refused = run("gallery", "enroll", "g", "eve", *photos, photographs / "bob/none.png", code=2)
    assert "none.png cannot be used (no face" in words(refused)
    assert [one["name"] for one in rows(run("gallery", "list", "g"))] == ["ada"]
    save_photo(Path("two.png"), 0.99, 0.97)
    assert "Enrolled 1 picture of" in run("gallery", "enroll", "g", "ada", "two.png").stdout
    bad = run("gallery", "enroll", "g", "ada", "two.png", "--metadata", "[1]", code=2)
    assert "expected a JSON object, got '[1]'" in bad.stderr
    np.savez("lost.npz", embeddings=[[1.0] * 27, [np.nan] * 27], labels=["a", "a"])
    assert "but 1 have none" in words(
        run("gallery", "enroll", "g", "a", "lost.npz", "--trust", code=2)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("gallery", "list"), ("gallery", "stats"), ("gallery", "show", "ada"),
        ("gallery", "remove", "ada"), ("gallery", "erase", "ada", "--yes"),
        ("gallery", "enroll", "ada", "x.npz"), ("gallery", "sync", "x.npz"),
        ("gallery", "export", "out"), ("gallery", "import", "out.npz"),
        ("gallery", "check"), ("gallery", "repair", "new"),
        ("identify", "x.npz"), ("calibrate", "x.npz"),
    ],
)  # fmt: skip
def test_without_a_gallery_every_verb_says_so_and_makes_none(arguments: tuple[str, ...]) -> None:
    at = 2 if arguments[0] == "gallery" else 1
    result = run(*arguments[:at], "none", *arguments[at:], code=2)
    assert "expected a gallery at none" in result.stderr
    assert not Path("none").exists()
    assert not Path("out.npz").exists()


def test_damage_is_found_and_the_rest_is_saved(embedded: Path) -> None:
    assert "Nothing is wrong" in run("gallery", "check", "g").stdout
    assert told(run("gallery", "check", "g", "--json"))["findings"] == []
    run("gallery", "enroll", "g", "=cmd()\n", "enrol.npz")
    path = embedded / "gallery.sqlite3"
    vector = np.load("enrol.npz")["embeddings"][0].tobytes()
    assert path.read_bytes().count(vector) == 2
    path.write_bytes(path.read_bytes().replace(vector, bytes([vector[0] ^ 1]) + vector[1:], 1))
    found = words(run("gallery", "check", "g", code=1))
    assert "(lost)" in found
    assert "Save the rest with recognition gallery repair g NEW" in found
    before = path.read_bytes()
    assert told(run("gallery", "check", "g", "--json", code=1))["findings"][0]["lost"]
    saved = words(run("gallery", "repair", "g", "saved"))
    assert "Saved 5 people with 15 pictures" in saved
    assert path.read_bytes() == before
    assert "Nothing is wrong" in run("gallery", "check", "saved").stdout
    assert "exists already" in run("gallery", "repair", "g", "saved", code=2).stderr
    again = told(run("gallery", "repair", "g", "new", "--like", "enrol.npz", "--json"))
    assert (again["people"], again["samples"]) == (5, 15)


def test_only_files_of_a_folder_are_checked_and_repaired(tmp_path: Path) -> None:
    where = f"milvus://{tmp_path}/people.db/people"
    for verb in (("check", where), ("repair", where, "saved")):
        assert "expected a gallery in a folder" in words(run("gallery", *verb, code=2))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_unicode_is_nobodys(embedded: Path) -> None:
    for verb in ("show", "remove", "erase"):
        refused = run("gallery", verb, "g", "caf\udce9", code=2)
        assert "expected the name of somebody enrolled, got 'caf\\udce9'" in refused.stderr
    assert "Unicode" in run("gallery", "enroll", "g", "caf\udce9", "enrol.npz", code=2).stderr
    refused = run("gallery", "export", "g", "out", "--person", "caf\udce9", code=2)
    assert "expected the name of somebody enrolled" in refused.stderr


def test_what_is_there_is_not_overwritten(embedded: Path) -> None:
    assert "exists already" in run("gallery", "create", "g", "--like", "enrol.npz", code=2).stderr
    assert (
        "leave out one"
        in run("gallery", "create", "h", "--like", "enrol.npz", "--model", "x", code=2).stderr
    )
    Path("out.json").write_text("mine")
    assert "exists already" in run("gallery", "export", "g", "out", code=2).stderr
    assert Path("out.json").read_text() == "mine"


def test_photographs_of_which_none_can_be_read_are_an_error(photographs: Path) -> None:
    run("gallery", "create", "g")
    refused = run("identify", "g", photographs / "bob/text.jpg", code=2)
    assert "skipped text.jpg: " in refused.stderr
    assert "none of 1 can be used" in words(refused)
    assert refused.stdout == ""
    nobody = run("identify", "g", photographs / "bob/none.png")
    assert rows(nobody) == []
    assert nobody.stdout.startswith("photo,face,name,known,score,threshold,margin,source")
    assert "expected a photograph or a folder at none.png" in words(
        run("identify", "g", "none.png", code=2)
    )


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> FakeDetector:
    """A gallery, a folder of a hundred photographs, and the detector that looks at them."""
    for shade in range(100):
        save_photo(Path(f"crowd/{shade}.png"), 0.99, shade=2 * shade)
    run("gallery", "create", "g")
    run("gallery", "enroll", "g", "ada", "crowd/0.png")
    detector = FakeDetector()
    monkeypatch.setattr("recognition.faces.mtcnn.Mtcnn", lambda device="cpu": detector)
    return detector


def test_lines_come_while_other_photographs_are_looked_at(
    crowd: FakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def spied(lines: list[list[object]]) -> None:
        looked_at.append(crowd.seen)
        write_csv(lines)

    monkeypatch.setattr("recognition.cli.identification.write_csv", spied)
    found = rows(run("identify", "g", "crowd"))
    assert looked_at[0] < 50 <= looked_at[-1] == 100
    assert [line["photo"] for line in found] == [f"{shade}.png" for shade in range(100)]
    faces = told(run("identify", "g", "crowd", "--json"))["faces"]
    assert [repr(face["score"]) for face in faces] == [line["score"] for line in found]


@pytest.mark.parametrize(("stop", "code"), [(BrokenPipeError, 141), (KeyboardInterrupt, 130)])
def test_who_has_seen_enough_stops_the_looking(
    crowd: FakeDetector, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], code: int
) -> None:
    def closed(lines: list[list[object]]) -> None:
        raise stop

    monkeypatch.setattr("recognition.cli.identification.write_csv", closed)
    monkeypatch.setattr("recognition.cli.console._forget_output", lambda: None)
    stopped = run("identify", "g", "crowd", code=code)
    assert crowd.seen < 50
    assert ("the lines that are there are right" in words(stopped)) == (code == 130)


def test_what_is_wrong_is_said_before_photographs_are_looked_at(crowd: FakeDetector) -> None:
    for wrong in (["nowhere"], ["--threshold", "nan"], ["nowhere.npz"]):
        refused = run("identify", "g", "crowd", *wrong, code=2)
        assert (crowd.seen, refused.stdout) == (0, "")
        assert "no threshold" not in words(refused)
    assert words(run("identify", "g", "crowd", "--json")).count("no threshold") == 1


def test_stopping_a_sync_says_that_it_goes_on(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("gallery", "create", "g")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recognition.gallery.photographs.embed_people", stop)
    stopped = run("gallery", "sync", "g", photographs, code=130)
    assert "what was enrolled is kept, and the same command goes on" in words(stopped)


def test_the_verbs_that_were_promised_are_there() -> None:
    names = {command.name or command.callback.__name__ for command in verbs.registered_commands}
    promised = "create enroll ingest sync list show remove erase export import check repair stats"
    assert names == set(promised.split())


def test_files_are_ingested_once(embedded: Path) -> None:
    run("gallery", "create", "other", "--like", "enrol.npz")
    done = told(run("gallery", "ingest", "other", "enrol.npz", "probes.npz", "--json", "--trust"))
    assert (done["enrolled"], done["known"], done["failed"]) == (40, 0, 0)
    again = run("gallery", "ingest", "other", "enrol.npz", "--trust")
    assert "0 pictures enrolled, 8 were there already" in again.stdout
    found = np.load("probes.npz")
    broken = np.where(np.arange(len(found["ids"]))[:, None] == 3, np.nan, found["embeddings"])
    np.savez("broken.npz", embeddings=broken, labels=found["labels"], ids=found["ids"])
    told_of = words(run("gallery", "ingest", "other", "broken.npz", "--trust"))
    assert "1 without an embedding, left out" in told_of
    assert str(found["ids"][3]) in told_of


def test_a_threshold_can_be_for_templates(embedded: Path) -> None:
    done = told(
        run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--score", "template", "--json")
    )
    assert done["score"] == "template"
    best = told(run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--dry-run", "--json"))
    assert best["value"] != done["value"]
    answers = told(run("identify", "g", "probes.npz", "--json"))["faces"]
    assert answers[0]["threshold"]["score"] == "template"
    assert {answer["name"] for answer in answers[:8]} == {"p0", "p1", "p2", "p3"}
    refused = run("calibrate", "g", "probes.npz", "--score", "mean", code=2)
    assert "expected best or template, got 'mean'" in words(refused)


def test_a_stranger_on_an_enrolled_picture_is_refused_for_templates_too(embedded: Path) -> None:
    found = dict(np.load("probes.npz"))
    found["embeddings"][-1] = np.load("enrol.npz")["embeddings"][0]
    np.savez("wrong.npz", **found)
    for score in ("best", "template"):
        told_of = run("calibrate", "g", "wrong.npz", "--fpir", 0.25, "--score", score, code=2)
        assert "a picture of 'p9' is enrolled as 'p0'" in words(told_of)


def test_everybody_goes_to_milvus(embedded: Path, tmp_path: Path) -> None:
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    run("calibrate", "g", "probes.npz", "--fpir", 0.25)
    where = f"milvus://{tmp_path}/people.db/people"
    refused = run("gallery", "export", "g", where, "--person", "p0", code=2)
    assert "expected everybody to be copied to Milvus" in words(refused)
    done = told(run("gallery", "export", "g", where, "--json"))
    assert (done["people"], done["samples"], done["present"]) == (4, 8, 0)
    assert "4 people were there already" in run("gallery", "export", "g", where).stdout
    assert rows(run("identify", where, "probes.npz")) == rows(run("identify", "g", "probes.npz"))


def test_what_was_done_is_told_as_json_too(embedded: Path) -> None:
    done = told(run("gallery", "export", "g", "out", "--json"))
    assert (done["people"], done["samples"], done["files"]) == (4, 8, ["out.npz", "out.json"])
    assert told(run("gallery", "remove", "g", "p1", "--json")) == {
        "format": 1, "name": "p1", "samples": 2,
    }  # fmt: skip
    done = told(run("gallery", "import", "g", "out.npz", "--json"))
    assert (done["people"], done["samples"], done["known"]) == (4, 2, 6)


def test_every_verb_of_a_gallery_prints_json_on_request(photographs: Path) -> None:
    made = told(run("gallery", "create", "g", "--json"))
    assert (made["gallery"], made["contract"]["model"]) == ("g", "fake")
    first = told(run("gallery", "enroll", "g", "ada", "people/ann/0.png", "--json"))
    assert first == {"format": 1, "name": "ada", "enrolled": 1, "samples": 1, "new": True}
    again = told(run("gallery", "enroll", "g", "ada", "people/ann/1.png", "--json"))
    assert (again["samples"], again["new"]) == (2, False)
    for verb, command in get_command(verbs).commands.items():
        assert any("--json" in parameter.opts for parameter in command.params), verb


def test_a_mistyped_name_is_told_to_be_new(photographs: Path) -> None:
    run("gallery", "create", "g")
    new = words(run("gallery", "enroll", "g", "ada", "people/ann/0.png"))
    assert "Enrolled 1 picture of ada, who is new" in new
    known = words(run("gallery", "enroll", "g", "ada", "people/ann/1.png"))
    assert "Enrolled 1 picture of ada, who has 2 now" in known


def test_without_a_model_the_gallerys_is_named(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("gallery", "create", "g", "--model", "mine")

    def without_weights(model: str | None, device: str = "cpu") -> FakeEmbedder:
        raise InputError("no weights are here")

    monkeypatch.setattr("recognition.faces.models.loading.load_embedder", without_weights)
    for verb in (["identify", "g"], ["gallery", "sync", "g"], ["gallery", "enroll", "g", "ann"]):
        folder = photographs if "sync" in verb else photographs / "ann"
        assert "expected the gallery's model, mine (" in words(run(*verb, folder, code=2))
        named = words(run(*verb, folder, "--model", "mine", code=2))
        assert named.endswith("recognition: no weights are here")


def test_a_wrong_folder_is_told_for_what_it_is(embedded: Path) -> None:
    Path("strangers").mkdir()
    sentence = words(run("calibrate", "g", "strangers", code=2))
    assert "got the folder strangers; write one" in sentence
    assert "recognition embed FOLDER -o probes.npz --labelled" in sentence
    nothing = words(run("gallery", "sync", "g", "peple/", code=2))
    assert "expected a folder with a folder a person, or a file of embeddings, at peple" in nothing
    assert "there are none" in words(run("identify", "g", "strangers", code=2))
    twice = words(run("gallery", "create", "g", code=2))
    assert twice == "recognition: g exists already; open it, or name another folder"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sync", "g", "people", "--min-score", "1.5"), "--min-score: expected a probability"),
        (("sync", "g", "empty"), "expected a folder a person with photographs at empty, got none"),
        (("enroll", "g", "a", "people/ann/0.png", "--metadata", "{"), "expected a JSON object"),
    ],
)
def test_what_makes_no_sense_is_refused(
    photographs: Path, arguments: tuple[str, ...], message: str
) -> None:
    Path("empty").mkdir()
    run("gallery", "create", "g")
    assert message in words(run("gallery", *arguments, code=2))
    assert rows(run("gallery", "list", "g")) == []


def test_photographs_that_cannot_be_opened_are_skipped(photographs: Path) -> None:
    Path("people/ann/gone.png").symlink_to("nowhere.png")
    run("gallery", "create", "g")
    done = told(run("gallery", "sync", "g", photographs, "--json"))
    assert "ann/gone.png" in [one["path"] for one in done["skipped"]]
    assert len(done["added"]) == 4


def test_what_a_threshold_means_is_written_on_a_page(embedded: Path) -> None:
    quiet = words(run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--dry-run"))
    assert "--report FILE.html" in quiet
    done = words(run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--report", "t.html"))
    assert "Written to t.html" in done
    page = Path("t.html").read_text(encoding="utf-8")
    threshold = told(run("gallery", "stats", "g", "--json"))["threshold"]
    assert f"At threshold {threshold['value']:.4f} and 4 enrolled people, about 250 of" in page
    assert "If more people are enrolled" in page
    assert "It is set in the gallery." in page
    assert threshold["data"] in page
    data = json.loads(page.split('id="report-data">')[1].split("</script>")[0])
    stops = data["sliders"]["threshold"]
    start = int(page.split(' value="')[1].split('"')[0])
    assert stops[start]["threshold"] == f"{threshold['value']:.4f}"
    assert stops[start]["cells"][0].startswith("25.")
    assert [float(stops[at]["cells"][0].split(" ")[0]) for at in (0, -1)] == [100.0, 0.0]
    assert not list(Path.cwd().glob("*.part"))


def test_a_page_that_is_there_is_kept(embedded: Path) -> None:
    Path("t.html").write_text("mine")
    for name, told_of in (
        ("t.html", "exists already"), ("t.txt", "ends in .html"), ("no/t.html", "no folder"),
    ):  # fmt: skip
        refused = run("calibrate", "g", "probes.npz", "--fpir", 0.25, "--report", name, code=2)
        assert told_of in " ".join(refused.stderr.split())
    assert Path("t.html").read_text() == "mine"
    assert "no threshold" in run("gallery", "stats", "g").stdout
    run("calibrate", "g", "probes.npz", "--report", "new.html", code=2)
    assert not Path("new.html").exists(), "0.01 cannot be measured"


def test_a_page_of_strangers_alone_and_of_comparisons_says_so(embedded: Path) -> None:
    with np.load("probes.npz") as file:
        strange = ~np.isin(file["labels"], ["p0", "p1", "p2", "p3"])
        inert = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
        labels = np.where(file["labels"] == "p5", inert, file["labels"])
        only = {name: file[name][strange] for name in ("embeddings", "ids")}
        np.savez("only.npz", labels=labels[strange], **only)
    run("calibrate", "g", "only.npz", "--fmr", 0.1, "--dry-run", "--report", "t.html")
    page = Path("t.html").read_text(encoding="utf-8")
    assert "How often somebody enrolled is missed is not known" in page
    assert "comparisons of a stranger with somebody enrolled would match" in page
    assert "It is not set in the gallery" in page
    assert "If more people are enrolled" not in page
    assert "<img" not in page
    assert "<script>alert" not in page
