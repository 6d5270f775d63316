"""Thresholds and operating points: how scores become tags and events.

It may import `audio`, `data` and `core`; not torch.
"""
