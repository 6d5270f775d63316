"""The options of the stages: one frozen dataclass each, whose docstring is the help of the command.

They may import `core` alone, and nothing that is slow to import, so that `--help` is fast.
"""
