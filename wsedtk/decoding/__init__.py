"""Thresholds and operating points, which turn scores into tags and events.

It may import `audio`, `data` and `core`, but not torch.
"""
