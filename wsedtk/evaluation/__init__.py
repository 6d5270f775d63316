"""Evaluate and compare systems: metrics, intervals, reports, and checks for stale results.

Of the other folders of wsedtk, this folder may import only `decoding`, `data` and `core`. It must
not import torch.
"""
