"""Which of the processes that torchrun started this one is: told by the environment, without torch, for every command asks."""

import os


def rank_and_size():
    """(the number of this process, how many there are) of those that torchrun started together; (0, 1) for any other process."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
