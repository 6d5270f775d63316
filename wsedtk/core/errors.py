"""Define the exceptions whose messages are written for users."""


class InputError(Exception):
    """An error that the user can correct, for example in a file, a folder or an option.

    The message should say where the error is, what was found, what was expected, and what to do.
    """


class NotFinished(Exception):
    """An exception for a command that ends before its work is finished.

    The user can run the same command again to finish the work. The message says why the work is not
    finished.
    """
