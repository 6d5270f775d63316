"""Read and write data directories, events, text tables, clip names, class lists and HDF5 files.

Event formats are in `formats/`. The HDF5 files of features and scores are in `store/`.
This folder may import `core` and h5py, but not torch.
"""
