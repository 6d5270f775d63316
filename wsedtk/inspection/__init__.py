"""Describe artefacts: kind, command, inputs, and whether the artefact is complete.

Of the other folders of wsedtk, this folder may import only `corpora`, `report`, `training`, and the
folders that these three may import.
"""
