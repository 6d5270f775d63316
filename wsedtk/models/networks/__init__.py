"""The networks of wsedtk. Each module contains one network."""
