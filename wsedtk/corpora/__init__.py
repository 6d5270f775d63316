"""Convert corpora and sound banks to data directories.

This folder may import `evaluation`, `inference`, and the folders that these two may import.
"""
