"""Turn scores into tags and events, and choose thresholds and filters (operating points).

Of the other folders of wsedtk, this folder may import only `audio`, `data` and `core`. It must not
import torch.
"""
