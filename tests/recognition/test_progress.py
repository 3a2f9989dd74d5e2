"""How far work is, and how long its stages took."""

from contextlib import contextmanager

from recognition import progress
from recognition.progress import Timed


def test_stages_are_timed_by_name_and_what_is_within_one_is_part_of_it(monkeypatch) -> None:
    now, told = iter([0, 1, 3, 10, 20, 24]), []
    monkeypatch.setattr(progress, "perf_counter", lambda: next(now))

    @contextmanager
    def watch(what, total):
        told.append((what, total))
        yield lambda done, note="": told.append((what, done))

    timed = Timed(watch)
    with timed("outer", 2) as advance, timed("inner", 1):
        advance(1)
    with timed("outer", 5):
        pass
    assert told == [("outer", 2), ("inner", 1), ("outer", 1), ("outer", 5)]
    assert timed.seconds == {"outer": 3 + 10}


def test_a_stage_that_fails_is_timed_too() -> None:
    timed = Timed(progress.unwatched)
    try:
        with timed("outer", 1):
            raise ValueError
    except ValueError:
        pass
    with timed("next", 1):
        pass
    assert set(timed.seconds) == {"outer", "next"}
