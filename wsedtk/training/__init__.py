"""Training: sampler, frame targets, augmentations, the training loop, checkpoints, processes.

This folder may import `evaluation`, `inference` and the folders below them.
"""
