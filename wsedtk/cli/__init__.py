"""Run the command line: convert arguments to options, call a stage, and print its result.

This package may import all other packages. The commands are in `corpora.py`, `systems.py`,
`results.py` and `models.py`.
"""
