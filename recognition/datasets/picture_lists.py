"""A CSV that says where pictures are and who is on each."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._tables import csv_table, text_array
from recognition.datasets.decoding import side_lengths
from recognition.datasets.listings import Listing, read_listing
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError

PATH = ("path", "image_path", "img_path", "image", "img", "file", "filename", "file_name")
LABEL = ("label", "labels", "person", "identity", "name", "subject", "class")
_EXPECTED = "a CSV of pictures, with the columns path and label,"


def read_picture_list(
    path: Path | str,
    *,
    size: tuple[int, int] | int = 64,
    people: int | Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """The pictures in a CSV with the columns path and label (or image, file, ...; person, ...).

    Paths are relative to the folder that the CSV is in, and stay below it: one that is absolute
    or leads out of it by `..` is refused. Ids are the paths, in the order of the file. Pictures
    that are missing or cannot be decoded are listed in `skipped`.

    Args:
        path: the CSV.
        size: (height, width), or the side of a square.
        people: names, or how many people to draw at random; by default all are read.
        seed: of that draw.
        progress: called with the number of files done and the number of all, after each file.

    Raises:
        InputError: no such table, a picture without a label or in it twice, none that can be used,
            or more than fit in memory.
    """
    path = Path(path)
    sides = side_lengths(size)
    listing = list_table(path)
    found = read_listing(listing, sides, people=people, seed=seed, progress=progress)
    if not len(found):
        first = found.skipped[0]
        raise InputError(
            f"expected pictures as listed in {shown(path)}, but none of {len(found.skipped):,} can "
            f"be used ({listed([first.path])}: {first.reason}); paths are relative to the folder "
            "of the CSV"
        )
    return found


def list_table(path: Path) -> Listing:
    """The pictures in a CSV, none of them opened; see `read_picture_list`.

    Raises:
        InputError: no such table, or a picture without a label or in it twice.
    """
    require_file(path, _EXPECTED)
    with refusing(path, _EXPECTED, "write it again"):
        files, labels = _read(path)
    ids = text_array(path, "paths", files)
    return Listing(
        text_array(path, "labels", labels),
        ids,
        f"pictures listed in {shown(path)}",
        lambda place: path.parent / str(ids[place]),
    )


def _read(path: Path) -> tuple[list[str], list[str]]:
    table = csv_table(path)
    places = [table.place(path, names) for names in (PATH, LABEL)]
    one, two = places
    if one is None or two is None:
        raise InputError(
            f"{shown(path)}, line 1: expected the columns path and label (or {listed(PATH[1:], 3)} "
            f"and {listed(LABEL[2:], 3)}), got {listed(table.header, 20)}; rename them"
        )
    lines: dict[str, int] = {}
    labels: list[str] = []
    for block in table.blocks:
        rows = zip(block.columns[one], block.columns[two], strict=True)
        for line, (name, label) in enumerate(rows, block.line):
            _require_row(path, line, name, label)
            if lines.setdefault(str(_below(name)), line) != line:
                raise InputError(
                    f"{shown(path)}, line {line}: expected every picture once, but "
                    f"{listed([name])} is in line {lines[str(_below(name))]} too; remove one"
                )
            labels.append(label.strip())
    if not labels:
        raise InputError(f"{shown(path)}: expected pictures below the header, got none; add some")
    return list(lines), labels


def _below(name: str) -> PurePosixPath:
    return PurePosixPath(name.strip().replace("\\", "/"))


def _require_row(path: Path, line: int, name: str, label: str) -> None:
    if not name.strip() or not label.strip():
        raise InputError(
            f"{shown(path)}, line {line}: expected a path and a label, got {listed([name])} and "
            f"{listed([label])}; fill them in, or remove the line"
        )
    where = _below(name)
    leaves = ".." in where.parts or where.is_absolute() or PureWindowsPath(name.strip()).drive
    if leaves or "\0" in name:
        raise InputError(
            f"{shown(path)}, line {line}: expected a path below the folder of the CSV, got "
            f"{listed([name])}; put the CSV into a folder that holds the pictures, and write paths "
            "relative to it"
        )
