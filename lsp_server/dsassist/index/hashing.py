"""BLAKE2, without what ``hashlib`` loads beside it: OpenSSL takes longer to load than a stored answer to find."""

try:
    from _blake2 import blake2b
except ImportError:  # an interpreter that keeps it elsewhere
    from hashlib import blake2b

__all__ = ["blake2b"]
