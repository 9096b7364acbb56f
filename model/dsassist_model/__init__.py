"""Loads, runs, quantizes, converts and measures code models, and serves them over HTTP.

Importing this package, ``paths``, ``errors``, ``catalog`` or ``pull`` does not import torch.
"""
