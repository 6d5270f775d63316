"""Data directories, events, tables, names of clips, and the HDF5 files of features and scores.

It may import `core`, and h5py; not torch.
"""
