"""Describe artefacts: kind, command, inputs, and whether the artefact is complete.

This folder may import `corpora`, `report`, `training` and the folders below them.
"""
