"""Readers of pictures, embeddings, scores and lists: folders, drawn faces, files of other programs."""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.datasets.blufr import read_blufr
    from recognition.datasets.drawn import Variation, draw_faces
    from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
    from recognition.datasets.fetchers import fetch_lfw, fetch_olivetti
    from recognition.datasets.folder import read_folder
    from recognition.datasets.ijb import Ijb, read_ijb
    from recognition.datasets.megaface import read_features
    from recognition.datasets.pair_lists import PairList, read_pairs
    from recognition.datasets.people_lists import PeopleList, read_people
    from recognition.datasets.pictures import Pictures, Skipped
    from recognition.datasets.score_files import ScoreFile, read_scores
    from recognition.datasets.sources import read_pictures
    from recognition.datasets.verification_sets import VerificationSet, read_verification
    from recognition.datasets.weight_files import ClassWeights, read_weights

_HOME = {
    "ClassWeights": "weight_files",
    "EmbeddingFile": "embedding_files",
    "Ijb": "ijb",
    "PairList": "pair_lists",
    "PeopleList": "people_lists",
    "Pictures": "pictures",
    "ScoreFile": "score_files",
    "Skipped": "pictures",
    "Variation": "drawn",
    "VerificationSet": "verification_sets",
    "draw_faces": "drawn",
    "fetch_lfw": "fetchers",
    "fetch_olivetti": "fetchers",
    "read_blufr": "blufr",
    "read_embeddings": "embedding_files",
    "read_features": "megaface",
    "read_folder": "folder",
    "read_ijb": "ijb",
    "read_pairs": "pair_lists",
    "read_people": "people_lists",
    "read_pictures": "sources",
    "read_scores": "score_files",
    "read_verification": "verification_sets",
    "read_weights": "weight_files",
}

__all__ = [
    "ClassWeights",
    "EmbeddingFile",
    "Ijb",
    "PairList",
    "PeopleList",
    "Pictures",
    "ScoreFile",
    "Skipped",
    "Variation",
    "VerificationSet",
    "draw_faces",
    "fetch_lfw",
    "fetch_olivetti",
    "read_blufr",
    "read_embeddings",
    "read_features",
    "read_folder",
    "read_ijb",
    "read_pairs",
    "read_people",
    "read_pictures",
    "read_scores",
    "read_verification",
    "read_weights",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
