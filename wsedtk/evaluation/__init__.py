"""Metrics, their intervals, comparisons of systems, and whether results are still up to date.

It may import `decoding`, `models`, `audio`, `data` and `core`; not torch.
"""
