"""Changes to a gallery that processes of their own make, so that they can be killed or race.

    python gallery_worker.py FOLDER chain START    # the changes of `chain` from a place on
    python gallery_worker.py FOLDER pairs NAME COUNT
    python gallery_worker.py FOLDER hold           # hold the writer's lock
    python gallery_worker.py FOLDER read           # hold a snapshot

A line is printed, and flushed, after each change that has returned.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recognition.gallery import search_copy
from recognition.gallery.answers import Threshold
from recognition.gallery.embedded_gallery import EmbeddedGallery as Gallery

Floats = np.ndarray[Any, np.dtype[np.float64]]
State = dict[str, int]  # samples of each person; the threshold beside them


def vector(name: str, sample: int, dimension: int) -> Floats:
    """The same for the same name and sample, in any process."""
    seed = [*name.encode(), sample]
    return np.random.default_rng(seed).standard_normal(dimension)


def chain(place: int) -> Iterator[tuple[str, str, int]]:
    """(verb, name, samples) for ever, the same from each place on; people come before they go."""
    while True:
        turn, block = place % 10, place // 10
        if turn < 4:
            yield "enroll", f"person {block}-{turn}", 1 + turn
        elif turn == 4:
            yield "more", f"person {block}-0", 2
        elif turn == 5:
            yield "many", f"many {block}", 7
        elif turn == 6:
            yield "remove", f"person {block}-1", 0
        elif turn == 7:
            yield "erase", f"person {block}-2", 0
        elif turn == 8:
            yield "threshold", "", block
        else:
            yield "erase", f"person {block}-0", 0
        place += 1


def changed(state: State, verb: str, name: str, count: int) -> State:
    """What a change of the chain makes of a state."""
    after = dict(state)
    if verb in ("enroll", "more"):
        after[name] = after.get(name, 0) + count
    elif verb == "many":
        after.update({f"{name} {at}": 1 for at in range(count)})
    elif verb == "threshold":
        after["threshold"] = count
    else:
        del after[name]
    return after


def change(gallery: Gallery, verb: str, name: str, count: int) -> None:
    dimension = gallery.contract.dimension
    if verb in ("enroll", "more"):
        first = int(verb == "more")
        gallery.enroll(name, [vector(name, first + at, dimension) for at in range(count)])
    elif verb == "many":
        names = [f"{name} {at}" for at in range(count)]
        gallery.enroll_many(np.array([vector(each, 0, dimension) for each in names]), names)
    elif verb == "threshold":
        gallery.set_threshold(Threshold(count / 1e6))
    elif verb == "remove":
        gallery.remove(name)
    else:
        gallery.erase(name)


def pairs(gallery: Gallery, mine: str, count: int) -> None:
    """Pairs come in one transaction and go in one, every third stays; somebody is shared by all."""
    dimension = gallery.contract.dimension
    for at in range(count):
        names = [f"{mine} {at} left", f"{mine} {at} right"]
        if at % 2 == 0:
            gallery.enroll_many(np.array([vector(each, 0, dimension) for each in names]), names)
            gallery.enroll("everybody", vector(mine, at, dimension))
        elif at % 3:
            with gallery._writer.held(), gallery._store.changing() as changes:
                for name in names:
                    changes.remove(name.replace(f" {at} ", f" {at - 1} "))
        print(at, flush=True)


def main() -> None:
    folder, verb, *words = sys.argv[1:]
    search_copy.FLUSHED = 20
    with Gallery.open(Path(folder)) as gallery:
        if verb == "chain":
            print("ready", flush=True)
            for one in chain(int(words[0])):
                change(gallery, *one)
                print(one, flush=True)
        elif verb == "pairs":
            pairs(gallery, words[0], int(words[1]))
        elif verb == "hold":
            with gallery._writer.held():
                print("ready", flush=True)
                time.sleep(100)
        else:
            with gallery._store.snapshot() as snapshot:
                snapshot.count()
                print("ready", flush=True)
                time.sleep(100)


if __name__ == "__main__":
    main()
