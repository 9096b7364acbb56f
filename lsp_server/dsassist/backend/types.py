"""What is asked of a model and what comes back, the same for every kind of server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Backend", "BackendStatus", "Completion", "CompletionRequest", "ContextFile"]


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A piece of another file that the model reads before the prompt. ``path`` is relative to the workspace."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request to continue ``prompt``; with ``suffix`` not None, to fill in between the two."""

    prompt: str
    suffix: str | None = None
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int | None = None
    n: int = 1
    repository: str = ""
    """Name of the workspace, for the model's own repository format."""
    path: str = ""
    """The file being completed, relative to the workspace."""
    context: tuple[ContextFile, ...] = ()
    max_prompt_tokens: int | None = None
    """Cap of the whole prompt; the text nearest the cursor is kept. None leaves it to the server."""
    priority: Literal["interactive", "background"] = "interactive"
    session: str = ""
    """Who asks: requests of one session that replace one another share it."""
    drafts: tuple[str, ...] = ()
    """Texts likely to follow, which the engine may verify instead of generating."""
    heal: bool = False
    """The prompt ends in the middle of a word: the model may go back to its beginning. Foreign servers do not."""
    names: tuple[str, ...] = ()
    """The answer has to begin with one of these names, whichever the model finds likeliest; empty leaves it free."""
    reuse_suffix: bool = False
    """Let the engine take over what it read of the suffix before the last few keys."""
    likely: tuple[str, ...] = ()
    """Names that the answer probably begins with; the model prefers them unless it is sure of something else."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer."""

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each generated token, empty where the server does not tell."""
    usage: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """The engine's own ``dsassist`` field: timings, tokens cached, what was truncated. Empty with foreign servers."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How the model is, without waiting for it. ``progress`` (0 to 1) goes with ``loading``."""

    state: Literal["ready", "loading", "stopped", "no_model", "error"]
    message: str = ""
    remedy: str = ""
    model: str = ""
    progress: float = 0.0


class Backend(Protocol):
    """A model that can be asked. Cancelling the awaiting task closes the connection, which stops the model."""

    async def complete(self, request: CompletionRequest) -> list[Completion]:
        """All ``n`` answers, the best first where the server ranks.

        Raises:
            BackendError: see ``dsassist.errors``.
        """
        ...

    def stream(self, request: CompletionRequest) -> AsyncIterator[Completion]:
        """Pieces of one answer as they come; the last has ``finish_reason``. Close it to stop the model."""
        ...

    async def warm_up(self, request: CompletionRequest) -> None:
        """Let the server read the prompt ahead of a request that will share it. Does nothing where it cannot help."""
        ...

    async def status(self) -> BackendStatus:
        """Never raises, never starts anything, answers within a second."""
        ...

    async def close(self) -> None:
        """Give up connections. A shared local engine keeps running."""
        ...
