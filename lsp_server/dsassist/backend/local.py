"""The engine of this machine: started on demand, shared by every editor and terminal of the user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from dsassist.backend import launch
from dsassist.backend.openai import OpenAiBackend
from dsassist.backend.transport import Address, Transport
from dsassist.backend.types import BackendStatus, CompletionRequest
from dsassist.errors import BackendLoading, BackendUnavailable
from dsassist.settings import Settings
from dsassist_model import store
from dsassist_model.errors import ModelError
from dsassist_model.paths import EngineFiles, engine_files

__all__ = ["LocalBackend"]

STATUS_SECONDS = 0.9


class LocalBackend(OpenAiBackend):
    """Implements `dsassist.backend.types.Backend` over a Unix socket, or loopback TCP where an engine listens there.

    A request that finds no engine starts one and waits for it. Cancelling the request does not cancel the start: the
    next keystroke wants the engine too.
    """

    def __init__(self, settings: Settings, *, command: list[str] | None = None) -> None:
        self._engine = settings.engine
        self._files: EngineFiles = engine_files(settings.engine.model, settings.engine.device)
        self._command = command
        self._starting: asyncio.Task[None] | None = None
        super().__init__(settings.backend, Transport(self._find(), timeout=settings.backend.timeout_seconds))

    def _find(self) -> Address:
        try:
            said = json.loads(self._files.address.read_text(encoding="utf-8"))
            return Address(str(said["url"]), token=str(said["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Address("http://localhost", socket=self._files.socket)

    async def _refind(self) -> None:
        """Where the engine listens can change from one life of it to the next."""
        address = self._find()
        if address != self._transport.address:
            await self._transport.close()
            self._transport = Transport(address, timeout=self._settings.timeout_seconds)

    async def start(self) -> None:
        """Return once the engine is ready. All callers share one start, which outlives them.

        Raises:
            BackendError: it cannot be started; see `launch.start`.
        """
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
            # a start that fails after its last caller has gone must not warn about an exception nobody fetched
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await launch.start(self._engine, self._files, self.status, self._command)

    async def _events(self, payload: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """The answer's events. Before the first one, an engine that is not there is started and asked again, once."""
        await self._refind()
        began = False
        try:
            async with aclosing(super()._events(payload)) as events:
                async for event in events:
                    began = True
                    yield event
            return
        except BackendLoading:
            pass
        except BackendUnavailable as error:
            if began or isinstance(error.__cause__, httpx.TimeoutException):
                raise
        await self.start()
        await self._refind()
        async with aclosing(super()._events(payload)) as events:
            async for event in events:
                yield event

    async def warm_up(self, request: CompletionRequest) -> None:
        """Have the engine read the prompt into its cache."""
        async with aclosing(self._events({**self._payload(request), "max_tokens": 0})) as events:
            async for _ in events:
                pass

    async def status(self) -> BackendStatus:
        """Asks ``/health``. See `Backend.status`."""
        await self._refind()
        try:
            code, body = await self._transport.get("health", timeout=STATUS_SECONDS)
        except BackendUnavailable as error:
            if isinstance(error.__cause__, httpx.TimeoutException):
                return BackendStatus("loading", "The engine is busy.", model=self._engine.model)
            return await asyncio.to_thread(_not_running, self._engine.model)
        if not isinstance(body, Mapping):
            return BackendStatus("error", f"{self._transport.address} is not a dsassist engine (HTTP {code}).")
        state = body.get("status")
        progress = body.get("progress")
        return BackendStatus(
            state=state if state in ("ready", "loading") else "error",
            message=str(body.get("message") or ""),
            remedy=str(body.get("remedy") or ""),
            model=str(body.get("model") or self._engine.model),
            progress=float(progress) if isinstance(progress, int | float) else 0.0,
        )

    async def close(self) -> None:
        """Give up connections and, if one is under way, waiting for a start. The engine keeps running."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await super().close()

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        payload = super()._payload(request)
        payload["prompt"] = request.prompt
        if request.suffix is not None:
            payload["suffix"] = request.suffix
        payload["logprobs"] = 1
        extra: dict[str, Any] = {
            "repository": request.repository,
            "path": request.path,
            "context": [{"path": piece.path, "text": piece.text} for piece in request.context],
            "max_prompt_tokens": request.max_prompt_tokens,
            "priority": request.priority,
            "session": request.session,
            "drafts": list(request.drafts),
            "heal": request.heal,
            "names": list(request.names),
            "reuse_suffix": request.reuse_suffix,
            "likely": list(request.likely),
        }
        payload["dsassist"] = {key: value for key, value in extra.items() if value}
        return payload


def _not_running(model: str) -> BackendStatus:
    """Whether an engine could start: looks for the model's files, which may lie on a slow disk."""
    try:
        place = store.resolve(model)
    except ModelError as error:
        return BackendStatus("no_model", error.message, error.remedy, model)
    if place.entry is not None and not place.pulled:
        come = store.arriving(place)
        if come is not None:
            return BackendStatus("loading", f"Downloading {model}", model=model, progress=come)
        return BackendStatus(
            "no_model", f"The model {model} is not on this machine.", f"Run: dsassist model pull {model}", model
        )
    return BackendStatus("stopped", "The engine is not running; it starts when it is needed.", model=model)
