"""`recognition evaluate`, from the outside."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import write_bin
from PIL import Image
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.comparisons import compare_all

FAST = ["--resamples", 20]
PICTURES = {"scores.png", "det.png", "roc.png", "cmc.png", "oscr.png", "growth.png", "margins.png"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


def rows(found: dict) -> dict:
    return {row["key"]: row for section in found["sections"] for row in section["rows"]}


def people(seed: int = 0, spread: float = 0.25):
    """Twelve people with six pictures each, their ids and a group each."""
    random = np.random.default_rng(seed)
    labels = np.repeat([f"p{i:02d}" for i in range(12)], 6)
    centres = np.random.default_rng(7).normal(size=(12, 16)).repeat(6, axis=0)
    embeddings = (centres + spread * 4 * random.normal(size=(72, 16))).astype(np.float32)
    ids = np.array([f"{label}/{label}_{n % 6 + 1:04d}.jpg" for n, label in enumerate(labels)])
    sex = np.where(labels < "p06", "f", "m")
    return embeddings, labels, ids, sex


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    embeddings, labels, ids, sex = people()
    path = tmp_path_factory.mktemp("faces") / "faces.npz"
    np.savez(path, embeddings=embeddings, labels=labels, ids=ids, sex=sex)
    return path


@pytest.fixture(scope="module")
def finished(faces: Path) -> tuple[Result, Path]:
    out = faces.parent / "run"
    return run(faces, "--out", out, "--resamples", 100, "--threshold", 0.5), out


def test_it_prints_every_part_and_writes_the_run_folder(finished: tuple[Result, Path]) -> None:
    result, out = finished
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "results.json", "table.md", "report.html", *PICTURES,
    }  # fmt: skip
    page = (out / "table.md").read_text()
    assert all(f"![{name}]({name})" in page for name in PICTURES)
    for title in (
        "Verification",
        "Thresholds",
        "Calibration",
        "Who is this",
        "nearest",
        "Separability",
        "Neighbours",
        "Failures",
    ):
        assert title in result.stdout
        assert title in page
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "│" in line)


def test_numbers_are_those_of_scikit_learn(finished: tuple[Result, Path]) -> None:
    _, out = finished
    embeddings, labels, _, _ = people()
    scores = compare_all(embeddings, labels)
    truth = np.repeat([1, 0], [len(scores.mated), len(scores.nonmated)])
    found = rows(results(out))
    auc = roc_auc_score(truth, np.concatenate([scores.mated, scores.nonmated]))
    assert found["auc"]["value"] == pytest.approx(auc, abs=1e-12)
    assert found["fmr@t=0.5"]["value"] == (scores.nonmated >= 0.5).mean()
    assert found["fnmr@t=0.5"]["value"] == pytest.approx((scores.mated < 0.5).mean())
    assert found["fmr@t=0.5"]["low"] <= found["fmr@t=0.5"]["value"] <= found["fmr@t=0.5"]["high"]


def test_a_swapped_label_is_printed_and_written_by_its_id(tmp_path: Path) -> None:
    embeddings, labels, ids, _ = people(spread=0.1)
    labels = labels.copy()
    labels[8] = "p07"
    np.savez(tmp_path / "faces.npz", embeddings=embeddings, labels=labels, ids=ids)
    out = tmp_path / "out"
    result = run(tmp_path / "faces.npz", "--only", "neighbours", "--out", out, *FAST)
    assert result.exit_code == 0, result.output
    (section,) = [each for each in results(out)["sections"] if each["key"] == "neighbours"]
    (entry,) = section["lists"][0]["rows"]
    assert entry[:3] == ["p01/p01_0003.jpg", "p07", "p01"]
    assert "Mislabelled?" in result.stdout
    assert "p01/p0…03.jpg" in result.stdout
    assert {path.name for path in out.iterdir()} == {
        "results.json", "table.md", "report.html", "margins.png",
    }  # fmt: skip


def weights_of(path: Path, names: list[str] | None, width: int = 16) -> Path:
    rows = np.random.default_rng(1).normal(size=(12, width)).astype(np.float32)
    metadata = None if names is None else {"people": json.dumps(names)}
    save_file({"weight": rows}, path, metadata)
    return path


def test_class_weights_bring_their_angles(faces: Path, tmp_path: Path) -> None:
    names = [f"p{i:02d}" for i in range(12)]
    head, out = weights_of(tmp_path / "head.safetensors", names), tmp_path / "out"
    result = run(faces, "--weights", head, "--only", "separability", "--out", out, *FAST)
    assert result.exit_code == 0, result.output
    found = rows(results(out))
    assert 0 < found["w-ec"]["value"] < 180
    assert {"w-inter", "nc3", "nc4"} <= set(found)
    assert "W-EC" in result.stdout
    assert "no number here says how it is with strangers" in result.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("names", "width", "options", "message"),
    [
        (None, 16, [], "JSON list under people in the metadata"),
        ([f"p{i:02d}" for i in range(12)], 17, [], "leave out the column of the bias"),
        ([f"q{i:02d}" for i in range(12)], 16, [], "12 classes 0 have"),
        ([f"p{i:02d}" for i in range(12)], 16, ["--only", "retrieval"], "--weights adds to"),
    ],
)
def test_class_weights_that_do_not_fit_are_refused_and_nothing_is_written(
    faces: Path,
    tmp_path: Path,
    names: list[str] | None,
    width: int,
    options: list[str],
    message: str,
) -> None:
    head = weights_of(tmp_path / "head.safetensors", names, width)
    result = run(faces, "--weights", head, *options, "--out", tmp_path / "out", *FAST)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_every_row_has_counts_or_says_why_not(finished: tuple[Result, Path]) -> None:
    _, out = finished
    found = results(out)
    assert (
        found["input"] | {"mated": 180, "nonmated": 2376, "people": 12, "pictures": 72}
        == (found["input"])
    )
    for row in rows(found).values():
        assert row["value"] is not None or row["note"]
        assert (row["low"] is None) == (row["high"] is None)
        if row["low"] is not None:
            assert row["low"] <= row["high"]
            assert row["interval"]
    unresolved = rows(found)["tar@fmr=0.0001"]
    assert unresolved["value"] is None
    assert "cannot be measured with 2,376" in unresolved["note"]


def test_json_is_all_that_stdout_gets(faces: Path, tmp_path: Path) -> None:
    result = run(faces, "--json", "--only", "verification", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == results(tmp_path / "run")
    assert [section["key"] for section in found["sections"]] == ["verification", "failures"]


def test_the_order_of_the_rows_does_not_matter(faces: Path, tmp_path: Path) -> None:
    embeddings, labels, _, _ = people()
    order = np.random.default_rng(1).permutation(len(labels))
    np.savez(tmp_path / "faces.npz", embeddings=embeddings[order], labels=labels[order])
    asked = ["--only", "verification", "--only", "retrieval", *FAST]
    first = run(faces, *asked, "--out", tmp_path / "one")
    second = run(tmp_path / "faces.npz", *asked, "--out", tmp_path / "two")
    assert first.exit_code == second.exit_code == 0
    one, two = (rows(results(tmp_path / name)) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for key, row in one.items():
        if key != "accuracy":  # draws its non-mated pairs
            assert two[key]["value"] == pytest.approx(row["value"], abs=1e-9), key


def test_failures_are_counted_and_named(tmp_path: Path) -> None:
    embeddings, labels, ids, _ = people()
    embeddings[3] = np.nan
    embeddings[50] = 0
    np.savez(tmp_path / "f.npz", embeddings=embeddings, labels=labels, ids=ids)
    result = run(tmp_path / "f.npz", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert ids[3] in result.stderr
    assert ids[50] in result.stderr
    found = results(tmp_path / "run")
    assert [failure["id"] for failure in found["input"]["failures"]] == [ids[3], ids[50]]
    every = rows(found)
    assert every["fta"]["value"] == 2 / 72
    tar = every["tar@fmr=0.1"]["counts"]
    # each lost picture loses five mated pairs
    missed = tar["mated"] - tar["accepted"] + 10
    assert every["frr@fmr=0.1"]["value"] == missed / 180


def test_a_list_of_pairs_has_its_own_folds(faces: Path, tmp_path: Path) -> None:
    lines = ["2\t3"]
    for fold in (0, 6):
        lines += [f"p{fold + i:02d}\t1\t{i + 2}" for i in range(3)]
        lines += [f"p{fold + i:02d}\t1\tp{fold + i + 1:02d}\t2" for i in range(3)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    result = run(faces, "--pairs", tmp_path / "pairs.txt", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    found = results(tmp_path / "run")
    assert (found["input"]["mated"], found["input"]["nonmated"]) == (6, 6)
    accuracy = rows(found)["accuracy"]
    assert accuracy["counts"]["folds"] == 2
    assert accuracy["counts"]["pairs"] == 12
    assert accuracy["label"] == "Accuracy, folds of the list"
    assert "identification" not in [section["key"] for section in found["sections"]]


def write_scores(path: Path, *, missing: int = 0) -> None:
    embeddings, labels, _, _ = people()
    scores = compare_all(embeddings, labels)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["score", "mated"])
        out.writerows([repr(float(score)), 1] for score in scores.mated)
        out.writerows([repr(float(score)), 0] for score in scores.nonmated)
        out.writerows([["nan", 1]] * missing)


def test_ready_made_scores_give_the_same_rates(
    finished: tuple[Result, Path], tmp_path: Path
) -> None:
    write_scores(tmp_path / "scores.csv", missing=20)
    result = run("--scores", tmp_path / "scores.csv", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    found, embedded = rows(results(tmp_path / "run")), rows(results(finished[1]))
    for key in ("eer", "auc", "tar@fmr=0.01", "min-cllr", "d-prime"):
        assert found[key]["value"] == pytest.approx(embedded[key]["value"], abs=1e-12)
    assert "independent" in found["tar@fmr=0.01"]["interval"]
    assert found["fta"]["counts"]["failed"] == 20
    counts = found["tar@fmr=0.01"]["counts"]
    assert found["frr@fmr=0.01"]["value"] == (180 - counts["accepted"] + 20) / 200


def test_two_lists_and_distances(tmp_path: Path) -> None:
    (tmp_path / "mated.txt").write_text("0.1\n0.3\n0.2\n")
    (tmp_path / "nonmated.txt").write_text("0.9\n0.25\n0.8\n0.7\n")
    lists = ["--scores", tmp_path / "mated.txt", "--scores", tmp_path / "nonmated.txt"]
    result = run(*lists, "--distances", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert rows(results(tmp_path / "run"))["auc"]["value"] == pytest.approx(11 / 12)


def test_two_models_are_compared_on_the_same_people(faces: Path, tmp_path: Path) -> None:
    embeddings, labels, ids, _ = people(seed=5, spread=0.6)
    order = np.random.default_rng(3).permutation(72)[:70]  # two pictures are missing, and order
    np.savez(tmp_path / "o.npz", embeddings=embeddings[order], labels=labels[order], ids=ids[order])
    result = run(faces, "--compare", tmp_path / "o.npz", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    found = results(tmp_path / "run")
    assert found["input"]["pictures"] == 70
    assert "2 pictures are not embedded in o.npz" in " ".join(found["input"]["notes"])
    compared = {row["key"]: row for row in found["comparison"]["rows"]}
    assert compared["eer"]["verdict"] == "lower"
    assert compared["eer"]["difference"] == compared["eer"]["value"] - compared["eer"]["other"] < 0
    assert compared["auc"]["verdict"] == "higher"
    kept = np.isin(people()[2], ids[order])
    alone = compare_all(people()[0][kept], labels[kept])
    truth = np.repeat([1, 0], [len(alone.mated), len(alone.nonmated)])
    auc = roc_auc_score(truth, np.concatenate([alone.mated, alone.nonmated]))
    assert compared["auc"]["value"] == pytest.approx(auc, abs=1e-12)


def test_groups_share_one_threshold(faces: Path, tmp_path: Path) -> None:
    result = run(faces, "--group", "sex", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "groups.png").is_file()
    groups = results(tmp_path / "run")["groups"]
    embeddings, labels, _, sex = people()
    for row in groups["rows"]:
        inside = compare_all(embeddings[sex == row["group"]], labels[sex == row["group"]])
        rates = {rate["key"]: rate["value"] for rate in row["rates"]}
        assert rates["fmr"] == (inside.nonmated >= groups["threshold"]).mean()
        assert rates["fnmr"] == (inside.mated < groups["threshold"]).mean()
        assert row["people"] == 6
    assert groups["rows"][0]["too_few"]
    assert "too few" in result.stdout


REFUSED = {
    "nothing named": ([], "expected a file of embeddings, or --scores"),
    "both named": (["FACES", "--scores", "x.csv"], "and not both"),
    "a pair list for scores": (["--scores", "x.csv", "--pairs", "y.txt"], "--pairs goes with"),
    "three lists": (["--scores", "a", "--scores", "b", "--scores", "c"], "first is mated, got 3"),
    "no distances": (["FACES", "--distances"], "--distances goes with --scores"),
    "no such file": (["absent.npz"], "absent.npz"),
    "no such column": (["FACES", "--group", "age"], "not 'age'; it has: sex"),
    "no such part": (["FACES", "--only", "magic"], "expected a part among verification"),
    "no rate": (["FACES", "--fmr", "1.5"], "between 0 and 1, not 1.5"),
    "nothing to normalise": (
        ["FACES", "--cohort", "COHORT", "--only", "retrieval"],
        "let verification or identification be done too",
    ),
    "one side to normalise": (
        ["FACES", "--cohort", "COHORT", "--only", "verification", "--normalise", "z"],
        "take s or as, list pairs with --pairs, or let identification be done too",
    ),
    "rates of no search": (["FACES", "--only", "retrieval", "--fpir", "0.2"], "--fpir is reported"),
    "rates of scores": (["--scores", "x.csv", "--fpir", "0.2"], "which --scores leaves out"),
    "a threshold of nothing": (
        ["FACES", "--only", "retrieval", "--threshold", "1"],
        "--threshold is",
    ),
    "saved scores": (["--scores", "x.csv", "--checkpoint", "c"], "--checkpoint goes with"),
    "a saved list": (["FACES", "--pairs", "p.csv", "--checkpoint", "c"], "beside --pairs"),
    "not a number": (["FACES", "--threshold", "nan"], "expected a finite threshold"),
    "the same file cut": (["CUT"], "cut.npz"),
    "one person": (["ONE"], "at least 2 people"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_one_sentence_and_leaves_nothing(
    case: str, faces: Path, tmp_path: Path
) -> None:
    arguments, message = REFUSED[case]
    (tmp_path / "cut.npz").write_bytes(faces.read_bytes()[:-200])
    np.savez(tmp_path / "one.npz", embeddings=np.eye(3), labels=["a"] * 3)
    others = np.random.default_rng(3).normal(size=(6, 16))
    np.savez(tmp_path / "cohort.npz", embeddings=others, labels=["x", "y", "z"] * 2)
    named = {
        "FACES": faces,
        **{f"{n}".upper(): tmp_path / f"{n}.npz" for n in ("cut", "one", "cohort")},
    }
    result = run(*(named.get(word, word) for word in arguments), "--out", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("odd")])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    error: OSError, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("recognition.cli.evaluation.save_curves", fail)
    result = run(faces, "--only", "retrieval", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"recognition: {error.strerror or 'odd'}; make room")
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_full_output_and_a_name_too_long_are_no_tracebacks(faces: Path, tmp_path: Path) -> None:
    code = "from recognition.cli import main; main()"
    asked = [sys.executable, "-c", code, "evaluate", str(faces), "--only", "retrieval", "--out"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*asked, str(tmp_path / "run")], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr
    result = run(faces, "--out", tmp_path / ("a" * 300))
    assert result.exit_code == 2
    assert "File name too long" in result.stderr


def test_small_data_leaves_out_parts_and_says_so(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 2)
    np.savez(tmp_path / "few.npz", embeddings=random.normal(size=(6, 8)), labels=labels)
    result = run(tmp_path / "few.npz", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    said = " ".join(results(tmp_path / "run")["input"]["notes"])
    assert "thresholds was left out" in said or "thresholds were left out" in said
    refused = run(tmp_path / "few.npz", "--only", "thresholds", *FAST, "--out", tmp_path / "no")
    assert refused.exit_code == 2


def test_hostile_names_reach_the_terminal_and_the_page_harmless(tmp_path: Path) -> None:
    embeddings, labels, ids, _ = people()
    names = np.array(["[/x] :smile:", "=a|b"])[(labels < "p06").astype(int)]
    embeddings[0] = np.nan
    ids = ids.astype("U40")
    ids[0] = "\x1b[31m|evil\n# heading"
    np.savez(tmp_path / "h.npz", embeddings=embeddings, labels=labels, ids=ids, team=names)
    result = run(tmp_path / "h.npz", "--group", "team", *FAST, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "[/x] :smile:" in result.stdout
    page = (tmp_path / "run" / "table.md").read_text()
    assert "\x1b" not in result.stdout + result.stderr + page
    assert "\n# heading" not in page


def test_help_tells_a_newcomer_what_to_give_it() -> None:
    asked = [sys.executable, "-c", "from recognition.cli import main; main()", "evaluate", "--help"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for word in ("faces.npz", "--pairs", "--scores", "--compare", "--group", "--json"):
        assert word in shown


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_a_bin_judges_its_own_pictures_without_labels(suffix: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    mated = np.tile([True, False], 60)
    first = random.normal(size=(120, 16))
    second = np.where(mated[:, None], first, random.normal(size=first.shape))
    both = np.stack([first, second], axis=1) + 0.6 * random.normal(size=(120, 2, 16))
    embeddings = both.reshape(-1, 16).astype(np.float32)
    embeddings[7] = np.nan
    path = tmp_path / f"faces.{suffix}"
    if suffix == "npz":
        np.savez(path, embeddings=embeddings)
    else:
        np.save(path, embeddings)
    pairs = write_bin(tmp_path / "lfw.bin", [b"-"] * 240, mated.tolist())
    result = run(path, "--pairs", pairs, "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 0, result.output
    found = results(tmp_path / "run")
    assert found["input"]["people"] is None
    assert found["input"]["pictures"] == 239
    assert "nobody knows who was compared" in found["input"]["notes"][-1]
    assert [one["id"] for one in found["input"]["failures"]] == ["7"]
    assert rows(found)["accuracy"]["counts"]["folds"] == 10
    assert rows(found)["fta"]["counts"] == {"failed": 1, "pairs": 120}
    refused = run(path, "--pairs", pairs, "--compare", path, "--out", tmp_path / "other")
    assert refused.exit_code == 2
    assert "a .bin does not know the people" in refused.stderr
    refused = run(path, "--out", tmp_path / "other")
    assert refused.exit_code == 2
    assert "label" in refused.stderr


def test_only_some_of_the_people_are_judged(faces: Path, tmp_path: Path) -> None:
    listing = tmp_path / "people.txt"
    listing.write_text("2\n2\np00\t6\np03\t6\n3\np04\t6\np11\t6\nnobody\t1\n")
    lost = tmp_path / "lost.npz"
    embeddings, labels, ids, _ = people()
    embeddings[[0, 12]] = 0  # p00, and p02, who is not in the list
    np.savez(lost, embeddings=embeddings, labels=labels, ids=ids)
    result = run(lost, "--people", listing, "--compare", faces, "--out", tmp_path / "a", *FAST)
    assert result.exit_code == 0, result.output
    found = results(tmp_path / "a")["input"]
    assert (found["people"], found["pictures"], len(found["failures"])) == (4, 23, 1)
    said = (
        "4 of 12 people of lost.npz were chosen by name (1 of the 5 named are not there): 24 of 72"
    )
    assert any(said in note for note in found["notes"])
    alone = tmp_path / "alone.npz"
    keep = np.isin(labels, ["p00", "p03", "p04", "p11"])
    np.savez(alone, embeddings=embeddings[keep], labels=labels[keep], ids=ids[keep])
    assert run(alone, "--compare", faces, "--out", tmp_path / "b", *FAST).exit_code == 0
    one, other = (rows(results(tmp_path / name)) for name in "ab")
    assert one == other
    assert (
        results(tmp_path / "a")["comparison"]["rows"]
        == results(tmp_path / "b")["comparison"]["rows"]
    )
    result = run(faces, "--people", f"{listing}:1", "--only", "verification", "--json", *FAST,
                 "--out", tmp_path / "c")  # fmt: skip
    assert json.loads(result.stdout)["input"]["people"] == 2
    result = run(faces, "--people", 5, "--seed", 2, "--only", "verification", "--json", *FAST,
                 "--out", tmp_path / "d")  # fmt: skip
    assert json.loads(result.stdout)["input"]["people"] == 5
    refused = run(faces, "--people", 3, "--pairs", listing, "--out", tmp_path / "e")
    assert refused.exit_code == 2
    assert "leave it out beside --pairs" in refused.stderr


def test_a_cohort_shows_what_normalised_scores_change(faces: Path, tmp_path: Path) -> None:
    embeddings, labels, _, _ = people(seed=3)
    other = tmp_path / "other.npz"
    np.savez(other, embeddings=embeddings, labels=np.char.add("other ", labels))
    only = ["--only", "verification", "--only", "identification", *FAST]
    result = run(faces, "--cohort", other, "--normalise", "s", "--out", tmp_path / "run", *only)
    assert result.exit_code == 0, result.output
    found = rows(results(tmp_path / "run"))
    assert found["normalised:eer"]["counts"]["raw"] == found["eer"]["value"]
    assert "minus raw" in result.stdout
    again = run(faces, "--cohort", faces, "--out", tmp_path / "again", *only)
    assert again.exit_code == 2
    assert "12 of its 12 people are evaluated too: 'p00'" in again.stderr
    alone = run(faces, "--normalise", "s", "--out", tmp_path / "again", *only)
    assert alone.exit_code == 2
    assert "go with --cohort" in alone.stderr
    wrong = run(faces, "--cohort", other, "--normalise", "q", "--out", tmp_path / "again", *only)
    assert wrong.exit_code == 2
    assert "among as" in wrong.stderr


def test_quality_is_a_column_or_the_norm(faces: Path, tmp_path: Path) -> None:
    only = ["--only", "verification", *FAST]
    out = tmp_path / "run"
    result = run(faces, "--quality", "norm", "--out", out, *only)
    assert result.exit_code == 0, result.output
    assert (out / "quality.png").stat().st_size > 10_000
    assert "the length of the embedding" in result.stdout
    unknown = run(faces, "--quality", "sharpness", "--out", tmp_path / "no", *only)
    assert unknown.exit_code == 2
    assert "--quality: expected a column" in unknown.stderr
    words = run(faces, "--quality", "sex", "--out", tmp_path / "no", *only)
    assert words.exit_code == 2
    assert "row 0 has 'f'" in words.stderr


def test_blufr_judges_by_its_own_trials(tmp_path: Path) -> None:
    from scipy.io import savemat

    embeddings, labels, ids, _ = people()
    np.savez(tmp_path / "lfw.npz", embeddings=embeddings, labels=labels, ids=ids)
    cells = np.empty((2, 1), object)
    parts = {name: cells.copy() for name in ("testIndex", "galIndex", "probIndex")}
    for trial in range(2):
        gallery = np.arange(4) * 6 + 1 + trial
        parts["testIndex"][trial, 0] = np.arange(1.0, 73)
        parts["galIndex"][trial, 0] = gallery
        parts["probIndex"][trial, 0] = np.setdiff1d(np.arange(1, 73), gallery)
    names = np.array([Path(each).name for each in ids], object).reshape(-1, 1)
    numbers = np.repeat(np.arange(1, 13), 6).reshape(-1, 1)
    savemat(tmp_path / "blufr.mat", {"imageList": names, "labels": numbers, **parts})
    given = [tmp_path / "lfw.npz", "--blufr", tmp_path / "blufr.mat"]
    result = run(*given, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert rows(results(tmp_path / "run"))["blufr:vr"]["counts"]["trials"] == 2
    assert "mean - sd" in result.stdout
    refused = run(*given, "--fmr", 0.01, "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "--blufr: expected no other option" in refused.stderr


def test_a_folder_of_megafaces_features_is_judged_among_distractors(tmp_path: Path) -> None:
    embeddings, labels, ids, _ = people()
    header = np.array([16, 1, 4, 5], "<i4").tobytes()
    for row, name in zip(embeddings, ids.tolist(), strict=True):
        path = tmp_path / "features" / f"{name}_net.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header + row.astype("<f4").tobytes())
    names = tmp_path / "list.json"
    names.write_text(json.dumps({"path": ids.tolist(), "id": labels.tolist()}))
    strangers = np.random.default_rng(1).normal(size=(50, 16))
    np.savez(tmp_path / "strangers.npz", embeddings=strangers, labels=np.arange(50))
    given = [tmp_path / "features", "--distractors", tmp_path / "strangers.npz", *FAST]
    only = ["--only", "retrieval"]
    result = run(*given, "--list", names, "--out", tmp_path / "run", *only)
    assert result.exit_code == 0, result.output
    found = rows(results(tmp_path / "run"))
    assert found["distractors:rank1@n=50"]["counts"]["queries"] == 12 * 6 * 5
    plain = run(*given, "--out", tmp_path / "plain", *only)
    assert plain.exit_code == 0, plain.output
    assert (
        rows(results(tmp_path / "plain"))["distractors:rank1@n=10"]
        == (found["distractors:rank1@n=10"])
    )
    astray = run(*given, "--distractors-list", names, "--out", tmp_path / "no")
    assert astray.exit_code == 2
    assert "--distractors-list: expected it beside a folder" in astray.stderr


def test_images_are_shown_where_their_folder_is_named(faces: Path, tmp_path: Path) -> None:
    _, _, ids, _ = people()
    for name in ids[1:]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (150, 100), (200, 40, 90)).save(tmp_path / name)
    only = ["--only", "verification", *FAST]
    shown = run(faces, "--include-images", tmp_path, "--out", tmp_path / "one", *only)
    assert shown.exit_code == 0, shown.output
    worst = results(tmp_path / "one")["sections"][0]["lists"]
    named = {name for each in worst for row in each["rows"] for name in row[:3:2]}
    page = (tmp_path / "one" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= len(named - {ids[0]}) > 10
    assert ("not shown" in shown.stderr) == (ids[0] in named)
    plain = run(faces, "--out", tmp_path / "two", *only)
    assert plain.exit_code == 0, plain.output
    assert "data:image/jpeg" not in (tmp_path / "two" / "report.html").read_text()
    assert "most alike: false matches?" in plain.stdout
    assert "least alike: misses?" in (tmp_path / "two" / "table.md").read_text()


def test_pictures_without_a_file_are_named_and_nothing_fails(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    options = ["--include-images", tmp_path / "empty", "--only", "verification", *FAST]
    found = run(faces, *options, "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert found.stderr.count("not shown 'p") == 10
    assert "more" in found.stderr


def test_images_are_refused_where_ids_are_no_paths(faces: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("score,mated\n1,1\n0,0\n")
    for given, said in (
        ((faces, "--include-images", faces), "expected a folder"),
        (("--scores", scores, "--include-images", tmp_path), "--scores has not"),
        ((faces, "--pairs", "lfw.bin", "--include-images", tmp_path), "a .bin has not"),
    ):
        refused = run(*given, "--out", tmp_path / "out")
        assert refused.exit_code == 2
        assert said in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_map_is_made_as_asked_and_what_it_cost_is_written(faces: Path, tmp_path: Path) -> None:
    for method in ("pca", "tsne", "none"):
        options = ["--map", method, "--only", "verification", *FAST, "--out", tmp_path / method]
        assert run(faces, *options).exit_code == 0
    made = {name: results(tmp_path / name) for name in ("pca", "tsne", "none")}
    assert made["none"]["map"] is None
    assert [made[name]["map"]["method"] for name in ("pca", "tsne")] == ["pca", "tsne"]
    assert made["pca"]["map"]["shown"] == 72
    assert made["pca"]["map"]["x"] != made["tsne"]["map"]["x"]
    assert made["pca"]["peak_gib"] > 0.01
    assert made["pca"]["system"]
    stages = made["tsne"]["stages"]
    assert set(stages) == {"verification", "t-SNE of the embeddings"}
    assert sum(stages.values()) <= made["tsne"]["seconds"] + 0.1
    assert (made["pca"]["input"]["fewer_than_2"], made["pca"]["input"]["fewer_than_5"]) == (0, 0)
    refused = run(faces, "--map", "umap", "--out", tmp_path / "out")
    assert (refused.exit_code, "pca, tsne, none" in refused.stderr) == (2, True)
