"""Formats of event lists, one file each.

It may import the other modules of `data`, and `core`.
"""
