"""`recognition train`: train one network with one head, from a file of settings or from options."""

import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recognition.cli.completion import BACKBONES, HEADS, among
from recognition.cli.console import (
    INTERRUPTED,
    bar,
    command_line,
    show_json,
    show_lines,
    show_run_folder,
    shown_warnings,
    spoken_errors,
    whole,
)
from recognition.errors import InputError
from recognition.report.text import legible
from recognition.training.config import CHOICES, DEFAULTS

if TYPE_CHECKING:
    from recognition.training.config import TrainConfig

LEARN = "What to learn from"
PANELS = {
    "data": LEARN,
    "model": "Network and head",
    "optimiser": "Optimiser",
    "schedule": "Learning rate over time",
    "augment": "Small random changes of the pictures",
    "validation": "Validation, on people who are not learned from",
    "run": "Run",
}
OUTPUT = "Settings and output"
VALIDATIONS = 5  # of a run, where nothing else is asked for
NAMES = {"model.backbone": BACKBONES, "model.head": HEADS, **CHOICES}


def setting(
    key: str, flag: str, metavar: str | None, told: str, *, default: str | None = None
) -> Any:
    """An option for one value of a configuration, which tells its default."""
    value = DEFAULTS[key]
    numbers = value if isinstance(value, tuple) else (value,)
    shown = ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in numbers)
    return typer.Option(
        flag,
        metavar=metavar,
        autocompletion=among(NAMES[key]) if key in NAMES else None,
        rich_help_panel=PANELS[key.partition(".")[0]],
        help=f"{told}  [default: {shown if default is None else default}]",
    )


