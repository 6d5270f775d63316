"""Artefacts: what a file or folder is, what made it, from what, and whether it is complete.

It may import `corpora`, `report`, `training` and the folders below them.
"""
