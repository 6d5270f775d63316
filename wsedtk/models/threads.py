"""Compute several items with PyTorch at the same time, each item in a single thread.

If several threads compute one operation together, they wait for each other at its end. On a machine
that also runs other programs, the system suspends one of the threads from time to time, and the
others wait for it. Threads that compute different things do not wait for each other.
"""

import collections
import itertools
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUE: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any]] = queue.SimpleQueue()
_STARTING = threading.Lock()
_STARTED: list[threading.Thread] = []


def _forget() -> None:
    """Forget the threads of the parent process. A forked process does not have them."""
    global _QUEUE, _STARTING
    _QUEUE, _STARTING = queue.SimpleQueue(), threading.Lock()
    _STARTED.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order. Each call runs in a single thread.

    The threads compute a few results in advance. `items` may be infinite. The calling thread
    iterates over `items`. Close the generator if it is not read to its end. If PyTorch uses only
    one thread, the calling thread computes everything.

    The threads do not inherit autocast and inference mode from the calling thread. If `function`
    needs one of these modes, it must enter the mode itself.
    """
    num_threads = torch.get_num_threads()
    if num_threads == 1 or not _threads():
        yield from map(function, items)
        return
    left = iter(items)
    pending: collections.deque[Future[Result]] = collections.deque()
    try:
        while True:
            for item in itertools.islice(left, num_threads + 1 - len(pending)):
                future: Future[Result] = Future()
                pending.append(future)
                _QUEUE.put((future, function, item))
            if not pending:
                return
            result = pending[0].result()
            pending.popleft()
            yield result
    finally:
        for future in pending:
            future.cancel()
        wait(pending)  # no thread computes afterwards


def _threads() -> list[threading.Thread]:
    """Return the threads. Start them first if necessary. Return [] if no thread can be started.

    The threads are daemons. They do not delay the end of the program, and a thread of the user can
    use them after the main thread has ended.
    """
    with _STARTING:
        if not _STARTED:
            num_threads = torch.get_num_threads()
            ready: queue.SimpleQueue[None] = queue.SimpleQueue()
            try:
                for number in range(num_threads):
                    thread = threading.Thread(
                        target=_serve, args=(ready,), name=f"wsedtk {number}", daemon=True
                    )
                    thread.start()
                    _STARTED.append(thread)
                    ready.get()
            except RuntimeError:  # the system has no more threads for this process
                pass
            finally:
                # `set_num_threads` in one thread also changes the number for threads that start
                # later. This call restores that number.
                torch.set_num_threads(num_threads)
    return _STARTED


def _serve(ready: "queue.SimpleQueue[None]") -> None:
    """Compute the items of the queue. PyTorch uses only this thread for them."""
    # In a new thread, the first call of `get_num_threads` sets the number of threads to that of the
    # program. Without this call, PyTorch would do so later, after `set_num_threads(1)`.
    torch.get_num_threads()
    torch.set_num_threads(1)
    ready.put(None)
    while True:
        _compute(*_QUEUE.get())


def _compute(future: Future[Result], function: Callable[[Item], Result], item: Item) -> None:
    """Set the result of a future. After this call, the thread refers to no tensors."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(item))
    except BaseException as error:
        future.set_exception(error)
