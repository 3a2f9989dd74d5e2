"""Heads trained on one network: a run in a folder, heads compared, a projection learned."""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.training.config import TrainConfig
    from recognition.training.config_files import read_config, write_config
    from recognition.training.finetuning import Finetuned, finetune
    from recognition.training.head_comparison import Plan, Run, Task, compare, paired_difference
    from recognition.training.loop import Trained, embed, train
    from recognition.training.monitor import check_before
    from recognition.training.projection import Projection, read_projection, save_projection
    from recognition.training.recipe import Recipe
    from recognition.training.run import run_training
    from recognition.training.run_files import read_run
    from recognition.training.run_report import write_report

_HOME = {
    "Finetuned": "finetuning",
    "Plan": "head_comparison",
    "Projection": "projection",
    "Recipe": "recipe",
    "Run": "head_comparison",
    "Task": "head_comparison",
    "TrainConfig": "config",
    "Trained": "loop",
    "check_before": "monitor",
    "compare": "head_comparison",
    "embed": "loop",
    "finetune": "finetuning",
    "paired_difference": "head_comparison",
    "read_config": "config_files",
    "read_projection": "projection",
    "read_run": "run_files",
    "run_training": "run",
    "save_projection": "projection",
    "train": "loop",
    "write_config": "config_files",
    "write_report": "run_report",
}

__all__ = [
    "Finetuned",
    "Plan",
    "Projection",
    "Recipe",
    "Run",
    "Task",
    "TrainConfig",
    "Trained",
    "check_before",
    "compare",
    "embed",
    "finetune",
    "paired_difference",
    "read_config",
    "read_projection",
    "read_run",
    "run_training",
    "save_projection",
    "train",
    "write_config",
    "write_report",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
