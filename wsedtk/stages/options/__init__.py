"""The options of the stages: one frozen dataclass for each command.

The options of `prepare` are in `wsedtk.corpora`. The docstring of a dataclass contains the help
texts of the command's options. From wsedtk, these modules import only `core` and each other. They
import nothing that is slow to import, so that `--help` is fast.
"""
