"""Many editors at once: 16 people type into one engine, and a team that asks one after the other for comparison.

Each editor edits a file of its own: it asks for a completion at a line, waits a moment as a person does, goes on to the
next line, and sometimes drops its request half-way because it typed on. Reported are errors, latencies by editor
(starvation would show in the slowest), the engine's memory over time, and requests a second against the same requests
sent one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from _common import arguments, report, say, source_files

from dsassist.backend.local import LocalBackend
from dsassist.backend.types import CompletionRequest
from dsassist.errors import BackendError
from dsassist.settings import Settings
from dsassist_model.paths import engine_files

EDITORS = 16
THINK = (1.0, 6.0)
"""Seconds between an answer and the next request."""
DROPPED = 0.15
"""Share of requests that the editor gives up after a moment."""
AROUND = 3000
"""Characters before the cursor, and half as many after it."""
TOKENS = 16


@dataclass
class Editor:
    """What one editor lived through."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dropped: int = 0
    asked: list[CompletionRequest] = field(default_factory=list)


def requests(text: str, name: str, rng: random.Random) -> Iterator[CompletionRequest]:
    """Requests of somebody who works down a file, again and again."""
    lines = text.splitlines(keepends=True)
    while True:
        row = rng.randrange(5, max(6, len(lines) - 40))
        for at in range(row, min(row + 30, len(lines))):
            if len(lines[at].strip()) > 8:
                indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
                before, after = "".join(lines[:at]) + indent, "".join(lines[at + 1 :])
                yield CompletionRequest(
                    prompt=before[-AROUND:], suffix=after[: AROUND // 2], max_tokens=TOKENS, path=name, session=name
                )


async def work(backend: LocalBackend, text: str, name: str, seed: int, until: float) -> Editor:
    """One editor until the time is up."""
    editor, rng = Editor(), random.Random(seed)
    await asyncio.sleep(rng.uniform(0, THINK[1]))
    for request in requests(text, name, rng):
        if time.monotonic() >= until:
            return editor
        gives_up = rng.random() < DROPPED
        began = time.perf_counter()
        try:
            await asyncio.wait_for(backend.complete(request), rng.uniform(0.05, 0.5) if gives_up else None)
            editor.milliseconds.append((time.perf_counter() - began) * 1e3)
            editor.asked.append(request)
        except TimeoutError:
            editor.dropped += 1
        except BackendError as error:
            editor.errors.append(str(error))
        await asyncio.sleep(rng.uniform(*THINK) if not gives_up else 0.2)
    return editor


async def watch(pid: int, until: float) -> list[float]:
    """The engine's resident memory in MB, a second apart."""
    seen = []
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            seen.append(pages * 4096 / 1e6)
        await asyncio.sleep(1)
    return seen


async def throughput(backend: LocalBackend, work: list[CompletionRequest], together: int) -> float:
    """Requests a second with ``together`` of them under way."""
    gate = asyncio.Semaphore(together)

    async def one(request: CompletionRequest) -> None:
        async with gate:
            await backend.complete(request)

    began = time.perf_counter()
    await asyncio.gather(*map(one, work))
    return len(work) / (time.perf_counter() - began)


async def measure(
    texts: list[tuple[str, str]], seconds: float, seed: int
) -> tuple[list[Editor], list[float], float, float]:
    """Editors, memory, and requests a second together and one by one."""
    settings = Settings()
    backend = LocalBackend(settings)
    await backend.start()
    first = next(requests(*texts[0], random.Random(seed)))
    await backend.complete(first)
    pid = await _pid(engine_files(settings.engine.model, settings.engine.device).socket)
    until = time.monotonic() + seconds
    say(f"{len(texts)} editors for {seconds:.0f} seconds")
    watching = asyncio.create_task(watch(pid, until))
    editors = await asyncio.gather(*(work(backend, *item, seed + n, until) for n, item in enumerate(texts)))
    memory = await watching
    # other places of the same files, so that neither side finds them in the cache
    fresh = [requests(text, name, random.Random(seed + 1000 + n)) for n, (text, name) in enumerate(texts)]
    half = 16 if seconds < 60 else 48
    together = await throughput(backend, [next(fresh[n % len(fresh)]) for n in range(half)], EDITORS)
    alone = await throughput(backend, [next(fresh[n % len(fresh)]) for n in range(half)], 1)
    await backend.close()
    return editors, memory, together, alone


async def _pid(socket: Path) -> int:
    """The process that serves ``socket``."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=30) as client:
        return int((await client.get("http://localhost/health")).json()["pid"])


def main() -> None:
    """Run and report."""
    parser = arguments(__doc__, source="where the edited files come from; the standard library by default")
    parser.add_argument("--seconds", type=float, default=180)
    options = parser.parse_args()
    seconds = min(options.seconds, 25) if options.quick else options.seconds
    rng, texts = random.Random(options.seed), []
    for path in source_files(options.source or Path(sysconfig.get_path("stdlib")), rng, smallest=8_000, largest=60_000):
        texts.append((path.read_text(encoding="utf-8", errors="replace"), path.name))
        if len(texts) == EDITORS:
            break
    editors, memory, together, alone = asyncio.run(measure(texts, seconds, options.seed))
    tails = [_p95(editor.milliseconds) for editor in editors if editor.milliseconds]
    every = [value for editor in editors for value in editor.milliseconds]
    for message in sorted({error for editor in editors for error in editor.errors}):
        say(f"error: {message}")
    third = max(1, len(memory) // 3)
    figures = {
        "answers": len(every),
        "dropped_by_the_editor": sum(editor.dropped for editor in editors),
        "errors": sum(len(editor.errors) for editor in editors),
        "p50_ms": statistics.median(every),
        "p95_ms": _p95(every),
        "p95_of_the_median_editor_ms": statistics.median(tails),
        "p95_of_the_slowest_editor_ms": max(tails),
        "memory_first_third_mb": statistics.median(memory[:third]),
        "memory_last_third_mb": statistics.median(memory[-third:]),
        "together_requests_s": together,
        "one_by_one_requests_s": alone,
    }
    ratios = {
        "throughput": together / alone,
        "slowest_to_median_editor": max(tails) / statistics.median(tails),
        "memory_growth": figures["memory_last_third_mb"] / figures["memory_first_third_mb"],
    }
    inputs = {"editors": len(texts), "seconds": seconds, "tokens": TOKENS, "seed": options.seed}
    report("load", inputs=inputs, figures=figures, ratios=ratios)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    main()
