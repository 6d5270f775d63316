"""Read and write data directories, events, tables of scores and HDF5 files; read class lists.

`formats/` contains the formats of event lists. `store/` reads and writes the HDF5 files of features
and scores. Of the other folders of wsedtk, this folder may import only `core`. It must not import
torch.
"""