def train(
    context: typer.Context,
    data_pictures: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            rich_help_panel=LEARN,
            show_default=False,
            help="A folder with one folder a person, a .rec of MXNet as insightface has them, or a "
            ".csv with the columns path and label. Without it, faces are drawn.",
        ),
    ] = None,
    data_validation: Annotated[
        str | None,
        setting(
            "data.validation",
            "--validate",
            "DATA",
            "Pictures of other people to validate on, in any of these forms.",
            default="--validation-share of the people of DATA",
        ),
    ] = None,
    data_validation_share: Annotated[
        float | None,
        setting(
            "data.validation_share",
            "--validation-share",
            "SHARE",
            "So many of the people are kept apart and validated on, where there is no --validate.",
        ),
    ] = None,
    data_people: Annotated[
        int | None,
        setting(
            "data.people",
            "--people",
            "N",
            "Use so many people only, drawn at random by --seed; of --validate so many, too.",
            default="all",
        ),
    ] = None,
    model_backbone: Annotated[
        str | None,
        setting(
            "model.backbone",
            "--backbone",
            "NAME",
            "The network that turns a picture into an embedding: small, inception_resnet_v1, ...; "
            "a name that there is not lists those there are.",
        ),
    ] = None,
    model_head: Annotated[
        str | None,
        setting(
            "model.head",
            "--head",
            "HEAD",
            "The loss it learns by, with its scale and margin, e.g. arcface:m=0.5,s=64 or cosface; "
            "what options leave out is the paper's. python -m margin_losses lists them all.",
        ),
    ] = None,
    model_sample_rate: Annotated[
        float | None,
        setting(
            "model.sample_rate",
            "--sample-rate",
            "SHARE",
            "Each step is over this share of the people, drawn at random; for so many people that "
            "the class weights are too large. 1 is over all.",
        ),
    ] = None,
    optimiser_name: Annotated[
        str | None,
        setting(
            "optimiser.name",
            "--optimiser",
            "sgd|adamw",
            "How parameters are changed; adamw wants --lr 0.001 or so.",
        ),
    ] = None,
    optimiser_lr: Annotated[
        float | None,
        setting("optimiser.lr", "--lr", "RATE", "The highest learning rate."),
    ] = None,
    optimiser_head_lr: Annotated[
        float | None,
        setting(
            "optimiser.head_lr", "--head-lr", "RATE", "That of the head.", default="that of --lr"
        ),
    ] = None,
    optimiser_momentum: Annotated[
        float | None,
        setting("optimiser.momentum", "--momentum", "X", "How much of a step goes on in the next."),
    ] = None,
    optimiser_weight_decay: Annotated[
        float | None,
        setting(
            "optimiser.weight_decay",
            "--weight-decay",
            "X",
            "How strongly the network's weights are drawn to 0; norms and biases are not.",
        ),
    ] = None,
    optimiser_head_weight_decay: Annotated[
        float | None,
        setting(
            "optimiser.head_weight_decay", "--head-weight-decay", "X", "The same for the head."
        ),
    ] = None,
    optimiser_clip: Annotated[
        float | None,
        setting(
            "optimiser.clip",
            "--clip",
            "NORM",
            "A longer gradient of the network is cut to this length; 0 never to.",
        ),
    ] = None,
    optimiser_accumulate: Annotated[
        int | None,
        setting(
            "optimiser.accumulate",
            "--accumulate",
            "N",
            "Batches a step, their gradients averaged; for larger batches than the memory holds.",
        ),
    ] = None,
    optimiser_ema: Annotated[
        float | None,
        setting(
            "optimiser.ema",
            "--ema",
            "X",
            "Keep and validate the network's average over the steps, of which this much stays at "
            "each, e.g. 0.999; 0 for the network itself.",
        ),
    ] = None,
    optimiser_catch_up: Annotated[
        bool | None,
        setting(
            "optimiser.catch_up",
            "--catch-up/--no-catch-up",
            None,
            "With --sample-rate: people whom a step is not over decay and drift on with their "
            "momentum all the same, as if it were over all.",
            default="no-catch-up",
        ),
    ] = None,
    schedule_name: Annotated[
        str | None,
        setting(
            "schedule.name",
            "--schedule",
            "NAME",
            "How the learning rate falls after the warm-up: constant (not at all), steps, cosine or "
            "polynomial.",
        ),
    ] = None,
    schedule_warmup: Annotated[
        float | None,
        setting(
            "schedule.warmup", "--warmup", "SHARE", "Share of the steps over which it rises first."
        ),
    ] = None,
    schedule_milestones: Annotated[
        str | None,
        setting(
            "schedule.milestones",
            "--milestones",
            "SHARE,...",
            "Of the schedule steps: after which shares of all steps it falls.",
        ),
    ] = None,
    schedule_factor: Annotated[
        float | None,
        setting("schedule.factor", "--factor", "X", "Of steps: it is multiplied by this there."),
    ] = None,
    schedule_power: Annotated[
        float | None,
        setting(
            "schedule.power",
            "--power",
            "X",
            "Of polynomial: it goes with this power of the share of steps that is left.",
        ),
    ] = None,
    augment_mirror: Annotated[
        bool | None,
        setting(
            "augment.mirror",
            "--mirror/--no-mirror",
            None,
            "Mirror half of the pictures; not for letters.",
            default="mirror",
        ),
    ] = None,
    augment_turn: Annotated[
        float | None,
        setting("augment.turn", "--turn", "ANGLE", "Turn by up to this angle, in radians."),
    ] = None,
    augment_zoom: Annotated[
        float | None,
        setting("augment.zoom", "--zoom", "SHARE", "Change the size by up to this share."),
    ] = None,
    augment_shift: Annotated[
        float | None,
        setting("augment.shift", "--shift", "SHARE", "Shift by up to this share of the side."),
    ] = None,
    augment_light: Annotated[
        float | None,
        setting(
            "augment.light",
            "--light",
            "SHARE",
            "Change brightness and contrast by up to this share.",
        ),
    ] = None,
    validation_every: Annotated[
        int | None,
        setting(
            "validation.every",
            "--validate-every",
            "N",
            "Steps from one validation to the next; 0 for the end alone.",
            default=f"a fifth of the steps, {DEFAULTS['validation.every']} at most",
        ),
    ] = None,
    validation_metric: Annotated[
        str | None,
        setting(
            "validation.metric",
            "--metric",
            "NAME",
            "The network that is best by this number is kept: eer, auc, rank1, tar@fmr=0.01, "
            "fnir@fpir=0.01, ...",
        ),
    ] = None,
    run_steps: Annotated[
        int | None,
        setting("run.steps", "--steps", "N", "How often parameters are changed."),
    ] = None,
    run_batch_size: Annotated[
        int | None,
        setting("run.batch_size", "--batch-size", "N", "Pictures a batch."),
    ] = None,
    run_seed: Annotated[
        int | None,
        setting(
            "run.seed", "--seed", "N", "Decides whatever is drawn: the same seed, the same network."
        ),
    ] = None,
    run_save_every: Annotated[
        int | None,
        setting(
            "run.save_every",
            "--save-every",
            "N",
            "Steps from one checkpoint to the next, from which --resume goes on.",
        ),
    ] = None,
    run_device: Annotated[
        str | None,
        setting("run.device", "--device", "NAME", "Where to train: cpu, cuda, cuda:1 or mps."),
    ] = None,
    run_precision: Annotated[
        str | None,
        setting(
            "run.precision",
            "--precision",
            "32|bf16",
            "bf16 is faster on devices that have it, and rounds more.",
        ),
    ] = None,
    data_workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            rich_help_panel=PANELS["run"],
            help=f"Threads that read and decode pictures.  [default: {DEFAULTS['data.workers']}]",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE.toml",
            rich_help_panel=OUTPUT,
            help="Take all settings from this file, as config.toml in the folder of a run has "
            "them; options change some. Paths in it are seen from where you are.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            rich_help_panel=OUTPUT,
            help="Go on with the run in this folder, as if it had never been stopped. Beside it "
            "may stand --device, --workers, --save-every, --validate-every, and, where the "
            "schedule is constant without --warmup, --steps.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            rich_help_panel=OUTPUT,
            help="Begin with the network and the classes of another run of the same backbone and "
            "optimiser: who is known keeps the class, who is new begins at the mean of their "
            "embeddings.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The folder of the run, which must be new.  [default: runs/NAME-DATE-TIME]",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print results.json instead of sentences."
        ),
    ] = False,
) -> None:
    """Train one network with one head, and keep what is best on people it does not learn from.

    Writes a folder: config.toml with all settings, log.csv, checkpoints, results.json,
    report.html to read, and the weights, which embed, export and evaluate take. Ctrl-C ends it
    after the step it is in, twice at once; after that, or worse, --resume goes on.

    \b
    recognition train FOLDER                     a tenth of its people validates
    recognition train A --validate B --head cosface:m=0.35,s=32
    recognition train x.rec --backbone inception_resnet_v1 --device cuda
    recognition train FOLDER --schedule steps --milestones 0.5,0.8
    recognition train --steps 100 --out runs/try    draws faces; a first try
    recognition train --config runs/try/config.toml --lr 0.05
    recognition train --resume runs/try
    recognition train MORE --from runs/mine      people who came later, and all
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        given = _given(context.params)
        if resume is None:
            asked = _asked(config, given)
            folder = _folder(asked) if out is None else out
        else:
            asked = _resumed(
                resume, given, alone={"--config": config, "--out": out, "--from": start}
            )
            folder = resume
        from recognition.training.logs import CSV, TENSORBOARD, has_tensorboard
        from recognition.training.run import run_training
        from recognition.training.run_report import told
        from recognition.training.stopping import Stopped

        try:
            with shown_warnings():
                results = run_training(
                    asked,
                    folder,
                    resume=resume is not None,
                    start=start,
                    watch=bar,
                    command=command_line(),
                )
        except KeyboardInterrupt as stop:
            if not (folder / "config.toml").exists():
                raise
            kept = f"step {stop.step:,}" if isinstance(stop, Stopped) else "the last checkpoint"
            typer.echo(
                f"\nrecognition: stopped; recognition train --resume {shlex.quote(str(folder))} "
                f"goes on after {kept}",
                err=True,
            )
            raise typer.Exit(INTERRUPTED) from None
        if not results:  # of several processes the first one speaks
            return
        if as_json:
            show_json(results)
            return
        show_lines([*told(folder, results), ""])
        show_run_folder(folder)
        typer.echo(
            f"To use: recognition embed PHOTOGRAPHS --model {shlex.quote(legible(str(folder)))}"
        )
        if not has_tensorboard():
            show_lines(
                [f"Its curves are in {CSV}; TensorBoard draws them after {whole(TENSORBOARD)}."]
            )


def _given(options: Mapping[str, object]) -> dict[str, object]:
    """The values that were typed, by their keys."""
    found = {name.replace("_", ".", 1): value for name, value in options.items()}
    given = {key: value for key, value in found.items() if key in DEFAULTS and value is not None}
    milestones = given.get("schedule.milestones")
    if isinstance(milestones, str):
        try:
            given["schedule.milestones"] = [float(share) for share in milestones.split(",")]
        except ValueError:
            raise InputError(
                "--milestones: expected numbers with commas between them, as 0.5,0.7,0.9, got "
                f"{milestones!r}"
            ) from None
    return given


def _asked(file: Path | None, given: Mapping[str, object]) -> "TrainConfig":
    """What is typed goes before what is in the file, and that before the defaults."""
    from recognition.training.config import TrainConfig
    from recognition.training.config_files import changed, read_config

    if file is not None:
        return _from_anywhere(changed(read_config(file), given))
    asked = changed(TrainConfig(), given)
    if "validation.every" not in given:  # often enough to tell whether it still improves
        often = min(asked.validation.every, max(1, asked.run.steps // VALIDATIONS))
        asked = changed(asked, {"validation.every": often})
    return _from_anywhere(asked)


def _resumed(
    run: Path, given: Mapping[str, object], *, alone: Mapping[str, Path | None]
) -> "TrainConfig":
    """What the run was asked to do, but for what may change on the way."""
    from recognition.training.config_files import changed, differences, read_config
    from recognition.training.resuming import check_resumed

    for flag, value in alone.items():
        if value is not None:
            raise InputError(
                f"--resume has the settings and the folder of its run; leave {flag} out"
            )
    before = _from_anywhere(read_config(run / "config.toml"))
    now = _from_anywhere(changed(before, given))
    check_resumed(now, before)
    for line in differences(now, before):
        typer.echo(line, err=True)
    return now


def _from_anywhere(config: "TrainConfig") -> "TrainConfig":
    """Whole paths, as a run may go on from where its data is called otherwise."""
    from recognition.training.config_files import changed

    data = {"data.pictures": config.data.pictures, "data.validation": config.data.validation}
    return changed(config, {key: str(Path(path).absolute()) for key, path in data.items() if path})


def _folder(config: "TrainConfig") -> Path:
    pictures = config.data.pictures
    name = (Path(pictures).resolve().name or "root") if pictures else "drawn"
    return Path("runs", f"{name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}")
