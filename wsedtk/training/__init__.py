"""Training: the sampler, frame targets, augmentations, the training loop, checkpoints, processes.

Of the other folders of wsedtk, this folder may import only `evaluation`, `inference`, and the
folders that these two may import.
"""
