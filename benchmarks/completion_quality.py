"""Cross-file completion: what reading other files gains, on packages that are newer than the model.

Every site is the rest of a line that begins with a name which the file has nowhere else and which another file of the
same package defines (``--cursor line`` and ``any`` put the cursor elsewhere on such a line). The same model completes
it three times in one run, with the same cap on prompt tokens: with the file alone; with what dsassist's index chooses;
and with a ring of 16 chunks chosen by similarity, as llama.vscode does. The line is on no disk and in no index while it
is completed.

llama.vscode keeps chunks of 64 lines around the places that were opened, edited or jumped to, evicts those more than
0.9 similar to another, and sends them as ``input_extra``. Here it gets more than an editor's history would give: every
64 lines of every other file of the package, at a stride of 32, are candidates, the 16 most similar to the lines around
the cursor (Jaccard index of their words) are taken, the most similar next to the prompt, and as much of them as fits
the most that a prompt gives to other files, which is more than our own pieces take.

The default packages came out after Qwen2.5-Coder (September 2024), so it cannot know them. They are downloaded, not
installed.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import random
import statistics
import tempfile
import time
from dataclasses import astuple, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from _common import arguments, report, say
from _sites import CURSORS, WORD, Task, WorkingCopy, download, draw, read_tasks

from dsassist.assist.context import BUDGET_BYTES, NOTHING, Context, context_of, lay_out
from dsassist.assist.prompt import CHARACTERS_PER_TOKEN, CONTEXT_SHARE, request_for
from dsassist.assist.shape import Shape
from dsassist.assist.site import Site
from dsassist.backend import create
from dsassist.backend.types import CompletionRequest, ContextFile
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
SIMILAR = 0.9
TOKENS = 48
WAYS = ("in_file", "ours", "ring")


def main() -> None:
    """Run and report."""
    parser = arguments(__doc__, source="one folder a package, instead of downloads")
    parser.add_argument("--tasks", type=Path, help="JSON lines of sites, instead of drawing them; needs --source")
    parser.add_argument("--limit", type=int, default=300, help="sites in all")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--cursor", choices=CURSORS, default="name", help="where on the line drawn sites stand")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no site after so many seconds")
    parser.add_argument("--rows", type=Path, help="a file of answers: kept there, and not asked for again")
    options = parser.parse_args()
    if options.tasks and not options.source:
        parser.error("--tasks needs --source: the folder with the packages")
    if options.quick:
        options.limit, options.seconds = min(options.limit, 12), min(options.seconds, 40.0)
    with tempfile.TemporaryDirectory(prefix="dsassist-quality-") as name:
        folder = Path(name)
        source = options.source or download(PACKAGES, folder / "packages")
        result = asyncio.run(_Run(options, folder).measure(source))
    report("completion_quality", **result)


class Ring:
    """llama.vscode's extra context for one package: see the module's docstring."""

    def __init__(self, package: Path) -> None:
        self._chunks: list[tuple[str, str, frozenset[str]]] = []
        for file in sorted(package.rglob("*.py")):
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
            for start in range(0, max(1, len(lines) - CHUNK_LINES // 2), CHUNK_LINES // 2):
                text = "\n".join(lines[start : start + CHUNK_LINES])
                self._chunks.append((file.relative_to(package).as_posix(), text, frozenset(WORD.findall(text))))

    def around(self, task: Task, room: int) -> tuple[ContextFile, ...]:
        """Chunks of at most ``room`` characters together, the most similar last."""
        lines = task.prefix.split("\n")[-CHUNK_LINES // 2 :] + task.suffix.split("\n")[: CHUNK_LINES // 2]
        near = frozenset(WORD.findall("\n".join(lines)))
        ranked = sorted(self._chunks, key=lambda chunk: -_jaccard(near, chunk[2]))
        kept: list[tuple[ContextFile, frozenset[str]]] = []
        for path, text, words in ranked:
            if len(kept) == RING or room < 100:
                break
            if path == task.path or any(_jaccard(words, other) > SIMILAR for _, other in kept):
                continue
            cut = text if len(text) <= room else text[: text.rfind("\n", 0, room) + 1]
            room -= len(cut)
            kept.append((ContextFile(path, cut), words))
        return tuple(file for file, _ in reversed(kept))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


class _Run:
    def __init__(self, options: Any, folder: Path) -> None:
        # a machine that does other things too may take long over a prompt
        patient = BackendSettings(timeout_seconds=300.0)
        self.settings = Settings(backend=patient, engine=replace(EngineSettings(), model=options.model))
        self.options, self.folder = options, folder
        self.exact: dict[str, list[bool]] = {way: [] for way in WAYS}
        self.similar: dict[str, list[float]] = {way: [] for way in WAYS}
        self.gather_ms: list[float] = []
        self._ring_room = int(self.settings.context.max_tokens * CHARACTERS_PER_TOKEN * CONTEXT_SHARE)
        self._rows: dict[str, str] = {}
        if options.rows and options.rows.exists():
            rows = (json.loads(line) for line in options.rows.read_text(encoding="utf-8").splitlines())
            self._rows = {row["key"]: row["said"] for row in rows}

    async def measure(self, source: Path) -> dict[str, Any]:
        rng = random.Random(self.options.seed)
        given = read_tasks(self.options.tasks) if self.options.tasks else None
        names = {task.package for task in given} if given else set()
        packages = sorted(p for p in source.iterdir() if p.is_dir() and (not given or p.name in names))
        self.backend = create(self.settings)
        by_package: dict[str, list[int]] = {}
        limit = self.options.limit
        share = -(-limit // max(len(packages), 1))
        sites: list[list[tuple[Task, WorkingCopy, Ring]]] = []
        for package in packages:
            copy = WorkingCopy(package, self.folder / "copies", self.folder / "cache")
            tasks = (
                list(draw(copy.index, copy.root, rng, share, self.options.cursor))
                if given is None
                else [task for task in given if task.package == package.name]
            )
            ring = Ring(package)
            sites.append([(task, copy, ring) for task in tasks])
        if given is None:
            self._draw_more(sites, limit, share)
        for package, found in zip(packages, sites, strict=True):
            say(f"{package.name}: {len(found)} sites")
        # in turn, so that a run that ends early has seen every package
        turns = [site for turn in zip_longest(*sites) for site in turn if site is not None]
        began = time.monotonic()
        for number, (task, copy, ring) in enumerate(turns[:limit], 1):
            if time.monotonic() - began > self.options.seconds:
                break
            await self._one(task, copy, ring)
            counts = by_package.setdefault(task.package, [0] * (len(WAYS) + 1))
            for place, way in enumerate(WAYS):
                counts[place] += self.exact[way][-1]
            counts[-1] += 1
            if not number % 10:
                shares = ", ".join(f"{way} {sum(found) / number:.3f}" for way, found in self.exact.items())
                say(f"{number} sites: {shares}")
        await self.backend.close()
        return self._figures(by_package)

    def _draw_more(self, sites: list[list[tuple[Task, WorkingCopy, Ring]]], limit: int, share: int) -> None:
        """Others give more where a package has fewer sites than its share."""
        rng = random.Random(f"{self.options.seed} more")
        full = [found for found in sites if len(found) >= share]
        for left, found in zip(range(len(full), 0, -1), full, strict=True):
            missing = limit - sum(map(len, sites))
            if missing <= 0:
                break
            _, copy, ring = found[0]
            known = {(task.path, task.line, task.character) for task, _, _ in found}
            others = draw(copy.index, copy.root, rng, 4 * share, self.options.cursor)
            new = [task for task in others if (task.path, task.line, task.character) not in known]
            found += [(task, copy, ring) for task in new[: -(-missing // left)]]

    def _figures(self, by_package: dict[str, list[int]]) -> dict[str, Any]:
        exact, n = self.exact, len(self.exact["ours"])
        if not n:
            raise SystemExit("no sites were found in the packages")
        figures: dict[str, Any] = {"n": n}
        for way in WAYS:
            figures[f"exact_match_{way}"] = sum(exact[way]) / n
            figures[f"edit_similarity_{way}"] = statistics.fmean(self.similar[way])
        for other in ("in_file", "ring"):
            figures[f"points_over_{other}"] = 100 * (figures["exact_match_ours"] - figures[f"exact_match_{other}"])
            pairs = list(zip(exact["ours"], exact[other], strict=True))
            figures[f"only_ours_and_only_{other}"] = [sum(a > b for a, b in pairs), sum(b > a for a, b in pairs)]
        ordered = sorted(self.gather_ms)
        figures["gather_p50_ms"], figures["gather_p95_ms"] = ordered[n // 2], ordered[int(0.95 * (n - 1))]
        figures["by_package"] = by_package
        inputs = {
            "packages": list(by_package),
            "sites": n,
            "model": self.options.model,
            "seed": self.options.seed,
            "cursor": "given" if self.options.tasks else self.options.cursor,
            "max_prompt_tokens": self.settings.context.max_tokens,
        }
        ratios = {"exact_vs_ring": (sum(exact["ours"]) + 1) / (sum(exact["ring"]) + 1)}
        return {"inputs": inputs, "figures": figures, "ratios": ratios}

    async def _one(self, task: Task, copy: WorkingCopy, ring: Ring) -> None:
        text = task.prefix + task.suffix
        site = Site.at(
            text,
            len(task.prefix),
            document=task.path,
            path=task.path,
            language="python",
            repository=task.package,
        )
        before = copy.show(task)
        began = time.perf_counter()
        ours = _ours(copy, task, site)
        self.gather_ms.append((time.perf_counter() - began) * 1000)
        copy.put_back(task, before)
        contexts = {"in_file": NOTHING, "ours": ours, "ring": Context(ring.around(task, self._ring_room))}
        for way, context in contexts.items():
            # only our own context has anything at the cursor to keep room for
            cross_file = replace(self.settings.context, cross_file=way == "ours")
            settings = replace(self.settings, context=cross_file)
            request = replace(request_for(site, Shape("line"), settings, context), max_tokens=TOKENS)
            said = (await self._answer(request)).partition("\n")[0].rstrip()
            self.exact[way].append(said == task.target)
            self.similar[way].append(difflib.SequenceMatcher(None, said, task.target, autojunk=False).ratio())

    async def _answer(self, request: CompletionRequest) -> str:
        """The model's answer, from an earlier run's where that was asked the same."""
        key = hashlib.sha256(repr((self.options.model, astuple(request))).encode()).hexdigest()
        if key not in self._rows:
            [answer] = await self.backend.complete(request)
            self._rows[key] = answer.text
            if self.options.rows:
                with self.options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "said": answer.text}) + "\n")
        return self._rows[key]


def _ours(copy: WorkingCopy, task: Task, site: Site) -> Context:
    """All that a key waits for where nothing is held from the key before."""
    pieces = copy.index.pieces_for(task.path, task.line, task.prefix, task.suffix, BUDGET_BYTES)
    return context_of(lay_out(pieces, site), copy.index.at_cursor(task.path, task.line, site.prefix), site)


if __name__ == "__main__":
    main()
