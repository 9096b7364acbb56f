"""``dsassist demo``: a small project, typed into through the real language server while completions appear."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from dsassist.cli.common import console, error_console
from dsassist.errors import BackendError

if TYPE_CHECKING:
    from pygls.lsp.client import LanguageClient

__all__ = ["SCENES", "Scene", "register"]

PATIENCE_SECONDS = 120.0
"""For the engine to load; a first start may convert the model."""

CONTEXT_LINES = 9


@dataclass(frozen=True, slots=True)
class Scene:
    """The line of ``file`` that begins with ``line`` is missing; ``typed`` is typed there, key by key."""

    file: str
    language: str
    line: str
    typed: str
    lines: int = 1
    """How many lines are missing from that one on."""


SCENES = (
    Scene("inventory.py", "python", "return self.quantity <", "return self."),
    Scene("inventory.py", "python", "return self.price_cents", "ret"),
    Scene("report.py", "python", "return max(", "return max("),
    Scene("cart.js", "javascript", "return this.lines.reduce", "return this."),
    Scene("stock.go", "go", "for _, n := range", "for ", lines=3),
)


@dataclass(slots=True)
class _Shot:
    """What one key brought."""

    before: str
    after: str
    suggestion: str
    milliseconds: float
    known: bool = False
    """The key was the next one of the suggestion before: no model was asked."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo")
    def demo(
        delay: Annotated[float, typer.Option(help="Seconds between keys; without a terminal there is no wait.")] = 0.12,
    ) -> None:
        """Watch your own machine complete real code."""
        with tempfile.TemporaryDirectory(prefix="dsassist-demo-") as folder:
            project = Path(folder) / "shop"
            with resources.as_file(resources.files("dsassist.cli") / "demo_project") as source:
                shutil.copytree(source, project)
            asyncio.run(_play(project, delay if console.is_terminal else 0.0))


async def _play(project: Path, delay: float) -> None:
    async with _server(project) as client:
        console.print(f"[bold]dsassist demo[/] · {len(SCENES)} places in a small project, completed on this machine\n")
        latencies: list[float] = []
        completed = 0
        for number, scene in enumerate(SCENES):
            shots = [shot async for shot in _scene(client, project, scene, number, delay)]
            latencies += [shot.milliseconds for shot in shots if shot.suggestion and not shot.known]
            completed += bool(shots[-1].suggestion)
        console.print()
        if latencies:
            middle, slowest = statistics.median(latencies), max(latencies)
            console.print(
                f"[bold]{completed} of {len(SCENES)}[/] places completed · median [bold]{middle:.0f} ms[/], "
                f"slowest {slowest:.0f} ms · nothing left this machine"
            )
        console.print(
            "Next: [bold]dsassist complete FILE:LINE:COLUMN[/] on code of your own, or set up your editor (README)."
        )


async def _scene(
    client: LanguageClient, project: Path, scene: Scene, number: int, delay: float
) -> AsyncIterator[_Shot]:
    from lsprotocol import types

    file = project / scene.file
    head, tail = _opened(file.read_text(encoding="utf-8"), scene)
    uri = (file.parent / f"{number}-{file.name}").as_uri() if number else file.as_uri()
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, scene.language, 0, head + tail))
    )
    identity = types.TextDocumentIdentifier(uri)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or contextlib.nullcontext():
        shot, asked = _Shot(head, tail, "", 0.0), 0.0
        for count, key in enumerate(scene.typed, start=1):
            line, column = head.count("\n"), len(head) - head.rfind("\n") - 1
            place = types.Position(line, column)
            head += key
            client.text_document_did_change(
                types.DidChangeTextDocumentParams(
                    types.VersionedTextDocumentIdentifier(version=count, uri=uri),
                    [types.TextDocumentContentChangePartial(types.Range(place, place), key)],
                )
            )
            began = time.perf_counter()
            answer = await client.text_document_inline_completion_async(
                types.InlineCompletionParams(
                    types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
                    identity,
                    types.Position(line, column + 1),
                )
            )
            milliseconds = (time.perf_counter() - began) * 1000
            items = answer.items if isinstance(answer, types.InlineCompletionList) else answer or []
            text = str(items[0].insert_text) if items else ""
            known = bool(shot.suggestion) and shot.suggestion == key + text
            if not known:
                asked = milliseconds if text else asked
            shot = _Shot(head, tail, text, asked, known)
            if live is not None:
                live.update(_picture(scene, shot), refresh=True)
                await asyncio.sleep(delay)
            yield shot
    if live is None:
        _print_plainly(scene, shot)
    client.text_document_did_close(types.DidCloseTextDocumentParams(identity))


