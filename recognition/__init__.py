"""How well embeddings separate people never seen in training, and search among them.

    evaluation = recognition.evaluate_strangers(embeddings, labels)
    evaluation.estimates["eer"]          # value, 95 % interval, what it was counted from

Names are loaded when they are first used: `import recognition` is quick and needs neither torch
nor faiss.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recognition.comparisons import Scores, compare_all
    from recognition.datasets.drawn import draw_faces
    from recognition.datasets.folder import read_folder
    from recognition.datasets.pictures import Pictures
    from recognition.errors import InputError
    from recognition.evaluation import Estimate, Evaluation, evaluate_strangers
    from recognition.metrics import angle_statistics, equal_error_rate, fnir_at_fpir, tar_at_fmr
    from recognition.protocols import open_set_split, split_people
    from recognition.search import search_people

_HOME = {
    "Estimate": "evaluation",
    "Evaluation": "evaluation",
    "InputError": "errors",
    "Pictures": "datasets.pictures",
    "Scores": "comparisons",
    "angle_statistics": "metrics",
    "compare_all": "comparisons",
    "draw_faces": "datasets.drawn",
    "equal_error_rate": "metrics",
    "evaluate_strangers": "evaluation",
    "fnir_at_fpir": "metrics",
    "open_set_split": "protocols",
    "read_folder": "datasets.folder",
    "search_people": "search",
    "split_people": "protocols",
    "tar_at_fmr": "metrics",
}

__all__ = [
    "Estimate",
    "Evaluation",
    "InputError",
    "Pictures",
    "Scores",
    "angle_statistics",
    "compare_all",
    "draw_faces",
    "equal_error_rate",
    "evaluate_strangers",
    "fnir_at_fpir",
    "open_set_split",
    "read_folder",
    "search_people",
    "split_people",
    "tar_at_fmr",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'recognition' has no attribute {name!r}")
    return getattr(import_module(f"recognition.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
