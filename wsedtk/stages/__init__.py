"""The verbs, a module each, whose function `run` does the work.

It may import `inspection` and the folders below it. Stages do not import each other.
"""
