"""Any server with OpenAI's ``POST /v1/completions``: vLLM, SGLang, Ollama, llama-cpp-python, our own engine."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from dsassist.backend.transport import Address, Transport
from dsassist.backend.types import BackendStatus, Completion, CompletionRequest
from dsassist.errors import BackendError, BackendLoading, BackendUnavailable
from dsassist.settings import BackendSettings

__all__ = ["OpenAiBackend", "api_key", "in_one_text"]


_PLACE = re.compile(r"\{(prefix|suffix)\}")


class OpenAiBackend:
    """Implements `dsassist.backend.types.Backend`."""

    endpoint = "v1/completions"

    def __init__(self, settings: BackendSettings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._transport = transport or Transport(
            Address(settings.url, token=api_key(settings)), timeout=settings.timeout_seconds
        )

    async def complete(self, request: CompletionRequest) -> list[Completion]:
        """All answers. See `Backend.complete`."""
        pieces: dict[int, list[Completion]] = {}
        async with aclosing(self._events(self._payload(request))) as events:
            async for event in events:
                for index, piece in self._read(event):
                    pieces.setdefault(index, []).append(piece)
        return [_joined(pieces[index]) for index in sorted(pieces)] or [Completion("", "stop")]

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Completion]:
        """One answer in pieces. See `Backend.stream`."""
        async with aclosing(self._events(self._payload(request))) as events:
            async for event in events:
                for index, piece in self._read(event):
                    if index == 0:
                        yield piece

    async def _events(self, payload: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        async with aclosing(self._transport.events(self.endpoint, payload)) as events:
            async for event in events:
                yield event

    async def warm_up(self, request: CompletionRequest) -> None:
        """Nothing: a foreign server may bill for it or queue it before a real request."""

    async def status(self) -> BackendStatus:
        """Asks ``/v1/models``. See `Backend.status`."""
        if not self._settings.url:
            return BackendStatus("error", "backend.url is empty.", "Set it to the server's address.")
        try:
            code, body = await self._transport.get(self._models_path(), timeout=0.9)
        except BackendLoading as error:
            return BackendStatus("loading", error.message, progress=error.progress)
        except BackendUnavailable as error:
            return BackendStatus("stopped", error.message, error.remedy)
        except BackendError as error:
            return BackendStatus("error", error.message, error.remedy)
        if code in (401, 403):
            return BackendStatus(
                "error",
                f"{self._transport.address} refused the key.",
                "Put the key into the variable that backend.apiKeyVariable names.",
            )
        return BackendStatus("ready", model=self._settings.model or _first_model(body))

    async def close(self) -> None:
        """Give up connections."""
        await self._transport.close()

    def _models_path(self) -> str:
        return self.endpoint.removesuffix("completions") + "models"

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "prompt": in_one_text(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
        }
        template = self._settings.fim_template
        if request.suffix is not None and template:
            parts = {"prefix": payload["prompt"], "suffix": request.suffix}
            payload["prompt"] = _PLACE.sub(lambda place: parts[place[1]], template)
        elif request.suffix is not None:
            payload["suffix"] = request.suffix
        if self._settings.model:
            payload["model"] = self._settings.model
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None:
            payload["seed"] = request.seed
        if request.n != 1:
            payload["n"] = request.n
        return payload

    def _read(self, event: Mapping[str, Any]) -> list[tuple[int, Completion]]:
        choices = event.get("choices")
        if not isinstance(choices, list):
            return []
        usage = event.get("usage")
        details = event.get("dsassist")
        return [
            (
                int(choice.get("index") or 0),
                Completion(
                    text=str(choice.get("text") or ""),
                    finish_reason=_reason(choice.get("finish_reason")),
                    logprobs=_logprobs(choice.get("logprobs")),
                    usage={k: v for k, v in usage.items() if isinstance(v, int)} if isinstance(usage, Mapping) else {},
                    details=details if isinstance(details, Mapping) else {},
                ),
            )
            for choice in choices
            if isinstance(choice, Mapping)
        ]


def api_key(settings: BackendSettings) -> str:
    """The key in the environment variable that the settings name, empty if they name none or it is not set."""
    return os.environ.get(settings.api_key_variable, "") if settings.api_key_variable else ""


def in_one_text(request: CompletionRequest) -> str:
    """The prompt with the context before it, for servers that know nothing of other files."""
    files = "".join(f"{_comment(piece.path)}\n{piece.text.rstrip()}\n\n" for piece in request.context)
    if not files:
        return request.prompt
    return f"{files}{_comment(request.path)}\n{request.prompt}"


def _comment(path: str) -> str:
    hashes = path.endswith((".py", ".pyi", ".rb", ".sh", ".toml", ".yaml", ".yml", ".r", ".jl", ".pl"))
    return f"{'#' if hashes else '//'} {path}"


def _reason(value: Any) -> Literal["stop", "length"] | None:
    if value is None:
        return None
    return "length" if value == "length" else "stop"


def _logprobs(value: Any) -> tuple[float, ...]:
    numbers = value.get("token_logprobs") if isinstance(value, Mapping) else None
    return tuple(float(n) for n in numbers if isinstance(n, int | float)) if isinstance(numbers, list) else ()


def _joined(pieces: list[Completion]) -> Completion:
    return Completion(
        text="".join(piece.text for piece in pieces),
        finish_reason=next((piece.finish_reason for piece in reversed(pieces) if piece.finish_reason), None),
        logprobs=tuple(number for piece in pieces for number in piece.logprobs),
        usage=next((piece.usage for piece in reversed(pieces) if piece.usage), {}),
        details=next((piece.details for piece in reversed(pieces) if piece.details), {}),
    )


def _first_model(body: Any) -> str:
    data = body.get("data") if isinstance(body, Mapping) else None
    first = data[0] if isinstance(data, list) and data else None
    return str(first.get("id", "")) if isinstance(first, Mapping) else ""
