"""What is asked of the engine, and the pieces of its answer."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dsassist_model.errors import ModelError

__all__ = ["Handle", "Piece", "Request"]

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt in tokens and how to continue it. ``max_tokens`` 0 only reads the prompt into the cache."""

    prompt: Sequence[int]
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    logprobs: bool = False
    priority: Literal["interactive", "background"] = "interactive"
    session: str = ""
    drafts: tuple[Sequence[int], ...] = ()
    """Token sequences likely to be continued from, besides the prompt itself."""
    begin: str = ""
    """What the answer has to begin with; it is not told again."""
    names: tuple[str, ...] = ()
    """The answer begins with one of these, whole; empty leaves it free."""
    suffix: tuple[int, int] | None = None
    """Where the text after the cursor stands in ``prompt``: its first token and the one after its last."""
    reuse_suffix: bool = False
    """Whether that text may be taken from an earlier prompt that differs little before it (``suffixes``): quicker, and
    not quite the same."""
    likely: tuple[str, ...] = ()
    """The answer probably begins with one of these. Not used beside ``names``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of an answer. The last one has ``finish_reason`` and ``details``, or ``error``."""

    text: str = ""
    tokens: int = 0
    logprobs: tuple[float, ...] = ()
    finish_reason: Literal["stop", "length"] | None = None
    details: Mapping[str, Any] | None = None
    error: ModelError | None = None

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.finish_reason is not None or self.error is not None


@dataclass(slots=True, eq=False)
class Handle:
    """One submitted request. ``emit`` is called from the engine's thread and must return at once."""

    request: Request
    emit: Callable[[Piece], None]
    number: int = field(default_factory=lambda: next(_numbers))
    arrived: float = field(default_factory=time.perf_counter)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody wants the answer any more; the model stops within a token, or a layer of prefill. Safe from any
        thread."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled.is_set()
