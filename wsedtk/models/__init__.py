"""Networks, pooling functions, model directories, checkpoints and ONNX graphs.

Of the other folders of wsedtk, this folder may import only `audio`, `data` and `core`.
"""
