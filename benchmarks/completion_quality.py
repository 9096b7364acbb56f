"""Cross-file completion: what reading other files gains, on packages that are newer than the model.

Every site is the rest of a line that begins with a name which the file has nowhere else and which another file of the
same package defines. The same model completes it three times in one run: with the file alone, with the pieces that
dsassist's index chooses, and with a ring of 16 chunks chosen by similarity, as llama.vscode does (chunks of 64 lines,
the most similar to the text before the cursor by the Jaccard index of their words). All three have the same budget of
prompt tokens.

The default packages came out after Qwen2.5-Coder (September 2024), so it cannot know them. They are downloaded, not
installed.
"""

from __future__ import annotations

import asyncio
import difflib
import gzip
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _common import arguments, report, say

from dsassist.assist.context import BUDGET_BYTES, lay_out
from dsassist.assist.prompt import request_for
from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.backend import create
from dsassist.backend.types import ContextFile
from dsassist.index import Index
from dsassist.settings import BackendSettings, EngineSettings, Settings

PACKAGES = (
    "mcp==2.3.0",
    "openai-agents==0.24.0",
    "smolagents==1.26.0",
    "a2a-sdk==1.3.0",
    "strands-agents==1.62.0",
    "pydantic-ai-slim==2.68.0",
)
CHUNK_LINES = 64
RING = 16
TOKENS = 48
_WORD = re.compile(r"[A-Za-z_]\w+")
_IMPORT = re.compile(r"\s*(from|import)\b")


@dataclass(frozen=True)
class Task:
    """One site: ``target`` is what stands between ``prefix`` and ``suffix``."""

    package: str
    path: str
    line: int
    character: int
    prefix: str
    suffix: str
    target: str


def main() -> None:
    """Run and report."""
    parser = arguments(__doc__, source="one folder a package, instead of downloads")
    parser.add_argument("--tasks", type=Path, help="JSON lines of sites, instead of drawing them; needs --source")
    parser.add_argument("--limit", type=int, default=300, help="sites in all")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    options = parser.parse_args()
    limit = min(options.limit, 12) if options.quick else options.limit
    with tempfile.TemporaryDirectory(prefix="dsassist-quality-") as folder:
        source = options.source or _download(Path(folder) / "packages")
        result = asyncio.run(_measure(source, Path(folder) / "cache", options, limit))
    report("completion_quality", **result)


def _download(folder: Path) -> Path:
    wheels = folder.parent / "wheels"
    for package in PACKAGES:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(wheels), package]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            say(f"{package} cannot be downloaded; it is left out")
    for wheel in sorted(wheels.glob("*.whl")):
        target = folder / wheel.name.partition("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        for info in target.glob("*.dist-info"):
            shutil.rmtree(info)
    return folder


def _draw(index: Index, package: Path, rng: random.Random, count: int) -> Iterator[Task]:
    files = [path for path in index.paths() if path.endswith(".py") and "test" not in path]
    rng.shuffle(files)
    found = 0
    for path in files:
        text = (package / path).read_text(encoding="utf-8", errors="replace")
        lines = text.split("\n")
        words = _WORD.findall(text)
        once = {word for word in words if len(word) >= 4 and words.count(word) == 1} if len(words) < 20_000 else set()
        places = [
            (number, match.start())
            for number, line in enumerate(lines)
            if number > 10 and not _IMPORT.match(line) and not line.lstrip().startswith("#")
            for match in _WORD.finditer(line)
            if match[0] in once and line[: match.start()].strip()
        ]
        rng.shuffle(places)
        taken = 0
        for number, character in places:
            targets = index.targets_at(path, number, character)[0]
            if not any(target[0] and target[0] != path and target[1] for target in targets):
                continue
            start = sum(len(line) + 1 for line in lines[:number]) + character
            end = start - character + len(lines[number])
            target = text[start:end].rstrip()
            yield Task(package.name, path, number, character, text[:start], text[end:], target)
            found, taken = found + 1, taken + 1
            if found >= count:
                return
            if taken >= 4:
                break


def _read_tasks(path: Path) -> list[Task]:
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    known = Task.__dataclass_fields__
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Task(**{key: value for key, value in row.items() if key in known}) for row in rows]


