"""Training: the sampler, frame targets, augmentations, the training loop, checkpoints, processes.

This package may import `evaluation`, `inference`, and all packages that these two may import.
"""
