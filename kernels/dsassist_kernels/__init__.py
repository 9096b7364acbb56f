"""Sparse attention and quantized matrix products.

One folder an operation: ``__init__`` holds the one public function and the explicit choice of a backend by device,
dtype and shape; ``reference`` is the definition in plain PyTorch, ``cpu`` and ``triton`` are the fast ones.
"""
