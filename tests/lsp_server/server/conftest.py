"""The language server as a real subprocess, asking a mock engine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

INLINE = types.TextDocumentClientCapabilities(inline_completion=types.InlineCompletionClientCapabilities())


class Editor:
    """A client that edits one document after another and remembers what it was told."""

    def __init__(self) -> None:
        self.client = LanguageClient("test-editor", "1")
        self.messages: list[str] = []
        self.statuses: list[str] = []
        self.progress: list[str] = []
        self.configuration: Any = None
        self.result: types.InitializeResult | None = None
        self._version = 0

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        @self.client.feature("dsassist/status")
        def status(params: Any) -> None:
            self.statuses.append(params.state)

        @self.client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def create(params: types.WorkDoneProgressCreateParams) -> None:
            self.progress.append("create")

        @self.client.feature(types.PROGRESS)
        def progress(params: types.ProgressParams) -> None:
            self.progress.append(params.value["kind"] if isinstance(params.value, dict) else params.value.kind)

        @self.client.feature(types.WORKSPACE_CONFIGURATION)
        def configuration(params: types.ConfigurationParams) -> list[Any]:
            return [self.configuration]

    async def start(
        self,
        options: Any = None,
        *,
        text_document: types.TextDocumentClientCapabilities = INLINE,
        encodings: list[types.PositionEncodingKind] | None = None,
        configuration: Any = None,
        root: str | None = None,
    ) -> Editor:
        self.configuration = configuration
        await self.client.start_io(sys.executable, "-I", "-m", "dsassist", "lsp")
        self.result = await self.client.initialize_async(
            types.InitializeParams(
                capabilities=types.ClientCapabilities(
                    general=types.GeneralClientCapabilities(position_encodings=encodings),
                    window=types.WindowClientCapabilities(work_done_progress=True),
                    workspace=types.WorkspaceClientCapabilities(configuration=configuration is not None),
                    text_document=text_document,
                ),
                initialization_options=options,
                root_uri=root,
            )
        )
        self.client.initialized(types.InitializedParams())
        return self

    async def stop(self) -> None:
        await asyncio.wait_for(self.client.shutdown_async(None), 10)
        self.client.exit(None)
        await self.client.stop()

    def open(self, text: str, uri: str = "file:///w/a.py", language: str = "python") -> str:
        self.client.text_document_did_open(
            types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, language, 0, text))
        )
        return uri

    def edit(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self._version += 1
        change = types.TextDocumentContentChangePartial(types.Range(types.Position(*start), types.Position(*end)), text)
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version=self._version, uri=uri), [change]
            )
        )

    def inline(
        self,
        uri: str,
        line: int,
        character: int,
        *,
        manual: bool = False,
        selected: types.SelectedCompletionInfo | None = None,
    ) -> Any:
        kind = types.InlineCompletionTriggerKind
        return self.client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                types.InlineCompletionContext(kind.Invoked if manual else kind.Automatic, selected),
                types.TextDocumentIdentifier(uri),
                types.Position(line, character),
            )
        )

    async def texts(self, *args: Any, **options: Any) -> list[str]:
        answer = await asyncio.wait_for(self.inline(*args, **options), 10)
        return [item.insert_text for item in answer.items]

    async def why(self) -> str:
        answer = await self.client.protocol.send_request_async("dsassist/whyNothing", None)
        return answer.reason


@pytest.fixture
async def editor(home: Any) -> AsyncIterator[Editor]:
    """Not started yet."""
    made = Editor()
    yield made
    await made.stop()


@pytest.fixture
async def ready(editor: Editor, engine: Any) -> Editor:
    """Started, with the mock engine behind it."""
    return await editor.start({"backend": {"kind": "openai", "url": engine.url}, "completion": {"debounceMs": 0}})


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition."""

    async def wait(condition: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
