"""Every reader of numbers and names survives damage: a sentence, or what is sound.

The readers of pictures and of people have such a test beside their own laws. A text without a
checksum cannot tell a changed digit: what is checked is that the result is whole.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged, refused
from picture_files import write_bin
from safetensors.numpy import save_file

from recognition.datasets.embedding_files import EmbeddingFile, Failure, read_embeddings
from recognition.datasets.pair_lists import PairList, read_pairs
from recognition.datasets.score_files import ScoreFile, read_scores

N, D = 40, 7
MATRIX = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
LABELS = np.repeat([f"pérson {i}" for i in range(N // 4)], 4)
IDS = np.array([f"{label}/{label}_{i % 4 + 1:04d}.jpg" for i, label in enumerate(LABELS)])


def tried(path: Path, read: Callable[[], Any], sound: Callable[[Any], bool]) -> float:
    """The share of damaged versions that were refused, after each was refused or sound."""
    good = path.read_bytes()
    outcomes = []
    for _, raw in damaged(good):
        path.write_bytes(raw)
        outcomes.append(refused(read, sound))
    path.write_bytes(good)
    assert not refused(read, sound), "the undamaged one is read"
    return float(np.mean(outcomes))


# -- embeddings ------------------------------------------------------------------------------------


def sound_embeddings(found: EmbeddingFile) -> bool:
    rows = len(found)
    names = [*found.ids.tolist(), *(failure.id for failure in found.failures)]
    " ".join([*found.labels.tolist(), *names]).encode()  # text that a file can hold
    return (
        found.embeddings.ndim == 2
        and found.embeddings.dtype in (np.float16, np.float32, np.float64)
        and found.embeddings.shape[0] == len(found.labels) == len(found.ids) == rows > 0
        and bool(np.isfinite(found.embeddings).all())
        and bool(found.embeddings.any(axis=1).all())
        and bool((np.strings.str_len(np.strings.strip(found.labels)) > 0).all())
        and len(set(names)) == len(names)
        and all(len(texts) == rows for texts in found.columns.values())
    )


def save_npz(path: Path) -> None:
    np.savez(path, embeddings=MATRIX, labels=LABELS, ids=IDS)


def save_packed(path: Path) -> None:
    np.savez_compressed(path, embeddings=MATRIX, labels=LABELS, ids=IDS)


def save_numbers(path: Path) -> None:
    tensors = {"embeddings": MATRIX, "labels": np.arange(N) // 4}
    save_file(tensors, path)


def save_npy(path: Path) -> None:
    np.save(path, MATRIX)
    save_sidecar(path)


def save_tensors(path: Path) -> None:
    save_file({"embeddings": MATRIX}, path)
    save_sidecar(path)


def save_sidecar(path: Path) -> None:
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("label", "id"), *zip(LABELS, IDS, strict=True)])


def save_parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(MATRIX.ravel()), D)
    columns = {"embedding": vectors, "label": LABELS.tolist(), "id": IDS.tolist()}
    parquet.write_table(arrow.table(columns), path, write_page_checksum=True)


EMBEDDINGS = {
    "npz": (save_npz, "a.npz", "a.npz"),
    "packed npz": (save_packed, "a.npz", "a.npz"),
    "npy": (save_npy, "a.npy", "a.npy"),
    "csv beside npy": (save_npy, "a.npy", "a.csv"),
    "safetensors": (save_tensors, "a.safetensors", "a.safetensors"),
    "safetensors with labels": (save_numbers, "a.safetensors", "a.safetensors"),
    "csv beside safetensors": (save_tensors, "a.safetensors", "a.csv"),
    "parquet": (save_parquet, "a.parquet", "a.parquet"),
}


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_damaged_embeddings(kind: str, tmp_path: Path) -> None:
    save, read, hurt = EMBEDDINGS[kind]
    save(tmp_path / read)
    share = tried(tmp_path / hurt, lambda: read_embeddings(tmp_path / read), sound_embeddings)
    assert share > 0.4
    if kind in ("npz", "packed npz"):
        assert share > 0.8, "a zip has checksums"


# -- pairs -----------------------------------------------------------------------------------------


def sound_pairs(found: PairList) -> bool:
    both = np.stack([found.first, found.second])
    return (
        both.shape == (2, len(found.mated))
        and both.min() >= 0
        and both.max() < len(IDS)
        and bool((both[0] != both[1]).all())
        and 0 < found.mated.sum() < len(found.mated)
        and (found.folds is None or len(found.folds) == len(found.mated))
        and (found.anonymous or bool((found.mated == (LABELS[both[0]] == LABELS[both[1]])).all()))
        and min(found.failures) >= 0
    )


LFW = "2\t2\n" + "".join(
    f"{LABELS[a]}\t{a % 4 + 1}\t{b % 4 + 1}\n"
    if LABELS[a] == LABELS[b]
    else f"{LABELS[a]}\t{a % 4 + 1}\t{LABELS[b]}\t{b % 4 + 1}\n"
    for a, b in [(0, 1), (5, 6), (0, 9), (3, 30), (10, 11), (20, 23), (7, 31), (2, 22)]
)
PAIRS = "id1,id2,mated,fold\n" + "".join(
    f"{IDS[a]},{IDS[b]},{int(LABELS[a] == LABELS[b])},{fold}\n"
    for fold in (1, 2)
    for a, b in [(0, 1), (5, 6), (0, 9), (3, 30)]
)


@pytest.mark.parametrize(("name", "text"), [("pairs.txt", LFW), ("pairs.csv", PAIRS)])
def test_damaged_lists_of_pairs(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert tried(path, lambda: read_pairs(path, IDS, LABELS), sound_pairs) > 0.7


def test_damaged_pairs_of_a_bin(tmp_path: Path) -> None:
    path = write_bin(
        tmp_path / "lfw.bin", [b"picture %d" % i for i in range(N)], [True, False] * 10
    )
    failed = [Failure(str(N - 1), "", "NaN")]
    tried(path, lambda: read_pairs(path, np.arange(N - 1), None, failed=failed), sound_pairs)


# -- scores ----------------------------------------------------------------------------------------


def sound_scores(found: ScoreFile) -> bool:
    kinds = (found.mated, found.nonmated)
    known = found.people is not None
    if known:
        assert found.mated_person is not None
        assert found.nonmated_persons is not None
        assert found.mated_person.shape == found.mated.shape
        assert found.nonmated_persons.shape == (len(found.nonmated), 2)
        assert found.nonmated_persons.max() < len(found.people)
        assert (found.nonmated_persons[:, 0] != found.nonmated_persons[:, 1]).all()
    return (
        all(scores.ndim == 1 and len(scores) and np.isfinite(scores).all() for scores in kinds)
        and min(found.failures) >= 0
        and found.table().nonmated_count == len(found.nonmated)
    )


SCORES = np.random.default_rng(1).normal(size=30)
FOUR = "".join(
    f"p{i % 5} p{i % 5 if i % 2 else (i + 1) % 5} t{i} {score}\n" for i, score in enumerate(SCORES)
)
KINDS = "score,mated\n" + "".join(f"{score},{i % 2}\n" for i, score in enumerate(SCORES))
PEOPLE = "person1,person2,distance\n" + "".join(
    f"p{i % 5},p{i % 5 if i % 2 else (i + 1) % 5},{score if i % 7 else 'nan'}\n"
    for i, score in enumerate(SCORES)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", FOUR), ("a.csv", KINDS), ("b.csv", PEOPLE)],
    ids=["bob", "kinds", "people"],
)
def test_damaged_scores(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert tried(path, lambda: read_scores(path), sound_scores) > 0.4


def test_damaged_lists_of_scores(tmp_path: Path) -> None:
    mated, nonmated = tmp_path / "mated.txt", tmp_path / "nonmated.txt"
    for path, scores in ((mated, SCORES[:12] + 2), (nonmated, SCORES[12:])):
        path.write_text("".join(f"x {score}\n" for score in scores))
    assert tried(nonmated, lambda: read_scores((mated, nonmated)), sound_scores) > 0.4
