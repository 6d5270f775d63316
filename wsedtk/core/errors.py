"""Define the exceptions whose messages are written for users."""


class InputError(Exception):
    """An error in the user's input: a file, a folder or an option.

    The message says where the error is, what was found, what was expected, and what to do.
    """


class NotFinished(Exception):
    """An interruption of a command. If the user runs the same command again, the work is resumed.

    The message says what interrupted the command.
    """
