"""The HTTP application: OpenAI's completion endpoints, health and metrics. See the contract in ARCHITECTURE.md."""

from __future__ import annotations

import hmac
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dsassist_model.engine import Engine, Piece, Request
from dsassist_model.engine.begin import part_word
from dsassist_model.errors import Cancelled, EngineError, ModelError, QueueFull
from dsassist_model.prompt import build
from dsassist_model.serve.answer import Answer, pieces
from dsassist_model.serve.metrics import render
from dsassist_model.serve.schema import CommonBody, parse_chat, parse_completion
from dsassist_model.serve.state import EngineState

__all__ = ["create_app"]

LARGEST_BODY = 8 * 1024 * 1024


class Guard:
    """Lets in whoever names a host of ours and, over TCP, knows the token.

    So no web page reaches the engine by rebinding a name of its own to this machine.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], token: str) -> None:
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal: Response | None = None
        if headers.get("host", "").lower() not in self.hosts:
            refusal = _refuse(
                403, "This host name is not served.", remedy="Use the address that dsassist serve printed."
            )
        elif self.token and not hmac.compare_digest(headers.get("authorization", ""), f"Bearer {self.token}"):
            refusal = _refuse(
                401, "The token is missing or wrong.", remedy="Send Authorization: Bearer with the token."
            )
        await (refusal or self.app)(scope, receive, send)


def create_app(state: EngineState, *, hosts: frozenset[str] = frozenset({"localhost"}), token: str = "") -> Starlette:
    """The application around ``state``; ``hosts`` are the allowed Host headers, ``token`` is asked for unless empty."""
    app = Starlette(
        routes=[
            Route("/v1/completions", _completions, methods=["POST"]),
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/health", _health),
            Route("/metrics", _metrics),
        ],
        exception_handlers={ModelError: _on_error, 404: _on_missing, 405: _on_missing},
    )
    app.state.dsassist = state
    app.add_middleware(Guard, hosts=hosts, token=token)
    return app


async def _completions(http: HttpRequest) -> Response:
    engine, state = _engine(http)
    body = parse_completion(await _body(http))
    common = body.common
    limit = engine.max_context - max(1, common.max_tokens)
    prompt, begin = part_word(body.prompt) if body.heal else (body.prompt, "")
    built = build(
        engine.tokenizer,
        prompt,
        body.suffix,
        limit=min(limit, common.max_prompt_tokens or limit),
        context=body.context,
        repository=body.repository,
        path=body.path,
    )
    requests = [replace(request, begin=begin) for request in _requests(engine, common, built.tokens, built.suffix)]
    shape = {"object": "text_completion", "model": state.options.model}
    return await _answer(http, engine, common, requests, shape, {"truncated": built.truncated}, chat=False)


async def _chat(http: HttpRequest) -> Response:
    engine, state = _engine(http)
    body = parse_chat(await _body(http))
    requests = _requests(engine, body.common, engine.tokenizer.chat(body.messages))
    kind = "chat.completion.chunk" if body.common.stream else "chat.completion"
    shape = {"object": kind, "model": state.options.model}
    return await _answer(http, engine, body.common, requests, shape, {"truncated": None}, chat=True)


def _requests(
    engine: Engine, common: CommonBody, tokens: list[int], suffix: tuple[int, int] | None = None
) -> list[Request]:
    drafts = tuple(engine.tokenizer.encode(text) for text in common.drafts)
    return [
        Request(
            prompt=tokens,
            max_tokens=common.max_tokens,
            stop=common.stop,
            temperature=common.temperature,
            top_p=common.top_p,
            seed=None if common.seed is None else common.seed + choice,
            logprobs=common.logprobs,
            priority=common.priority,
            session=common.session,
            drafts=drafts,
            names=common.names,
            suffix=suffix,
            reuse_suffix=common.reuse_suffix,
            likely=common.likely,
        )
        for choice in range(common.n)
    ]


async def _answer(
    http: HttpRequest,
    engine: Engine,
    common: CommonBody,
    requests: list[Request],
    shape: Mapping[str, Any],
    extra: Mapping[str, Any],
    *,
    chat: bool,
) -> Response:
    head = {"id": f"cmpl-{uuid.uuid4().hex}", **shape, "created": int(time.time())}

    async def gone() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass

    stream = pieces(engine, requests, gone)
    if common.stream:
        # the first piece decides between a stream and a plain error with its status
        first = await anext(stream, None)
        events = _events(stream, first, head, extra, chat=chat)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    answers = [Answer() for _ in requests]
    async with aclosing(stream) as running:
        async for choice, piece in running:
            answers[choice].add(piece)
    if any(answer.last is None for answer in answers):
        raise Cancelled("The client went away.")
    choices = [_choice(i, a.text, a.logprobs, a.last, chat=chat) for i, a in enumerate(answers)]
    details = [dict(a.last.details or {}) for a in answers if a.last]
    usage = {
        "prompt_tokens": len(requests[0].prompt),
        "completion_tokens": sum(int(d.get("completion_tokens", 0)) for d in details),
    }
    usage["total_tokens"] = sum(usage.values())
    return JSONResponse({**head, "choices": choices, "usage": usage, "dsassist": {**details[0], **extra}})


async def _events(
    stream: AsyncGenerator[tuple[int, Piece], None],
    item: tuple[int, Piece] | None,
    head: Mapping[str, Any],
    extra: Mapping[str, Any],
    *,
    chat: bool,
) -> AsyncGenerator[str, None]:
    """Server-sent events. An error in the middle is an event of its own, for the status line is long gone."""
    try:
        while item is not None:
            choice, piece = item
            event = {**head, "choices": [_choice(choice, piece.text, piece.logprobs, piece, chat=chat, delta=True)]}
            if piece.last:
                event["dsassist"] = {**(piece.details or {}), **extra}
            yield f"data: {json.dumps(event)}\n\n"
            item = await anext(stream, None)
        yield "data: [DONE]\n\n"
    except ModelError as error:
        yield f"data: {json.dumps(_error_body(error))}\n\n"
    finally:
        await stream.aclose()


def _choice(
    index: int, text: str, logprobs: tuple[float, ...], last: Piece | None, *, chat: bool, delta: bool = False
) -> dict[str, Any]:
    reason = last.finish_reason if last else None
    told = {"token_logprobs": list(logprobs)} if logprobs else None
    if not chat:
        return {"index": index, "text": text, "logprobs": told, "finish_reason": reason}
    message = {"role": "assistant", "content": text}
    return {"index": index, "delta" if delta else "message": message, "logprobs": told, "finish_reason": reason}


async def _models(http: HttpRequest) -> Response:
    state = _state(http)
    return JSONResponse(
        {"object": "list", "data": [{"id": state.options.model, "object": "model", "owned_by": "dsassist"}]}
    )


async def _health(http: HttpRequest) -> Response:
    state = _state(http)
    error = state.error
    return JSONResponse(
        {
            "status": state.status,
            "model": state.options.model,
            "progress": round(state.progress, 3),
            "version": _version(),
            "pid": os.getpid(),
            "message": error.message if error else state.notice,
            "remedy": error.remedy if error else "",
        }
    )


async def _metrics(http: HttpRequest) -> Response:
    engine, _ = _engine(http)
    return PlainTextResponse(render(engine), media_type="text/plain; version=0.0.4")


def _state(http: HttpRequest) -> EngineState:
    state: EngineState = http.app.state.dsassist
    return state


def _engine(http: HttpRequest) -> tuple[Engine, EngineState]:
    """The engine, once it is ready.

    Raises:
        ModelError: it is loading (503) or could not be loaded.
    """
    state = _state(http)
    state.touch()
    if state.error is not None:
        raise state.error
    if state.engine is None:
        raise Loading(state.progress)
    return state.engine, state


class Loading(EngineError):
    """The model is still being loaded."""

    status = 503

    def __init__(self, progress: float) -> None:
        super().__init__(f"The model is loading ({progress:.0%}).", remedy="Ask again in a moment.")
        self.progress = progress


async def _body(http: HttpRequest) -> bytes:
    data = bytearray()
    async for chunk in http.stream():
        data += chunk
        if len(data) > LARGEST_BODY:
            large = EngineError(f"The request is larger than {LARGEST_BODY >> 20} MB.", remedy="Send less text.")
            large.status = 413
            raise large
    return bytes(data)


def _error_body(error: ModelError) -> dict[str, Any]:
    body: dict[str, Any] = {"message": error.message, "type": type(error).__name__, "remedy": error.remedy}
    if isinstance(error, Loading):
        body["progress"] = round(error.progress, 3)
    return {"error": body}


async def _on_error(_: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, ModelError)
    status = error.status if isinstance(error, EngineError) else 500
    retry = {"Retry-After": "1"} if isinstance(error, QueueFull | Loading) or status == 429 else None
    return JSONResponse(_error_body(error), status_code=status, headers=retry)


async def _on_missing(http: HttpRequest, error: Exception) -> Response:
    return _refuse(getattr(error, "status_code", 404), f"There is no {http.method} {http.url.path}.")


def _refuse(status: int, message: str, *, remedy: str = "") -> Response:
    return JSONResponse({"error": {"message": message, "type": "Refused", "remedy": remedy}}, status_code=status)


def _version() -> str:
    try:
        return version("dsassist")
    except PackageNotFoundError:
        return "0.0.0"
