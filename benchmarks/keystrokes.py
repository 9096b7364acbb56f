"""Typing real edits: how long a suggestion takes when one pauses to think, beside llama.cpp's own server.

The difference between two releases of a package on PyPI is typed again, key by key (``_typist``), twice over: through
our language server and engine, and through ``llama-server`` with the same GGUF file, as many threads, its prompt cache
and ``/infill``. At every pause for thought the time from the last key to the suggestion is taken, where there is one;
the typist waits for it, ten seconds at most, then thinks on. Places where no editor would ask (in a word, before other
text on the line) are typed, not measured.

llama-server's client does what llama.cpp's own editor plug-ins do: it asks with every key, drops the request of the key
before, streams, closes the connection when a suggestion is complete by the rules that ours is cut by, and remembers
finished suggestions, so that the rest of one that is typed on is there at once. Both get the same text around the
cursor and the same limits. How to build ``llama-server``: benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import httpx
import torch
from _common import arguments, report, say
from _typist import Edit, edits, fetch_history, keys
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from dsassist.assist.generation import Anchor
from dsassist.assist.prompt import request_for
from dsassist.assist.shape import enough, shape_at
from dsassist.assist.site import Site
from dsassist.backend.llamacpp import LlamaCppBackend
from dsassist.backend.local import LocalBackend
from dsassist.errors import BackendError
from dsassist.settings import BackendSettings, Settings
from dsassist_model import catalog, paths, store
from dsassist_model.paths import engine_files

NEAR_MS = 300.0
PATIENCE = 10.0
SETTLING = 2.0
"""Seconds between opening a file and the first key: as long as it takes to find the place."""
AFTER_CURSOR = frozenset(")]}>\"'`;:, \t")
"""With these alone behind it on its line, a cursor gets suggestions: what editors close by themselves."""
PAUSES, QUICK_PAUSES = 40, 3
FEWEST_PAUSES = 2
"""An edit in which the typist hardly ever thinks is left out."""
HISTORY = ("click", "8.1.8", "8.2.1")
PEER_FLAGS = ("--cache-reuse", "32", "-np", "1", "-c", "4096", "--metrics")
PEER_BATCH = 128
"""Tokens of one pass of llama-server. Between passes it notices that its client has gone; larger ones keep it busy with
what nobody waits for."""


class Side(Protocol):
    """One of the two that are compared."""

    async def open(self, edit: Edit, uri: str, text: str, at: int) -> None:
        """The file is opened, the cursor goes to ``at``."""

    async def changed(self, start: int, end: int, insert: str) -> None:
        """The text from ``start`` to ``end`` gave way to ``insert``, and the cursor stands behind it."""

    async def suggestion(self) -> str:
        """What is suggested at the cursor."""

    async def close(self) -> None:
        """The file is closed."""

    async def tokens(self) -> float:
        """Tokens computed so far, read and written."""


@dataclass
class Typed:
    """What one side's keys brought."""

    milliseconds: list[float] = field(default_factory=list)
    """From the last key to the suggestion, at pauses where there was one, or to the end of patience."""
    decided: list[float] = field(default_factory=list)
    """The same at every pause: until it is known that nothing will be suggested, where nothing is."""
    shown: int = 0
    right: int = 0
    tokens: float = 0.0


