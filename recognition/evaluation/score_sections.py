"""Which sections a table of scores allows; what it is too small for becomes a note."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.errors import InputError
from recognition.evaluation.accuracy import accuracy_row, person_folds
from recognition.evaluation.calibration import calibrate
from recognition.evaluation.options import PARTS, Options, Part
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.thresholds import transfer_thresholds
from recognition.evaluation.verification import verify
from recognition.progress import Watch, unwatched


class Parts:
    """The sections that were asked for; what the data is too small for becomes a note."""

    def __init__(self, options: Options, notes: list[str], watch: Watch = unwatched) -> None:
        self.options = options
        self.notes = notes
        self.watch = watch

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
        marks: Iterable[float] = (),
    ) -> list[Section]:
        """What follows from a table of scores alone.

        `verification` and `accuracy` take the place of what is made of every score of the table,
        and of accuracy with folds by person. `marks` are thresholds to be on verification's grid.
        """
        sections: list[Section] = []
        options = self.options
        if "verification" in options.parts:  # never left out: without it there is no evaluation
            verified = verification or (lambda: verify(table, options, marks))
            sections.append(self._watched("verification", verified)())
        if accuracy is not None:
            self._with_accuracy(sections, accuracy)
        elif isinstance(table, Scores):
            self._with_accuracy(sections, lambda: self._accuracy(table))
        if isinstance(table, Scores):
            self._add(sections, "thresholds", lambda: transfer_thresholds(table, options))
        self._add(sections, "calibration", lambda: calibrate(table, options))
        return sections

    def _add(self, sections: list[Section], part: Part, make: Callable[[], Section]) -> None:
        self.add(sections, part, self._watched(part, make))

    def _watched(self, part: Part, make: Callable[[], Section]) -> Callable[[], Section]:
        """The same as one stage, which says nothing of how far it is."""

        def made() -> Section:
            with self.watch(part, 1) as advance:
                section = make()
                advance(1)
            return section

        return made

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
