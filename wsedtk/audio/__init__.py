"""Decode sound files, resample and write sound, and compute log-mel features.

This folder may import `core`.
"""
