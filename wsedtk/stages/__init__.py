"""One module for each command. Its function `run` takes options and returns a result.

The modules may import `inspection` and the folders below it. They do not import each other.
"""
