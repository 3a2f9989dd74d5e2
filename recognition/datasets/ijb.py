"""IJB-B and IJB-C, by the files that insightface's evaluation reads: templates, pairs, galleries.

    meta/ijbc_face_tid_mid.txt          N.jpg template media         a line a face
    meta/ijbc_name_5pts_score.txt       N.jpg x1 y1 ... x5 y5 score  the same faces, in this order
    meta/ijbc_template_pair_label.txt   template template 0|1        who is compared in 1:1
    meta/ijbc_1N_gallery_G1.csv         TEMPLATE_ID,SUBJECT_ID,...   who is enrolled in 1:N, G2 too
    meta/ijbc_1N_probe_mixed.csv        TEMPLATE_ID,SUBJECT_ID,...   who is searched for

Any other set of the same form is read alike: the names of its files begin with its own.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, reason, shown
from recognition.datasets._ijb_faces import FACES, POINTS, IjbFaces, read_faces
from recognition.datasets._ijb_lines import Integers
from recognition.datasets._ijb_pairs import BY_FILES, BY_PAIRS, read_pair_list, subjects_of
from recognition.datasets._ijb_sets import named_subjects, read_sets
from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.protocols import Small, TemplatePairs, TemplateSet

__all__ = ["BY_FILES", "BY_PAIRS", "POINTS", "Ijb", "IjbFaces", "read_ijb"]

Names = npt.NDArray[np.str_]

PAIRS = "_template_pair_label.txt"
_SET = re.compile(r"(.+)_face_tid_mid\.txt")
_PUBLISHED = {"ijbb": (227_630, 8_010_270), "ijbc": (469_375, 15_658_489)}  # faces, pairs


@dataclass(frozen=True)
class Ijb:
    """A protocol of templates: 1:1 over listed pairs, and 1:N in one or two galleries.

    Attributes:
        name: what its files begin with, e.g. "ijbc".
        faces: which faces make up which template.
        templates: (T,) their numbers, ascending.
        subjects: (T,) the subject of each template, as a place in `people`.
        people: (C,) the names of the subjects.
        subjects_by: where they are known from, a sentence.
        pairs: who is compared with whom in 1:1.
        galleries: the galleries of 1:N, each searched apart; none without their files.
        probes: the templates that are searched for.
        notes: what is odd about the files, a sentence each.
    """

    name: str
    faces: IjbFaces
    templates: Integers
    subjects: Small
    people: Names
    subjects_by: str
    pairs: TemplatePairs
    galleries: tuple[TemplateSet, ...]
    probes: TemplateSet | None
    notes: tuple[str, ...] = ()


def read_ijb(folder: Path | str, *, watch: Watch = unwatched) -> Ijb:
    """The protocol in a folder, or in the folder `meta` in it.

    Every file is held against the others: faces with points are the same in the same order,
    templates that are compared or enrolled have faces, labels agree with the subjects. The 1:N
    files and that of points may be missing, the others may not. 16 million pairs take some five
    seconds, half a million faces as long.

    Raises:
        InputError: no such files or those of several sets, a line that does not fit, a file cut
            short, a template or a face that another file does not know, a pair that comes twice
            or is mated and not.
    """
    folder, name = _found(Path(folder))
    faces, numbers_of = read_faces(folder, name, watch)
    path = folder / f"{name}{PAIRS}"
    pairs = read_pair_list(path, numbers_of, watch)
    sets = read_sets(folder, name, numbers_of, watch)
    known = named_subjects(folder, sets, len(numbers_of))
    subjects, people, by = subjects_of(path, pairs, known, numbers_of)
    return Ijb(
        name,
        faces,
        numbers_of,
        subjects,
        people,
        by,
        pairs,
        tuple(one.set for one in sets if not one.searched),
        next((one.set for one in sets if one.searched), None),
        tuple(_counted(name, len(faces), len(pairs.first))),
    )


def _found(folder: Path) -> tuple[Path, str]:
    """The folder of the metadata, and what the names of its files begin with."""
    for place in (folder, folder / "meta"):
        try:
            names = sorted(one.name for one in place.iterdir()) if place.is_dir() else []
        except (OSError, ValueError) as error:
            raise InputError(
                f"expected a folder of IJB's metadata at {shown(folder)}, but {reason(error)}; "
                "check the path"
            ) from error
        sets = [match[1] for match in map(_SET.fullmatch, names) if match]
        if len(sets) > 1:
            raise InputError(
                f"expected the metadata of one set at {shown(place)}, got those of "
                f"{listed(sets)}; give each a folder of its own"
            )
        if sets:
            return place, sets[0]
    raise InputError(
        f"expected a folder of IJB's metadata at {shown(folder)}, but there is no "
        f"...{FACES} in it, nor in its folder meta; name the folder of IJB-B or of IJB-C"
    )


def _counted(name: str, faces: int, pairs: int) -> list[str]:
    published = _PUBLISHED.get(name.lower())
    if published is None or published == (faces, pairs):
        return []
    note = (
        f"{name} was published with {published[0]:,} faces and {published[1]:,} pairs, but these "
        f"files have {faces:,} and {pairs:,}: results are not comparable"
    )
    return [note]
