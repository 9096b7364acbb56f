"""llama.cpp's own ``POST /infill``: knows the model's fill-in-the-middle tokens, takes other files as input."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Literal

from dsassist.backend.openai import OpenAiBackend
from dsassist.backend.types import BackendStatus, Completion, CompletionRequest
from dsassist.errors import BackendError, BackendUnavailable

__all__ = ["LlamaCppBackend"]


class LlamaCppBackend(OpenAiBackend):
    """Implements `dsassist.backend.types.Backend` for ``llama-server``."""

    endpoint = "infill"

    async def warm_up(self, request: CompletionRequest) -> None:
        """Read the prompt into llama.cpp's cache: asking for no tokens does that."""
        async with aclosing(self._events({**self._payload(request), "n_predict": 0})) as events:
            async for _ in events:
                pass

    async def status(self) -> BackendStatus:
        """Asks ``/health``. See `Backend.status`."""
        if not self._settings.url:
            return BackendStatus("error", "backend.url is empty.", "Set it to the server's address.")
        try:
            code, _ = await self._transport.get("health", timeout=0.9)
        except BackendUnavailable as error:
            return BackendStatus("stopped", error.message, error.remedy)
        except BackendError as error:
            return BackendStatus("error", error.message, error.remedy)
        if code == 503:
            return BackendStatus("loading", f"{self._transport.address} is loading its model.")
        return BackendStatus("ready", model=self._settings.model)

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "input_prefix": request.prompt,
            "input_suffix": request.suffix or "",
            "input_extra": [{"filename": piece.path, "text": piece.text} for piece in request.context],
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "cache_prompt": True,
            "stream": True,
        }
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None:
            payload["seed"] = request.seed
        return payload

    def _read(self, event: Mapping[str, Any]) -> list[tuple[int, Completion]]:
        if "content" not in event:
            return []
        ended = bool(event.get("stop"))
        limited = event.get("stop_type") == "limit" or bool(event.get("stopped_limit"))
        usage = {
            ours: event[theirs]
            for ours, theirs in (("completion_tokens", "tokens_predicted"), ("prompt_tokens", "tokens_evaluated"))
            if isinstance(event.get(theirs), int)
        }
        reason: Literal["stop", "length"] | None = ("length" if limited else "stop") if ended else None
        return [(int(event.get("index") or 0), Completion(str(event["content"] or ""), reason, usage=usage))]
