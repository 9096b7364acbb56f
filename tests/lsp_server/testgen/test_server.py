"""The code action, the question for consent and the edit, over the wire."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient


class Editor:
    """A client that answers the question with ``answer`` and remembers edits."""

    def __init__(self, answer: str) -> None:
        self.client = LanguageClient("test-editor", "1")
        self.questions: list[str] = []
        self.messages: list[str] = []
        self.edits: asyncio.Queue[types.WorkspaceEdit] = asyncio.Queue()

        @self.client.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)
        def ask(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
            self.questions.append(params.message)
            return next((item for item in params.actions or [] if item.title == answer), None)

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        @self.client.feature(types.WORKSPACE_APPLY_EDIT)
        def apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            self.edits.put_nowait(params.edit)
            return types.ApplyWorkspaceEditResult(applied=True)

        @self.client.feature(types.WORKSPACE_CONFIGURATION)
        def configuration(params: types.ConfigurationParams) -> list[Any]:
            return [None]

        @self.client.feature("dsassist/status")
        def status(params: Any) -> None:
            return None


ABLE = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(
        workspace_edit=types.WorkspaceEditClientCapabilities(
            document_changes=True,
            resource_operations=[types.ResourceOperationKind.Create],
            change_annotation_support=types.ChangeAnnotationsSupportOptions(),
        )
    )
)


async def start(
    editor: Editor,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    able: types.ClientCapabilities = ABLE,
) -> str:
    monkeypatch.setenv("DSASSIST_HOME", str(home))
    await editor.client.start_io(sys.executable, "-I", "-m", "dsassist", "lsp", env=dict(os.environ))
    await editor.client.initialize_async(types.InitializeParams(capabilities=able, root_uri=path.parent.as_uri()))
    editor.client.initialized(types.InitializedParams())
    uri = path.as_uri()
    item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=path.read_text())
    editor.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    return uri


async def stop(editor: Editor) -> None:
    await editor.client.shutdown_async(None)
    editor.client.exit(None)
    await editor.client.stop()


SOURCE = "def inc(n: int) -> int:\n    if n > 10:\n        return 10\n    return n + 1\n"


async def actions(editor: Editor, uri: str, line: int) -> list[str]:
    place = types.Position(line=line, character=4)
    params = types.CodeActionParams(
        text_document=types.TextDocumentIdentifier(uri=uri),
        range=types.Range(start=place, end=place),
        context=types.CodeActionContext(diagnostics=[]),
    )
    found = await editor.client.text_document_code_action_async(params)
    # lsprotocol's client takes an action with a command for a bare command; its title is right all the same
    return [item.title for item in found or [] if "Generate tests" in item.title]


async def test_the_action_asks_once_and_offers_an_edit_to_confirm(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project(SOURCE)
    editor = Editor("Run it in the sandbox")
    uri = await start(editor, path, monkeypatch, tmp_path / "home")
    offered = await actions(editor, uri, 1)
    assert offered == ["Generate tests for inc"]
    for _ in range(2):
        await editor.client.workspace_execute_command_async(
            types.ExecuteCommandParams(command="dsassist.generateTests", arguments=[uri, 2])
        )
        edit = await asyncio.wait_for(editor.edits.get(), 120)
    assert len(editor.questions) == 1
    assert edit.change_annotations is not None
    assert all(item.needs_confirmation for item in edit.change_annotations.values())
    text = "".join(
        part.new_text
        for change in edit.document_changes or []
        if isinstance(change, types.TextDocumentEdit)
        for part in change.edits
        if not isinstance(part, types.SnippetTextEdit)
    )
    assert "def test_inc" in text
    assert not (path.parent / "tests").exists()
    await stop(editor)


async def test_without_consent_nothing_runs(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project(SOURCE)
    editor = Editor("Cancel")
    uri = await start(editor, path, monkeypatch, tmp_path / "home")
    assert await actions(editor, uri, 40) == []
    await editor.client.workspace_execute_command_async(
        types.ExecuteCommandParams(command="dsassist.generateTests", arguments=[uri, 1])
    )
    for _ in range(100):
        if editor.questions:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    assert editor.questions and editor.edits.empty()
    await stop(editor)


async def test_an_editor_that_cannot_ask_is_told_where_to_agree(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project(SOURCE)
    editor = Editor("")
    del editor.client.protocol.fm.features[types.WINDOW_SHOW_MESSAGE_REQUEST]
    uri = await start(editor, path, monkeypatch, tmp_path / "home")
    await editor.client.workspace_execute_command_async(
        types.ExecuteCommandParams(command="dsassist.generateTests", arguments=[uri, 1])
    )
    for _ in range(100):
        if any("--trust" in message for message in editor.messages):
            break
        await asyncio.sleep(0.1)
    assert any("cannot ask whether you agree" in message for message in editor.messages), editor.messages
    await stop(editor)


async def test_nothing_is_offered_to_an_editor_that_makes_no_edits(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project(SOURCE)
    editor = Editor("")
    able = types.ClientCapabilities(workspace=types.WorkspaceClientCapabilities(apply_edit=False))
    uri = await start(editor, path, monkeypatch, tmp_path / "home", able)
    assert await actions(editor, uri, 1) == []
    await stop(editor)


async def test_what_is_not_saved_is_refused_each_time(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project(SOURCE)
    editor = Editor("Run it in the sandbox")
    uri = await start(editor, path, monkeypatch, tmp_path / "home")
    path.write_text("# other\n" + SOURCE)
    command = types.ExecuteCommandParams(command="dsassist.generateTests", arguments=[uri, 1])
    for count in (1, 2):
        await editor.client.workspace_execute_command_async(command)
        for _ in range(100):
            if sum("not saved" in message for message in editor.messages) == count:
                break
            await asyncio.sleep(0.05)
    assert sum("not saved" in message for message in editor.messages) == 2, editor.messages
    await stop(editor)


async def test_the_progress_can_be_cancelled(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = project("import time\n\n\ndef slow(n: int) -> int:\n    time.sleep(n)\n    return n\n")
    editor = Editor("Run it in the sandbox")
    ended: asyncio.Queue[bool] = asyncio.Queue()
    reports: list[str] = []

    @editor.client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)
    def create(params: types.WorkDoneProgressCreateParams) -> None:
        return None

    @editor.client.feature(types.PROGRESS)
    def progress(params: types.ProgressParams) -> None:
        value: Any = params.value
        kind = value["kind"] if isinstance(value, dict) else value.kind
        message = value.get("message") if isinstance(value, dict) else value.message
        if kind == "report":
            reports.append(message or "")
            editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token=params.token))
        elif kind == "end":
            ended.put_nowait(True)

    able = types.ClientCapabilities(window=types.WindowClientCapabilities(work_done_progress=True))
    uri = await start(editor, path, monkeypatch, tmp_path / "home", able)
    command = types.ExecuteCommandParams(command="dsassist.generateTests", arguments=[uri, 4])
    await editor.client.workspace_execute_command_async(command)
    while not any("slow" in report for report in reports):
        await asyncio.wait_for(ended.get(), 60)  # of the index; the next one is of the tests
    await asyncio.sleep(0.2)
    assert editor.edits.empty() and any("tried" in report for report in reports)
    await stop(editor)
