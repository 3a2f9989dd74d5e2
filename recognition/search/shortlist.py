"""The rows most alike one probe by their eight bits, and what no other row can score.

One look at the codes costs a quarter of a look at the vectors, and faiss's reader of codes keeps
up with memory. The probe is a code as well: of numbers that are not whole some readers cut off the
rest.
"""

import functools
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.comparisons.threads import threads
from recognition.embeddings import Floats
from recognition.search.quantised import (
    OFFSET,
    Codes,
    Quantised,
    Singles,
    common_step,
    quantise,
    slack,
)

Places = npt.NDArray[np.int64]

SLICE = 2**16  # rows read at a time
COUNT = 64  # of them that are listed
TRIED = 64  # rows on which the reader must be right


class Shortlist(NamedTuple):
    """Some rows, and a bound on all others.

    Attributes:
        places: (s,) numbers of rows.
        upper: (s,) what each of them can score at most.
        rest: what no other row scores more than; -inf where there is no other.
    """

    places: Places
    upper: Singles
    rest: float


def shortlists(parts: Sequence[Quantised], probe: Floats) -> list[Shortlist] | None:
    """The best rows of each part for a (D,) unit probe; None where that is no use here.

    It is none where faiss has no such reader, or one that is not right.
    """
    if not _right(len(probe)):
        return None
    coded = quantise(probe[None].astype(np.float32), 0)
    whole = coded.codes[0].astype(np.float32) - OFFSET
    coarse = [_coarse(part.steps) for part in parts]
    slices = [(part, first) for part in parts for first in range(0, len(part), SLICE)]

    def read(part: Quantised, first: int) -> tuple[Places, Singles]:
        return _best(part.codes[first : first + SLICE], whole, COUNT)

    with ThreadPoolExecutor(threads()) as pool:
        found = iter(list(pool.map(read, *zip(*slices, strict=True)) if slices else []))
    lists = []
    for part, some in zip(parts, coarse, strict=True):
        best = [next(found) for _ in range(0, len(part), SLICE)]
        lists.append(_shortlist(part, some, coded, best))
    return lists


def _coarse(steps: Singles) -> Places:
    return np.flatnonzero(steps > np.float32(common_step(steps)))


def _shortlist(
    rows: Quantised, coarse: Places, probe: Quantised, best: list[tuple[Places, Singles]]
) -> Shortlist:
    """The rows that are coarse, and the best of every slice; no other is better than their last."""
    if not len(rows):
        return Shortlist(np.empty(0, np.int64), np.empty(0, np.float32), -np.inf)
    places = np.concatenate([coarse, *(n * SLICE + some for n, (some, _) in enumerate(best))])
    of_coarse = (rows.codes[coarse].astype(np.float32) - OFFSET) @ (
        probe.codes[0].astype(np.float32) - OFFSET
    )
    upper = np.concatenate([of_coarse, *(products for _, products in best)])
    upper *= rows.steps[places] * probe.steps
    upper += slack(rows.lost[places], probe.lost, probe.codes.shape[1]).astype(np.float32)
    last = max((float(products.min()) for _, products in best if len(products) == COUNT),
               default=-np.inf)  # fmt: skip
    if last == -np.inf:
        return Shortlist(places, upper, last)
    lost = np.delete(rows.lost, coarse).max(initial=0)
    doubt = slack(lost, probe.lost, probe.codes.shape[1])[0]
    step = common_step(rows.steps) * float(probe.steps[0])
    return Shortlist(places, upper, step * max(last, 0.0) + float(doubt))


def _best(codes: Codes, probe: Singles, count: int) -> tuple[Places, Singles]:
    """The `count` rows, or all, whose products with the probe's code are highest, and these."""
    faiss = import_module("faiss")
    scores = np.full(count, -np.inf, np.float32)
    places = np.full(count, -1, np.int64)
    idle = _IDLE.setdefault(len(probe), deque())
    try:
        reader, quantizer = idle.pop()
    except IndexError:
        reader, quantizer = _reader(faiss, len(probe))
    reader.set_query(faiss.swig_ptr(probe))
    reader.set_list(0, 0.0)
    reader.scan_codes(
        len(codes),
        faiss.swig_ptr(codes),
        None,
        faiss.swig_ptr(scores),
        faiss.swig_ptr(places),
        count,
    )
    idle.append((reader, quantizer))
    found = places >= 0
    return places[found], scores[found]


# readers for vectors of a size that nobody uses now: faiss does not say who frees one, so each is kept
_IDLE: dict[int, deque[tuple[Any, Any]]] = {}


def _reader(faiss: Any, dimension: int) -> tuple[Any, Any]:
    """A reader of codes, and what it reads by."""
    quantizer = faiss.ScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed)
    metric = faiss.METRIC_INNER_PRODUCT
    return quantizer.select_InvertedListScanner(metric, None, True, None, False), quantizer


@functools.cache
def _right(dimension: int) -> bool:
    """Whether this machine's faiss has the reader, and it is as exact as the bound supposes."""
    random = np.random.default_rng(0)
    codes = random.integers(1, 256, (TRIED, dimension), dtype=np.uint8)
    codes[0], codes[1] = 1, 255
    probe = codes[2].astype(np.float32) - OFFSET
    try:
        places, scores = _best(codes, probe, TRIED)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    signed = codes[places].astype(np.float64) - OFFSET
    allowed = guard(dimension) * np.linalg.norm(signed, axis=1) * np.linalg.norm(probe)
    exact = signed @ probe.astype(np.float64)
    return len(places) == TRIED and bool((np.abs(scores - exact) <= allowed).all())
