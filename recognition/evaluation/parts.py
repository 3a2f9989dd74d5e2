"""Which sections a table of scores allows; what it is too small for becomes a note."""

from collections.abc import Callable
from dataclasses import replace

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.errors import InputError
from recognition.evaluation.accuracy import accuracy_row, person_folds
from recognition.evaluation.calibration import calibrate
from recognition.evaluation.options import PARTS, Options, Part
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.thresholds import transfer_thresholds
from recognition.evaluation.verification import verify


class Parts:
    """The sections that were asked for; what the data is too small for becomes a note."""

    def __init__(self, options: Options, notes: list[str]) -> None:
        self.options = options
        self.notes = notes

    def add(self, sections: list[Section], part: Part, make: Callable[[], Section]) -> None:
        """Make a section if its part was asked for; refuse only if it was asked for by name."""
        if part not in self.options.parts:
            return
        try:
            sections.append(make())
        except InputError as error:
            if tuple(self.options.parts) != PARTS:
                raise
            self.notes.append(f"{part} was left out: {error}")

    def of_scores(
        self,
        table: ScoreLists,
        *,
        verification: Callable[[], Section] | None = None,
        accuracy: Callable[[], Row] | None = None,
    ) -> list[Section]:
        """What follows from a table of scores alone.

        `verification` and `accuracy` take the place of what is made of every score of the table,
        and of accuracy with folds by person.
        """
        sections: list[Section] = []
        options = self.options
        if "verification" in options.parts:  # never left out: without it there is no evaluation
            sections.append(verification() if verification else verify(table, options))
        if accuracy is not None:
            self._with_accuracy(sections, accuracy)
        elif isinstance(table, Scores):
            self._with_accuracy(sections, lambda: self._accuracy(table))
        if isinstance(table, Scores):
            self.add(sections, "thresholds", lambda: transfer_thresholds(table, options))
        self.add(sections, "calibration", lambda: calibrate(table, options))
        return sections

    def _accuracy(self, table: Scores) -> Row:
        label = "Accuracy, folds by person"
        return accuracy_row(person_folds(table, seed=self.options.seed), label)

    def _with_accuracy(self, sections: list[Section], accuracy: Callable[[], Row]) -> None:
        if not sections:
            return
        try:
            sections[0] = replace(sections[0], rows=(*sections[0].rows, accuracy()))
        except InputError as error:
            self.notes.append(f"accuracy was left out: {error}")
