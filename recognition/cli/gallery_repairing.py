"""What `gallery check` and `gallery repair` do, in order."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from recognition.cli.console import SAYS_NO, bar, show_json, show_lines
from recognition.cli.gallery_people import crowd
from recognition.errors import InputError
from recognition.gallery.damage import Finding, check, repair
from recognition.gallery.labelled import contract_of
from recognition.gallery.milvus_address import is_milvus
from recognition.report.text import legible


def run_check(where: str, *, as_json: bool) -> None:
    """Tell what is wrong, and leave with exit code 1 if anything is.

    Raises:
        InputError: the gallery is on Milvus.
    """
    _require_folder(where)
    findings = check(where, watch=bar)
    if as_json:
        show_json({"format": 1, "findings": [asdict(one) for one in findings]})
    elif findings:
        show_lines(_sentences(findings))
        show_lines([_way_out(findings, where)])
    else:
        show_lines(["Nothing is wrong: every record and every file is as it was written"])
    if findings:
        raise typer.Exit(SAYS_NO)


def run_repair(where: str, into: Path, *, like: Path | None, as_json: bool) -> None:
    """Save what is sound, and tell what was wrong.

    Raises:
        InputError: the gallery is on Milvus.
    """
    _require_folder(where)
    done = repair(where, into, contract=contract_of(like) if like else None, watch=bar)
    if as_json:
        told = {"people": done.people, "samples": done.samples, "into": str(into)}
        show_json({"format": 1, **told, "findings": [asdict(one) for one in done.findings]})
        return
    show_lines(_sentences(done.findings))
    show_lines([f"Saved {crowd(done.people, done.samples)}"])
    typer.echo(f"Written to {legible(str(into))}; {legible(where)} is as it was")


def _require_folder(where: str) -> None:
    if is_milvus(where):
        raise InputError(
            "expected a gallery in a folder, whose files can be looked at, got one on Milvus; its "
            "server checks what it keeps"
        )


def _sentences(findings: Iterable[Finding]) -> Iterator[str]:
    for one in findings:
        yield legible(str(one)) + (" (lost)" if one.lost else "")


def _way_out(findings: Iterable[Finding], where: str) -> str:
    if all(one.where == "cache" for one in findings):
        return "Nobody is lost: the cache is made again when the gallery is next opened"
    return f"Save the rest with recognition gallery repair {legible(where)} NEW"
