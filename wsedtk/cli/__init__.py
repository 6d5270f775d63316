"""The command line: it turns arguments into options, calls a stage, and prints its result.

It may import every folder. The commands are in `corpora.py`, `systems.py` and `results.py`.
"""
