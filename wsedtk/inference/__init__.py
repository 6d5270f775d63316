"""Run a network over stored features, clips in memory, or recordings of any length.

It may import `decoding`, `models`, `audio`, `data` and `core`.
"""
