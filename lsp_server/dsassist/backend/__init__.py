"""How the assistant reaches a model: an httpx client of an OpenAI-compatible server.

``create`` gives the client that the settings ask for; ``local`` starts and shares the engine of this machine.
"""

from __future__ import annotations

from dsassist.backend.types import Backend
from dsassist.settings import Settings

__all__ = ["create"]


def create(settings: Settings) -> Backend:
    """A client for ``settings.backend.kind``. Connects to nothing yet."""
    match settings.backend.kind:
        case "openai":
            from dsassist.backend.openai import OpenAiBackend

            return OpenAiBackend(settings.backend)
        case "llamacpp":
            from dsassist.backend.llamacpp import LlamaCppBackend

            return LlamaCppBackend(settings.backend)
        case "deepseek":
            from dsassist.backend.deepseek import DeepSeekBackend

            return DeepSeekBackend(settings.backend)
        case "local":
            from dsassist.backend.local import LocalBackend

            return LocalBackend(settings)
