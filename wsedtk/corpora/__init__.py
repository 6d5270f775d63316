"""Prepare corpora and sound banks as data directories.

It may import `evaluation`, `inference` and the folders below them.
"""
