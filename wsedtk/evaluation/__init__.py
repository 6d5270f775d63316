"""Evaluate and compare systems: metrics, intervals, reports, and checks for stale results.

This folder may import `decoding`, `data` and `core`, but not torch.
"""
