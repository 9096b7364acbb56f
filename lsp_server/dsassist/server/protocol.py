"""Messages of our own, beside LSP's. All names start with ``dsassist/``.

| Method | Kind | Parameters → result |
|---|---|---|
| ``dsassist/status`` | notification to the client | `Status`: whenever it changes |
| ``dsassist/status`` | request | → `Status`: as it is now |
| ``dsassist/whyNothing`` | request | → `WhyNothing`: why the last request for a completion showed nothing |
| ``dsassist/pause`` | request | `Pause` → `Status`: stop or resume suggestions until the server ends |
| ``dsassist/graph`` | request | `GraphAround` → which files use which around one; null without an index |
| ``dsassist/diagnostics`` | notification to the server | `Said`: what other tools say of a document |
| ``dsassist/didShow`` | notification to the server | `Shown`: a suggestion became visible |
| ``dsassist/didAccept`` | notification to the server | `Accepted`: one was taken, in whole or in part |

A suggestion's ``id`` is the first argument of its item's ``command`` (``dsassist.accepted``), which editors run when
all of it is taken; a client that cannot tell what was shown or taken in part need not send the last two.
"""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
from cattrs.errors import BaseValidationError
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, LanguageServerProtocol

from dsassist.server.early import remember
from dsassist.server.wire import Question, Ready, reply

__all__ = [
    "DIAGNOSTICS",
    "DID_ACCEPT",
    "DID_SHOW",
    "GRAPH",
    "PAUSE",
    "STATUS",
    "WHY_NOTHING",
    "Accepted",
    "GraphAround",
    "Pause",
    "Problem",
    "Protocol",
    "Said",
    "Shown",
    "State",
    "Status",
    "WhyNothing",
    "define_message",
]

STATUS = "dsassist/status"
WHY_NOTHING = "dsassist/whyNothing"
PAUSE = "dsassist/pause"
GRAPH = "dsassist/graph"
DIAGNOSTICS = "dsassist/diagnostics"
DID_SHOW = "dsassist/didShow"
DID_ACCEPT = "dsassist/didAccept"

logger = logging.getLogger(__name__)

State = Literal["ready", "loading", "no_model", "error", "paused", "stopped"]


@attrs.frozen
class Status:
    """How the assistant is. Field names are as on the wire."""

    state: State
    message: str = ""
    """What is so, in one sentence."""
    remedy: str = ""
    """What to do about it, empty where nothing needs doing."""
    progress: float = 0.0
    """0 to 1, with ``loading``."""
    model: str = ""
    version: str = ""
    """Of dsassist."""


@attrs.frozen
class WhyNothing:
    """``reason`` is a short stable word (``none`` when a suggestion was shown), ``message`` a sentence."""

    reason: str
    message: str
    suppressed: str = ""
    """The text that was held back, where there was one."""


@attrs.frozen
class Pause:
    """Parameters of ``dsassist/pause``."""

    paused: bool


@attrs.frozen
class GraphAround:
    """Parameters of ``dsassist/graph``.

    The answer, ``{root, nodes: [{uri, path}], edges: [{source, target, count}], dropped}``, has an edge from each file
    to those that it uses, with the number of places. ``dropped`` files are left out: there are more than ``most``.
    """

    uri: str
    depth: int = 1
    """Steps from the file."""
    most: int = 40
    """Files in the answer."""


@attrs.frozen
class Problem:
    """An error, or a warning. ``line`` is from 0."""

    line: int
    message: str
    warning: bool = False


@attrs.frozen
class Said:
    """Parameters of ``dsassist/diagnostics``: all errors and warnings of a document, whoever found them."""

    uri: str
    diagnostics: list[Problem]


@attrs.frozen
class Shown:
    """Parameters of ``dsassist/didShow``."""

    id: str


@attrs.frozen
class Accepted:
    """Parameters of ``dsassist/didAccept``. ``characters`` is how much was taken, in code points; None is all."""

    id: str
    characters: int | None = None


