"""Find the rank of this process in a run of `torchrun`, without importing torch."""

import os


def rank_and_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes that torchrun started.

    For a process that torchrun did not start, return (0, 1).
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
