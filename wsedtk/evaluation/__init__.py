"""Metrics, intervals, reports, comparisons of systems, and whether results are up to date.

This folder may import `decoding`, `models`, `audio`, `data` and `core`. It must not import torch.
"""
