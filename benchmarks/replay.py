"""Replay: what was really written between two releases of a package, typed again with the assistant looking on.

For a sample of the hunks of a diff, the new lines are typed into the old release; other files stay as they were, and
the file itself is new above the cursor and old below it. The typist pauses at the beginning of lines, behind ``(``,
``.`` and ``= `` and in the middle of words (drawn by the seed), and a suggestion may appear, through the same
``Completer``, index and engine that an editor's keys go through. It is accepted when it is what is written next: all of
it, or its first line. One that is shown and is not counts as wasted. After an acceptance typing goes on behind it.

Three sides type the same hunks in one run, on the same answers of the model: ours; ours without the accept model; and
the peer, the model's answers up to the end of the line or block with no filter at all. The packages are newer than the
model (September 2024), so it cannot know what is written, and the accept model was not trained on them.

``--source DIR`` takes other packages: one folder a package, with two folders in it, ``old`` and ``new``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _common import arguments, report, say
from _ledger import Filters, Ledger
from _moments import Moment, moments, saved_characters, taken
from _releases import Hunk, Pair, download, hunks, in_folder
from _tape import Tape

from dsassist.assist.accept import Choice, shipped
from dsassist.assist.completion import Attempt, Completer
from dsassist.assist.context import Gatherer
from dsassist.assist.site import Site
from dsassist.backend import create
from dsassist.backend.types import Backend
from dsassist.index import AtCursor, Index
from dsassist.index.languages import language_of
from dsassist.settings import BackendSettings, CompletionSettings, EngineSettings, Settings

PACKAGES = (
    "pip:a2a-sdk 1.2.0 1.3.0",
    "pip:openai-agents 0.22.0 0.24.0",
    "pip:mcp 2.1.0 2.3.0",
    "pip:langchain-core 1.7.0 1.8.4",
    "npm:ai 7.0.140 7.0.173",
)
TRAINING = (
    "pip:strands-agents 1.58.0 1.62.0",
    "pip:smolagents 1.24.0 1.26.0",
    "pip:pydantic-ai-slim 2.60.0 2.68.0",
    "pip:textual 8.0.1 8.2.8",
    "npm:svelte 5.55.0 5.57.3",
)
HUNKS_A_FILE = 2
DRAWS = 1000
AT_ONCE = 8
"""Pauses that are asked for together: the engine answers them in one batch."""
LANGUAGES = {
    ".py": "python", ".js": "javascript", ".ts": "typescript", ".tsx": "typescriptreact", ".go": "go", ".rs": "rust",
    ".java": "java", ".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp",
}  # fmt: skip
IDLE_MINUTES = 1.0
"""The engine that a replay starts leaves soon after it."""


@dataclass(frozen=True)
class Place:
    """A hunk and the pauses in it."""

    hunk: Hunk
    moments: list[Moment]


class Workspace:
    """A package as its old release was, with the files that are typed in as an editor would have them open."""

    def __init__(self, pair: Pair, cache: Path) -> None:
        self.name = pair.name
        self._index = Index.open(pair.old, cache)
        self._index.update()
        self._gatherer = Gatherer(self._ask, self._known, patience=60.0)

    async def _ask(self, site: Site, budget: int) -> Any:
        return await asyncio.to_thread(self._index.pieces_for, site.path, site.line, site.prefix, site.suffix, budget)

    async def _known(self, site: Site) -> AtCursor:
        return self._index.at_cursor(site.path, site.line, site.prefix)

    def site(self, moment: Moment) -> Site:
        """The cursor at a pause."""
        path = moment.hunk.path
        return Site.at(
            moment.before + moment.after,
            len(moment.before),
            document=f"{path}:{moment.hunk.line}",
            path=path,
            language=LANGUAGES.get(Path(path).suffix, ""),
            repository=self.name.rpartition("/")[2],
        )

    async def turn_to(self, moment: Moment) -> None:
        """The file as it is at a pause is what the index knows of it, and the context is held from there on, as an
        editor's is while the cursor stays near."""
        site = self.site(moment)
        if language_of(site.path) is not None:
            self._index.set_overlay(site.path, moment.before + moment.after)
        self._gatherer.forget(site.document)
        await self._gatherer(site)

    def completer(self, backend: Backend, settings: Settings) -> Completer:
        """One as an editor has."""
        return Completer(backend, settings, self._gatherer, lacks=self._lacks, accept=shipped())

    async def _lacks(self, site: Site, receiver: str, member: str) -> bool:
        return self._index.lacks_member(site.path, site.line, receiver, member)

    def close(self) -> None:
        """Give up the index."""
        self._index.close()


