"""What `recognition finetune` does, in order: read, learn and judge, write, show."""

import json
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import typer

from recognition.cli.console import (
    REPORT,
    bar,
    command_line,
    show_lines,
    show_run_folder,
    show_tables,
)
from recognition.cli.run_log import logged
from recognition.report.finetuning_tables import notes, tables, verdict
from recognition.report.html.finetuned import document
from recognition.report.html.render import render
from recognition.report.results_folder import check_free, run_folder
from recognition.report.text import legible
from recognition.training.finetune_results import describe, told
from recognition.training.finetuning import finetune
from recognition.training.projected_files import read_unprojected
from recognition.training.projection import save_projection
from recognition.training.projection_fit import ProjectionRecipe

RESAMPLES = 1000


def run_finetuning(
    path: Path, recipe: ProjectionRecipe, folder: Path, *, folds: int, seed: int, as_json: bool
) -> None:
    """Learn a projection, judge it, write the run folder, print.

    Raises:
        InputError: anything that cannot be; nothing has been written by then.
    """
    start = time.perf_counter()
    check_free(folder)
    table = read_unprojected(path)
    with run_folder(folder) as partial, logged(partial / "run.log"):
        done = finetune(
            table.embeddings,
            table.labels,
            recipe=recipe,
            folds=folds,
            seed=seed,
            replicates=RESAMPLES,
            contract=table.contract,
            watch=bar,
        )
        found = describe(done, table, recipe, seed=seed, resamples=RESAMPLES)
        found["input"]["source"] = legible(str(path))
        results = {
            "format": 1,
            "version": metadata.version("margin-recognition"),
            "command": legible(command_line()),
            "seconds": round(time.perf_counter() - start, 1),
            **found,
        }
        text = json.dumps(results, indent=1, allow_nan=False)
        (partial / "results.json").write_text(text + "\n", encoding="utf-8")
        (partial / REPORT).write_text(render(document(results)), encoding="utf-8")
        said = told(done, recipe, seed=seed, command=command_line())
        save_projection(
            partial / "projection.safetensors", replace(done.fitted.projection, told=said)
        )
    if as_json:
        typer.echo(text)
        return
    show_tables(tables(results))
    show_lines([*notes(results), "", *verdict(results), ""])
    show_run_folder(folder)
