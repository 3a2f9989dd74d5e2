"""One door: a folder, a .rec and a CSV of the same pictures are read as the same pictures."""

from pathlib import Path

import numpy as np
import pytest
from picture_files import encoded, insightface_payloads, write_bin, write_records

from recognition import Pictures, read_pictures
from recognition.datasets import choosing
from recognition.errors import InputError

PEOPLE = [1, 1, 2, 2, 3]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    pictures = [encoded(40 * shade, "PNG") for shade in range(5)]
    rows = ["path,label\n"]
    for number, (person, raw) in enumerate(zip(PEOPLE, pictures, strict=True)):
        path = tmp_path / "people" / str(person) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        rows.append(f"{path.relative_to(tmp_path)},{person}\n")
    (tmp_path / "list.CSV").write_text("".join(rows))
    (tmp_path / "records").mkdir()
    write_records(tmp_path / "records/train.rec", insightface_payloads(PEOPLE, pictures))
    return {
        "folder": tmp_path / "people",
        "csv": tmp_path / "list.CSV",
        "rec": tmp_path / "records/train.rec",
    }


def test_all_three_are_the_same_pictures(sources: dict[str, Path]) -> None:
    found = {kind: read_pictures(path, size=(8, 6)) for kind, path in sources.items()}
    for pictures in found.values():
        assert isinstance(pictures, Pictures)
        assert pictures.labels.tolist() == [str(person) for person in PEOPLE]
        assert np.array_equal(pictures.images, found["folder"].images)
        assert len(set(pictures.ids)) == 5


@pytest.mark.parametrize("kind", ["folder", "csv", "rec"])
def test_all_three_can_be_sampled_and_draw_the_same_people(
    kind: str, sources: dict[str, Path]
) -> None:
    seen: list[tuple[int, int]] = []
    found = read_pictures(
        str(sources[kind]), people=2, seed=3, progress=lambda *done: seen.append(done)
    )
    expected = read_pictures(sources["folder"], people=2, seed=3)
    assert found.people.tolist() == expected.people.tolist()
    assert "chosen at random (seed 3)" in found.notes[0]
    assert seen[-1] == (len(found), len(found))


def test_other_kinds_are_refused_with_the_way_out(sources: dict[str, Path], tmp_path: Path) -> None:
    write_bin(tmp_path / "lfw.bin", [encoded(1)] * 2, [True])
    np.savez(tmp_path / "faces.npz", embeddings=np.ones((2, 2)))
    (tmp_path / "faces.zip").write_bytes(b"PK")
    (tmp_path / "one.xyz").write_bytes(b"x")
    for name, way_out in {
        "lfw.bin": "does not know the people.*evaluate --pairs",
        "faces.npz": "judged by recognition evaluate",
        "faces.zip": "unpack it",
        "records/train.idx": "name the .rec file",
        "records": r"holds 'train.rec' and no folders of people; name that file",
        "people/1/0.png": "the folder that holds one folder a person",
        "one.xyz": "suffix '.xyz'; write such a CSV",
        "gone": "got nothing; check the path",
        "gone.rec": "no such file",
        "gone.csv": "no such file",
    }.items():
        with pytest.raises(InputError, match=way_out):
            read_pictures(tmp_path / name)


def test_a_container_has_less_memory_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(choosing, "_LIMIT", limit)
    machine = choosing.memory()
    assert machine > 2**28
    for text, expected in {"1048576\n": 2**20, "max\n": machine, f"{2**62}": machine}.items():
        limit.write_text(text)
        assert choosing.memory() == expected