class Replay:
    """Types, and counts."""

    def __init__(self, tape: Tape, settings: Settings, samples: Path | None) -> None:
        self.tape = tape
        self.sides = {"": Ledger(), "_without_model": Ledger(), "_unfiltered": Ledger()}
        self.filters = Filters()
        self.by_hunk: list[list[int]] = []
        """Of each side in turn: shown, accepted, characters saved."""
        self.pauses = 0
        self.answers = 0
        self._settings = {"": settings, "_without_model": _shows_all(settings), "_unfiltered": _shows_all(settings)}
        self._samples = samples

    async def place(self, workspace: Workspace, place: Place) -> None:
        """One hunk: every pause by itself, then each side from the top to the bottom."""
        await workspace.turn_to(place.moments[0])
        await self._every_pause(workspace, place)
        counts: list[int] = []
        for name, side in self.sides.items():
            before = (side.shown, side.accepted, side.saved)
            await self._typed(workspace, place, name, side)
            counts += [side.shown - before[0], side.accepted - before[1], side.saved - before[2]]
        self.by_hunk.append(counts)

    async def _every_pause(self, workspace: Workspace, place: Place) -> None:
        """Each by itself: what was suggested before plays no part. The first one alone, so that the others find what
        they share with it read already."""
        first, *others = place.moments
        asked = [await self._attempt(workspace, first)]
        for start in range(0, len(others), AT_ONCE):
            asked += await asyncio.gather(
                *(self._attempt(workspace, moment) for moment in others[start : start + AT_ONCE])
            )
        for moment, attempt in zip(place.moments, asked, strict=True):
            self.pauses += 1
            if attempt is not None:
                self._note(workspace, moment, attempt)

    async def _attempt(self, workspace: Workspace, moment: Moment) -> Attempt | None:
        """What the assistant makes of the model's answer, None where it does not ask."""
        completer = workspace.completer(
            self.tape.noting({"package": workspace.name, **moment.where}), self._settings[""]
        )
        attempts: list[Attempt] = []
        completer.observer = attempts.append
        await completer.suggest(workspace.site(moment))
        await completer.close()
        return attempts[-1] if attempts else None

    def _note(self, workspace: Workspace, moment: Moment, attempt: Attempt) -> None:
        took = taken(moment, attempt.text or attempt.raw)
        self.answers += bool(attempt.raw.strip())
        if attempt.reason not in ("none", "nothing_to_add"):
            self.filters.add(attempt.reason, took is not None)
        if self._samples is not None:
            raw = taken(moment, attempt.raw)
            row = {
                "package": workspace.name,
                **moment.where,
                "kind": moment.kind,
                "language": attempt.site.language,
                "reason": attempt.reason,
                "raw": attempt.raw,
                "text": attempt.text,
                "written": moment.rest,
                "accepted": took is not None,
                "accepted_raw": raw is not None,
                "saved_raw": saved_characters(attempt.raw[: raw.characters]) if raw else 0,
                "choices": [self._choice(moment, choice) for choice in attempt.choices],
            }
            with self._samples.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    @staticmethod
    def _choice(moment: Moment, choice: Choice) -> dict[str, Any]:
        took = taken(moment, choice.text)
        return {
            "characters": len(choice.text),
            "accepted": took is not None,
            "saved": saved_characters(choice.text[: took.characters]) if took else 0,
            "features": {name: round(value, 5) for name, value in choice.features.items()},
        }

    async def _typed(self, workspace: Workspace, place: Place, name: str, side: Ledger) -> None:
        completer = workspace.completer(self.tape, self._settings[name])
        attempts: list[Attempt] = []
        completer.observer = attempts.append
        reached = (0, 0)
        for moment in place.moments:
            side.line(moment, moment.number)
            if (moment.number, moment.column) < reached:
                continue
            attempts.clear()
            shown = await completer.suggest(workspace.site(moment))
            text = shown[0].text if shown else ""
            if name == "_unfiltered":
                text = attempts[-1].raw if attempts else ""
            if not text.strip():
                side.nothing()
                continue
            took = side.see(moment, text)
            if took is not None:
                last = text[: took.characters].rpartition("\n")[2]
                start = 0 if took.lines else moment.column
                reached = (moment.number + took.lines, start + len(last))
        await completer.close()


