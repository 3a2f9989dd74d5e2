"""A training run in its folder: read, train, validate, save, and go on where it was stopped."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger

from recognition.evaluation import Estimate
from recognition.peak_memory import GIB, peak_gib
from recognition.progress import Advance, Watch, unwatched
from recognition.training.beginning import begun, codes_of
from recognition.training.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from recognition.training.comparison_results import machine, printable, versions
from recognition.training.config import TrainConfig, higher_is_better
from recognition.training.config_files import sections_of, write_config
from recognition.training.divided_classes import divide, own_rows, united
from recognition.training.engine import Engine, Report, make_fabric, ranks_of
from recognition.training.held_folder import check_new, hold
from recognition.training.last_words import speaking
from recognition.training.logs import CSV, lines_until, make_loggers
from recognition.training.monitor import Monitor, Seen, check_before
from recognition.training.ranks import is_first
from recognition.training.run_files import CONFIG, Run, read_config_of, save_weights_of
from recognition.training.run_report import RESULTS, write_report
from recognition.training.sets import Sets, digest_of, read_sets
from recognition.training.state import State, from_checkpoint, to_checkpoint
from recognition.training.stopping import Stopped, asked_to_stop
from recognition.training.supply import Supply
from recognition.training.validation import REPLICATES, embed_source, joined, judge
from recognition.whole_files import written_whole

FINAL_REPLICATES = 1000
SEEN = ("loss", "cosine", "gradient", "lr")  # of a line of log.csv
COLUMNS = ["step", *Report._fields[1:-1], "images_per_second", "validation"]
log = logging.getLogger(__name__)


def run_training(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    watch: Watch = unwatched,
    command: str = "",
) -> dict[str, Any]:
    """Train, or go on, and return what `results.json` then holds.

    A run that was stopped at any moment goes on from its last checkpoint, and ends with the
    parameters it would have had: on the same machine and data, with as many threads. Ctrl-C in the
    main thread of one process makes one after the step it is in.

    Under torchrun each process has a part of every batch and of the classes; the first of them
    writes, and returns the results, the others an empty dictionary. Another number of processes can
    go on with the run.

    Args:
        config: what to do; that of the run where it is resumed.
        folder: of the run; it must be new, or the run's to resume.
        resume: go on with the run that is there.
        start: another run, whose network and class rows this one begins with: who is known keeps
            the row and its momentum, who is new begins at the mean of their embeddings.
        watch: told how far each stage is.
        command: what was typed, to be kept with the results.

    Raises:
        InputError: input that cannot be used, before anything is written; training that runs away.
        OSError: no room; the last checkpoint is there still.
        Stopped: by Ctrl-C, with the steps so far saved.
    """
    began = time.perf_counter()
    watch = watch if is_first() else unwatched
    fabric = make_fabric(config.run)  # refuses a device that is not here
    with (
        torch.random.fork_rng(devices=[]),
        speaking(ranks_of(fabric)) as ranks,
        ExitStack() as held,
    ):
        folder = Path(ranks.told(str(folder)))
        if resume:
            read_config_of(folder)
        elif ranks.first:
            check_new(folder)
        sets = read_sets(config, watch)
        if resume:  # nobody else may go on meanwhile from what is read here
            hold(held, folder, ranks)
        state = begun(config, folder, sets, resume, start, str(fabric.device), ranks)
        divide(state, ranks)
        if not resume:
            hold(held, folder, ranks)
        run = _Run(config, folder, state, sets, fabric, watch)
        run.told = {
            "command": printable(command),
            "start": None if start is None else printable(str(start)),
            "resumed": state.step if resume else None,
        }
        run.begin(resume=resume)
        supply = Supply(
            sets.learn,
            codes_of(sets.learn, state.people),
            batch_size=config.run.batch_size,
            seed=config.run.seed,
            workers=config.data.workers,
            ranks=ranks,
        )
        supply.broken.update(state.broken)
        state.broken = supply.broken
        for note in (*sets.learn.notes, *supply.notes):
            log.info("%s", note)
        run.train(supply)
        return run.finish(supply, time.perf_counter() - began)


class _Run:
    """One process's part of a run: the steps it takes, and what it writes."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        state: State,
        sets: Sets,
        fabric: Fabric,
        watch: Watch,
    ) -> None:
        self.config, self.folder, self.state = config, folder, state
        self.sets, self.digest, self.watch = sets, digest_of(sets), watch
        self.engine = Engine(state, config, fabric)
        self.ranks = self.engine.ranks
        self.monitor = Monitor(state.head.num_classes)
        self.warnings: list[str] = []
        self.loggers: list[Logger] = []
        self.told: dict[str, Any] = {}  # how the run was begun

    def begin(self, *, resume: bool) -> None:
        """Write what a run begins with, and look at what it was before."""
        state, folder = self.state, self.folder
        if self.ranks.first:
            if not resume:
                check_new(folder)
            self.loggers = make_loggers(folder, COLUMNS, state.step)
        both = state.optimisers.backbone, state.optimisers.head
        for text in check_before(state.head, (state.backbone, state.head), both):
            self._warn(text)
        if not resume:
            self.save(LAST)
        if not self.ranks.first:
            return
        write_config(self.config, folder / CONFIG)
        for line in lines_until(folder / CSV, state.step, COLUMNS):  # what was seen before
            self.warnings += self.monitor.see(Seen(*(float(line[name]) for name in SEEN)))

    def train(self, supply: Supply) -> None:
        """All steps that are left."""
        state, run, each = self.state, self.config.run, self.config.optimiser.accumulate
        if state.step >= run.steps:
            return
        log.info("from step %d to %d, %d people", state.step, run.steps, len(state.people))
        batches = supply.from_(state.step * each)
        started, first = time.perf_counter(), state.step
        what = f"training after step {first:,}" if first else "training"
        with (
            self.watch(what, run.steps - first) as advance,  # and how long that takes
            self._stopping() as stopped,
        ):
            while state.step < run.steps:
                some = list(islice(batches, each))
                report = self.engine.step(some)
                speed = (state.step - first) * each * supply.size
                self._tell(report, speed / (time.perf_counter() - started), advance, first)
                stop = stopped()
                if stop or state.step % run.save_every == 0:
                    self.save(LAST)
                if stop:
                    raise Stopped(state.step)

    def _stopping(self) -> AbstractContextManager[Callable[[], bool]]:
        """Whether to stop after this step; several processes would not agree on one, and stop at once."""
        return asked_to_stop() if self.ranks.world == 1 else nullcontext(lambda: False)

    def _tell(self, report: Report, speed: float, advance: Advance, first: int) -> None:
        numbers = {**report._asdict(), "images_per_second": speed, "validation": np.nan}
        if self._validates(report.step):
            found = self._validate(REPLICATES)
            value = found[self.config.validation.metric].value if found else None
            numbers["validation"] = np.nan if value is None else value
        logged = {k: v for k, v in numbers.items() if k not in ("step", "skipped")}
        for logger in self.loggers:
            logger.log_metrics(logged, report.step)
        told = f"step {report.step}, loss {report.loss:.3f}, {speed:.0f} pictures/s"
        advance(report.step - first, told)
        if report.skipped and self.ranks.first:
            log.warning("step %d skipped: %s", report.step, report.skipped)
        for text in self.monitor.see(Seen(report.loss, report.cosine, report.gradient, report.lr)):
            self._warn(text)

    def _validates(self, step: int) -> bool:
        every = self.config.validation.every
        return bool(every) and step % every == 0 and step < self.config.run.steps

    def _validate(self, replicates: int) -> Mapping[str, Estimate]:
        """The numbers on people apart; the network is kept if it is the best yet."""
        state, metric = self.state, self.config.validation.metric
        found = self._judged(state, replicates)
        value = found[metric].value if found else None
        log.info("step %d: %s %s", state.step, metric, value)
        if not found:
            if self.ranks.first:
                log.warning(
                    "step %d: embeddings of the people apart are not finite, or 0, yet", state.step
                )
        elif value is None:
            people = len(np.unique(self.sets.validation.labels))
            self._warn(
                f"{metric} cannot be told by {len(self.sets.validation)} pictures of {people} "
                "people, so nothing is kept as the best; name another --metric, or more people"
            )
        better, old = higher_is_better(metric), state.best.get("value")
        if value is not None and (old is None or (value > old if better else value < old)):
            state.best = {"step": state.step, "metric": metric, "value": value}
            self.save(BEST)
        return found

    def _judged(self, state: State, replicates: int) -> Mapping[str, Estimate]:
        """On the first process, of pictures that each embeds a part of; all are told."""
        apart = self.sets.validation
        part = self.ranks.part(len(apart))
        with self.watch("validating", part.stop - part.start) as advance:
            own = embed_source(
                state.judged,
                apart,
                standardisation=self.engine.standardisation,
                workers=self.config.data.workers,
                places=range(part.start, part.stop),
                advance=advance,
            )
            embedded = joined(self.ranks.every(own))
            if embedded.broken:
                self._warn(
                    f"{len(embedded.broken)} of {len(apart)} pictures to validate on cannot be "
                    f"decoded, and are left out: {printable(embedded.broken[0])}"
                )
            found = judge(embedded, replicates=replicates) if self.ranks.first else {}
        return self.ranks.told(found)

    def save(self, name: str) -> None:
        """Write a checkpoint.

        Raises:
            InputError: weights that nobody should keep.
            OSError: no room; the file that was there is there still.
        """
        self.engine.require_finite()
        made = united(to_checkpoint(self.state, self.config), self.state, self.ranks)
        told = {**made.told, "data": self.digest}
        if self.ranks.first:
            write_checkpoint(self.folder / name, made._replace(told=told))
        self.ranks.wait()

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            if self.ranks.first:
                log.warning("%s", text)

    def finish(self, supply: Supply, seconds: float) -> dict[str, Any]:
        """Validate the last network, keep the best one's weights, and write what was found."""
        state, config = self.state, self.config
        last = self._validate(FINAL_REPLICATES)
        self.save(LAST)
        best, kept = last, LAST
        if state.best and state.best["step"] != state.step:
            kept = BEST
            checkpoint = read_checkpoint(self.folder / BEST, keep=own_rows(self.ranks))
            device = str(self.engine.fabric.device)
            state = from_checkpoint(checkpoint, config, device, ranks=self.ranks)
            best = self._judged(state, FINAL_REPLICATES)
        broken = {k: v for one in self.ranks.every(supply.broken) for k, v in one.items()}
        if not self.ranks.first:
            return {}
        save_weights_of(self.folder, Run(config, self._whole(kept, state)))
        left_out = dict.fromkeys([*self.sets.learn.skipped, *self.sets.validation.skipped])
        results = {
            **self.told,
            "config": sections_of(config),
            "people": len(self.state.people),
            "pictures": len(self.sets.learn),
            "validation": {"people": len(np.unique(self.sets.validation.labels)),
                           "pictures": len(self.sets.validation)},
            "source": printable(self.sets.learn.source),
            "notes": [printable(note) for note in (*self.sets.learn.notes, *supply.notes)],
            "data": self.digest,
            "steps": self.state.step,
            "skipped": self.state.skipped,
            "passed_over": [each._asdict() for each in left_out],
            "broken": [{"picture": printable(k), "reason": printable(v)}
                       for k, v in broken.items()],
            "processes": self.ranks.world,
            "best": self.state.best,
            "estimates": {name: asdict(each) for name, each in best.items()},
            "last_estimates": {name: asdict(each) for name, each in last.items()},
            "warnings": self.warnings,
            "seconds": round(seconds, 1),
            "peak_gib": peak_gib(),
            "peak_device_gib": self._on_device(),
            "versions": versions(),
            "machine": machine(),
        }  # fmt: skip
        with written_whole(self.folder / RESULTS) as file:
            file.write(json.dumps(results, indent=1, allow_nan=False).encode() + b"\n")
        write_report(self.folder, results)
        return results

    def _whole(self, name: str, state: State) -> State:
        """The state of this checkpoint with all classes."""
        if self.ranks.world == 1:
            return state
        return from_checkpoint(read_checkpoint(self.folder / name), self.config)

    def _on_device(self) -> float | None:
        """The most memory of a GPU that was taken, in GiB; None on other devices."""
        device = self.engine.fabric.device
        if device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(device) / GIB
