"""Errors, configuration, logging, processes and atomic files, which all other folders use.

Modules of this folder do not import other folders of wsedtk, torch or h5py.
"""

import logging

# Each module logs to the logger that has its name. The command line prints these messages. Without
# this handler, Python would print warnings to stderr when wsedtk is used as a library.
logging.getLogger("wsedtk").addHandler(logging.NullHandler())