def main() -> None:
    parser = arguments(__doc__, source="one folder a package with two folders in it, old and new, instead of downloads")
    parser.add_argument("--limit", type=int, default=600, help="pauses in all, shared among the packages")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rows", type=Path, help="JSON lines of the model's answers: read where it has them, added to")
    parser.add_argument("--offline", action="store_true", help="never ask the model: what is not in --rows is left out")
    parser.add_argument(
        "--samples", type=Path, help="write a JSON line a pause: what tools/train_accept_model.py reads"
    )
    parser.add_argument("--work", type=Path, help="keeps downloads and indexes for the next run")
    parser.add_argument("--training", action="store_true", help="the packages that the accept model was trained on")
    options = parser.parse_args()
    limit = min(options.limit, 18) if options.quick else options.limit
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dsassist-replay-")))
        names = TRAINING if options.training else PACKAGES
        names = names[:3] if options.quick else names
        pairs = in_folder(options.source) if options.source else download(names, work / "packages")
        if not pairs:
            raise SystemExit("no pair of releases to replay")
        result = asyncio.run(_replay(pairs, work, options, limit))
    report("replay", **result)


def _draw(pair: Pair, seed: int, count: int) -> Iterator[Place]:
    """About ``count`` pauses, as hunks of many files."""
    found = 0
    for path, several in itertools.groupby(hunks(pair, random.Random(f"{seed} {pair.name}")), lambda hunk: hunk.path):
        known, rng = list(several), random.Random(f"{seed} {path}")
        for hunk in sorted(rng.sample(known, min(HUNKS_A_FILE, len(known))), key=lambda hunk: hunk.line):
            if pauses := list(moments(hunk, random.Random(f"{seed} {path} {hunk.line}"))):
                yield Place(hunk, pauses)
                found += len(pauses)
            if found >= count:
                return


async def _replay(pairs: list[Pair], work: Path, options: Any, limit: int) -> dict[str, Any]:
    # a machine that does other things too may take long over a prompt
    patient = BackendSettings(timeout_seconds=300.0)
    engine = replace(EngineSettings(), model=options.model, idle_minutes=IDLE_MINUTES)
    settings = Settings(backend=patient, engine=engine, completion=CompletionSettings(debounce_ms=0))
    tape = Tape(create(settings), options.model, options.rows, only=options.offline)
    replay = Replay(tape, settings, options.samples)
    files = set()
    for pair in pairs:
        workspace = Workspace(pair, work / "index")
        for place in _draw(pair, options.seed, -(-limit // len(pairs))):
            await replay.place(workspace, place)
            files.add((pair.name, place.hunk.path))
        workspace.close()
        now = {name or "ours": f"{side.accepted}/{side.shown}" for name, side in replay.sides.items()}
        say(f"{pair.name}: {replay.pauses} pauses so far; accepted of shown {now}; {tape.asked} asked")
    await tape.close()
    ours, plain = replay.sides[""], replay.sides["_unfiltered"]
    figures: dict[str, Any] = {"pauses": replay.pauses, "answers": replay.answers}
    for name, side in replay.sides.items():
        figures |= side.figures(name)
    figures["characters_kept_of_unfiltered"] = ours.saved / max(plain.saved, 1)
    figures |= _uncertainty(replay.by_hunk, random.Random(options.seed))
    figures |= replay.filters.figures()
    inputs = {
        "packages": [f"{pair.name} {pair.old.name} {pair.new.name}" for pair in pairs],
        "files": len(files),
        "characters": ours.to_write,
        "model": options.model,
        "seed": options.seed,
        "limit": limit,
    }
    if tape.missing:
        inputs["answers_missing"] = tape.missing
    ratios = {
        "acceptance": ours.acceptance / max(plain.acceptance, 1e-9),
        "characters_saved": ours.saved_share / max(plain.saved_share, 1e-9),
    }
    return {"inputs": inputs, "figures": figures, "ratios": ratios}


def _uncertainty(by_hunk: list[list[int]], rng: random.Random) -> dict[str, float]:
    """Where nine of ten samples of so many hunks would put the two ratios, by drawing hunks again and again."""
    acceptance, saved = [], []
    for _ in range(DRAWS if by_hunk else 0):
        totals = [sum(column) for column in zip(*rng.choices(by_hunk, k=len(by_hunk)), strict=True)]
        shown, accepted, ours_saved, *_, plain_shown, plain_accepted, plain_saved = totals
        if shown and plain_accepted and plain_saved:
            acceptance.append(accepted / shown / (plain_accepted / plain_shown))
            saved.append(ours_saved / plain_saved)
    out = {}
    for name, values in (("acceptance_ratio", acceptance), ("characters_kept", saved)):
        values.sort()
        if values:
            out |= {f"{name}_low": values[len(values) // 20], f"{name}_high": values[-len(values) // 20 - 1]}
    return out


def _shows_all(settings: Settings) -> Settings:
    return replace(settings, completion=replace(settings.completion, minimum_acceptance=0.0))


if __name__ == "__main__":
    main()
