"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Something that the user gave is wrong. The message says where, what was found, and what to do about it."""
