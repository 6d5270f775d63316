"""Tools that the other folders of wsedtk use, such as errors, configurations and atomic writing.

Modules of this folder do not import torch, h5py or modules of other folders of wsedtk.
"""

import logging

# Each module logs to a logger with the name of the module. The command line prints the log records.
# Without this handler, Python would print warnings to stderr when wsedtk is used as a library.
logging.getLogger("wsedtk").addHandler(logging.NullHandler())