class Ours:
    """An editor on our language server."""

    def __init__(self, client: LanguageClient, metrics: httpx.AsyncClient) -> None:
        self._client, self._metrics, self._number = client, metrics, 0
        self._uri, self._text, self._at, self._version = "", "", 0, 0

    async def open(self, edit: Edit, uri: str, text: str, at: int) -> None:
        """See ``Side``."""
        self._uri, self._text, self._at, self._version = uri, text, at, 0
        item = types.TextDocumentItem(uri, "python", 0, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        # what VS Code asks wherever the cursor comes to rest; the peer is told in its own way
        place = types.DocumentHighlightParams(types.TextDocumentIdentifier(uri), self._position(at))
        await self._client.text_document_document_highlight_async(place)

    async def changed(self, start: int, end: int, insert: str) -> None:
        """See ``Side``."""
        self._version += 1
        range_ = types.Range(self._position(start), self._position(end))
        change = types.TextDocumentContentChangePartial(range_, insert)
        identity = types.VersionedTextDocumentIdentifier(version=self._version, uri=self._uri)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(identity, [change]))
        self._text = self._text[:start] + insert + self._text[end:]
        self._at = start + len(insert)

    async def suggestion(self) -> str:
        """See ``Side``."""
        kind = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic)
        document = types.TextDocumentIdentifier(self._uri)
        where = types.InlineCompletionParams(kind, document, self._position(self._at))
        self._number += 1
        request = f"k{self._number}"
        method = types.TEXT_DOCUMENT_INLINE_COMPLETION
        future = self._client.protocol.send_request_async(method, where, msg_id=request)
        try:
            answer = await asyncio.shield(future)
        except asyncio.CancelledError:
            self._client.cancel_request(types.CancelParams(request))
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        return str(answer.items[0].insert_text) if answer and answer.items else ""

    async def close(self) -> None:
        """See ``Side``."""
        document = types.TextDocumentIdentifier(self._uri)
        self._client.text_document_did_close(types.DidCloseTextDocumentParams(document))

    async def tokens(self) -> float:
        """See ``Side``."""
        names = ("dsassist_prompt_tokens_computed_total", "dsassist_generated_tokens_total")
        return await _counted(self._metrics, names)

    def _position(self, at: int) -> types.Position:
        return types.Position(self._text.count("\n", 0, at), at - self._text.rfind("\n", 0, at) - 1)


class Peer:
    """A client of llama-server, with the memory of llama.cpp's editor plug-ins."""

    def __init__(self, backend: LlamaCppBackend, settings: Settings, metrics: httpx.AsyncClient) -> None:
        self._backend, self._settings, self._metrics = backend, settings, metrics
        self._finished: list[tuple[Anchor, str]] = []
        self._uri, self._path, self._text, self._at = "", "", "", 0

    async def open(self, edit: Edit, uri: str, text: str, at: int) -> None:
        """See ``Side``. The prompt is read ahead, as the plug-ins do when the cursor comes to rest."""
        self._uri, self._path, self._text, self._at = uri, edit.path, text, at
        site = self._site()
        await self._backend.warm_up(request_for(site, shape_at(site), self._settings))

    async def changed(self, start: int, end: int, insert: str) -> None:
        """See ``Side``."""
        self._text = self._text[:start] + insert + self._text[end:]
        self._at = start + len(insert)

    async def suggestion(self) -> str:
        """See ``Side``."""
        site = self._site()
        for anchor, text in self._finished:
            typed = anchor.typed_since(site)
            if typed is not None and text.startswith(typed) and (not typed or text[len(typed) :].strip()):
                return text[len(typed) :]
        shape, text = shape_at(site), ""
        async with contextlib.aclosing(
            self._backend.stream(request_for(site, shape, self._settings))  # type: ignore[type-var]
        ) as pieces:
            async for piece in pieces:
                text += piece.text
                if enough(shape, text) is not None:
                    break
        end = enough(shape, text)
        text = text if end is None else text[:end]
        self._finished = [(Anchor(site, shape), text), *self._finished[:63]]
        return text

    async def close(self) -> None:
        """See ``Side``."""

    async def tokens(self) -> float:
        """See ``Side``."""
        return await _counted(self._metrics, ("llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"))

    def _site(self) -> Site:
        return Site.at(self._text, self._at, document=self._uri, path=self._path, language="python")


async def _counted(client: httpx.AsyncClient, names: tuple[str, ...]) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(names))


