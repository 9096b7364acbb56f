"""The server: what every feature shares.

A feature is a module in ``features/`` with ``register(server)``, which attaches handlers with ``@server.feature`` and,
for what several features want to know, adds callbacks to ``server.events``. Three rules keep the server quick and
cancellable:

1. Request handlers are ``async def``. A cancelled request cancels the task, and with it whatever it awaits: this is how
   ``$/cancelRequest`` stops the model. A handler in a thread or a plain ``def`` cannot be stopped.
2. Nothing longer than a few milliseconds runs on the event loop: ``await asyncio.to_thread(...)`` or a process.
3. Nothing awaits the client inside a request handler (a cancelled ``workDoneProgress/create`` breaks pygls):
   ``server.background(...)`` starts a task of the server's own.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from lsprotocol import types
from pygls.io_ import StdoutWriter
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from dsassist import __version__
from dsassist.backend import create as create_backend
from dsassist.backend.types import Backend
from dsassist.errors import DsassistError
from dsassist.server.documents import DocumentStore
from dsassist.server.early import Handover
from dsassist.server.protocol import Protocol
from dsassist.server.stdio import listen
from dsassist.settings import Settings

if TYPE_CHECKING:
    from dsassist.server.features.model import Monitor
    from dsassist.server.indexes import Indexes

__all__ = ["Events", "Server", "create_server"]

logger = logging.getLogger(__name__)

Callback = Callable[..., Awaitable[None] | None]


@dataclass(slots=True)
class Events:
    """Callbacks, sync or async. One that fails is logged; the others run."""

    initialize: list[Callback] = field(default_factory=list)
    """``(params)``: a client says what it can do; what the server offers is told after this."""
    initialized: list[Callback] = field(default_factory=list)
    """``()``: the client is ready, settings are read."""
    settings: list[Callback] = field(default_factory=list)
    """``(old, new)``: settings changed."""
    opened: list[Callback] = field(default_factory=list)
    """``(document)``"""
    changed: list[Callback] = field(default_factory=list)
    """``(document, changes)``: after ``changes`` (as LSP sent them) were applied."""
    rested: list[Callback] = field(default_factory=list)
    """``(document, position)``: the cursor came to rest there, as far as a request of the editor's tells."""
    saved: list[Callback] = field(default_factory=list)
    """``(document)``"""
    closed: list[Callback] = field(default_factory=list)
    """``(uri)``"""
    folders: list[Callback] = field(default_factory=list)
    """``(added, removed)``: lists of uris."""
    shutdown: list[Callback] = field(default_factory=list)
    """``()``: give up what outlives the process."""


class Server(LanguageServer):
    """One language server, for one editor window."""

    protocol: Protocol
    monitor: Monitor
    """Set by ``features.model``."""
    indexes: Indexes
    """Set by ``features.navigation``."""

    def __init__(self) -> None:
        super().__init__(
            name="dsassist",
            version=__version__,
            protocol_cls=Protocol,
            converter_factory=default_converter,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=_EVERY_NOTEBOOK,
            max_workers=4,
        )
        self.settings = Settings()
        self.backend: Backend = create_backend(self.settings)
        self.events = Events()
        self.session = uuid.uuid4().hex[:8]
        self.handover = Handover()
        self.initialization_options: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()

    @property
    def documents(self) -> DocumentStore:
        """Open documents and workspace folders."""
        store = self.workspace
        assert isinstance(store, DocumentStore)
        return store

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that no request owns. Its failure is logged; it is cancelled at shutdown."""
        task = asyncio.get_running_loop().create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DsassistError as error:
            self.tell_once(str(error), types.MessageType.Warning)
        except Exception as error:
            logger.exception("a background task failed")
            self.tell_once(f"Something went wrong inside dsassist ({error!r}). The log has the details.")

    def start_io(
        self, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None, handover: Handover | None = None
    ) -> None:
        """Serve until stdin ends or the client says exit. ``handover``: what was read and answered before."""
        source, sink = stdin or sys.stdin.buffer, stdout or sys.stdout.buffer
        self.handover = handover or Handover()
        self.protocol.initialized_as = self.handover.initialized_as
        self._stop_event = threading.Event()
        self.protocol.set_writer(StdoutWriter(sink))
        try:
            asyncio.run(listen(source, sink, self.protocol.receive, self.handover.messages, self.handover.rest))
        except BrokenPipeError:
            logger.info("the client is gone")
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            self.shutdown()  # type: ignore[no-untyped-call]

    def emit(self, callbacks: list[Callback], *arguments: Any) -> None:
        """Call every callback; async ones become background tasks."""
        for callback in callbacks:
            try:
                result = callback(*arguments)
            except Exception:
                logger.exception("%s failed", getattr(callback, "__qualname__", callback))
                continue
            if inspect.isawaitable(result):
                self.background(_as_coroutine(result))

    def tell_once(self, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        """Show ``message`` to the user, at most once in the life of the server; always log it."""
        logger.log(logging.ERROR if kind == types.MessageType.Error else logging.WARNING, "%s", message)
        if message not in self._told:
            self._told.add(message)
            self.window_show_message(types.ShowMessageParams(type=kind, message=message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Called by pygls. The log has the traceback; a request's error is in its answer: no window pops up."""
        logger.error("%s: %s", getattr(source, "__name__", source), error)

    async def stop_tasks(self) -> None:
        """Cancel background tasks and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _as_coroutine(result: Awaitable[None]) -> None:
    await result


_EVERY_NOTEBOOK = types.NotebookDocumentSyncOptions(
    notebook_selector=[types.NotebookDocumentFilterWithNotebook(notebook="*", cells=None)], save=False
)


def create_server() -> Server:
    """A server with every feature, not yet connected."""
    from dsassist.server.features import FEATURES

    server = Server()
    _register_lifecycle(server)
    for feature in FEATURES:
        feature.register(server)
    return server


def _register_lifecycle(server: Server) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.initialization_options = params.initialization_options
        theirs = server.protocol.workspace
        server.protocol._workspace = DocumentStore(
            theirs.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(theirs.folders.values()),
            theirs.position_encoding,
        )
        server.emit(server.events.initialize, params)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        if document := server.documents.document(params.text_document.uri):
            server.emit(server.events.opened, document)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        if document := server.documents.document(params.text_document.uri):
            server.emit(server.events.changed, document, list(params.content_changes))

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        if document := server.documents.document(params.text_document.uri):
            server.emit(server.events.saved, document)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.emit(server.events.closed, params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def did_change_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        added = [folder.uri for folder in params.event.added or []]
        removed = [folder.uri for folder in params.event.removed or []]
        server.emit(server.events.folders, added, removed)

    @server.feature(types.SHUTDOWN)
    async def shutdown(_: Any) -> None:
        for callback in server.events.shutdown:
            result = callback()
            if inspect.isawaitable(result):
                await result
        await server.stop_tasks()
