"""DeepSeek's fill-in-the-middle endpoint: OpenAI's shape at another path, with a key and a fixed limit of tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsassist.backend.openai import OpenAiBackend, api_key
from dsassist.backend.types import BackendStatus, CompletionRequest
from dsassist.settings import BackendSettings

__all__ = ["DeepSeekBackend"]

URL = "https://api.deepseek.com/beta"
MOST_TOKENS = 4096


class DeepSeekBackend(OpenAiBackend):
    """Implements `dsassist.backend.types.Backend`. An empty ``backend.url`` is DeepSeek's own address."""

    endpoint = "completions"

    def __init__(self, settings: BackendSettings) -> None:
        super().__init__(
            dataclasses.replace(
                settings,
                url=settings.url or URL,
                model=settings.model or "deepseek-chat",
                api_key_variable=settings.api_key_variable or "DEEPSEEK_API_KEY",
            )
        )

    async def status(self) -> BackendStatus:
        """Ready when there is a key: the beta address answers only completions, and asking for one would be billed."""
        if not api_key(self._settings):
            return BackendStatus(
                "error",
                f"The environment variable {self._settings.api_key_variable} is empty.",
                "Put your DeepSeek key into it and restart the editor.",
            )
        return BackendStatus("ready", model=self._settings.model)

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        payload = super()._payload(request)
        payload["max_tokens"] = min(request.max_tokens, MOST_TOKENS)
        payload.pop("seed", None)  # unknown to the endpoint
        return payload
