"""The networks of wsedtk: one module, one class each."""
