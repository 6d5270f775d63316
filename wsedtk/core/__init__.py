"""Errors, configuration, logging, processes and atomic files, for every other folder.

This folder imports no other folder of wsedtk, and neither torch nor h5py.
"""

import logging

# Each module logs to the logger of its name. The command line prints these messages. Without a
# handler, Python would print warnings on stderr.
logging.getLogger("wsedtk").addHandler(logging.NullHandler())
