"""What `recognition detect` tells of a run."""

from collections.abc import Iterator
from typing import Any

from recognition.cli.console import show_json, show_lines, whole
from recognition.cli.embed_output import few
from recognition.faces.detection import MARKS, Detected, Found
from recognition.faces.score_text import written_score
from recognition.report.text import legible, several


def show(done: Detected, *, as_json: bool) -> None:
    """Print the summary, in sentences or as JSON."""
    if as_json:
        show_json(described(done))
    else:
        show_lines(sentences(done))


def described(done: Detected) -> dict[str, Any]:
    """Everything a program may want to know of a run."""
    return {
        "format": 1,
        "out": legible(str(done.folder)),
        "detector": done.detector,
        "size": done.size,
        "min_score": done.min_score,
        "photographs": done.photographs,
        "faces": [_face(found) for found in done.faces],
        "without_face": [skip._asdict() for skip in done.faceless],
        "skipped": [skip._asdict() for skip in done.skipped],
        "passed_over": done.passed_over,
    }


def sentences(done: Detected) -> Iterator[str]:
    """The summary for people."""
    certain = sum(found.certain for found in done.faces)
    cut = sum(bool(found.crop) for found in done.faces)
    yield ", ".join(
        several(count, of)
        for count, of in ((done.photographs, "photograph"), (certain, "face"), (cut, "crop"))
    )
    doubtful = [found for found in done.faces if not found.certain]
    how = "cropped as well" if any(found.crop for found in doubtful) else "not cropped"
    yield from few(
        f"doubtful, below {done.min_score:g}, {how}",
        [
            f"{whole(found.photo)}#{found.place}: {written_score(found.face.score)}"
            for found in doubtful
        ],
    )
    yield from few("without a certain face", [f"{whole(n)}: {why}" for n, why in done.faceless])
    yield from few("skipped", [f"{whole(name)}: {reason}" for name, reason in done.skipped])
    if done.passed_over:
        yield f"passed over {several(done.passed_over, 'file')}, hidden or not named as pictures are"
    yield f"Written to {whole(done.folder)}"


def _face(found: Found) -> dict[str, Any]:
    face = found.face
    return {
        "photo": found.photo,
        "place": found.place,
        "score": face.score,
        "certain": found.certain,
        "box": face.box.tolist(),
        "landmarks": dict(zip(MARKS, face.landmarks.tolist(), strict=True)),
        "crop": found.crop or None,
        "drawing": found.drawing,
    }
