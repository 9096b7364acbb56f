"""What a request's JSON may hold, checked by hand: every refusal names the field and what is expected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dsassist_model.errors import EngineError

__all__ = ["ChatBody", "CompletionBody", "parse_chat", "parse_completion"]

MOST_ANSWERS = 16
MOST_TOKENS = 4096
MOST_STOPS = 16
MOST_NAMES = 1024


@dataclass(frozen=True, slots=True)
class CommonBody:
    """Fields of both endpoints."""

    max_tokens: int
    stop: tuple[str, ...]
    temperature: float
    top_p: float
    seed: int | None
    n: int
    stream: bool
    logprobs: bool
    priority: Literal["interactive", "background"]
    session: str
    drafts: tuple[str, ...]
    names: tuple[str, ...]
    reuse_suffix: bool
    likely: tuple[str, ...]
    max_prompt_tokens: int | None


@dataclass(frozen=True, slots=True)
class CompletionBody:
    """A request of ``/v1/completions``."""

    common: CommonBody
    prompt: str
    suffix: str | None
    repository: str
    path: str
    context: tuple[tuple[str, str], ...]
    heal: bool
    """The prompt may end in the middle of a word."""


@dataclass(frozen=True, slots=True)
class ChatBody:
    """A request of ``/v1/chat/completions``."""

    common: CommonBody
    messages: tuple[Mapping[str, str], ...]


def parse_completion(data: bytes) -> CompletionBody:
    """The body of a completion request.

    Raises:
        EngineError: not JSON, or a field that is not as expected.
    """
    body = _object(data)
    ours = _ours(body)
    suffix = body.get("suffix")
    pieces = _list(ours, "context")
    context = tuple((_text(p, "path", ""), _text(p, "text", "")) for p in map(_mapping("context"), pieces))
    return CompletionBody(
        common=_common(body, ours),
        prompt=_text(body, "prompt", None),
        suffix=None if suffix is None else _text(body, "suffix", None),
        repository=_text(ours, "repository", ""),
        path=_text(ours, "path", ""),
        context=context,
        heal=_flag(ours, "heal"),
    )


def parse_chat(data: bytes) -> ChatBody:
    """The body of a chat request.

    Raises:
        EngineError: not JSON, or a field that is not as expected.
    """
    body = _object(data)
    messages = tuple(
        {"role": _text(m, "role", None), "content": _text(m, "content", "")}
        for m in map(_mapping("messages"), _list(body, "messages"))
    )
    if not messages:
        raise EngineError("messages is empty.", remedy="Send at least one message.")
    return ChatBody(_common(body, _ours(body)), messages)


def _common(body: Mapping[str, Any], ours: Mapping[str, Any]) -> CommonBody:
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else _list(body, "stop")
    if not all(isinstance(s, str) for s in stops) or len(stops) > MOST_STOPS:
        raise EngineError(f"stop must be a text or a list of at most {MOST_STOPS} texts.")
    priority = _text(ours, "priority", "interactive")
    if priority not in ("interactive", "background"):
        raise EngineError(f"dsassist.priority must be interactive or background, not {priority!r}.")
    drafts = _list(ours, "drafts")
    if not all(isinstance(d, str) for d in drafts):
        raise EngineError("dsassist.drafts must be a list of texts.")
    # a newer name of the same field, which clients of the chat endpoint send
    name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    seed = body.get("seed")
    limit = ours.get("max_prompt_tokens")
    return CommonBody(
        max_tokens=int(_number(body, name, 16, 0, MOST_TOKENS, whole=True)),
        stop=tuple(stops),
        temperature=_number(body, "temperature", 0.0, 0.0, 10.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
        seed=None if seed is None else int(_number(body, "seed", 0, -(2**63), 2**63 - 1, whole=True)),
        n=int(_number(body, "n", 1, 1, MOST_ANSWERS, whole=True)),
        stream=_flag(body, "stream"),
        logprobs=body.get("logprobs") not in (None, False),
        priority="background" if priority == "background" else "interactive",
        session=_text(ours, "session", ""),
        drafts=tuple(drafts),
        reuse_suffix=_flag(ours, "reuse_suffix"),
        names=_names(ours, "names"),
        likely=_names(ours, "likely"),
        max_prompt_tokens=None if limit is None else int(_number(ours, "max_prompt_tokens", 0, 16, 2**31, whole=True)),
    )


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise EngineError(f"The request's body is not JSON: {error}.") from error
    return _mapping("The request's body")(body)


def _mapping(name: str) -> Callable[[Any], Mapping[str, Any]]:
    def check(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise EngineError(f"{name} must hold objects, not {type(value).__name__}.")
        return dict(value)

    return check


def _ours(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping("dsassist")(body.get("dsassist") or {})


def _names(ours: Mapping[str, Any], field: str) -> tuple[str, ...]:
    names = _list(ours, field)
    if not all(isinstance(name, str) for name in names) or len(names) > MOST_NAMES:
        raise EngineError(f"dsassist.{field} must be a list of at most {MOST_NAMES} texts.")
    return tuple(names)


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise EngineError(f"{name} must be a list, not {type(value).__name__}.")
    return value


def _text(body: Mapping[str, Any], name: str, default: str | None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise EngineError(f"{name} must be a text, not {type(value).__name__}.")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise EngineError(f"{name} must be true or false, not {value!r}.")
    return bool(value)


def _number(
    body: Mapping[str, Any], name: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    value = body.get(name)
    if value is None:
        return default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (whole and value != int(value)) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise EngineError(f"{name} must be {kind} from {low:g} to {high:g}, not {value!r}.")
    return int(value) if whole else float(value)
