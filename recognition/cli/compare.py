"""`recognition compare`: train one backbone with every head, and judge them on strangers."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.completion import BACKBONES, among
from recognition.cli.completion import HEADS as KNOWN_HEADS
from recognition.cli.console import spoken_errors


class Known(StrEnum):
    """Data sets that scikit-learn knows how to fetch."""

    OLIVETTI = "olivetti"
    LFW = "lfw"


LEARN = "Pictures to learn from and to be judged on"
HEADS = "Heads"
TRAINING = "Training"
OUTPUT = "Output"


def compare(
    pictures: Annotated[
        Path | None,
        typer.Argument(
            metavar="PICTURES",
            rich_help_panel=LEARN,
            help="A folder with one folder a person, a .rec of MXNet as insightface has them, or a "
            ".csv with the columns path and label. Half of the people are learned from, the other "
            "half is never seen in training. Without it, faces are drawn.",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURES",
            rich_help_panel=LEARN,
            help="People to learn from; goes with --test.",
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURES", rich_help_panel=LEARN, help="Other people, to be judged on."
        ),
    ] = None,
    data: Annotated[
        Known | None,
        typer.Option(
            rich_help_panel=LEARN,
            help="A data set that scikit-learn fetches, or has in its cache.",
        ),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="N|LIST",
            rich_help_panel=LEARN,
            help="Use so many people only, drawn at random by --seed; of --train and --test so "
            "many each. For sets that are too large for the memory. Or those in a list like LFW's "
            "people.txt; of some of its folds with people.txt:1-3.",
        ),
    ] = None,
    test_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=LEARN,
            help="Share of the people who are never seen.  [default: 0.5; of drawn faces 1/3]",
        ),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEAD",
            autocompletion=among(KNOWN_HEADS),
            rich_help_panel=HEADS,
            help="A head to compare, e.g. arcface or arcface:m=0.4,s=32; repeat for more. Known: "
            f"{', '.join(KNOWN_HEADS)}; python -m margin_losses tells what each is. "
            "A bare name takes the scale and margin found on the drawn faces; what options leave "
            "out is the paper's.  [default: softmax, normface, lsoftmax, sphereface, smsoftmax, "
            "cosface, arcface]",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            rich_help_panel=HEADS,
            help="Choose scale and margin on people held out for it, nine trials a head. Takes "
            "ten times as long.",
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            rich_help_panel=TRAINING,
            help="A small run of under a minute, to see what comes.",
        ),
    ] = False,
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=among(BACKBONES),
            rich_help_panel=TRAINING,
            help="The network: small; mobilefacenet, iresnet18, 34, 50, 100 or 200, "
            "inception_resnet_v1 (slow on a CPU); timm:NAME with the extra timm.",
        ),
    ] = "small",
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=TRAINING,
            help="Training batches per head.  [default: 400]",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=TRAINING, help="Pictures per batch.")
    ] = 64,
    lr: Annotated[
        float,
        typer.Option(metavar="RATE", rich_help_panel=TRAINING, help="The highest learning rate."),
    ] = 4e-3,
    mirror: Annotated[
        bool,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Mirror half of the pictures in training; not for letters.",
        ),
    ] = True,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=TRAINING, help="Where to train, e.g. cpu or cuda."
        ),
    ] = "cpu",
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=TRAINING,
            help="Repeat everything this often; adds the spread.",
        ),
    ] = 1,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", rich_help_panel=TRAINING, help="The first seed.")
    ] = 0,
    picture_map: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="METHOD",
            rich_help_panel=OUTPUT,
            help="How up to 1,500 pictures of the people never seen are laid out in a plane: pca, "
            "none, or tsne, which takes some seconds a head.",
        ),
    ] = "pca",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The run folder, which must be new.  [default: runs/NAME-DATE-TIME]",
        ),
    ] = None,
    include_images: Annotated[
        bool,
        typer.Option(
            "--include-images",
            rich_help_panel=OUTPUT,
            help="Show the worst pairs' pictures in report.html, small. The report then holds "
            "pictures of people: personal data.",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print results.json instead of tables."
        ),
    ] = False,
) -> None:
    """Train one backbone with each head and score every one on people never seen in training.

    Prints four tables and writes a run folder: results.json, table.md, scores.png, det.png,
    fnir.png, the weights of every head, and a log.

    \b
    recognition compare                      draws faces; about four minutes
    recognition compare --quick              the same, small, under a minute
    recognition compare FOLDER               half of its people are never seen
    recognition compare x.rec --people 500   500 people of a large set
    recognition compare faces.csv            with the columns path and label
    recognition compare --train A --test B   learn from A, be judged on B
    recognition compare --head normface --head arcface:m=0.4,s=32
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.comparison import Data, run_comparison
        from recognition.evaluation.options import known_map
        from recognition.training.head_choices import DEFAULT_HEADS
        from recognition.training.head_comparison import Plan
        from recognition.training.recipe import Recipe

        source = Data(pictures, train, test, data, test_share, quick, people, seed)
        recipe = Recipe(
            backbone=backbone,
            steps=(80 if quick else 400) if steps is None else steps,
            batch_size=batch_size,
            lr=lr,
            mirror=mirror,
            device=device,
        )
        plan = Plan(
            head or DEFAULT_HEADS,
            recipe,
            range(seed, seed + seeds),
            tune,
            replicates=200 if quick else 1000,
            map=known_map(picture_map),
        )
        moment = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs", f"{source.name}-{moment}") if out is None else out
        run_comparison(source, plan, folder, as_json=as_json, images=include_images)
