"""The options of the stages, a frozen dataclass each. Their docstrings are the command line's help.

They may import `core` alone, and nothing that is slow to import, so that help is shown at once.
"""
