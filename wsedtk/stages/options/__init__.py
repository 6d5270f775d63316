"""The options of the stages: one frozen dataclass for each command.

The docstring of a dataclass contains the help texts of the command's options. Of wsedtk, these
modules import only `core` and each other. They import nothing that is slow to import, so that
`--help` is fast.
"""
