"""Networks, pooling functions, model directories, checkpoints and ONNX graphs.

It may import `audio`, `data` and `core`.
"""
