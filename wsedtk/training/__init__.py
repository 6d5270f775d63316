"""Training: the sampler, frame targets, augmentations, the training loop, checkpoints, processes.

This folder may import `evaluation`, `inference`, and all folders that these two may import.
"""
