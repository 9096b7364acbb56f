"""Typing: how long a suggestion takes when one looks up from the keys, and what it cost the model.

Lines of real files are typed key by key through the real language server and engine; after one key in five, drawn by
the seed, the typist waits for two seconds. The latency of those keys is what is reported, from the key to the answer;
one that does not come in that time counts with all of it. The peer is a client without memory: the same engine and the
same prompt, asked anew with every key, the request of the key before dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from _common import arguments, report, say, source_files
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from dsassist.assist.prompt import request_for
from dsassist.assist.shape import shape_at
from dsassist.assist.site import Site
from dsassist.backend.local import LocalBackend
from dsassist.errors import BackendError
from dsassist.settings import Settings
from dsassist_model.paths import engine_files

NEAR_MS = 300.0
LONGEST_LINE = 60
PAUSES = 0.2
PAUSE_SECONDS = 2.0


@dataclass
class Typed:
    """What one side's keys brought."""

    milliseconds: list[float] = field(default_factory=list)
    answered: int = 0
    shown: int = 0
    right: int = 0
    """Suggestions that were what was then written, to the end of the line."""
    tokens: int = 0


@dataclass(frozen=True)
class Line:
    """A line to be typed from ``column`` on."""

    path: Path
    head: str
    rest: str
    tail: str


def main() -> None:
    """Run and report."""
    parser = arguments(__doc__, source="where the typed lines come from; the standard library by default")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between keys")
    parser.add_argument("--lines", type=int, default=20)
    options = parser.parse_args()
    count = min(options.lines, 3) if options.quick else options.lines
    folder = options.source or Path(sysconfig.get_path("stdlib"))
    lines = _lines(folder, random.Random(options.seed), count)
    ours, peer = asyncio.run(_measure(lines, options.interval))
    figures = {}
    for name, side in (("", ours), ("peer_", peer)):
        keys = sorted(side.milliseconds)
        figures |= {
            f"{name}p50_ms": statistics.median(keys),
            f"{name}p95_ms": keys[int(0.95 * (len(keys) - 1))],
            f"{name}within_300ms": sum(value <= NEAR_MS for value in keys) / len(keys),
            f"{name}answered": side.answered / len(keys),
            f"{name}shown": side.shown,
            f"{name}right": side.right / max(side.shown, 1),
            f"{name}tokens_computed_per_suggestion": side.tokens / max(side.shown, 1),
        }
    ratios = {key: figures[f"peer_{key}_ms"] / max(figures[f"{key}_ms"], 1e-3) for key in ("p50", "p95")}
    inputs = {
        "lines": len(lines),
        "pauses": len(ours.milliseconds),
        "interval_s": options.interval,
        "seed": options.seed,
    }
    report("keystrokes", inputs=inputs, figures=figures, ratios=ratios)


def _lines(folder: Path, rng: random.Random, count: int) -> list[Line]:
    found: list[Line] = []
    for path in source_files(folder, rng, largest=30_000):
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = text.split("\n")
        fit = [
            n for n, line in enumerate(lines) if n > 5 and 16 <= len(line.strip()) <= LONGEST_LINE and line.isascii()
        ]
        if not fit:
            continue
        number = rng.choice(fit)
        line = lines[number].rstrip()
        indent = line[: len(line) - len(line.lstrip())]
        head = "".join(f"{before}\n" for before in lines[:number]) + indent
        found.append(Line(path, head, line[len(indent) :], "\n" + "\n".join(lines[number + 1 :])))
        if len(found) == count:
            break
    return found


async def _measure(lines: list[Line], interval: float) -> tuple[Typed, Typed]:
    settings = Settings()
    files = engine_files(settings.engine.model, settings.engine.device)
    backend = LocalBackend(settings)
    await backend.start()
    ours, peer = Typed(), Typed()
    async with _server() as client:
        for number, line in enumerate(lines):
            sides: list[tuple[Typed, Callable[[Line, float, int], Awaitable[Typed]]]] = [
                (ours, lambda *a: _type_ours(client, *a)),
                (peer, lambda *a: _type_peer(backend, settings, *a)),
            ]
            # who comes second finds the engine's cache as the first left it
            for total, run in sides if number % 2 == 0 else reversed(sides):
                before = await _tokens(files.socket)
                side = await run(line, interval, number)
                total.tokens += await _tokens(files.socket) - before
                total.milliseconds += side.milliseconds
                total.answered += side.answered
                total.shown += side.shown
                total.right += side.right
            say(f"{number + 1}/{len(lines)} {line.path.name}")
    await backend.close()
    return ours, peer


