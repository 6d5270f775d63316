"""Networks, pooling functions, model directories, checkpoints and ONNX graphs.

This folder may import `audio`, `data` and `core`.
"""
