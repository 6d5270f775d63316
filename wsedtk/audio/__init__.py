"""Decode sound files, resample and write sound, and compute log-mel features.

Of the other folders of wsedtk, this folder may import only `core`.
"""
