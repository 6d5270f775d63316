"""Work in several processes: ordered results, errors, and a bounded number of items ahead."""

import itertools
import logging
import os
import signal
import threading
import time
import tracemalloc

import pytest

from wsedtk.cli.messages import printed
from wsedtk.core.errors import InputError
from wsedtk.core.processes import ahead, check_stop, mapping

LOG = logging.getLogger("wsedtk.of_a_test")

AHEAD = 2 * 4 * 8 + 8  # two processes, chunks of eight


def process_of(number):
    return number, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def fail_at_50(number):
    if number == 50:
        raise ValueError("fifty")
    return number


def die_at_50(number):
    if number == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def tell(number):
    LOG.warning(f"odd: {number}")
    LOG.info(f"note: {number}")
    LOG.debug(f"detail: {number}")
    return number


def wait_for_the_stop(path):
    """Work until the main program needs no more results. Tell when the work begins."""
    path.touch()
    while True:
        check_stop()
        time.sleep(0.01)


class Counter:
    """Yield many numbers; `taken` counts the requested ones."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        for number in range(20000):
            self.taken += 1
            yield number


@pytest.fixture(scope="module")
def spread():
    with mapping(2) as spread:
        yield spread


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64, 65, 200])
def test_results_are_in_order(spread, count):
    assert list(spread(abs, range(-count, 0))) == list(range(count, 0, -1))


def test_other_processes_do_the_work_with_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with mapping(2) as spread:
        found = list(spread(process_of, range(100)))
    assert [number for number, *_ in found] == list(range(100)) and os.environ[
        "OMP_NUM_THREADS"
    ] == "3"
    assert os.getpid() not in {process for _, process, _ in found} and {
        threads for *_, threads in found
    } == {"1"}


def test_a_bounded_number_of_items_is_under_way(spread):
    numbers = Counter()
    results = spread(abs, numbers)
    assert numbers.taken == 0
    for done, result in enumerate(itertools.islice(results, 500), 1):
        assert result == done - 1 and numbers.taken <= done + AHEAD
    assert numbers.taken >= 500
    results.close()


def test_memory_stays_flat(spread):
    def peak(count):
        tracemalloc.start()
        try:
            assert (
                sum(len(text) for text in spread(str.upper, ("x" * 10000 for _ in range(count))))
                == 10000 * count
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(1000) < 1.5 * peak(200) + 10000 * AHEAD < 10000 * 1000


def test_an_error_of_a_worker_comes_after_the_results_before_its_chunk(spread):
    results = spread(fail_at_50, Counter())
    assert [next(results) for _ in range(48)] == list(range(48))
    with pytest.raises(ValueError, match="fifty"):
        next(results)
    assert list(spread(abs, [-1])) == [1]  # the processes continue


def test_work_that_takes_long_ends_with_the_main_program(tmp_path):
    """Without `check_stop`, the main program would wait for the work forever."""

    def items():
        yield tmp_path / "begun"
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        raise OSError("no more items")

    with pytest.raises(OSError, match="no more items"):
        with mapping(2, chunk_size=1) as spread:
            list(spread(wait_for_the_stop, items()))
    check_stop()  # outside a pool, it does nothing


def test_an_error_of_the_items_or_of_the_consumer_ends_it():
    def items():
        yield from range(10)
        raise OSError("no more items")

    before = dict(os.environ)
    with pytest.raises(OSError, match="no more items"):
        with mapping(2) as spread:
            list(spread(abs, items()))
    with pytest.raises(KeyError, match="mine"):
        with mapping(2) as spread:
            next(spread(abs, Counter()))
            raise KeyError("mine")
    assert dict(os.environ) == before


def test_one_job_is_this_process_and_lazy():
    numbers = Counter()
    with mapping(1) as spread:
        results = spread(process_of, numbers)
        assert [next(results)[:2] for _ in range(3)] == [
            (i, os.getpid()) for i in range(3)
        ] and numbers.taken == 3


def test_a_thread_works_ahead_in_order_and_no_further():
    numbers, done = Counter(), []
    results = ahead(lambda n: done.append(n) or -n, numbers, depth=3)
    assert numbers.taken == 0
    for n in range(50):
        assert next(results) == -n and numbers.taken <= n + 3
    results.close()
    assert len(done) <= 53
    results = ahead(fail_at_50, itertools.count())
    assert [next(results) for _ in range(50)] == list(range(50))
    with pytest.raises(ValueError, match="fifty"):
        next(results)


def test_after_an_error_of_the_reader_nothing_of_the_pool_is_left():
    """Otherwise its thread ends with the interpreter, sometimes with a traceback."""
    before = threading.enumerate()
    with pytest.raises(ValueError, match="of the reader"):
        with mapping(2) as spread:
            next(spread(abs, range(20000)))
            raise ValueError("of the reader")
    assert threading.enumerate() == before


def test_a_process_that_is_killed():
    """The system does this when memory runs out."""
    with pytest.raises(InputError, match="--jobs 2: a process was killed, .* with fewer jobs"):
        with mapping(2) as spread:
            list(spread(die_at_50, range(100)))


@pytest.mark.parametrize(
    "how, kinds",
    [
        ("quiet", ["warning: odd"]),
        (None, ["warning: odd", "note"]),
        ("verbose", ["warning: odd", "note", "detail"]),
    ],
)
def test_messages_of_the_processes_are_those_of_the_program(capsys, how, kinds):
    """In the order of the items."""
    with printed(how), mapping(2) as spread:
        assert list(spread(tell, range(20))) == list(range(20))
    expected = [f"{kind}: {number}" for number in range(20) for kind in kinds]
    assert capsys.readouterr().err.splitlines() == expected


def test_a_library_logs_the_messages_of_its_processes(caplog, capfd):
    with mapping(2) as spread:
        assert list(spread(tell, range(9))) == list(range(9))
    assert caplog.record_tuples == [(LOG.name, 30, f"odd: {number}") for number in range(9)]
    assert capfd.readouterr() == ("", "")
