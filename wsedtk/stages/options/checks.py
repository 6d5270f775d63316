"""Checks that the options of several stages share."""

from wsedtk.core.errors import InputError


def check_jobs(jobs: int) -> None:
    """Raise InputError unless the number of processes is at least 1."""
    if jobs < 1:
        raise InputError(f"jobs: found {jobs}; expected at least 1")
