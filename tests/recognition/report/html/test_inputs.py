"""Whatever evaluate and compare take: a page without an error, and nothing odd on it."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import needs_chromium, opened
from fuzz import SOAK
from picture_files import write_bin
from PIL import Image
from safetensors.numpy import save_file
from scipy.io import savemat
from small_ijb import small_ijb
from typer.testing import CliRunner

from margin_losses import MARGINS
from recognition.cli import app
from recognition.datasets.drawn import draw_faces
from recognition.evaluation.options import PARTS
from recognition.report.html.compared import document as compared
from recognition.report.html.evaluated import document as evaluated
from recognition.report.html.render import render

PEOPLE, PICTURES, WIDTH = 8, 4, 12
DOCUMENTS = {"evaluate": evaluated, "compare": compared}
MOST = 1_000_000
NO_NUMBER = re.compile(r"(?<![\w/.])(None(?! of )|nan|inf|Infinity|True|False(?! (alarm|match)))\b")
ONE_OF_MANY = re.compile(
    r"(?<![\d.,:])1 (people|pictures|strangers|searches|pairs|files|comparisons|enrolled people|"
    r"dimensions|false alarms|false matches)\b"
)
ODD = (
    "n" * 10_000, "שלום עולם", "👩‍👩‍👧‍👦 🎉", "\x1b[31m\x07", "a\u202eb\u2066", "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}", "</title></style>&amp;",
)  # fmt: skip
Arguments = list[object]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inputs")


def faces(seed: int = 0, spread: float = 0.8) -> tuple[Any, Any, Any]:
    """Embeddings of eight people with four pictures each, their labels and ids."""
    labels = np.repeat([f"p{k}" for k in range(PEOPLE)], PICTURES)
    centres = np.random.default_rng(7).normal(size=(PEOPLE, WIDTH)).repeat(PICTURES, axis=0)
    noise = np.random.default_rng(seed).normal(size=centres.shape)
    ids = np.array(
        [f"{label}/{label}_{n % PICTURES + 1:04d}.jpg" for n, label in enumerate(labels)]
    )
    return (centres + spread * noise).astype(np.float32), labels, ids


def saved(root: Path, name: str = "faces", **changed: Any) -> Path:
    """The file of the faces, with other columns, or more of them."""
    embeddings, labels, ids = faces()
    np.savez(root / name, **({"embeddings": embeddings, "labels": labels, "ids": ids} | changed))
    return root / f"{name}.npz"


def scores(root: Path, *, equal: bool = False) -> Arguments:
    mated, nonmated = ([1.0] * 3, [1.0] * 3) if equal else ([0.9, 0.8, 0.4], [0.1, 0.5, 0.2, 0.0])
    lines = [f"{score},1" for score in mated] + [f"{score},0" for score in nonmated] + ["nan,1"]
    (root / "scores.csv").write_text("\n".join(["score,mated", *lines]) + "\n")
    return ["--scores", root / "scores.csv"]


def two_lists(root: Path) -> Arguments:
    (root / "mated.txt").write_text("0.1\n0.3\n0.2\n")
    (root / "nonmated.txt").write_text("0.9\n0.25\n0.8\n0.7\n")
    return ["--scores", root / "mated.txt", "--scores", root / "nonmated.txt", "--distances"]


def lfw_pairs(root: Path) -> Arguments:
    lines = ["2\t2"]
    for fold in (0, 4):
        lines += [f"p{fold + k}\t1\t{k + 2}" for k in range(2)]
        lines += [f"p{fold + k}\t1\tp{fold + k + 1}\t2" for k in range(2)]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")
    return [saved(root), "--pairs", root / "pairs.txt"]


def listed_pairs(root: Path) -> Arguments:
    ids = faces()[2]
    rows = [(ids[one], ids[other]) for one, other in ((0, 1), (0, 8), (4, 5), (4, 13))]
    text = "\n".join(["id1,id2", *(f"{one},{other}" for one, other in rows)])
    (root / "pairs.csv").write_text(text + "\n")
    return [saved(root), "--pairs", root / "pairs.csv"]


def anonymous(root: Path) -> Arguments:
    mated = np.tile([True, False], 30)
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 60, WIDTH))
    second[mated] = first[mated] + 0.5 * second[mated]
    rows = np.stack([first, second], axis=1).reshape(-1, WIDTH)
    rows[7] = np.nan
    np.savez(root / "bin.npz", embeddings=rows.astype(np.float32))
    pairs = write_bin(root / "lfw.bin", [b"-"] * 120, mated.tolist())
    return [root / "bin.npz", "--pairs", pairs]


def ijb(root: Path) -> Arguments:
    protocol = small_ijb()
    np.savez(root / "ijb.npz", embeddings=protocol.embeddings)
    return [root / "ijb.npz", "--ijb", protocol.write(root / "ijbc")]


def blufr(root: Path) -> Arguments:
    cells = np.empty((2, 1), object)
    parts = {name: cells.copy() for name in ("testIndex", "galIndex", "probIndex")}
    every = np.arange(1, PEOPLE * PICTURES + 1)
    for trial in range(2):
        gallery = np.arange(4) * PICTURES + 1 + trial
        parts["testIndex"][trial, 0] = every.astype(float)
        parts["galIndex"][trial, 0] = gallery
        parts["probIndex"][trial, 0] = np.setdiff1d(every, gallery)
    names = np.array([Path(each).name for each in faces()[2]], object).reshape(-1, 1)
    labels = np.repeat(np.arange(1, PEOPLE + 1), PICTURES).reshape(-1, 1)
    savemat(root / "blufr.mat", {"imageList": names, "labels": labels, **parts})
    return [saved(root), "--blufr", root / "blufr.mat"]


def pooled(root: Path) -> Arguments:
    template = [f"{k // 2}" for k in range(PEOPLE * PICTURES)]
    media = [f"{k}" for k in range(PEOPLE * PICTURES)]
    path = saved(root, "pooled", template=template, media=media)
    return [path, "--templates", "template", "--media", "media"]


def grouped(root: Path) -> Arguments:
    labels = faces()[1]
    sizes = np.where(labels == "p0", "one of its kind", np.where(labels < "p4", "f", "m"))
    return [saved(root, "grouped", sex=sizes), "--group", "sex", "--only", "verification"]


def many_groups(root: Path) -> Arguments:
    people = np.repeat([f"q{k}" for k in range(300)], 2)
    rows = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    path = saved(root, "many", embeddings=rows, labels=people, ids=np.arange(600), team=people)
    return [path, "--group", "team", "--only", "verification"]


def other_model(root: Path) -> Arguments:
    other = saved(root, "other", embeddings=faces(3, 1.5)[0])
    return [saved(root), "--compare", other, "--only", "verification"]


def cohort(root: Path) -> Arguments:
    embeddings, labels, _ = faces(3)
    other = saved(root, "cohort", embeddings=embeddings, labels=np.char.add("other ", labels))
    return [saved(root), "--cohort", other, "--only", "verification"]


def distractors(root: Path) -> Arguments:
    rows = np.random.default_rng(1).normal(size=(50, WIDTH))
    np.savez(root / "strangers.npz", embeddings=rows, labels=np.arange(50))
    return [saved(root), "--distractors", root / "strangers.npz", "--only", "retrieval"]


def class_weights(root: Path) -> Arguments:
    rows = np.random.default_rng(1).normal(size=(PEOPLE, WIDTH)).astype(np.float32)
    names = json.dumps([f"p{k}" for k in range(PEOPLE)])
    save_file({"weight": rows}, root / "head.safetensors", {"people": names})
    return [saved(root), "--weights", root / "head.safetensors", "--only", "separability"]


def failing(root: Path, *, kept: int = 30) -> Arguments:
    rows = faces()[0]
    rows[np.arange(len(rows)) % (len(rows) // 4) >= kept // 4] = np.nan
    return [saved(root, f"failing{kept}", embeddings=rows)]


def first(root: Path, count: int) -> Arguments:
    """So many pictures of each of two people."""
    places = [*range(count), *range(PICTURES, PICTURES + count)]
    return [saved(root, f"two{count}", **dict(zip(("embeddings", "labels", "ids"),
            (each[places] for each in faces()), strict=True)))]  # fmt: skip


def placed(root: Path, rows: Any, name: str) -> Arguments:
    return [saved(root, name, embeddings=rows.astype(np.float32))]


def odd_names(root: Path) -> Arguments:
    labels = np.repeat(ODD, PICTURES)
    ids = np.array([f"{label}/{k}" for k, label in enumerate(labels)])
    path = saved(root, "odd", labels=labels, ids=ids, team=labels)
    return [path, "--group", "team"]


def tallied(root: Path) -> Arguments:
    path, *_, only, part = many_groups(root)
    return [path, only, part]


def lone_pictures(root: Path) -> Arguments:
    labels = faces()[1].astype("U8")
    labels[-1] = "lonely"
    return [saved(root, "lone", labels=labels), "--only", "neighbours"]


EVALUATED: dict[str, Callable[[Path], Arguments]] = {
    "all parts": lambda root: [saved(root)],
    **{f"only {part}": lambda root, part=part: [saved(root), "--only", part] for part in PARTS},  # type: ignore[misc]
    "scores": scores,
    "equal scores": lambda root: scores(root, equal=True),
    "two lists": two_lists,
    "pairs of LFW": lfw_pairs,
    "pairs as CSV": listed_pairs,
    "a .bin": anonymous,
    "IJB": ijb,
    "BLUFR": blufr,
    "templates": pooled,
    "groups": grouped,
    "300 groups": many_groups,
    "quality": lambda root: [saved(root), "--quality", "norm", "--only", "verification"],
    "cohort": cohort,
    "distractors": distractors,
    "class weights": class_weights,
    "another model": other_model,
    "some failed": failing,
    "most failed": lambda root: failing(root, kept=8),
    "two people": lambda root: first(root, 4),
    "two pictures of two": lambda root: first(root, 2),
    "all alike": lambda root: placed(root, np.ones((32, 4)), "alike"),
    "told apart": lambda root: placed(root, np.eye(8).repeat(4, 0), "apart"),
    "always wrong": lambda root: placed(root, np.tile(np.eye(4), (8, 1)), "wrong"),
    "odd names": odd_names,
    "a tally": tallied,
    "lone pictures": lone_pictures,
}  # fmt: skip


def drawn(root: Path, names: Callable[[str], str] = str, *, people: int = 8) -> Path:
    folder = root / f"{names('p000')[:20]} {people}".replace("/", "")
    found = draw_faces(people, 4, size=32)
    for image, label, name in zip(found.images, found.labels, found.ids, strict=True):
        path = folder / names(label) / f"{Path(name).name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def oddly(label: str) -> str:
    return ODD[1:][int(label[1:]) % 7].replace("/", "|") + label


def heads(*names: str) -> Arguments:
    return [each for name in names for each in ("--head", name)]


COMPARED: dict[str, Callable[[Path], Arguments]] = {
    "one head": lambda root: [drawn(root), *heads("normface")],
    "every head": lambda root: [drawn(root), *heads(*[*MARGINS][:: 1 if SOAK else 2])],
    "no baseline": lambda root: [drawn(root), *heads("arcface", "cosface"), "--map", "none"],
    "two settings": lambda root: [
        drawn(root), *heads("arcface:m=0.3,s=64+detached", "arcface:m=1.5,s=1000", "normface:s=1e-3"),
    ],
    "two seeds": lambda root: [drawn(root), *heads("normface", "arcface"), "--seeds", 2],
    "odd names": lambda root: [drawn(root, oddly), *heads("normface")],
}  # fmt: skip
INPUTS = [("evaluate", name) for name in EVALUATED] + [("compare", name) for name in COMPARED]


@pytest.fixture(scope="module", params=INPUTS, ids=" ".join)
def made(request: pytest.FixtureRequest, root: Path) -> tuple[str, str, Path]:
    """The run folder of an input, its verb and its name."""
    verb, name = request.param
    out = root / "runs" / f"{verb} {name}"
    given = (EVALUATED if verb == "evaluate" else COMPARED)[name](root)
    more: Arguments = ["--resamples", 20]
    if verb == "compare":
        more = ["--steps", 2, "--batch-size", 8]
    with pytest.MonkeyPatch.context() as patch:  # what is no part of the page is left out
        patch.setattr("recognition.cli.evaluation.save_curves", lambda *_: [])
        patch.setattr("recognition.cli.comparison.save_figures", lambda *_: None)
        if name == "a tally":
            patch.setattr("recognition.evaluation.task.EVERY_SCORE", 20_000)
        result = CliRunner().invoke(app, [verb, *map(str, [*given, *more, "--out", out])])
    assert result.exit_code == 0, result.output
    return verb, name, out


def text_of(page: str) -> str:
    """What a reader sees."""
    body = page.partition("<body>")[2].partition('<script type="application/json"')[0]
    body = re.sub(r"<svg.*?</svg>", " ", body, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_every_input_has_a_sensible_page(made: tuple[str, str, Path]) -> None:
    verb, name, out = made
    page = (out / "report.html").read_text(encoding="utf-8")
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    if name != "every head":  # takes seconds
        assert page == render(DOCUMENTS[verb](found))
    assert len(page.encode()) < MOST
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r' href="#([^"]*)"', page))
    assert wanted <= set(ids)
    text = text_of(page).replace("NaN", "")  # a reason of failures
    assert not NO_NUMBER.search(text), NO_NUMBER.search(text)
    assert not ONE_OF_MANY.search(text), ONE_OF_MANY.search(text)
    verdict = page.partition('class="verdict"')[2].partition("</section>")[0]
    sentences = re.findall(r"<p>(.*?)</p>", verdict)
    assert sentences
    assert re.search(r"\d|Nothing could be measured|No head is better", sentences[0])
    assert not sentences[0].startswith("Not resolved")
    assert ("--group COLUMN" in page) == (
        verb == "evaluate"
        and "groups" not in name
        and name
        not in {"scores", "equal scores", "two lists", "a .bin", "IJB", "BLUFR", "odd names"}
    )


def test_numbers_of_the_verdict_are_those_of_the_results(made: tuple[str, str, Path]) -> None:
    verb, _, out = made
    page = (out / "report.html").read_text(encoding="utf-8")
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    said = unescape(page.partition('class="verdict"')[2].partition("</section>")[0])
    if verb == "compare":
        lowest = min(head["estimates"]["eer"]["value"] for head in found["heads"])
        assert f"on people never seen in training: {lowest:.1%}" in said
        assert ("first seed" in page) == (len(found["seeds"]) > 1)
        curves = min(found["heads"], key=lambda head: head["estimates"]["eer"]["value"])
        curves = curves["runs"][0]["operating"]
    else:
        curves = {each["key"]: each["curves"].get("operating") for each in found["sections"]}
        if not curves.get("verification"):
            return
    threshold = float(re.search(r"At threshold (\S*\d)", said)[1])  # type: ignore[index]
    rates = curves["verification"]
    # told in four digits, which several thresholds may share
    beside = np.flatnonzero(np.isclose(rates["threshold"], threshold, rtol=1e-4, atol=1e-4))
    searched = curves.get("identification")
    name, what = ("fpir", "strangers") if searched else ("fmr", "pairs of two people")
    told = re.search(rf"(about [\d.,]+|none|all) of ([\d,]+) {what} ", said)
    assert told is not None
    count, many = told[1].split()[-1].replace(",", ""), int(told[2].replace(",", ""))
    share = (
        {"none": 0.0, "all": 1.0}.get(count) if count in ("none", "all") else float(count) / many
    )
    known = [(searched or rates)[name][at] for at in beside]
    assert any(share == pytest.approx(rate, rel=0.06) for rate in known)


def test_pictures_of_suspicions_are_shown_where_they_are_given(root: Path) -> None:
    out = root / "suspicions"
    given = [saved(root), "--only", "neighbours", "--resamples", 20, "--out", out]
    assert CliRunner().invoke(app, ["evaluate", *map(str, given)]).exit_code == 0
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    lists = {
        each["key"]: each
        for section in found["sections"]
        for each in section["lists"]
        if section["key"] == "neighbours"
    }
    lists["mislabelled"]["rows"] = [["a.png", "ann", "bob", 3.0, 0.1, 0.9]]
    lists["copies"]["rows"] = [["c.png", "eve", "d.png", "dan", 0.999]]
    for each in lists.values():
        each["total"] = len(each["rows"])
    page = render(evaluated(found, {"a.png": b"1", "c.png": b"2", "d.png": b"3"}))
    assert page.count("data:image/jpeg") == 3
    assert "ann, rather bob?" in page
    assert "data:image" not in render(evaluated(found))


@needs_chromium
@pytest.mark.slow
def test_a_browser_opens_every_page(root: Path) -> None:
    pages = sorted((root / "runs").glob("*/report.html"))
    assert len(pages) >= 1
    with opened(pages[0], width=320) as seen:
        for path in pages:
            seen.page.goto(path.resolve().as_uri())
            assert seen.page.evaluate("document.documentElement.scrollWidth") == 320, path
        assert not seen.complaints
        assert all(url.startswith("file:") for url in seen.requests)
