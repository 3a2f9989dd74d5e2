"""One door for pictures with people: a folder, a .rec file, or a CSV."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recognition.datasets._files import listed, shown
from recognition.datasets.folder import EXTENSIONS, read_folder
from recognition.datasets.picture_lists import read_picture_list
from recognition.datasets.pictures import Pictures
from recognition.datasets.record_pictures import read_records
from recognition.errors import InputError

_KNOWN = "a folder with one folder a person, a .rec file, or a .csv with the columns path and label"
_WAYS_OUT = {
    ".bin": "a .bin does not know the people on its pictures: embed those of read_verification and "
    "give it to recognition evaluate --pairs",
    ".idx": "name the .rec file beside it",
    ".lst": "name the .rec file that was made from it",
    **dict.fromkeys(
        (".npz", ".npy", ".parquet", ".safetensors"),
        "embeddings are judged by recognition evaluate",
    ),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z"), "unpack it, and name the folder"),
    **dict.fromkeys(EXTENSIONS, "name the folder that holds one folder a person"),
}


def read_pictures(
    path: Path | str,
    *,
    size: tuple[int, int] | int = 64,
    people: int | Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Pictures with the person on each: from a folder, a `.rec` file of MXNet, or a CSV.

    See `read_folder`, `read_records` and `read_picture_list`.

    Args:
        path: the folder or file.
        size: (height, width), or the side of a square.
        people: names, or how many people to draw at random; by default all are read.
        seed: of that draw.
        progress: called with the number done and the number of all, now and then.

    Raises:
        InputError: none of these, or one that cannot be used; or more than a quarter of the
            memory would hold.
    """
    path = Path(path)
    read = {"": read_folder, ".rec": read_records, ".csv": read_picture_list}[kind_of(path)]
    return read(path, size=size, people=people, seed=seed, progress=progress)


def kind_of(path: Path) -> str:
    """What pictures with people are in: nothing for a folder, else `.rec` or `.csv`.

    Raises:
        InputError: none of these.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        _require_no_records(path)
        return ""
    if suffix in (".rec", ".csv"):
        return suffix
    if not path.exists():
        raise InputError(f"expected {_KNOWN} at {shown(path)}, got nothing; check the path")
    raise InputError(
        f"expected {_KNOWN} at {shown(path)}, got a file with the suffix {listed([suffix])}; "
        + _WAYS_OUT.get(suffix, "write such a CSV, or sort the pictures into folders")
    )


def _require_no_records(folder: Path) -> None:
    """Refuse a folder that holds a .rec file and no people: insightface's sets come in one."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return  # whoever reads the folder says so
    records = sorted(entry.name for entry in entries if entry.suffix.lower() == ".rec")
    if records and not any(entry.is_dir() for entry in entries):
        raise InputError(
            f"expected {_KNOWN}, got the folder {shown(folder)}, which holds {listed(records)} and "
            "no folders of people; name that file"
        )
