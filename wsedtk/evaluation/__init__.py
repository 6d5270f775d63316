"""Evaluate systems: metrics, intervals, reports, comparisons of systems, and stale results.

This folder may import `decoding`, `models`, `audio`, `data` and `core`. It must not import torch.
"""