def _ring(package: Path, task: Task, budget: int) -> tuple[ContextFile, ...]:
    """The most similar chunks of other files, most similar last."""
    near = set(_WORD.findall(task.prefix[-3000:]))
    chunks = []
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package).as_posix()
        if path == task.path:
            continue
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        for start in range(0, len(lines), CHUNK_LINES):
            text = "\n".join(lines[start : start + CHUNK_LINES])
            words = set(_WORD.findall(text))
            chunks.append((len(near & words) / max(len(near | words), 1), path, text))
    chunks.sort(reverse=True)
    kept, left = [], budget
    for _, path, text in chunks[:RING]:
        if len(text) <= left:
            kept.append(ContextFile(path, text))
            left -= len(text)
    return tuple(reversed(kept))


async def _measure(source: Path, cache: Path, options: Any, limit: int) -> dict[str, Any]:
    rng = random.Random(options.seed)
    # a machine that does other things too may take long over a prompt
    patient = BackendSettings(timeout_seconds=300.0)
    settings = Settings(backend=patient, engine=replace(EngineSettings(), model=options.model))
    backend = create(settings)
    packages = sorted(path for path in source.iterdir() if path.is_dir())
    given = _read_tasks(options.tasks) if options.tasks else None
    exact: dict[str, list[bool]] = {"in_file": [], "ours": [], "ring": []}
    similar: dict[str, list[float]] = {key: [] for key in exact}
    gather_ms: list[float] = []
    by_package: dict[str, list[int]] = {}
    share = -(-limit // max(len(packages), 1))
    for package in packages:
        index = Index.open(package, cache)
        index.update()
        drawn = _draw(index, package, rng, share) if given is None else (t for t in given if t.package == package.name)
        tasks = list(drawn)
        for task in tasks[:share]:
            await _one(task, package, index, settings, backend, (exact, similar, gather_ms))
            counts = by_package.setdefault(package.name, [0, 0, 0, 0])
            for place, key in enumerate(exact):
                counts[place] += exact[key][-1]
            counts[3] += 1
        index.close()
        say(f"{package.name}: in file, ours, ring of sites {by_package.get(package.name)}")
    await backend.close()
    n = len(exact["ours"])
    if not n:
        raise SystemExit("no sites were found in the packages")
    figures: dict[str, Any] = {"n": n}
    for key in exact:
        figures[f"exact_match_{key}"] = sum(exact[key]) / n
        figures[f"edit_similarity_{key}"] = statistics.fmean(similar[key])
    figures["gather_p95_ms"] = sorted(gather_ms)[int(0.95 * (n - 1))]
    figures["points_over_in_file"] = 100 * (figures["exact_match_ours"] - figures["exact_match_in_file"])
    figures["points_over_ring"] = 100 * (figures["exact_match_ours"] - figures["exact_match_ring"])
    inputs = {"packages": [p.name for p in packages], "sites": n, "model": options.model, "seed": options.seed}
    ratios = {"exact_vs_ring": (sum(exact["ours"]) + 1) / (sum(exact["ring"]) + 1)}
    return {"inputs": inputs, "figures": figures, "ratios": ratios}


async def _one(task: Task, package: Path, index: Index, settings: Settings, backend: Any, results: Any) -> None:
    exact, similar, gather_ms = results
    text = task.prefix + task.suffix
    site = Site.at(text, len(task.prefix), document=task.path, path=task.path, repository=task.package)
    # the index sees the file as an editor would: without what is to be written
    index.set_overlay(task.path, text)
    began = time.perf_counter()
    pieces = index.context_for(task.path, task.line, task.character, budget_bytes=BUDGET_BYTES)
    gather_ms.append((time.perf_counter() - began) * 1000)
    contexts = {"in_file": (), "ours": lay_out(pieces, site), "ring": _ring(package, task, BUDGET_BYTES)}
    for key, context in contexts.items():
        request = replace(request_for(site, Shape("line"), settings, context), max_tokens=TOKENS)
        [answer] = await backend.complete(request)
        said = answer.text.partition("\n")[0].rstrip()
        exact[key].append(said == task.target)
        similar[key].append(difflib.SequenceMatcher(None, said, task.target, autojunk=False).ratio())
    index.close_overlay(task.path)


if __name__ == "__main__":
    main()
