"""Decode, resample and write sound files of all formats, and compute log-mel features.

It may import `core`.
"""
