"""One module for each verb. Its function `run` takes options and returns a result.

It may import `inspection` and the folders below it. Stages do not import each other.
"""
