"""Other people's corpora and banks of sounds become data directories.

It may import `evaluation`, `inference` and the folders below them.
"""
