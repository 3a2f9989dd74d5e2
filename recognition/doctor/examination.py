"""Every check, one after the other; none of them can stop the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import NamedTuple

from recognition.datasets._files import reason
from recognition.doctor.findings import Finding, broken
from recognition.errors import InputError
from recognition.progress import Watch, unwatched


class Check(NamedTuple):
    """A function that yields findings, by its module here and its name; imported when it runs."""

    module: str
    name: str

    def run(self) -> list[Finding]:
        """What it finds."""
        module = import_module(f"recognition.doctor.{self.module}")
        function: Callable[[], Iterable[Finding]] = getattr(module, self.name)
        return list(function())


CHECKS = (
    Check("packages", "python"),
    Check("packages", "libraries"),
    Check("packages", "extras"),
    Check("detection", "torch"),
    Check("detection", "torchvision"),
    Check("detection", "detector"),
    Check("weights", "home_folder"),
    Check("weights", "published"),
    Check("weights", "conversions"),
)


def examine(
    model: str | None = None, *, checks: Sequence[Check] = CHECKS, watch: Watch = unwatched
) -> Iterator[Finding]:
    """What each check finds; with a model, also whether it embeds.

    A check that breaks is a finding of its own. Nothing is downloaded, and without a model
    nothing is remembered or changed; a model is loaded as `recognition embed` loads it.
    """
    total = len(checks) + (model is not None)
    with watch("looking at this machine", total) as advance:
        for number, check in enumerate(checks, 1):
            yield from _safely(check.name, check.run)
            advance(number)
        if model is not None:
            yield from _safely("model", lambda: _embedding(model))
            advance(total)


def _embedding(model: str) -> list[Finding]:
    from recognition.doctor.weights import embedding

    return list(embedding(model))


def _safely(name: str, run: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return run()
    except InputError as error:  # a sentence with its own way out
        came, _, way_out = str(error).rpartition("; ")
        return [broken(name, came, way_out)]
    except Exception as error:  # a broken library may raise anything
        return [
            broken(
                name,
                f"the check itself failed, {type(error).__name__}: {reason(error)}",
                "pip install --force-reinstall margin-recognition",
            )
        ]
