"""Progress that the client shows, for work that takes seconds."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

__all__ = ["Progress"]

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0


class Progress:
    """One progress bar. Does nothing where the client shows none.

    Use from a task of the server's own, never inside a request handler: a cancelled ``create`` breaks pygls.
    """

    def __init__(self, server: LanguageServer, title: str) -> None:
        self._server = server
        self._title = title
        self._token = f"dsassist-{uuid.uuid4()}"
        self._begun = False

    async def begin(self, message: str = "", on_cancel: Callable[[], object] | None = None) -> None:
        """Show the bar. ``on_cancel``: called when the user wants the work to end; without it they cannot."""
        window = self._server.client_capabilities.window
        if window is None or not window.work_done_progress:
            return
        try:
            await asyncio.wait_for(self._server.work_done_progress.create_async(self._token), ANSWER_SECONDS)
        except (TimeoutError, JsonRpcException) as error:
            logger.warning("the client shows no progress: %r", error)
            return
        self._begun = True
        begin = types.WorkDoneProgressBegin(
            title=self._title, message=message or None, percentage=0, cancellable=on_cancel is not None
        )
        self._server.work_done_progress.begin(self._token, begin)
        if on_cancel is not None:
            # pygls cancels this future, on the event loop, when the client's notification comes
            asked = self._server.work_done_progress.tokens[self._token]
            asked.add_done_callback(lambda future: on_cancel() if future.cancelled() else None)

    def report(self, message: str, fraction: float | None = None) -> None:
        """Move the bar; ``fraction`` is 0 to 1."""
        if self._begun:
            percentage = None if fraction is None else round(100 * min(max(fraction, 0.0), 1.0))
            value = types.WorkDoneProgressReport(message=message or None, percentage=percentage)
            self._server.work_done_progress.report(self._token, value)

    def end(self, message: str = "") -> None:
        """Take the bar away. Safe to call twice."""
        if self._begun:
            self._begun = False
            self._server.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message or None))
