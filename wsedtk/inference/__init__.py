"""Run a network on stored features, clips in memory, or recordings of any length.

This package may import `decoding`, `models`, `audio`, `data` and `core`.
"""
