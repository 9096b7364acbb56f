"""One module a group of LSP methods, each with ``register(server)``. Handlers are thin: fetch the document, call
``assist`` or ``index``, convert."""

from __future__ import annotations

from dsassist.server.features import configuration

__all__ = ["FEATURES"]

FEATURES = (configuration,)
"""In the order of registration. ``configuration`` comes first: the others read settings when they start."""
