"""Everything a comparison found, as plain numbers and text: what `results.json` holds."""

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np
import torch

from recognition.datasets.health import health_of, shared_pictures
from recognition.datasets.pictures import Pictures
from recognition.evaluation import BINS, Estimate
from recognition.evaluation.findings import plain
from recognition.peak_memory import peak_gib
from recognition.training.head_comparison import Plan, Run, Task, paired_difference

BASELINE = "normface"
PACKAGES = ("margin-recognition", "numpy", "torch", "scipy", "scikit-learn", "faiss-cpu", "Pillow")


def describe(
    runs: Sequence[Run],
    plan: Plan,
    data: Sequence[Mapping[str, Any]],
    *,
    command: str,
    seconds: float,
) -> dict[str, Any]:
    """The whole of a comparison, ready for JSON.

    A head's `estimates` are means over the seeds, with the spread (standard deviation) between
    them; the ends of an interval are averaged alike. Each seed's own numbers are in `runs`.
    """
    heads = [_head([run for run in runs if run.asked == name]) for name in _names(runs)]
    return {
        "command": printable(command),
        "seconds": round(seconds, 1),
        "peak_gib": peak_gib(),
        "versions": versions(),
        "machine": machine(),
        "recipe": asdict(plan.recipe),
        "seeds": list(plan.seeds),
        "resamples": plan.replicates,
        "options_chosen": _chosen(plan),
        "data": list(data),
        "bins": BINS.round(4).tolist(),
        "heads": heads,
        "differences": _differences(runs),
    }


def _names(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.asked for run in runs))


def _chosen(plan: Plan) -> str:
    if plan.tune:
        return (
            f"chosen by equal error rate on {plan.tuning_share:.0%} of the people to learn from, "
            "held out for it"
        )
    return "found on the drawn faces; options given by hand are as given"


def _head(runs: Sequence[Run]) -> dict[str, Any]:
    names = runs[0].estimates
    return {
        "name": runs[0].asked,
        "settings": list(dict.fromkeys(run.head for run in runs)),
        "estimates": {name: _over_seeds([run.estimates[name] for run in runs]) for name in names},
        "seconds": float(np.mean([run.seconds for run in runs])),
        "runs": [_run(run) for run in runs],
    }


def _over_seeds(estimates: Sequence[Estimate]) -> dict[str, Any]:
    missing = [e for e in estimates if e.value is None]
    if missing:
        return {"value": None, "low": None, "high": None, "spread": None, "note": missing[0].note}
    values = [e.value for e in estimates if e.value is not None]
    return {
        "value": _mean(values),
        "low": _mean([e.low for e in estimates]),
        "high": _mean([e.high for e in estimates]),
        "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "note": next((e.note for e in estimates if e.note), None),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _run(run: Run) -> dict[str, Any]:
    curve = run.evaluation.curve
    return {
        "seed": run.seed,
        "head": run.head,
        "seconds": round(run.seconds, 2),
        "losses": [round(float(loss), 5) for loss in run.losses],
        "trials": [trial._asdict() for trial in run.trials],
        "estimates": {name: asdict(estimate) for name, estimate in run.estimates.items()},
        "curve": {"fmr": curve.fmr.tolist(), "fnmr": curve.fnmr.tolist()},
        "curves": plain(run.evaluation.curves),
        "operating": run.evaluation.operating,
        "mated": run.evaluation.mated.tolist(),
        "nonmated": run.evaluation.nonmated.tolist(),
        "seconds_a_step": run.seconds / max(1, len(run.losses)),
        "pictures_a_second": run.embedded,
        "worst": [_printable(plain(asdict(each))) for each in run.evaluation.worst],
        "map": None if run.map is None else _printable(plain(asdict(run.map))),
    }


def _differences(runs: Sequence[Run]) -> dict[str, Any] | None:
    """EER of every head less that of the baseline, paired by person and by seed."""
    names = _names(runs)
    baseline = next((name for name in names if re.split("[:+]", name)[0] == BASELINE), None)
    if baseline is None:
        return None
    against = {run.seed: run for run in runs if run.asked == baseline}
    rows = {}
    for name in names:
        if name != baseline:
            gaps = [paired_difference(run, against[run.seed]) for run in runs if run.asked == name]
            value, low, high = (float(mean) for mean in np.mean(gaps, axis=0))
            rows[name] = {"value": value, "low": low, "high": high}
    return {"metric": "eer", "baseline": baseline, "heads": rows}


def describe_data(task: Task, seed: int) -> dict[str, Any]:
    """Where the pictures come from, how many there are, and a hash of them."""
    skipped = dict.fromkeys([*task.learn.skipped, *task.test.skipped])
    notes = dict.fromkeys([*task.learn.notes, *task.test.notes])
    return {
        "seed": seed,
        "source": printable(task.test.source),
        "learn": _side(task.learn),
        "test": _side(task.test),
        "on_both_sides": shared_pictures(task.test, task.learn),
        "skipped": [entry._asdict() for entry in skipped],
        "notes": [printable(note) for note in notes],
    }


def printable(text: str) -> str:
    """Text that any file and terminal takes: what is no UTF-8 in a file name is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _printable(value: Any) -> Any:
    """The same with every name as any file takes it."""
    if isinstance(value, dict):
        return {key: _printable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_printable(entry) for entry in value]
    return printable(value) if isinstance(value, str) else value


def _side(pictures: Pictures) -> dict[str, Any]:
    digest = hashlib.sha256(pictures.images.tobytes())
    digest.update("\n".join(pictures.labels.tolist()).encode("utf-8", "surrogatepass"))
    return {
        "people": len(pictures.people),
        "pictures": len(pictures),
        "size": list(pictures.images.shape[1:3]),
        "sha256": digest.hexdigest(),
        **_printable(health_of(pictures)),
    }


def versions() -> dict[str, str]:
    """Of Python and of what the numbers come from."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """What was computed on."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