async def _type(line: Line, interval: float, number: int, ask: Callable[[str], Awaitable[str]]) -> Typed:
    """Press every key at its time. ``ask`` gives the suggestion after the text so far; it is cancelled by the next
    key."""
    side, rng = Typed(), random.Random(number)  # both sides pause after the same keys
    for end in range(1, len(line.rest)):
        looks = end == 1 or rng.random() < PAUSES
        patience = PAUSE_SECONDS if looks else interval
        began = time.perf_counter()
        try:
            text = await asyncio.wait_for(ask(line.rest[:end]), patience)
        except TimeoutError:
            text = None
        spent = time.perf_counter() - began
        if looks:
            side.milliseconds.append(min(spent, patience) * 1000)
            side.answered += text is not None
        if text:
            side.shown += 1
            side.right += text.split("\n")[0].rstrip() == line.rest[end:]
        await asyncio.sleep(max(interval - spent, 0))
    return side


async def _type_ours(client: LanguageClient, line: Line, interval: float, number: int) -> Typed:
    uri = line.path.with_name(f"typed-{number}-{line.path.name}").as_uri()
    language = "python" if line.path.suffix == ".py" else line.path.suffix.lstrip(".")
    item = types.TextDocumentItem(uri, language, 0, line.head + line.tail)
    client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    row, column = line.head.count("\n"), len(line.head) - line.head.rfind("\n") - 1
    await asyncio.sleep(2.0)  # as long as it takes to find the place in a file that was just opened

    async def ask(typed: str) -> str:
        place = types.Position(row, column + len(typed) - 1)
        change = types.TextDocumentContentChangePartial(types.Range(place, place), typed[-1])
        identity = types.VersionedTextDocumentIdentifier(version=len(typed), uri=uri)
        client.text_document_did_change(types.DidChangeTextDocumentParams(identity, [change]))
        kind = types.InlineCompletionTriggerKind.Automatic
        where = types.InlineCompletionParams(
            types.InlineCompletionContext(kind),
            types.TextDocumentIdentifier(uri),
            types.Position(row, column + len(typed)),
        )
        request = f"{number}-{len(typed)}"
        future = client.protocol.send_request_async(types.TEXT_DOCUMENT_INLINE_COMPLETION, where, msg_id=request)
        try:
            answer = await asyncio.shield(future)
        except asyncio.CancelledError:
            client.cancel_request(types.CancelParams(request))
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        return str(answer.items[0].insert_text) if answer and answer.items else ""

    side = await _type(line, interval, number, ask)
    client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    return side


async def _type_peer(backend: LocalBackend, settings: Settings, line: Line, interval: float, number: int) -> Typed:
    def request(typed: str) -> object:
        site = Site.at(line.head + typed + line.tail, len(line.head) + len(typed), path=line.path.name)
        return replace(request_for(site, shape_at(site), settings), session="peer")

    await backend.warm_up(request(""))  # type: ignore[arg-type]
    await asyncio.sleep(2.0)

    async def ask(typed: str) -> str:
        try:
            [answer] = await backend.complete(request(typed))  # type: ignore[arg-type]
        except BackendError:
            return ""
        return answer.text.partition("\n")[0].rstrip()

    return await _type(line, interval, number, ask)


async def _tokens(socket: Path) -> int:
    """Tokens the engine has computed so far: read and written."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=30) as client:
        lines = (await client.get("http://localhost/metrics")).text.splitlines()
    counted = ("dsassist_prompt_tokens_computed_total", "dsassist_generated_tokens_total")
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(counted))


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[LanguageClient]:
    client = LanguageClient("keystrokes", "1")
    await client.start_io(sys.executable, "-I", "-m", "dsassist", "lsp")
    inline = types.TextDocumentClientCapabilities(inline_completion=types.InlineCompletionClientCapabilities())
    # no folder: the index and its context are measured elsewhere, and the peer has none
    await client.initialize_async(types.InitializeParams(types.ClientCapabilities(text_document=inline)))
    client.initialized(types.InitializedParams())
    try:
        yield client
    finally:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()


if __name__ == "__main__":
    main()
