"""A model's answers on a file: asked once, read from then on.

Every answer is a JSON line with its pieces as the engine sent them, found by what was asked. A request that is not on
the tape goes to the model and is added, so a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsassist.backend.types import Backend, BackendStatus, Completion, CompletionRequest

__all__ = ["Tape"]


class Tape:
    """A `Backend` that remembers. Without ``path`` in memory only."""

    def __init__(self, backend: Backend, model: str, path: Path | None, *, only: bool = False) -> None:
        self.asked = self.missing = 0
        self.where: Mapping[str, Any] = {}
        self.whole = self
        self._backend, self._model, self._path, self._only = backend, model, path, only
        self._answers: dict[str, list[tuple[str, list[float], str | None]]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                    self._answers[row["key"]] = [(text, numbers, end) for text, numbers, end in row["pieces"]]
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a run that was killed

    def _key(self, request: CompletionRequest) -> str:
        # drafts make an answer come sooner, not another one
        silent = ("session", "priority", "drafts")
        asked = {name: value for name, value in asdict(request).items() if value and name not in silent}
        return hashlib.sha256(json.dumps([self._model, asked], sort_keys=True).encode()).hexdigest()[:24]

    def noting(self, where: Mapping[str, Any]) -> Tape:
        """The same tape, which notes with each new answer where in which package it was asked for."""
        view = copy(self)
        view.where, view.whole = where, self.whole
        return view

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Completion]:
        """The answer from the tape, else from the model. See `Backend.stream`."""
        key = self._key(request)
        known = 0
        for text, numbers, end in self._answers.get(key, ()):
            yield Completion(text, end, tuple(numbers))  # type: ignore[arg-type]
            known += 1
            if end is not None:
                return
        # nothing known, or a beginning that was enough for rules of then
        if self._only:
            self.whole.missing += 1
            yield Completion("", "stop")
            return
        self.whole.asked += 1
        pieces: list[tuple[str, list[float], str | None]] = []
        async with aclosing(self._backend.stream(request)) as answer:  # type: ignore[type-var]
            try:
                async for piece in answer:
                    pieces.append((piece.text, [round(n, 4) for n in piece.logprobs], piece.finish_reason))
                    if len(pieces) > known:
                        yield piece
            finally:
                # closed early: the assistant has what it wants, and will want no more of the same request
                if len(pieces) > known:
                    self._keep(key, pieces)

    def _keep(self, key: str, pieces: list[tuple[str, list[float], str | None]]) -> None:
        self._answers[key] = pieces
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "model": self._model, **self.where, "pieces": pieces}) + "\n")

    async def complete(self, request: CompletionRequest) -> list[Completion]:
        """One answer, joined."""
        pieces = [piece async for piece in self.stream(request)]
        numbers = tuple(n for piece in pieces for n in piece.logprobs)
        return [Completion("".join(piece.text for piece in pieces), pieces[-1].finish_reason, numbers)]

    async def warm_up(self, request: CompletionRequest) -> None:
        """Nothing: time is not what is measured."""

    async def status(self) -> BackendStatus:
        """Of the model behind."""
        return await self._backend.status()

    async def close(self) -> None:
        """Of the model behind."""
        await self._backend.close()
