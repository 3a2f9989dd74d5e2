"""IJB's tables, from embeddings to rows: what a naive way through the files gives."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from small_ijb import SmallIjb, small_ijb

from recognition.datasets.embedding_files import EmbeddingFile, Failure
from recognition.datasets.ijb import Ijb, read_ijb
from recognition.errors import InputError
from recognition.evaluation.findings import Findings
from recognition.evaluation.ijb import align_faces, evaluate_ijb
from recognition.evaluation.ijb_lost import count_lost
from recognition.evaluation.options import Options
from recognition.metrics.searches import tabulate
from recognition.templates import Pooling

FEW = Options(replicates=50)


@pytest.fixture(scope="module")
def drawn() -> SmallIjb:
    return small_ijb(10, seed=3)


@pytest.fixture(scope="module")
def protocol(drawn: SmallIjb, tmp_path_factory: pytest.TempPathFactory) -> Ijb:
    return read_ijb(drawn.write(tmp_path_factory.mktemp("ijb")))


def signature(found: Findings) -> float:
    """A number that changes with nearly any score."""
    return float(found.sections[0].curves["roc"]["threshold"].sum())


def slow_vectors(drawn: SmallIjb) -> dict[int, Any]:
    vectors = {}
    for template in set(drawn.templates.tolist()):
        films: dict[int, list[Any]] = {}
        for i in np.flatnonzero(drawn.templates == template):
            weighed = drawn.embeddings[i].astype(np.float64) * drawn.scores[i]
            films.setdefault(int(drawn.media[i]), []).append(weighed)
        h = sum(sum(film) / len(film) for film in films.values())
        vectors[template] = h / np.linalg.norm(h)
    return vectors


def test_rows_are_those_of_a_walk_through_the_files(drawn: SmallIjb, protocol: Ijb) -> None:
    found = evaluate_ijb(drawn.embeddings, protocol, options=FEW)
    x = slow_vectors(drawn)
    scores = np.array([x[a] @ x[b] for a, b, _ in drawn.pairs]).astype(np.float32)
    truth = np.array([label for *_, label in drawn.pairs], bool)
    assert found["auc"].estimate.value == pytest.approx(roc_auc_score(truth, scores))
    strange = np.sort(scores[~truth])[::-1]
    allowed = int(0.1 * len(strange))
    tar = found["tar@fmr=0.1"].estimate
    assert tar.value == pytest.approx((scores[truth] > strange[allowed]).mean())
    assert tar.low is not None
    assert tar.high is not None
    assert tar.low <= tar.value <= tar.high
    last = found["tar@fmr=1e-06"].estimate
    assert last.value is None
    assert "cannot be measured" in str(last.note)
    misses, ranked = [], []
    for gallery in drawn.galleries.values():
        alarms, mates, ranks = [], [], []
        for probe in drawn.probes:
            against = {drawn.subjects[t]: np.float32(x[t] @ x[probe]) for t in gallery}
            mate = against.pop(drawn.subjects[probe], None)
            if mate is None:
                alarms.append(max(against.values()))
            else:
                mates.append(mate)
                ranks.append(1 + sum(score >= mate for score in against.values()))
        limit = sorted(alarms)[::-1][int(0.1 * len(alarms))]
        hit = (np.array(ranks) == 1) & (np.array(mates) > limit)
        misses.append(1 - hit.mean())
        ranked.append((np.array(ranks) == 1).mean())
    assert found["fnir@fpir=0.1"].estimate.value == pytest.approx(np.mean(misses))
    assert found["dir@fpir=0.1"].estimate.value == pytest.approx(1 - np.mean(misses))
    assert found["rank1"].estimate.value == pytest.approx(np.mean(ranked))
    assert "rank10" not in [row.key for row in found]  # galleries of five
    note = found.input["notes"][0]
    assert note.startswith("ijbc, pooled with kept-norms, media-means; subjects are those that the")


def test_faces_that_failed_are_left_out_of_their_templates(drawn: SmallIjb, protocol: Ijb) -> None:
    several = [t for t in drawn.probes if (drawn.templates == t).sum() > 1]
    gone = int(np.flatnonzero(drawn.templates == several[0])[0])
    kept = np.delete(np.arange(len(drawn.names)), gone)
    order = np.random.default_rng(0).permutation(kept)
    found = evaluate_ijb(drawn.embeddings[order], protocol, faces=order, options=FEW)
    assert "1 of" in found.input["notes"][1]
    whole = evaluate_ijb(drawn.embeddings, protocol, options=FEW)
    assert signature(found) != signature(whole)


def test_templates_without_a_face_are_errors_wherever_they_should_have_been(
    drawn: SmallIjb, protocol: Ijb
) -> None:
    gone = {drawn.probes[0], drawn.probes[5], drawn.galleries["G1"][1], drawn.galleries["G2"][0]}
    kept = np.flatnonzero(~np.isin(drawn.templates, list(gone)))
    found = evaluate_ijb(drawn.embeddings[kept], protocol, faces=kept, options=FEW)
    x = {t: v for t, v in slow_vectors(drawn).items() if t not in gone}
    misses, ranked = [], []
    for gallery in drawn.galleries.values():
        mates, alarms, ranks = [], [], []
        for probe in drawn.probes:
            subject = drawn.subjects[probe]
            known = {drawn.subjects[t]: np.float32(x[t] @ x[probe]) for t in gallery
                     if t in x and probe in x}  # fmt: skip
            if subject in [drawn.subjects[t] for t in gallery]:
                mate = known.pop(subject, -np.inf)
                mates.append(mate)
                better = sum(score >= mate for score in known.values())
                ranks.append(99 if mate == -np.inf else 1 + better)
            else:
                alarms.append(max(known.values(), default=-np.inf))
        assert len(mates) == len(alarms) == len(drawn.probes) / 2
        limit = sorted(alarms)[::-1][int(0.1 * len(alarms))]
        misses.append(1 - ((np.array(ranks) == 1) & (np.array(mates) > limit)).mean())
        ranked.append([(np.array(ranks) <= rank).mean() for rank in (1, 4)])
    assert found["fnir@fpir=0.1"].estimate.value == pytest.approx(np.mean(misses))
    assert found["rank1"].estimate.value == pytest.approx(np.mean(ranked, axis=0)[0])
    curve = found.sections[1].curves["cmc"]["rate"]
    assert len(curve) == 4  # of the five people in either gallery, one could not be enrolled
    assert curve[3] == pytest.approx(np.mean(ranked, axis=0)[1])
    assert found["rank1"].estimate.counts["searches"] == 2 * len(drawn.probes)

    pairs = [(a, b, mated) for a, b, mated in drawn.pairs if a in x and b in x]
    scores = np.array([x[a] @ x[b] for a, b, _ in pairs]).astype(np.float32)
    truth = np.array([mated for *_, mated in pairs], bool)
    assert found["auc"].estimate.value == pytest.approx(roc_auc_score(truth, scores))
    limit = np.sort(scores[~truth])[::-1][int(0.1 * (~truth).sum())]
    hits, mated = (scores[truth] > limit).sum(), sum(label for *_, label in drawn.pairs)
    assert found["tar@fmr=0.1"].estimate.value == pytest.approx(hits / truth.sum())
    assert found["frr@fmr=0.1"].estimate.value == pytest.approx(1 - hits / mated)
    assert found["fta"].estimate.counts["failed"] == len(drawn.pairs) - len(pairs)
    assert "4 of 30 templates have no face" in " ".join(found.input["notes"])


def test_probes_of_which_none_has_a_mate_left_are_refused(protocol: Ijb) -> None:
    gallery, probes = protocol.galleries[0], protocol.probes
    assert probes is not None
    enrolled = protocol.subjects[gallery.templates]
    made = np.ones(len(protocol.templates), bool)
    made[gallery.templates[1:]] = False
    mine = np.isin(protocol.subjects[probes.templates], enrolled[1:])
    few = dataclasses.replace(
        protocol, galleries=(gallery,), probes=probes._replace(templates=probes.templates[mine])
    )
    shown = protocol.people[protocol.subjects[few.probes.templates]]
    name = protocol.people[enrolled[:1]]
    table = tabulate(np.zeros((len(shown), 1)), name, shown)
    with pytest.raises(InputError, match="anybody whose template in gallery G1"):
        count_lost([table], few, made)


def test_a_gallery_without_a_face_is_refused(drawn: SmallIjb, protocol: Ijb) -> None:
    kept = np.flatnonzero(~np.isin(drawn.templates, drawn.galleries["G2"]))
    with pytest.raises(InputError, match="templates of G2 with a face"):
        evaluate_ijb(drawn.embeddings[kept], protocol, faces=kept, options=FEW)


def test_the_pooling_that_was_asked_for_is_the_one(drawn: SmallIjb, protocol: Ijb) -> None:
    values = {}
    for how in (Pooling(), Pooling("unit"), Pooling(weighted=False), Pooling(media="none")):
        found = evaluate_ijb(drawn.embeddings, protocol, pooling=how, options=FEW)
        values[how] = signature(found)
        assert found.input["pooling"] == list(how.words)
    assert len(set(values.values())) == 4
    how = Pooling(mirror="sum")
    halves = evaluate_ijb(
        np.concatenate([drawn.embeddings / 2] * 2, axis=1), protocol, pooling=how, options=FEW
    )
    assert signature(halves) == values[Pooling()]
    twice = evaluate_ijb(
        drawn.embeddings, protocol, pooling=how, mirrored=drawn.embeddings, options=FEW
    )
    assert signature(twice) == signature(halves)


def test_thresholds_parts_and_targets_can_be_asked_for(drawn: SmallIjb, protocol: Ijb) -> None:
    options = Options(
        replicates=50, fmr=(0.05,), thresholds=(0.5, -2.0), fpir=(0.2,), parts=("verification",)
    )
    found = evaluate_ijb(drawn.embeddings, protocol, options=options)
    keys = [row.key for row in found]
    assert [key for key in keys if key.startswith("tar")] == ["tar@fmr=0.05"]
    assert found["fmr@t=0.5"].estimate.value is not None
    assert found["fmr@t=-2"].estimate.value == 1.0
    assert "fnir@fpir=0.2" not in keys
    only = dataclasses.replace(options, parts=("identification",))
    assert [
        section.key for section in evaluate_ijb(drawn.embeddings, protocol, options=only).sections
    ] == ["identification"]
    nothing = dataclasses.replace(options, parts=("retrieval",))
    with pytest.raises(InputError, match="expected verification, or identification"):
        evaluate_ijb(drawn.embeddings, protocol, options=nothing)


def test_pairs_and_searches_of_all_galleries_have_rates_at_the_same_thresholds(
    drawn: SmallIjb, protocol: Ijb
) -> None:
    found = evaluate_ijb(drawn.embeddings, protocol, options=FEW)
    pairs, searches = (section.curves["operating"] for section in found.sections)
    assert pairs["threshold"] == searches["threshold"]
    counts = found["fnir@fpir=0.1"].estimate.counts
    assert (searches["mated"], searches["strangers"]) == (
        counts["mated_searches"],
        counts["nonmated"],
    )
    assert len(counts["galleries"]) == 2
    for one in counts["galleries"].values():
        assert one["threshold"] in pairs["threshold"]
    for at, threshold in enumerate(searches["threshold"]):
        x, alarms, misses = slow_vectors(drawn), 0, 0
        if at % 20:
            continue
        for gallery in drawn.galleries.values():
            for probe in drawn.probes:
                against = {drawn.subjects[t]: np.float32(x[t] @ x[probe]) for t in gallery}
                best = max(against, key=lambda subject: against[subject])
                known = drawn.subjects[probe] in against
                alarms += not known and against[best] >= threshold
                misses += known and not (
                    best == drawn.subjects[probe] and against[best] >= threshold
                )
        assert searches["fpir"][at] == pytest.approx(alarms / searches["strangers"])
        assert searches["fnir"][at] == pytest.approx(misses / searches["mated"])


def test_without_files_of_1n_there_is_1_to_1(drawn: SmallIjb, tmp_path: Path) -> None:
    folder = drawn.write(tmp_path) / "meta"
    for path in folder.glob("*_1N_*"):
        path.unlink()
    (folder / "ijbc_name_5pts_score.txt").unlink()
    protocol = read_ijb(folder)
    with pytest.raises(InputError, match=r"no ijbc_name_5pts_score.txt; add it, or pool unweight"):
        evaluate_ijb(drawn.embeddings, protocol, options=FEW)
    found = evaluate_ijb(drawn.embeddings, protocol, pooling=Pooling(weighted=False), options=FEW)
    assert [section.key for section in found.sections] == ["verification"]
    assert "templates that mated pairs join" in found.input["notes"][0]
    assert "nobody was searched for" in found.input["notes"][1]


@pytest.mark.parametrize("faces", [None, [[0]], [0.5], [0, 0], [0, 999], [-1, 0]], ids=range(6))
def test_rows_that_are_no_faces_are_refused(faces: Any, drawn: SmallIjb, protocol: Ijb) -> None:
    rows = drawn.embeddings[: 1 if faces is None else len(faces)]
    with pytest.raises(InputError, match=r"each of \d+ faces of ijbc|places of faces below"):
        evaluate_ijb(rows, protocol, faces=faces, options=FEW)


def table(drawn: SmallIjb, ids: Any, failed: tuple[str, ...] = ()) -> EmbeddingFile:
    ids = np.array(ids, str)
    there = ~np.isin(ids, failed)
    failures = tuple(Failure(one, "?", "NaN") for one in failed)
    rows = np.ones((len(ids), 3))[there]
    return EmbeddingFile(rows, np.full(len(rows), "?"), ids[there], {}, failures)


def test_faces_are_found_by_name_or_by_order(drawn: SmallIjb, protocol: Ijb) -> None:
    count = len(drawn.names)
    order = np.random.default_rng(0).permutation(count)
    named = [drawn.names[i] for i in order]
    assert align_faces(table(drawn, named), protocol).tolist() == order.tolist()
    rest = align_faces(table(drawn, named, tuple(named[2:4])), protocol)
    assert rest.tolist() == [*order[:2], *order[4:]]
    assert align_faces(table(drawn, range(count)), protocol).tolist() == list(range(count))
    numbered = align_faces(table(drawn, range(count), ("1", "5")), protocol)
    assert numbered.tolist() == [0, 2, 3, 4, *range(6, count)]
    for ids in (named[1:], [*named, "x.jpg"], [*named[1:], "x.jpg"], range(count - 1), ["a", "b"]):
        with pytest.raises(InputError, match="expected an embedding of each of"):
            align_faces(table(drawn, list(ids)), protocol)