_PARAMETERS: dict[str, type[Any] | None] = {
    STATUS: None,
    WHY_NOTHING: None,
    PAUSE: Pause,
    GRAPH: GraphAround,
    DIAGNOSTICS: Said,
    DID_SHOW: Shown,
    DID_ACCEPT: Accepted,
}


def define_message(method: str, parameters: type[Any] | None) -> None:
    """Give a method of ours the attrs class of its parameters; None for a method without any."""
    _PARAMETERS[method] = parameters


class Protocol(LanguageServerProtocol):
    """pygls's protocol, with our messages, and an answer to every request that cannot be read.

    pygls drops a request whose parameters do not fit, and its client would wait for ever.
    """

    initialized_as: Any = None
    """The id of an ``initialize`` that was answered before the server was loaded (``early``)."""
    quick_references: Callable[[Question], str | None] | None = None
    """Gives references as JSON where no waiting is needed, None otherwise."""
    _asked: Mapping[str, Any] | None = None
    """Parameters of ``initialize`` until it is answered."""

    def receive(self, body: bytes) -> None:
        """Handle one message as it came over the wire. A message that cannot be read is logged; the next one counts."""
        try:
            data = json.loads(body)
            if isinstance(data, dict):
                method = data.get("method")
                if method == "textDocument/references" and self._answered(data):
                    return
                if method == "initialize" and isinstance(data.get("params"), dict):
                    self._asked = data["params"]
                data = self.structure_message(data)
            self.handle_message(data)
        except Exception as error:
            logger.exception("a message could not be handled")
            self._server.report_server_error(error, JsonRpcException)

    def _answered(self, data: dict[str, Any]) -> bool:
        """Give references past pygls, which takes longer to make its objects than the index takes to find places."""
        question = Question.of(data.get("params")) if self.quick_references is not None and "id" in data else None
        if question is None or self.quick_references is None or self._shutdown:
            return False
        text = self.quick_references(question)
        if text is None or self.writer is None:
            return False
        self.writer.write(reply(data["id"], text))
        return True

    def _send_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        """As in pygls; what the server says to ``initialize`` is kept for the next session's beginning."""
        if self._asked is not None and isinstance(result, types.InitializeResult):
            asked, self._asked = self._asked, None
            plain = self._converter.unstructure(result)
            remember(asked, plain)
            if self.initialized_as is not None:
                return  # the client has had its answer
        if isinstance(result, Ready) and error is None and self.writer is not None:
            self.writer.write(reply(msg_id, result))
            return
        super()._send_response(msg_id, result, error)

    def handle_message(self, message: Any) -> None:
        """As in pygls, without asking what the message's class is like: for two thirds of them that takes longer than
        the answer."""
        method = getattr(message, "method", None)
        if method is None or self._shutdown or message.jsonrpc != self.VERSION:
            super().handle_message(message)
        elif hasattr(message, "id"):
            contextvars.copy_context().run(self._handle_request, message.id, method, message.params)
        else:
            contextvars.copy_context().run(self._handle_notification, method, message.params)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """The typed message of a JSON object."""
        method = data.get("method")
        if "jsonrpc" not in data or not isinstance(method, str):
            return super().structure_message(data)
        try:
            if method in _PARAMETERS:
                return self._own_message(method, data)
            return super().structure_message({"params": None, **data})
        except JsonRpcException as error:
            if "id" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def _own_message(self, method: str, data: dict[str, Any]) -> Any:
        kind, params = _PARAMETERS[method], data.get("params")
        if kind is not None:
            try:
                params = self._converter.structure(params, kind)
            except (BaseValidationError, TypeError, ValueError, KeyError) as problem:
                raise JsonRpcInvalidParams(f"{method} takes {kind.__name__}, not {params!r}") from problem
        if "id" in data:
            return JsonRPCRequestMessage(id=data["id"], method=method, jsonrpc=data["jsonrpc"], params=params)
        return JsonRPCNotification(method=method, jsonrpc=data["jsonrpc"], params=params)
