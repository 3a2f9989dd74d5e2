"""How well embeddings separate people never seen in training, and search among them.

    found = recognition.evaluate(embeddings, labels)
    found["eer"].estimate                # value, 95 % interval, what it was counted from

Names are loaded when they are first used: `import recognition` is quick and needs neither torch
nor faiss.
"""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.cohorts import Normaliser
    from recognition.comparisons import ScoreLists, Scores, compare_all
    from recognition.comparisons.all_pairs import tally_all
    from recognition.comparisons.tally import Tally
    from recognition.contract import Contract
    from recognition.datasets.blufr import read_blufr
    from recognition.datasets.drawn import draw_faces
    from recognition.datasets.embedding_files import read_embeddings
    from recognition.datasets.folder import read_folder
    from recognition.datasets.ijb import Ijb, read_ijb
    from recognition.datasets.megaface import read_features
    from recognition.datasets.pair_lists import read_pairs
    from recognition.datasets.people_lists import PeopleList, read_people
    from recognition.datasets.pictures import Pictures
    from recognition.datasets.score_files import read_scores
    from recognition.datasets.sources import read_pictures
    from recognition.datasets.verification_sets import VerificationSet, read_verification
    from recognition.datasets.weight_files import read_weights
    from recognition.errors import InputError
    from recognition.evaluation import Estimate, Evaluation, evaluate_strangers
    from recognition.evaluation.blufr import evaluate_blufr
    from recognition.evaluation.distractors import Distractors
    from recognition.evaluation.everything import evaluate, evaluate_scores
    from recognition.evaluation.findings import Findings
    from recognition.evaluation.ijb import evaluate_ijb
    from recognition.evaluation.options import Options
    from recognition.evaluation.quality import Quality
    from recognition.evaluation.task import Grouping
    from recognition.faces.embedding import embed_folder
    from recognition.faces.face_file_reader import read_faces
    from recognition.faces.models.loading import load_embedder
    from recognition.faces.photos import find_photos, load_photo
    from recognition.gallery.answers import (
        Answer,
        Candidate,
        OutgrownWarning,
        Person,
        Receipt,
        Threshold,
    )
    from recognition.gallery.calibration import calibrate
    from recognition.gallery.classifier import OpenSetClassifier
    from recognition.gallery.copying import export_gallery
    from recognition.gallery.ingest import enroll_files
    from recognition.gallery.interface import Gallery
    from recognition.gallery.portable import export_people, import_people
    from recognition.metrics import angle_statistics, equal_error_rate, fnir_at_fpir, tar_at_fmr
    from recognition.metrics.thresholds import choose_threshold
    from recognition.protocols import open_set_split, split_people
    from recognition.search import find_neighbours, search_people
    from recognition.search.distractors import rank_among_distractors
    from recognition.templates import Pooling, Templates, pool_templates

_HOME = {
    "Answer": "gallery.answers",
    "Candidate": "gallery.answers",
    "Contract": "contract",
    "Distractors": "evaluation.distractors",
    "Estimate": "evaluation",
    "Evaluation": "evaluation",
    "Findings": "evaluation.findings",
    "Gallery": "gallery.interface",
    "Grouping": "evaluation.task",
    "Ijb": "datasets.ijb",
    "InputError": "errors",
    "Normaliser": "cohorts",
    "OpenSetClassifier": "gallery.classifier",
    "Options": "evaluation.options",
    "OutgrownWarning": "gallery.answers",
    "PeopleList": "datasets.people_lists",
    "Person": "gallery.answers",
    "Pictures": "datasets.pictures",
    "Pooling": "templates",
    "Quality": "evaluation.quality",
    "Receipt": "gallery.answers",
    "ScoreLists": "comparisons",
    "Scores": "comparisons",
    "Tally": "comparisons.tally",
    "Templates": "templates",
    "Threshold": "gallery.answers",
    "VerificationSet": "datasets.verification_sets",
    "angle_statistics": "metrics",
    "calibrate": "gallery.calibration",
    "choose_threshold": "metrics.thresholds",
    "compare_all": "comparisons",
    "draw_faces": "datasets.drawn",
    "embed_folder": "faces.embedding",
    "enroll_files": "gallery.ingest",
    "equal_error_rate": "metrics",
    "evaluate": "evaluation.everything",
    "evaluate_blufr": "evaluation.blufr",
    "evaluate_ijb": "evaluation.ijb",
    "evaluate_scores": "evaluation.everything",
    "evaluate_strangers": "evaluation",
    "export_gallery": "gallery.copying",
    "export_people": "gallery.portable",
    "find_neighbours": "search",
    "find_photos": "faces.photos",
    "fnir_at_fpir": "metrics",
    "import_people": "gallery.portable",
    "load_embedder": "faces.models.loading",
    "load_photo": "faces.photos",
    "open_set_split": "protocols",
    "pool_templates": "templates",
    "rank_among_distractors": "search.distractors",
    "read_blufr": "datasets.blufr",
    "read_embeddings": "datasets.embedding_files",
    "read_faces": "faces.face_file_reader",
    "read_features": "datasets.megaface",
    "read_folder": "datasets.folder",
    "read_ijb": "datasets.ijb",
    "read_pairs": "datasets.pair_lists",
    "read_people": "datasets.people_lists",
    "read_pictures": "datasets.sources",
    "read_scores": "datasets.score_files",
    "read_verification": "datasets.verification_sets",
    "read_weights": "datasets.weight_files",
    "search_people": "search",
    "split_people": "protocols",
    "tally_all": "comparisons.all_pairs",
    "tar_at_fmr": "metrics",
}

__all__ = [
    "Answer",
    "Candidate",
    "Contract",
    "Distractors",
    "Estimate",
    "Evaluation",
    "Findings",
    "Gallery",
    "Grouping",
    "Ijb",
    "InputError",
    "Normaliser",
    "OpenSetClassifier",
    "Options",
    "OutgrownWarning",
    "PeopleList",
    "Person",
    "Pictures",
    "Pooling",
    "Quality",
    "Receipt",
    "ScoreLists",
    "Scores",
    "Tally",
    "Templates",
    "Threshold",
    "VerificationSet",
    "angle_statistics",
    "calibrate",
    "choose_threshold",
    "compare_all",
    "draw_faces",
    "embed_folder",
    "enroll_files",
    "equal_error_rate",
    "evaluate",
    "evaluate_blufr",
    "evaluate_ijb",
    "evaluate_scores",
    "evaluate_strangers",
    "export_gallery",
    "export_people",
    "find_neighbours",
    "find_photos",
    "fnir_at_fpir",
    "import_people",
    "load_embedder",
    "load_photo",
    "open_set_split",
    "pool_templates",
    "rank_among_distractors",
    "read_blufr",
    "read_embeddings",
    "read_faces",
    "read_features",
    "read_folder",
    "read_ijb",
    "read_pairs",
    "read_people",
    "read_pictures",
    "read_scores",
    "read_verification",
    "read_weights",
    "search_people",
    "split_people",
    "tally_all",
    "tar_at_fmr",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
