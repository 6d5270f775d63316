"""Reproducible damage to files. The result is valid, or an InputError names the file."""

import contextlib
import os
import signal
import warnings

import numpy as np

from wsedtk.core.errors import InputError

FULL = bool(os.environ.get("WSEDTK_TEST_FULL"))
LONGEST_SECONDS = 4  # per file


def count(full, few):
    """Return the number of trials: `full` if WSEDTK_TEST_FULL is set, otherwise `few`."""
    return full if FULL else few


def mutate(data, seed):
    """Return bytes with one to three changes.

    A change flips bits, or truncates, inserts, removes, zeroes, repeats or overwrites bytes.
    """
    rng, data = np.random.default_rng(seed), bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            break
        kind, start = int(rng.integers(8)), int(rng.integers(len(data)))
        if rng.random() < 0.3:
            start = min(start, int(rng.integers(4096)))  # the head contains the structures
        length = int(rng.choice([1, 2, 4, 8, 64, 512]))
        if kind < 2:
            data[start] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[start:]
        elif kind == 3:
            data[start:start] = rng.integers(0, 256, length, np.uint8).tobytes()
        elif kind == 4:
            del data[start : start + length]
        elif kind == 5:
            data[start : start + length] = bytes(len(data[start : start + length]))
        elif kind == 6:
            data[start:start] = data[start : start + length]
        else:
            byte = int(rng.choice([0, 9, 10, 13, 32, 34, 45, 57, 127, 255]))
            data[start : start + length] = bytes([byte]) * len(data[start : start + length])
    return bytes(data)


def _too_long(number, frame):
    raise TimeoutError("it hangs")


@contextlib.contextmanager
def in_time(seconds=LONGEST_SECONDS):
    """Raise TimeoutError if the block takes longer."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(read, path, *names):
    """Return whether `read(path)` gives a result instead of an InputError; raise other exceptions.

    names: other names that the message may contain instead of the name of the file.
    """
    try:
        with in_time(), warnings.catch_warnings():
            warnings.simplefilter("error")
            read(path)
    except InputError as error:
        message = str(error)
        assert any(str(name) in message for name in (path, *names)), (
            f"{message!r} does not name {path}"
        )
        assert len(message) < 20000, f"{len(message)} characters: {message[:200]}"
        return False
    return True
