"""Turn scores into tags and events, and choose thresholds and filters (operating points).

This folder may import `audio`, `data` and `core`, but not torch.
"""
