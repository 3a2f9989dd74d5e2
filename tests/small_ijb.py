"""A protocol of IJB's form with a handful of subjects, and its files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class SmallIjb(NamedTuple):
    """Faces of templates of subjects, as drawn; ids of templates are neither dense nor sorted."""

    names: list[str]
    templates: Array  # (N,) the id of each face's template
    media: Array
    scores: Array
    embeddings: Array  # (N, D) float32
    pairs: list[tuple[int, int, int]]
    subjects: dict[int, str]  # of each template
    galleries: dict[str, list[int]]
    probes: list[int]

    def files(self, name: str = "ijbc") -> dict[str, str]:
        """The text of each file, by its name."""
        faces = list(zip(self.names, self.templates.tolist(), strict=True))
        found = {
            f"{name}_face_tid_mid.txt": "".join(
                f"{face} {template} {media}\n"
                for (face, template), media in zip(faces, self.media.tolist(), strict=True)
            ),
            f"{name}_name_5pts_score.txt": "".join(
                f"{face} 30.5 51.7 65.5 51.5 48.0 71.7 33.5 92.4 62.7 92.2 {score}\n"
                for face, score in zip(self.names, self.scores.tolist(), strict=True)
            ),
            f"{name}_template_pair_label.txt": "".join(f"{a} {b} {c}\n" for a, b, c in self.pairs),
            f"{name}_1N_probe_mixed.csv": self._csv(faces, self.probes),
        }
        for gallery, templates in self.galleries.items():
            found[f"{name}_1N_gallery_{gallery}.csv"] = self._csv(faces, templates)
        return found

    def _csv(self, faces: list[tuple[str, int]], templates: list[int]) -> str:
        rows = [f"{t},{self.subjects[t]},img/{face}\n" for face, t in faces if t in templates]
        return "TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "".join(rows)

    def write(self, folder: Path, name: str = "ijbc") -> Path:
        """All files, in the folder `meta` of `folder`."""
        (folder / "meta").mkdir(parents=True, exist_ok=True)
        for file, text in self.files(name).items():
            (folder / "meta" / file).write_text(text)
        return folder


def small_ijb(subjects: int = 8, seed: int = 0, dim: int = 16) -> SmallIjb:
    """Half of the subjects in either gallery, two probes each, every probe against all enrolled."""
    random = np.random.default_rng(seed)
    ids = random.permutation(np.arange(3, 3 + 5 * subjects))[: 3 * subjects].tolist()
    enrolled, probes = ids[:subjects], ids[subjects:]
    named = {t: str(900 + i % subjects) for i, t in enumerate(ids)}
    owner = np.repeat(ids, random.integers(1, 5, len(ids)))
    owner = owner[random.permutation(len(owner))]
    centres = {name: random.normal(size=dim) for name in named.values()}
    directions = np.array([centres[named[t]] for t in owner.tolist()])
    rows = directions + 0.7 * random.normal(size=(len(owner), dim))
    pairs = [(a, b, int(named[a] == named[b])) for a in enrolled for b in probes]
    kept = [pair for pair in pairs if pair[2] or random.random() < 0.8]
    return SmallIjb(
        [f"{i + 1}.jpg" for i in range(len(owner))],
        owner,
        random.integers(0, 12, len(owner)),
        random.uniform(0.4, 1.0, len(owner)).round(4),
        (rows * random.uniform(1, 20, len(owner))[:, None]).astype(np.float32),
        [kept[i] for i in random.permutation(len(kept))],
        named,
        {"G1": enrolled[: subjects // 2], "G2": enrolled[subjects // 2 :]},
        probes,
    )