def _opened(text: str, scene: Scene) -> tuple[str, str]:
    """The text before and after the missing lines."""
    lines = text.splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(scene.line))
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    return "".join(lines[:at]) + indent, "\n" + "".join(lines[at + scene.lines :])


def _picture(scene: Scene, shot: _Shot) -> Panel:
    before = shot.before.splitlines()[-CONTEXT_LINES:]
    code = Syntax("", scene.language, theme="ansi_dark").highlight("\n".join(before))
    code.rstrip()
    code.append(shot.before[len(shot.before.rstrip()) :])
    code.append(shot.suggestion, style="italic green")
    below = shot.after.splitlines()[1:3]
    code.append("\n" + "\n".join(below), style="dim")
    caption = f"{shot.milliseconds:.0f} ms" if shot.suggestion else "…"
    return Panel(
        code, title=scene.file, title_align="left", subtitle=caption, subtitle_align="right", border_style="blue"
    )


def _print_plainly(scene: Scene, shot: _Shot) -> None:
    console.print(Text(f"{scene.file}  ({shot.milliseconds:.0f} ms)", style="bold"))
    console.print(Text(shot.before[shot.before.rfind("\n") + 1 :] + "|" + (shot.suggestion or "(nothing)")))


@contextlib.asynccontextmanager
async def _server(project: Path) -> AsyncIterator[LanguageClient]:
    """A language server in a process of its own, ready to complete."""
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

    from dsassist.server.protocol import STATUS

    client = LanguageClient("dsassist-demo", "1")
    changed = asyncio.Event()
    states: list[str] = []
    problem = ""

    @client.feature(STATUS)  # type: ignore[untyped-decorator]
    def status(params: Any) -> None:  # not `object`: pygls would take it for itself
        nonlocal problem
        states.append(str(getattr(params, "state", "")))
        if states[-1] in ("no_model", "error"):
            problem = f"{getattr(params, 'message', '')} {getattr(params, 'remedy', '')}".strip()
        changed.set()

    @client.feature(types.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
    def message(params: types.ShowMessageParams) -> None:
        error_console.print(Text(params.message, style="yellow"))

    await client.start_io(sys.executable, "-I", "-m", "dsassist", "lsp")
    try:
        await client.initialize_async(
            types.InitializeParams(
                capabilities=types.ClientCapabilities(
                    text_document=types.TextDocumentClientCapabilities(
                        inline_completion=types.InlineCompletionClientCapabilities()
                    )
                ),
                workspace_folders=[types.WorkspaceFolder(project.as_uri(), project.name)],
            )
        )
        client.initialized(types.InitializedParams())
        first = project / SCENES[0].file
        # opening a file starts the engine
        item = types.TextDocumentItem(first.as_uri(), SCENES[0].language, 0, first.read_text(encoding="utf-8"))
        client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        with error_console.status("starting the engine…"):
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while "ready" not in states and not problem:
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                problem = f"The engine was not ready after {PATIENCE_SECONDS:.0f} s."
        if problem:
            raise BackendError(problem, remedy="Run: dsassist doctor")
        client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(first.as_uri())))
        yield client
    finally:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()  # type: ignore[no-untyped-call]
