"""Run a network: over stored features, or over windows of a recording of any length.

It may import `decoding`, `models`, `audio`, `data` and `core`.
"""
