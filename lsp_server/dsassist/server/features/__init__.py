"""One module a group of LSP methods, each with ``register(server)``. Handlers are thin: fetch the document, call
``assist`` or ``index``, convert."""

from __future__ import annotations

from dsassist.server.features import completion, configuration, graph, hierarchy, model, navigation, symbols, testgen

__all__ = ["FEATURES"]

FEATURES = (configuration, model, navigation, symbols, hierarchy, graph, completion, testgen)
"""In the order of registration. ``configuration`` and ``model`` come first: the others use what they set up."""
