"""The command line: arguments become options, a stage runs, and its result is printed.

It may import every folder. The verbs stand in `corpora.py`, `systems.py` and `results.py`.
"""
