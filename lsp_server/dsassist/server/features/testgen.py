"""The code action "Generate tests" and the command behind it. The result is an edit that the user previews."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import from_fs_path, to_fs_path

from dsassist.assist import testgen
from dsassist.errors import DsassistError, TestGenerationError, WorkspaceError
from dsassist.server.app import Server
from dsassist.server.edits import new_text
from dsassist.server.progress import Progress
from dsassist_model import paths

__all__ = ["COMMAND", "register"]

COMMAND = "dsassist.generateTests"
CANCEL = "dsassist.cancelGenerateTests"
_AGREE = "Run it in the sandbox"


def register(server: Server) -> None:
    """Attach the code action and the two commands."""
    running: dict[str, asyncio.Task[None]] = {}

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.Source, types.CodeActionKind.Empty]),
    )
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        path = to_fs_path(params.text_document.uri)
        if (
            not server.settings.testgen.enabled
            or _refuses_edits(server.client_capabilities)
            or not path
            or not path.endswith(testgen.SUFFIXES)
            or testgen.is_test(Path(path))
        ):
            return []
        line = params.range.start.line + 1
        try:
            targets = await asyncio.to_thread(testgen.targets_of, Path(path), line=line)
        except DsassistError:
            return []
        title = (
            f"Generate tests for {targets[0].qualname}"
            if len(targets) == 1
            else f"Generate tests for {targets[0].owner}"
        )
        command = types.Command(title=title, command=COMMAND, arguments=[params.text_document.uri, line])
        return [types.CodeAction(title=title, kind=types.CodeActionKind.Empty, command=command)]

    @server.command(COMMAND)
    async def generate(uri: str, line: int | None = None) -> None:
        previous = running.pop(uri, None)
        if previous is not None:
            previous.cancel()
        running[uri] = server.background(_told(server, uri, line))

    @server.command(CANCEL)
    async def cancel(uri: str) -> bool:
        task = running.pop(uri, None)
        return task.cancel() if task is not None else False


def _refuses_edits(client: types.ClientCapabilities) -> bool:
    """Some clients say that they make no edits a server asks for: tests would be generated for nothing."""
    return client.workspace is not None and client.workspace.apply_edit is False


async def _told(server: Server, uri: str, line: int | None) -> None:
    """Every failure is shown, the second time as well: somebody asked for it."""
    try:
        await _generate(server, uri, line)
    except DsassistError as error:
        server.window_show_message(types.ShowMessageParams(type=types.MessageType.Warning, message=str(error)))


def _saved(server: Server, path: Path, text: str) -> None:
    """Refuse what the editor holds in another state than the disk: the sandbox runs, and the edit changes, files.

    Raises:
        TestGenerationError: ``path`` is open with changes that are not saved.
    """
    document = server.documents.document(from_fs_path(str(path)) or "")
    if document is not None and document.source.splitlines() != text.splitlines():
        raise TestGenerationError(f"{path.name} has changes that are not saved.", remedy="Save it, then ask again.")


async def _generate(server: Server, uri: str, line: int | None) -> None:
    name = to_fs_path(uri)
    if not name:
        raise TestGenerationError(f"{uri} is not a file.")
    path = Path(name)
    try:
        with contextlib.suppress(UnicodeDecodeError):  # written in another way than editors' text is compared with
            _saved(server, path, await asyncio.to_thread(path.read_text, encoding="utf-8-sig"))
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}.", remedy="Save it first.") from error
    targets = await asyncio.to_thread(testgen.targets_of, path, line=line)
    workspace = await asyncio.to_thread(testgen.find_workspace, path)
    if not await _agreed(server, workspace):
        return
    settings = server.settings.testgen
    progress = Progress(server, "dsassist: generating tests")
    task = asyncio.current_task()
    await progress.begin(f"{len(targets)} function{'' if len(targets) == 1 else 's'}", task.cancel if task else None)
    loop = asyncio.get_running_loop()

    def tell(step: testgen.Progress) -> None:
        counts = step.report.funnel
        numbers = f"{counts['generated']} tried, {counts['stable']} stable, {counts['kept']} kept"
        text = f"{step.target}: {step.stage} ({numbers})"
        loop.call_soon_threadsafe(progress.report, text, step.done / max(1, step.total))

    held = server.indexes.folder_of(uri)
    if held is not None:
        await held[0].synchronize()
    try:
        report = await testgen.make(
            path,
            targets,
            workspace=workspace,
            python=settings.python,
            options=testgen.Options(seconds=settings.seconds),
            helpers=[testgen.ModelSource(server.backend)] if settings.model else [],
            callers=testgen.callers_in(held[0].index) if held is not None else None,
            on_progress=tell,
        )
    finally:
        progress.end()
    await _deliver(server, report)


async def _agreed(server: Server, workspace: Path) -> bool:
    consent = testgen.Consent(paths.config_dir() / "trusted.json")
    if consent.given(workspace):
        return True
    question = types.ShowMessageRequestParams(
        type=types.MessageType.Warning,
        message=f"Generating tests runs the code of {workspace}, "
        "in a sandbox: a copy, no network, limits on time and memory.",
        actions=[types.MessageActionItem(title=_AGREE), types.MessageActionItem(title="Cancel")],
    )
    try:
        answer = await server.window_show_message_request_async(question)
    except JsonRpcException as error:
        raise TestGenerationError(
            # such an editor has one line for this
            "Generating tests runs your code, and this editor cannot ask whether you agree.",
            remedy="Agree once, in a terminal: dsassist testgen FILE --trust",
        ) from error
    if answer is None or answer.title != _AGREE:
        return False
    consent.give(workspace)
    return True


async def _deliver(server: Server, report: testgen.FileReport) -> None:
    kept = sum(len(target.kept) for target in report.targets)
    suspicions = [item for target in report.targets for item in target.suspicions]
    for item in suspicions[:5]:
        server.window_show_message(
            types.ShowMessageParams(type=types.MessageType.Warning, message=f"Suspected bug: {item.call}: {item.why}")
        )
    if report.text is None:
        reasons = "; ".join(target.problem or ", ".join(target.dropped) for target in report.targets)[:300]
        server.window_show_message(
            types.ShowMessageParams(type=types.MessageType.Info, message=f"No test survived verification. {reasons}")
        )
        return
    before, after = report.existing, report.text
    _saved(server, report.test_path, before)
    edit = new_text(server.client_capabilities, report.test_path, before, after, f"{kept} verified tests")
    await server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit=edit, label="Generated tests"))
