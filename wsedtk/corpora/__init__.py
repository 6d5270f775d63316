"""Convert corpora and sound banks to data directories.

Of the other folders of wsedtk, this folder may import only `evaluation`, `inference`, and the
folders that these two may import.
"""
