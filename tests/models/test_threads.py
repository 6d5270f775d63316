"""Threads that compute in order, each without helper threads."""

import contextlib
import itertools
import os
import threading

import pytest
import torch

from wsedtk.models import threads


@pytest.fixture(params=[1, 2, 3], autouse=True)
def num_threads(request):
    """Run each test with several numbers of threads, and check that the number stays."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items(num_threads):
    gates = [threading.Event() for _ in range(20)]
    if num_threads > 1:  # the first item ends last among the items that run at the same time

        def compute(number):
            if number % 2:
                gates[number - 1].set()
            else:
                assert gates[number].wait(60)
            return number

    else:

        def compute(number):
            return number

    assert list(threads.in_order(compute, range(20))) == list(range(20))


def test_each_call_computes_alone():
    assert list(threads.in_order(lambda _: torch.get_num_threads(), range(9))) == [1] * 9


def test_items_can_be_infinite_and_are_made_in_the_calling_thread(num_threads):
    seen = []

    def items():
        for number in itertools.count():
            seen.append(threading.current_thread())
            yield number

    with contextlib.closing(threads.in_order(lambda number: 2 * number, items())) as results:
        assert list(itertools.islice(results, 5)) == [0, 2, 4, 6, 8]
    assert set(seen) == {threading.current_thread()}
    assert len(seen) <= 5 + num_threads + 1


def test_an_error_of_a_call_is_raised_in_its_place():
    def compute(number):
        if number == 3:
            raise ValueError("three")
        return number

    found = []
    with pytest.raises(ValueError, match="three"):
        for number in threads.in_order(compute, range(10)):
            found.append(number)
    assert found == [0, 1, 2]


def test_an_error_of_the_items_is_raised():
    def items():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(threads.in_order(str, items()))


def test_nothing_is_computed_after_the_generator_is_closed():
    running, ended = [], []

    def compute(number):
        running.append(number)
        torch.rand(200, 200) @ torch.rand(200, 200)
        ended.append(number)
        return number

    results = threads.in_order(compute, itertools.count())
    assert next(results) == 0
    results.close()
    assert sorted(running) == sorted(ended)
    count = len(running)
    assert list(threads.in_order(str, range(5))) == list("01234")
    assert len(running) == count


def test_calls_may_use_threads_themselves():
    def compute(number):
        return list(threads.in_order(lambda n: n + number, range(3)))

    expected = [[number, number + 1, number + 2] for number in range(8)]
    assert list(threads.in_order(compute, range(8))) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    assert list(threads.in_order(str, range(5))) == list("01234")
    child = os.fork()
    if not child:
        is_right = list(threads.in_order(str, range(5))) == list("01234")
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_grad_mode_of_the_caller_does_not_reach_the_calls(num_threads):
    with torch.inference_mode():
        modes = list(threads.in_order(lambda _: torch.is_inference_mode_enabled(), range(4)))
    assert modes == [num_threads == 1] * 4
