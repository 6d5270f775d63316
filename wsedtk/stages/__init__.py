"""The stages: one module for each command.

The function `run` of a module takes options and returns a result. The modules may import `options`,
but not each other. tests/test_layers.py lists the other packages that the modules may import.
"""
