"""One module for each command. Its function `run` takes options and returns a result.

The modules may import `options`, but not each other. tests/test_layers.py lists the other packages
that they may import.
"""
