"""What is asked of `recognition evaluate`, and which of its options go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recognition.errors import InputError
from recognition.evaluation.options import Options
from recognition.metrics.normalisation import known_method
from recognition.templates import Pooling


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated; embeddings or scores, never both."""

    embeddings: Path | None
    pairs: Path | None
    scores: Sequence[Path]
    distances: bool
    compare: Path | None
    group: str | None
    checkpoint: Path | None
    options: Options
    people: str | None = None
    names: Path | None = None
    distractors: Path | None = None
    distractors_list: Path | None = None
    blufr: Path | None = None
    quality: str | None = None
    cohort: Path | None = None
    normalise: str | None = None
    cohort_top: int | None = None
    weights: Path | None = None
    ijb: Path | None = None
    templates: str | None = None
    media: str | None = None
    weight: str | None = None
    pooling: Sequence[str] = ()
    images: Path | None = None

    def __post_init__(self) -> None:
        self._check_source()
        given = self._of_embeddings()
        if self.scores and given:
            raise InputError(f"{', '.join(given)} goes with embeddings, not with --scores")
        if self.distances and not self.scores:
            raise InputError("--distances goes with --scores")
        self._check_protocols(given)
        self._check_companions()
        self._check_templates()
        self._check_reported()

    def _check_source(self) -> None:
        if (self.embeddings is None) == (not self.scores):
            raise InputError(
                "expected a file of embeddings, or --scores, and not both; "
                "try: recognition evaluate faces.npz"
            )
        if len(self.scores) > 2:
            raise InputError(
                "--scores: expected one file, or two lists of which the first is mated, got "
                f"{len(self.scores)}"
            )

    def _of_embeddings(self) -> list[str]:
        """The options given that only embeddings can have."""
        options = {
            "--pairs": self.pairs,
            "--compare": self.compare,
            "--group": self.group,
            "--checkpoint": self.checkpoint,
            "--people": self.people,
            "--weights": self.weights,
            "--cohort": self.cohort,
            "--quality": self.quality,
            "--distractors": self.distractors,
            "--blufr": self.blufr,
            "--ijb": self.ijb,
            "--templates": self.templates,
            "--media": self.media,
            "--weight": self.weight,
        }
        return [name for name, value in options.items() if value is not None]

    def _check_protocols(self, given: Sequence[str]) -> None:
        """What says itself what is compared goes with nothing that says so, too."""
        if self.ijb is not None and len(given) > 1:
            raise InputError(
                "--ijb says itself what is compared, and how pictures are pooled: leave out "
                f"{_without('--ijb', given)}"
            )
        if self.blufr is not None and (len(given) > 1 or not self._judged_as_usual):
            raise InputError(
                "--blufr: expected no other option of what to judge, which its protocol fixes, got "
                f"{_without('--blufr', given) or 'rates or parts'} too; evaluate once with and once "
                "without it"
            )
        if self.pairs is not None and self.people is not None:
            raise InputError("--people chooses among all pictures; leave it out beside --pairs")
        by_person = [name for name in given if name not in ("--pairs", "--checkpoint")]
        if self.anonymous and by_person:
            raise InputError(
                f"{', '.join(by_person)} is judged by person, and a .bin does not know the people; "
                "write its pairs into a CSV and labels into the file of embeddings"
            )

    def _check_companions(self) -> None:
        """Options that say more of another one, which has to be there."""
        for option, path, names in (
            ("--list", self.embeddings, self.names),
            ("--distractors-list", self.distractors, self.distractors_list),
        ):
            if names is not None and (path is None or not path.is_dir()):
                raise InputError(
                    f"{option}: expected it beside a folder of MegaFace's feature files, got "
                    f"{path or 'none'}; a file of embeddings has its own labels"
                )
        if self.weights is not None and (
            self.pairs is not None or "separability" not in self.options.parts
        ):
            raise InputError(
                "--weights adds to separability, which is of all pictures; leave out --pairs, and "
                "name --only separability if parts are named"
            )
        if self.images is not None:
            self._check_images(self.images)
        if self.cohort is None and (self.normalise or self.cohort_top):
            raise InputError("--normalise and --cohort-top go with --cohort")
        known_method(self.normalise or "as")

    def _check_images(self, folder: Path) -> None:
        """Pictures are found by their ids."""
        without = {"--scores": self.scores, "--ijb": self.ijb, "--blufr": self.blufr,
                   "--templates": self.templates}  # fmt: skip
        named = [name for name, value in without.items() if value]
        if named or self.anonymous:
            raise InputError(
                f"--include-images: expected embeddings whose ids are paths of pictures, which "
                f"{named[0] if named else 'a .bin'} has not; leave out one of them"
            )
        if not folder.is_dir():
            raise InputError(
                f"--include-images: expected a folder, got {folder}; name the one that the ids "
                "are paths below"
            )

    def _check_templates(self) -> None:
        columns = {"--media": self.media, "--weight": self.weight}
        named = [name for name, value in columns.items() if value is not None]
        if self.templates is None and (named or (self.pooling and self.ijb is None)):
            raise InputError(
                f"{', '.join(named or ['--pooling'])} goes with --templates, the column that says "
                "which pictures are pooled into one"
            )
        Pooling.of(self.pooling)

    def _check_reported(self) -> None:
        """Rates and files that nothing would come of."""
        listed = "--scores" if self.scores else "--pairs" if self.pairs else None
        parts, usual = self.options.parts, Options()
        if self.checkpoint is not None and listed:
            raise InputError(f"--checkpoint is of all pairs; leave it out beside {listed}")
        if self.options.fpir != usual.fpir and (listed or "identification" not in parts):
            raise InputError(
                f"--fpir is reported by identification, which {listed or '--only'} leaves out; "
                "leave out one of them"
            )
        if self.options.thresholds and "verification" not in parts:
            raise InputError(
                "--threshold is reported by verification, which --only leaves out; add --only "
                "verification"
            )

    @property
    def anonymous(self) -> bool:
        """Whether only the pairs, those of a .bin, know which pictures show one person."""
        return self.pairs is not None and self.pairs.suffix.lower() == ".bin"

    @property
    def _judged_as_usual(self) -> bool:
        """Whether no rates, thresholds or parts were asked for."""
        asked, usual = self.options, Options()
        return all(
            tuple(getattr(asked, name)) == tuple(getattr(usual, name))
            for name in ("fmr", "fpir", "thresholds", "parts")
        )

    @property
    def source(self) -> str:
        """The file or files, for people."""
        return " and ".join(str(path) for path in (self.embeddings, *self.scores) if path)

    @property
    def title(self) -> str:
        """The names of the files, without their folders."""
        return " and ".join(path.name for path in (self.embeddings, *self.scores) if path)

    @property
    def name(self) -> str:
        """For the run folder."""
        return (self.embeddings or self.scores[0]).stem or "evaluation"


def _without(name: str, given: Sequence[str]) -> str:
    return ", ".join(other for other in given if other != name)
