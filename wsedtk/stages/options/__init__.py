"""The options of the stages: one frozen dataclass for each command except `prepare`.

`wsedtk.corpora` defines the options of `prepare`. The command `models list` has no options. The
docstring of a dataclass contains the help texts of the command's options. The modules of this
package import nothing that is slow to import, so that `--help` is fast. Of the other packages of
wsedtk, they import only `core`.
"""
