"""Data directories, events, text tables, names of clips, class lists and HDF5 files.

Event formats are in `formats/`, and the HDF5 files of features and scores are in `store/`.
It may import `core`, and h5py; not torch.
"""