async def type_edit(side: Side, edit: Edit, uri: str, seed: str) -> Typed:
    """Type one edit. Both sides get the same keys at the same times, but for what they are waited for."""
    typed = Typed()
    text, at = edit.head + edit.old + edit.tail, len(edit.head) + len(edit.old)
    await side.open(edit, uri, text, at)
    await asyncio.sleep(SETTLING)
    pending: asyncio.Task[str] | None = None
    wait = 0.0
    for key in keys(edit, random.Random(seed)):
        await asyncio.sleep(key.wait + wait)
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        start = at - key.delete
        began = time.perf_counter()
        await side.changed(start, at, key.insert)
        text, at = text[:start] + key.insert + text[at:], start + len(key.insert)
        wait, pending = 0.0, None
        if not _asks(text, at):
            wait = key.think
            continue
        pending = asyncio.create_task(side.suggestion())
        if not key.think:
            continue
        said, done = "", set[asyncio.Task[str]]()
        with contextlib.suppress(BackendError):
            done, _ = await asyncio.wait({pending}, timeout=PATIENCE)
            said = pending.result() if done else said
            typed.shown += bool(said)
            line = said.split("\n")[0].rstrip()
            typed.right += bool(line) and (edit.new + edit.tail)[at - len(edit.head) :].startswith(line)
        spent = time.perf_counter() - began
        typed.decided.append(min(spent, PATIENCE) * 1000)
        if said or not done:
            typed.milliseconds.append(typed.decided[-1])
        wait = max(key.think - spent, 0)
    if pending is not None:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
    await side.close()
    return typed


def _asks(text: str, at: int) -> bool:
    """Whether an editor asks for a suggestion at this place while one types."""
    line = text[at:].partition("\n")[0]
    return bool(text[:at].strip()) and set(line) <= AFTER_CURSOR


async def measure(
    chosen: list[Edit], folder: Path, server: Path, model: str, peer_flags: tuple[str, ...]
) -> tuple[Typed, Typed]:
    """All edits on both sides, in turn, each side going first every other time."""
    settings = Settings()
    settings = replace(settings, engine=replace(settings.engine, model=model))
    local = LocalBackend(settings)
    await local.start()
    gguf = store.require_source(store.resolve(model))
    totals = {"ours": Typed(), "peer": Typed()}
    files = engine_files(settings.engine.model, settings.engine.device)
    transport = httpx.AsyncHTTPTransport(uds=str(files.socket))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as metrics,
        _llama_server(server, gguf, peer_flags) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as peer_metrics,
        _language_server(model) as client,
    ):
        backend = LlamaCppBackend(BackendSettings(kind="llamacpp", url=url))
        sides: dict[str, Side] = {
            "ours": Ours(client, metrics),
            "peer": Peer(backend, settings, peer_metrics),
        }
        for number, edit in enumerate(chosen):
            for name in sides if number % 2 == 0 else reversed(sides):
                uri = (folder / f"edit-{number}" / edit.path).as_uri()
                before = await sides[name].tokens()
                typed = await type_edit(sides[name], edit, uri, f"{number}")
                total = totals[name]
                total.tokens += await sides[name].tokens() - before
                total.milliseconds += typed.milliseconds
                total.decided += typed.decided
                total.shown += typed.shown
                total.right += typed.right
            medians = [statistics.median(totals[n].milliseconds or [0]) for n in sides]
            say(f"{number + 1}/{len(chosen)} {edit.path}: median {medians[0]:.0f} ms, peer {medians[1]:.0f} ms")
        await backend.close()
    await local.close()
    return totals["ours"], totals["peer"]


@contextlib.asynccontextmanager
async def _language_server(model: str) -> AsyncIterator[LanguageClient]:
    client = LanguageClient("keystrokes", "1")
    await client.start_io(sys.executable, "-I", "-m", "dsassist", "lsp")
    inline = types.TextDocumentClientCapabilities(inline_completion=types.InlineCompletionClientCapabilities())
    # no folder: what other files add is measured elsewhere, and llama.cpp has no index to take it from
    await client.initialize_async(
        types.InitializeParams(
            types.ClientCapabilities(text_document=inline), initialization_options={"engine": {"model": model}}
        )
    )
    client.initialized(types.InitializedParams())
    try:
        yield client
    finally:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()


