"""The exceptions whose messages are written for users."""


class InputError(Exception):
    """An error in the user's input: a file, a folder or an option.

    The message says where, what was found, what was expected, and what to do.
    """


class NotFinished(Exception):
    """An interruption of work that the same command resumes.

    The message says what interrupted it.
    """
