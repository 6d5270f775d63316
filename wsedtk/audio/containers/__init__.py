"""Find the streams of sound in container files, without decoding.

This folder may import `core`.
"""
