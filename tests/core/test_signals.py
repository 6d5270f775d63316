"""Signals that request a stop."""

import os
import signal
import threading

import pytest

from wsedtk.core import signals


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_is_noted_and_the_handlers_come_back(number):
    before = {n: signal.getsignal(n) for n in signals.STOPPING}
    with signals.noted() as names:
        os.kill(os.getpid(), number)
        assert names == [signal.Signals(number).name]
    assert {n: signal.getsignal(n) for n in signals.STOPPING} == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signals.noted() as names:
            os.kill(os.getpid(), signal.SIGHUP)
            assert names == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_inner_block_takes_the_signal():
    with signals.noted() as outer, signals.noted() as inner:
        os.kill(os.getpid(), signal.SIGTERM)
    assert (outer, inner) == ([], ["SIGTERM"])


def test_another_thread_leaves_signals_alone():
    found = []

    def work():
        with signals.noted() as names:
            found.append(names)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[]]
