"""Trains in children that are killed at random moments, until one comes to its end.

    python tests/training_worker.py RUN SECONDS KILLS SEED < a configuration in JSON

Prints how many were killed, how many steps the last checkpoint had at each, and what is then in
the folder. The imports are paid for once: each child is a fork.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork has no other threads than its own

from recognition.training.checkpoint import LAST, read_checkpoint
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.run import run_training


def child(config: TrainConfig, folder: Path) -> int:
    """The number of a child that trains, or goes on."""
    number = os.fork()
    if number:
        return number
    try:
        run_training(config, folder, resume=(folder / "config.toml").exists())
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> None:
    folder, seconds, kills, seed = Path(sys.argv[1]), *map(float, sys.argv[2:])
    config = changed(TrainConfig(), json.load(sys.stdin))
    moments = random.Random(int(seed))
    steps: list[int] = []
    while True:
        number = child(config, folder)
        if len(steps) < kills:
            time.sleep(moments.uniform(0, seconds))
        finished, status = os.waitpid(number, os.WNOHANG if len(steps) < kills else 0)
        if not finished:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            there = (folder / LAST).exists()
            steps.append(int(read_checkpoint(folder / LAST).told["step"]) if there else 0)
            continue
        if status:
            sys.exit(f"a child failed: {status}")
        break
    print(json.dumps({"killed_at": steps, "files": sorted(p.name for p in folder.iterdir())}))


if __name__ == "__main__":
    main()
