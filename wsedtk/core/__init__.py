"""Errors, configuration, logging, processes and atomic files, for every other folder.

This folder imports no other folder of wsedtk, and neither torch nor h5py.
"""
