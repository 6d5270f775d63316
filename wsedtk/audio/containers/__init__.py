"""Find the streams of sound in container files, without decoding.

Of the other folders of wsedtk, this folder may import only `core`.
"""