@contextlib.asynccontextmanager
async def _llama_server(server: Path, model: Path, flags: tuple[str, ...]) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(torch.get_num_threads())
    command = [str(server), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-t", threads, "-tb", threads]
    process = subprocess.Popen(
        [*command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=5) as client:
            for _ in range(240):
                if process.poll() is not None:
                    raise SystemExit(f"llama-server ended with exit status {process.returncode}.")
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/health")).status_code == 200:
                        break
                await asyncio.sleep(0.5)
        yield url
    finally:
        process.kill()
        process.wait()


def find_server(given: Path | None) -> Path | None:
    """``--llama-server``, ``LLAMA_SERVER``, or the one on PATH."""
    named = str(given or os.environ.get("LLAMA_SERVER") or "llama-server")
    found = shutil.which(named)
    return Path(found) if found else None


def main() -> int:
    """Run and report."""
    parser = arguments(__doc__, source="a folder with an older and a newer version of sources, instead of --history")
    parser.add_argument("--history", nargs=3, metavar=("NAME", "OLD", "NEW"), default=HISTORY, help="releases on PyPI")
    parser.add_argument("--pauses", type=int, default=PAUSES, help="pauses that are measured, about")
    parser.add_argument("--llama-server", type=Path, help="the binary (else LLAMA_SERVER, else the one on PATH)")
    parser.add_argument("--peer-batch", type=int, default=PEER_BATCH, help="tokens that llama-server reads at a time")
    parser.add_argument("--model", default=catalog.default_model().name)
    options = parser.parse_args()
    server = find_server(options.llama_server)
    if server is None:
        say("There is no llama-server: give --llama-server PATH; benchmarks/README.md tells how to build it.")
        return 3
    folder = options.source or fetch_history(*options.history, paths.cache_dir() / "benchmarks" / "history")
    wanted = min(options.pauses, QUICK_PAUSES) if options.quick else options.pauses
    chosen: list[Edit] = []
    pauses = 0
    for edit in edits(folder, random.Random(options.seed)):
        if pauses >= wanted:
            break
        measured = _pauses(edit, f"{len(chosen)}")
        if measured >= FEWEST_PAUSES:
            pauses += measured
            chosen.append(edit)
    say(f"{len(chosen)} edits with {pauses} pauses")
    flags = (*PEER_FLAGS, "-b", str(options.peer_batch), "-ub", str(options.peer_batch))
    ours, peer = asyncio.run(measure(chosen, folder.resolve(), server, options.model, flags))
    figures: dict[str, Any] = {}
    for name, side in (("", ours), ("peer_", peer)):
        waits, pauses = sorted(side.milliseconds) or [PATIENCE * 1000], len(side.decided)
        figures |= {
            f"{name}p50_ms": statistics.median(waits),
            f"{name}p95_ms": waits[round(0.95 * (len(waits) - 1))],
            f"{name}within_300ms": sum(value <= NEAR_MS for value in waits) / len(waits),
            f"{name}decided_p50_ms": statistics.median(side.decided),
            f"{name}shown": side.shown / pauses,
            f"{name}right": side.right / max(side.shown, 1),
            f"{name}tokens_computed_per_suggestion": side.tokens / max(side.shown, 1),
        }
    ratios = {key: figures[f"peer_{key}_ms"] / max(figures[f"{key}_ms"], 1e-3) for key in ("p50", "p95")}
    inputs = {
        "history": options.source.name if options.source else " ".join(options.history),
        "model": options.model,
        "edits": len(chosen),
        "pauses": len(ours.decided),
        "peer": f"llama-server {_version(server)}, same GGUF",
        "peer_flags": " ".join(flags),
        "threads": torch.get_num_threads(),
        "seed": options.seed,
    }
    report("keystrokes", inputs=inputs, figures=figures, ratios=ratios)
    return 0


def _pauses(edit: Edit, seed: str) -> int:
    """How many pauses of ``edit`` are measured."""
    text, at, count = edit.head + edit.old + edit.tail, len(edit.head) + len(edit.old), 0
    for key in keys(edit, random.Random(seed)):
        start = at - key.delete
        text, at = text[:start] + key.insert + text[at:], start + len(key.insert)
        count += bool(key.think) and _asks(text, at)
    return count


def _version(server: Path) -> str:
    run = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=False)
    return (run.stderr + run.stdout).strip().partition("\n")[0].removeprefix("version: ")


if __name__ == "__main__":
    sys.exit(main())
