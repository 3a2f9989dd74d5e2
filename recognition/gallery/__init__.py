"""People who are enrolled: kept in SQLite, searched exactly, forgotten when they ask."""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.gallery.answers import (
        Answer,
        Candidate,
        OutgrownWarning,
        Person,
        Receipt,
        Stats,
        Threshold,
    )
    from recognition.gallery.calibration import calibrate
    from recognition.gallery.classifier import OpenSetClassifier
    from recognition.gallery.copying import export_gallery
    from recognition.gallery.damage import Finding, Repaired, check, repair
    from recognition.gallery.ingest import enroll_files
    from recognition.gallery.interface import Gallery
    from recognition.gallery.portable import export_people, import_people
    from recognition.gallery.store import FILE

_HOME = {
    "Answer": "answers",
    "Candidate": "answers",
    "FILE": "store",
    "Finding": "damage",
    "Gallery": "interface",
    "OpenSetClassifier": "classifier",
    "OutgrownWarning": "answers",
    "Person": "answers",
    "Receipt": "answers",
    "Repaired": "damage",
    "Stats": "answers",
    "Threshold": "answers",
    "calibrate": "calibration",
    "check": "damage",
    "enroll_files": "ingest",
    "export_gallery": "copying",
    "export_people": "portable",
    "import_people": "portable",
    "repair": "damage",
}

__all__ = [
    "FILE",
    "Answer",
    "Candidate",
    "Finding",
    "Gallery",
    "OpenSetClassifier",
    "OutgrownWarning",
    "Person",
    "Receipt",
    "Repaired",
    "Stats",
    "Threshold",
    "calibrate",
    "check",
    "enroll_files",
    "export_gallery",
    "export_people",
    "import_people",
    "repair",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
