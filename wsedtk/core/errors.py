"""The exceptions that a user is meant to read."""


class InputError(Exception):
    """Something that the user gave is wrong. The message says where, what was found, and what to do about it."""


class NotFinished(Exception):
    """The work stopped before its end, and goes on when the same command is given again. The message says what stopped it."""
