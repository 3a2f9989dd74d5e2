"""`recognition evaluate`: what embeddings are worth on people never seen in training."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.completion import PARTS as KNOWN_PARTS
from recognition.cli.completion import among
from recognition.cli.console import spoken_errors

JUDGED = "What to judge"
PAIRS = "Pairs and protocols (without one, every picture is compared with every other)"
POOLED = "Several pictures as one, such as the frames of a video"
MORE = "More to find out about the same pictures"
REPORTED = "What is reported"
OUTPUT = "Output"


def evaluate(
    embeddings: Annotated[
        Path | None,
        typer.Argument(
            metavar="EMBEDDINGS",
            rich_help_panel=JUDGED,
            help="A file with an embedding and a label, the person, of each picture, and perhaps "
            "ids: .npz, .safetensors or .parquet with columns of these names, or .npy beside a "
            ".csv of the same name. Or a folder of MegaFace's feature files.",
        ),
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=JUDGED,
            help="Scores instead of embeddings: CSV with the columns score and mated (1: one "
            "person, 0: two), or bob's. Given twice: a list of mated scores, then one of "
            "non-mated. NaN counts as a failure.",
        ),
    ] = None,
    distances: Annotated[
        bool,
        typer.Option(
            "--distances", rich_help_panel=JUDGED, help="The scores are distances: low is alike."
        ),
    ] = False,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="N|LIST",
            rich_help_panel=JUDGED,
            help="Only the pictures of so many people at random, e.g. 500, or of those in a list "
            "like LFW's people.txt; of some of its folds with people.txt:1-3.",
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            rich_help_panel=JUDGED,
            help="With a folder of features: which of them to judge and who is on them, JSON as "
            'MegaFace has it, {"path": [...], "id": [...]}.',
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PAIRS,
            help="These pairs only, with their folds: LFW's pairs.txt, or CSV with id1, id2 and "
            "perhaps mated and fold. Or a .bin of insightface: embeddings of its pictures in its "
            "order, without labels.",
        ),
    ] = None,
    ijb: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=PAIRS,
            help="IJB-B's or IJB-C's own 1:1 and 1:N: the folder whose meta holds their files. One "
            "embedding for each face, in the order of ...face_tid_mid.txt or with its names "
            "(N.jpg) as ids, without labels.",
        ),
    ] = None,
    blufr: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PAIRS,
            help="BLUFR's ten trials on LFW: blufr_lfw_config.mat; ids are LFW's file names.",
        ),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=POOLED,
            help="All pictures with the same entry in this column of the file become one embedding.",
        ),
    ] = None,
    media: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=POOLED,
            help="Which video a picture is a frame of: its frames count as one picture does.",
        ),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=POOLED,
            help="Numbers above 0, such as a detector's score: high ones count more.",
        ),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            rich_help_panel=POOLED,
            help="How, here and with --ijb; repeatable. Lengths of embeddings: kept-norms or "
            "unit-pictures. Videos: media-means, unit-media or no-media. Rows of two halves, the "
            "second of the mirrored picture: mirror-sum or mirror-concatenated. unweighted leaves "
            "out IJB's detector scores.  [default: kept-norms, media-means]",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MORE,
            help="Is another model better? Its embeddings of the same pictures, with the same ids.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=MORE,
            help="Do groups of people differ? A column of the file, e.g. sex: error rates of each "
            "at one threshold.",
        ),
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=MORE,
            help="Would it help to discard poor pictures? A column of numbers, high is good; or "
            "norm, the length of the embedding.",
        ),
    ] = None,
    distractors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MORE,
            help="Is a person found first among 10, 100, ... strangers? Their embeddings, a file "
            "or a folder as above (MegaFace's protocol).",
        ),
    ] = None,
    distractors_list: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MORE,
            help="As --list, for a folder of distractors.",
        ),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MORE,
            help="Would it help to normalise scores? Embeddings, by the same model, of some "
            "hundred pictures of people who are not evaluated.",
        ),
    ] = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            rich_help_panel=MORE,
            help="How, with --cohort: as (by the cohort's pictures most alike), s (by all), as2; "
            "or z, t, zt for searches and listed pairs.  [default: as]",
        ),
    ] = None,
    cohort_top: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            rich_help_panel=MORE,
            help="How many of the cohort's pictures as and as2 look at.  [default: 300]",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MORE,
            help="How do they lie to the head's class weights? For people it was trained on: "
            "compare's .classes.safetensors, or .npz with weights and labels.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            autocompletion=among(KNOWN_PARTS),
            rich_help_panel=REPORTED,
            help=f"This part instead of all; repeatable: {', '.join(KNOWN_PARTS)}.",
        ),
    ] = None,
    fmr: Annotated[
        list[float] | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=REPORTED,
            help="A false match rate to report at, e.g. 0.001; repeatable.  [default: 0.1, 0.01, "
            "... to the first that cannot be measured]",
        ),
    ] = None,
    fpir: Annotated[
        list[float] | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=REPORTED,
            help="A false alarm rate of search to report at; repeatable.  [default: 0.1, 0.01]",
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SCORE",
            rich_help_panel=REPORTED,
            help="A threshold of your own to report both error rates at; repeatable.",
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(
            min=20,
            metavar="N",
            rich_help_panel=REPORTED,
            help="Resamples of the people behind each interval.",
        ),
    ] = 1000,
    picture_map: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="METHOD",
            rich_help_panel=REPORTED,
            help="How up to 1,500 pictures are laid out in a plane: pca, none, or tsne, which takes "
            "some seconds.",
        ),
    ] = "pca",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=REPORTED,
            help="Of the resampling, of who is enrolled and of whom a map shows.",
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The run folder, which must be new.  [default: runs/NAME-DATE-TIME]",
        ),
    ] = None,
    include_images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="Show the pictures to look at in report.html, small; ids are their paths below "
            "this folder. The report then holds pictures of people: personal data.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print results.json instead of tables."
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="With a hundred thousand pictures and more: saves how far the comparison of all "
            "pairs is, to go on from there when started again.",
        ),
    ] = None,
) -> None:
    """Say what embeddings are worth on people never seen in training, with 95 % intervals.

    How often two pictures of one person are accepted and two of others are not, how often people
    are found in a gallery and strangers are not, and which labels should be looked at. Pictures
    that could not be embedded (NaN or all zeros) count as failures. Prints tables and writes a run
    folder: results.json, table.md and figures.

    A file to begin with, from two arrays of Python:

    \b
    np.savez("faces.npz", embeddings=vectors, labels=names)  # (N, D) and (N,)

    \b
    recognition evaluate faces.npz
    recognition evaluate faces.npz --only verification --fmr 0.001
    recognition evaluate faces.npz --pairs pairs.txt
    recognition evaluate faces.npz --pairs lfw.bin
    recognition evaluate faces.npz --ijb IJBC --pooling mirror-sum
    recognition evaluate faces.npz --templates video --media clip
    recognition evaluate faces.npz --compare other.npz --group sex
    recognition evaluate faces.npz --quality norm --cohort other_people.npz
    recognition evaluate features/ --list facescrub.json --distractors megaface/
    recognition evaluate --scores mated.txt --scores nonmated.txt
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.evaluation import run_evaluation
        from recognition.cli.evaluation_asked import Asked
        from recognition.evaluation.options import PARTS, Options, known_map, known_part

        options = Options(
            fmr=tuple(fmr or ()),
            fpir=tuple(fpir or ()) or Options.fpir,
            thresholds=tuple(threshold or ()),
            replicates=resamples,
            seed=seed,
            parts=tuple(known_part(name) for name in only or PARTS),
            map=known_map(picture_map),
        )
        asked = Asked(
            embeddings,
            pairs,
            tuple(scores or ()),
            distances,
            compare,
            group,
            checkpoint,
            options,
            ijb=ijb,
            templates=templates,
            media=media,
            weight=weight,
            pooling=tuple(pooling or ()),
            people=people,
            weights=weights,
            names=names,
            distractors=distractors,
            distractors_list=distractors_list,
            blufr=blufr,
            quality=quality,
            cohort=cohort,
            normalise=normalise,
            cohort_top=cohort_top,
            images=include_images,
        )
        moment = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs", f"{asked.name}-{moment}") if out is None else out
        run_evaluation(asked, folder, as_json=as_json, images=include_images)
