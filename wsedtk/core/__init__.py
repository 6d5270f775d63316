"""What every other folder uses: errors, configuration from YAML, logging, processes, whole files.

It knows nothing of sound. It imports no other folder, and neither torch nor h5py.
"""
