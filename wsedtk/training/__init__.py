"""Train a network: batches, frame targets, augmentations, the loop, several processes.

It may import `evaluation`, `inference` and the folders below them.
"""
