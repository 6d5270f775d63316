"""The type of paths in signatures."""

import os

PathLike = str | os.PathLike[str]
