"""Python and the libraries, against the ranges this package was installed with."""

import sys
from collections.abc import Iterator
from importlib import metadata
from shlex import quote

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from recognition.doctor.findings import PACKAGE, Finding, broken, missing, works

FACENET = "facenet-pytorch"
NOT_FOR_USERS = {"dev", "all"}


def python() -> Iterator[Finding]:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    if version in SpecifierSet(wanted):
        yield works("Python", version)
    else:
        yield broken(
            "Python",
            f"{version}, but {wanted} is needed",
            f"python3 -m venv new && new/bin/pip install {PACKAGE}",
        )


def libraries() -> Iterator[Finding]:
    """Every library that is needed, present in a version that is known to do."""
    wanted = [each for each in _requirements() if _applies(each, "")]
    problems = [problem for each in wanted if (problem := _problem(each))]
    for each, came in problems:
        yield broken(
            each.name, f"{came}, but {each.specifier or 'any version'} is needed", _install(each)
        )
    good = len(wanted) - len(problems)
    yield works("libraries", f"{good} of {len(wanted)} needed are here in the right versions")


def extras() -> Iterator[Finding]:
    """What can be added, and whether it is there; the extra that brings all where several lack."""
    lacks = []
    for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or []:
        if extra in NOT_FOR_USERS:
            continue
        own = [each for each in _requirements() if not _applies(each, "") and _applies(each, extra)]
        lacking = [f"{each.name} ({problem[1]})" for each in own if (problem := _problem(each))]
        about = f"extra {extra}"
        if lacking:
            lacks.append(extra)
            yield missing(about, f"without {', '.join(lacking)}", _add(extra))
        else:
            yield works(about, ", ".join(f"{each.name} {_version(each)}" for each in own))
    if len(lacks) > 1:
        yield missing("extra all", f"brings {', '.join(lacks)} at once", _add("all"))


def _add(extra: str) -> str:
    return f"pip install {quote(f'{PACKAGE}[{extra}]')}"


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(PACKAGE) or []]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _version(requirement: Requirement) -> str | None:
    try:
        return metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None


def _problem(requirement: Requirement) -> tuple[Requirement, str] | None:
    """What is here instead of what is needed."""
    version = _version(requirement)
    if version is None:
        return requirement, "not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return requirement, f"{version} is installed"


def _install(requirement: Requirement) -> str:
    # its release 2.6.0 asks for a torch of 2024, and 2.5.3 for nothing that could be in the way
    alone = "--no-deps " if requirement.name == FACENET else ""
    return f"pip install {alone}{quote(f'{requirement.name}{requirement.specifier}')}"
