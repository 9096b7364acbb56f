"""Runs requests on a model: what is asked (``request``), what is cached (``cache``), what is guessed (``drafts``),
who comes next
(``scheduler``), which token (``sampling``), and the thread that does it (``engine``).
"""

from dsassist_model.engine.engine import Engine
from dsassist_model.engine.request import Handle, Piece, Request

__all__ = ["Engine", "Handle", "Piece", "Request"]
