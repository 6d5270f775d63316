"""Run a network on stored features, clips in memory, or recordings of any length.

Of the other folders of wsedtk, this folder may import only `decoding`, `models`, `audio`, `data`
and `core`.
"""
