"""Many editors at once: 16 people type into one engine, and a team that asks one after the other for comparison.

Each editor opens a file of its own within the first half minute, which the engine is told so that it reads it ahead, as
the language server does. Then it asks for a completion at a line, waits a moment as a person does, goes on to the next
line, and sometimes drops its request half-way because it typed on. Reported are errors, latencies by editor
(starvation would show in the slowest), the engine's memory over time, and requests a second of all editors at once
against requests of the same kind sent one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import statistics
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from _common import arguments, report, say, source_files

from dsassist.assist.prompt import request_for
from dsassist.assist.shape import shape_at
from dsassist.assist.site import Site
from dsassist.backend.local import LocalBackend
from dsassist.backend.types import CompletionRequest
from dsassist.errors import BackendError
from dsassist.settings import EngineSettings, Settings
from dsassist_model.paths import engine_files

EDITORS = 16
THINK = (1.0, 6.0)
"""Seconds between an answer and the next request."""
OPENED = 30.0
"""Seconds within which everybody has opened a file."""
DROPPED = 0.15
"""Share of requests that the editor gives up after a moment."""
TOKENS = 16


@dataclass
class Editor:
    """What one editor lived through."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dropped: int = 0
    asked: list[CompletionRequest] = field(default_factory=list)


def requests(text: str, name: str, rng: random.Random) -> Iterator[CompletionRequest]:
    """Requests of somebody who works down a file, again and again: what the language server asks at each line."""
    lines = text.splitlines(keepends=True)
    settings = Settings()
    while True:
        row = rng.randrange(5, max(6, len(lines) - 40))
        for at in range(row, min(row + 30, len(lines))):
            if len(lines[at].strip()) > 8:
                offset = sum(map(len, lines[:at])) + len(lines[at]) - len(lines[at].lstrip())
                without = text[:offset] + "\n" + "".join(lines[at + 1 :])
                site = Site.at(without, offset, document=name, path=name, language="python")
                asked = request_for(site, shape_at(site), settings)
                yield replace(asked, max_tokens=TOKENS, stop=(), session=name, reuse_suffix=True)


async def work(backend: LocalBackend, text: str, name: str, seed: int, until: float) -> Editor:
    """One editor until the time is up."""
    editor, rng = Editor(), random.Random(seed)
    await asyncio.sleep(rng.uniform(0, OPENED))
    asked = requests(text, name, rng)
    first = next(asked)
    ahead = asyncio.create_task(backend.warm_up(replace(first, max_tokens=0, priority="background")))
    await asyncio.sleep(rng.uniform(*THINK))
    await _typed(backend, editor, itertools.chain((first,), asked), rng, until)
    ahead.cancel()
    await asyncio.gather(ahead, return_exceptions=True)
    return editor


async def _typed(
    backend: LocalBackend, editor: Editor, asked: Iterable[CompletionRequest], rng: random.Random, until: float
) -> None:
    """One request after the other, with the pauses between them."""
    for request in asked:
        if time.monotonic() >= until:
            return
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


async def watch(pid: int, until: float) -> list[float]:
    """The engine's resident memory in MB, a second apart."""
    seen = []
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            seen.append(pages * 4096 / 1e6)
        await asyncio.sleep(1)
    return seen


async def throughput(backend: LocalBackend, work: list[list[CompletionRequest]]) -> tuple[float, float]:
    """Requests a second of all editors at once, each asking one after the other, and of all requests one by one."""

    async def one(own: list[CompletionRequest]) -> None:
        for request in own:
            await backend.complete(request)

    seconds = []
    half = len(work[0]) // 2
    for turn in (0, 1):
        # the first request of each brings what the editor has in the cache anyway
        mine = [own[turn * half : (turn + 1) * half] for own in work]
        for own in mine:
            await backend.complete(own[0])
        rest = [own[1:] for own in mine]
        began = time.perf_counter()
        if turn == 0:
            await asyncio.gather(*map(one, rest))
        else:
            for step in range(half - 1):
                for own in rest:
                    await backend.complete(own[step])
        seconds.append(time.perf_counter() - began)
    count = (half - 1) * len(work)
    return count / seconds[0], count / seconds[1]


async def measure(
    texts: list[tuple[str, str]], seconds: float, seed: int, cache_megabytes: int
) -> tuple[list[Editor], list[float], float, float]:
    """Editors, memory, and requests a second together and one by one."""
    settings = Settings(engine=EngineSettings(cache_megabytes=cache_megabytes))
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
    each = 4 if seconds < 60 else 10
    fresh = [requests(text, name, random.Random(seed + 1000 + n)) for n, (text, name) in enumerate(texts)]
    # nobody gives up here: what is asked for is how long all of it takes
    patient = LocalBackend(replace(settings, backend=replace(settings.backend, timeout_seconds=600.0)))
    together, alone = await throughput(patient, [[next(own) for _ in range(each)] for own in fresh])
    await patient.close()
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
    parser.add_argument("--cache-megabytes", type=int, default=EDITORS * 48, help="the engine's cache")
    options = parser.parse_args()
    seconds = min(options.seconds, 25) if options.quick else options.seconds
    rng, texts = random.Random(options.seed), []
    for path in source_files(options.source or Path(sysconfig.get_path("stdlib")), rng, smallest=8_000, largest=60_000):
        texts.append((path.read_text(encoding="utf-8", errors="replace"), path.name))
        if len(texts) == EDITORS:
            break
    editors, memory, together, alone = asyncio.run(measure(texts, seconds, options.seed, options.cache_megabytes))
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
        "rss_first_third_mb": statistics.median(memory[:third]),
        "rss_growth_mb": statistics.median(memory[-third:]) - statistics.median(memory[:third]),
        "together_requests_s": together,
        "one_by_one_requests_s": alone,
    }
    # fairness is 1 where the slowest editor waits no longer than the median one, and 0.5 where it waits twice as long
    ratios = {"throughput": together / alone, "fairness": statistics.median(tails) / max(tails)}
    inputs = {"editors": len(texts), "seconds": seconds, "tokens": TOKENS, "seed": options.seed}
    inputs["cache_megabytes"] = options.cache_megabytes
    report("load", inputs=inputs, figures=figures, ratios=ratios)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    main()
