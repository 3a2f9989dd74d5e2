"""Ctrl-C is noted; the second one stops, and what others answer is theirs."""

import signal
import threading

import pytest

from recognition.training.stopping import SIGNALS, asked_to_stop


@pytest.fixture(autouse=True)
def handlers():
    before = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_the_first_is_noted_and_the_second_stops():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with asked_to_stop() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_somebody_else_answers_is_theirs():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    with asked_to_stop() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert not asked()
    assert seen == [signal.SIGTERM]


def test_a_thread_trains_without_signals():
    found = []

    def train():
        with asked_to_stop() as asked:
            found.append(asked())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [False]
