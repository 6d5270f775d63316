"""Find the streams of sound in container files, without decoding.

It may import `core`.
"""
