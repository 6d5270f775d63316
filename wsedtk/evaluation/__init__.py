"""Metrics, intervals, reports, comparisons of systems, and whether results are up to date.

It may import `decoding`, `models`, `audio`, `data` and `core`; not torch.
"""
