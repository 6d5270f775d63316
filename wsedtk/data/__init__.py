"""Read and write data directories, events, tables of scores and HDF5 files; read class lists.

`formats/` contains the formats of event lists. `store/` reads and writes the HDF5 files of features
and scores. This folder may import `core` and h5py, but not torch.
"""
