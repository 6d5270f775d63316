"""Containers: where the streams of sound lie in a file, found without decoding.

It may import `core`.
"""
