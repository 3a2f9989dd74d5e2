"""What finetuning found, as plain numbers and text: `results.json`, and what the projection tells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from recognition.datasets.embedding_files import EmbeddingFile
from recognition.evaluation import Evaluation
from recognition.evaluation.uncertainty import middle
from recognition.report.text import legible
from recognition.training.finetuning import Finetuned, Fold, mean_eer
from recognition.training.projection_fit import Fitted, ProjectionRecipe


def describe(
    done: Finetuned, table: EmbeddingFile, recipe: ProjectionRecipe, *, seed: int, resamples: int
) -> dict[str, Any]:
    """The whole of it, ready for JSON; means are over the folds."""
    contract = table.contract
    return {
        "input": {
            "people": done.people,
            "pictures": len(table),
            "dimensions": int(table.embeddings.shape[1]),
            "failures": [failure._asdict() for failure in table.failures],
            "contract": None if contract is None else json.loads(contract.to_json()),
        },
        "recipe": {**asdict(recipe), "head": recipe.setting},
        "seed": seed,
        "resamples": resamples,
        "verdict": done.verdict,
        "difference": asdict(done.eer),
        "estimates": {
            "raw": _means([fold.raw for fold in done.folds]),
            "projected": _means([fold.projected for fold in done.folds]),
        },
        "folds": [_fold(fold) for fold in done.folds],
        "projection": {
            **_fitted(done.fitted),
            "dim": done.fitted.projection.dim,
            "identity": done.fitted.projection.is_identity,
        },
    }


def told(
    done: Finetuned, recipe: ProjectionRecipe, *, seed: int, command: str
) -> Mapping[str, Any]:
    """What goes with the projection into its file."""
    eer = done.eer
    return {
        "head": recipe.setting,
        "people": done.people,
        "steps": done.fitted.steps,
        "seed": seed,
        "command": legible(command),
        "verdict": done.verdict,
        "eer": {
            "projected": eer.value,
            "raw": eer.other,
            "difference": [eer.difference, eer.low, eer.high],
        },
    }


def _means(folds: Sequence[Evaluation]) -> dict[str, Any]:
    value, resamples = mean_eer(folds)
    low, high = middle(value, np.clip(resamples, 0, 1))
    found: dict[str, Any] = {}
    for key in folds[0].estimates:
        every = [one.estimates[key] for one in folds]
        values = [each.value for each in every if each.value is not None]
        note = next((each.note for each in every if each.note), None)
        mean = float(np.mean(values)) if len(values) == len(every) else None
        found[key] = {"value": mean, "low": None, "high": None, "note": note}
    found["eer"] |= {"value": value, "low": low, "high": high}
    return found


def _fold(fold: Fold) -> dict[str, Any]:
    return {
        "people": fold.people,
        "pictures": fold.pictures,
        "learned_from": fold.learned_from,
        **_fitted(fold.fitted),
        "raw": {key: asdict(each) for key, each in fold.raw.estimates.items()},
        "projected": {key: asdict(each) for key, each in fold.projected.estimates.items()},
    }


def _fitted(fitted: Fitted) -> dict[str, Any]:
    return {
        "steps": fitted.steps,
        "held_out": [{"steps": steps, "eer": rate} for steps, rate in fitted.held_out],
        "losses": [round(float(loss), 5) for loss in fitted.losses],
    }
