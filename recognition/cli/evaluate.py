"""`recognition evaluate`: what embeddings are worth on people never seen in training."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors


def evaluate(
    embeddings: Annotated[
        Path | None,
        typer.Argument(
            help="Embeddings with labels and, if there are any, ids: .npz, .safetensors or "
            ".parquet with columns of these names, or .npy beside a .csv of the same name. Or a "
            "folder of MegaFace's feature files, PERSON/PICTURE_ALGORITHM.bin."
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="With a folder of MegaFace's features: the pictures to judge and who is on them, "
            'JSON as its development kit has it, {"path": [...], "id": [...]}.',
        ),
    ] = None,
    distractors: Annotated[
        Path | None,
        typer.Option(
            help="Embeddings of strangers, a file or a folder as above: how often is a person found "
            "first among 10, 100, ... all of them? (MegaFace's protocol.)"
        ),
    ] = None,
    distractors_list: Annotated[
        Path | None, typer.Option(help="As --list, for a folder of distractors.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Judge these pairs only: LFW's pairs.txt, or CSV with the columns id1, id2 and, "
            "if wanted, mated and fold. Accuracy is measured with the file's own folds. Or a .bin "
            "of insightface: the embeddings are those of its pictures, in its order, without "
            "ids, and labels are not needed."
        ),
    ] = None,
    blufr: Annotated[
        Path | None,
        typer.Option(
            help="Judge embeddings of LFW by BLUFR's ten trials instead: blufr_lfw_config.mat. Ids "
            "are LFW's file names. VR at FAR 0.1 % and DIR at FAR 1 %, mean less deviation."
        ),
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Ready-made scores instead of embeddings: a CSV with the columns score and mated, "
            "or a score file of bob. Two lists of numbers: give the mated one first, then repeat "
            "the option for the non-mated one. NaN counts as a failure to acquire."
        ),
    ] = None,
    distances: Annotated[
        bool, typer.Option("--distances", help="The scores are distances: low is alike.")
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(help="A second model's embeddings of the same pictures, told apart by id."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="A column of the file, e.g. sex: rates of each group at one threshold."),
    ] = None,
    ijb: Annotated[
        Path | None,
        typer.Option(
            help="The folder of IJB-B or IJB-C with its files in meta: judge as they say, 1:1 over "
            "their pairs and 1:N in both galleries. A row for each face, in the order of "
            "...face_tid_mid.txt or with its names (N.jpg) as ids; labels are not needed."
        ),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(
            help="A column of the file: all pictures with the same entry are pooled into one "
            "embedding first, and judged as one picture."
        ),
    ] = None,
    media: Annotated[
        str | None,
        typer.Option(
            help="With --templates, a column that says which video a picture is a frame of: its "
            "frames count together as one picture does."
        ),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            help="With --templates, a column of numbers above 0, such as the detector's score: a "
            "picture counts the more, the higher it is."
        ),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(
            help="How pictures are pooled, in words, repeatable. Lengths of embeddings: kept-norms "
            "or unit-pictures. Videos: media-means, unit-media or no-media. A second half of each "
            "row, of the mirrored picture: mirror-sum or mirror-concatenated. unweighted leaves "
            "out the detector's score of --ijb.  [default: kept-norms, media-means]"
        ),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option(
            help="Judge the pictures of these people only: so many at random, e.g. 500, or those "
            "in a list like LFW's people.txt; of some of its folds with people.txt:1-3."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Class weights of the head, if these are the people it was trained on: the "
            ".classes.safetensors that compare writes, or .npz with weights and labels. Adds the "
            "angles of class weights, NC3 and NC4 to separability."
        ),
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(
            help="Would it help to discard poor pictures? A column of the file with a number for "
            "each, higher is better, e.g. a detection score; or norm, the length of the embedding "
            "before it is normalised."
        ),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(
            help="Embeddings, by the same model, of people who are not evaluated: every score is "
            "also counted from what a picture scores with them, and the section says whether that "
            "helps. A few hundred pictures do."
        ),
    ] = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            help="How, with --cohort: as (each picture against the cohort's pictures it is most "
            "like), s (against all of them), as2, or, where one picture is enrolled and the other "
            "searched for, z, t and zt.  [default: as]"
        ),
    ] = None,
    cohort_top: Annotated[
        int | None,
        typer.Option(
            min=2, help="How many of the cohort's pictures as and as2 look at.  [default: 300]"
        ),
    ] = None,
    fmr: Annotated[
        list[float] | None,
        typer.Option(
            help="A false match rate to report at; repeat for more.  [default: 0.1, 0.01, ... to "
            "the first that cannot be measured]"
        ),
    ] = None,
    fpir: Annotated[
        list[float] | None,
        typer.Option(help="A false alarm rate of search to report at.  [default: 0.1, 0.01]"),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(help="A threshold of your own to report both error rates at; repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A part to do, instead of all: verification, identification, retrieval, "
            "thresholds, calibration, separability or neighbours; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling and of who is enrolled.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=20, help="Resamples of the people behind each interval.")
    ] = 1000,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="With a hundred thousand pictures and more: a file that the comparison of all "
            "pairs is saved in as it goes, and goes on from when it is started again."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.  [default: runs/NAME-DATE-TIME]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json instead of tables.")
    ] = False,
) -> None:
    """Say what embeddings are worth on people never seen in training, with 95 % intervals.

    Verification over all pairs, identification of people who are enrolled and rejection of those
    who are not, retrieval, thresholds and how they carry over to other people, calibration,
    separability of the features, and nearest neighbours with labels that should be looked at.
    Pictures that could not be embedded (NaN or all zeros) count as failures.

    Prints tables and writes a run folder: results.json, table.md and figures.

    \b
    recognition evaluate faces.npz
    recognition evaluate faces.npz --pairs pairs.txt
    recognition evaluate faces.npz --pairs lfw.bin
    recognition evaluate lfw.npz --blufr blufr_lfw_config.mat
    recognition evaluate faces.npz --compare other.npz
    recognition evaluate faces.npz --group sex
    recognition evaluate faces.npz --templates video --media clip
    recognition evaluate faces.npz --ijb IJBC --pooling mirror-sum
    recognition evaluate training.npz --weights arcface-0.classes.safetensors
    recognition evaluate faces.npz --distractors strangers.npz
    recognition evaluate features/ --list facescrub.json --distractors megaface/
    recognition evaluate faces.npz --quality norm
    recognition evaluate faces.npz --cohort other_people.npz --normalise as
    recognition evaluate --scores scores.csv
    recognition evaluate --scores mated.txt --scores nonmated.txt
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.asked import Asked
        from recognition.cli.evaluation import run_evaluation
        from recognition.evaluation.options import PARTS, Options, known_part

        options = Options(
            fmr=tuple(fmr or ()),
            fpir=tuple(fpir or ()) or Options.fpir,
            thresholds=tuple(threshold or ()),
            replicates=resamples,
            seed=seed,
            parts=tuple(known_part(name) for name in only or PARTS),
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
        )
        moment = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs", f"{asked.name}-{moment}") if out is None else out
        run_evaluation(asked, folder, as_json=as_json)
