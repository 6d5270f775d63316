"""Describe artefacts: kind, command, inputs, and whether the artefact is complete.

It may import `corpora`, `report`, `training` and the folders below them.
"""
