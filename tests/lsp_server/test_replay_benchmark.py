"""The replay benchmark: what is typed, what counts as accepted, and what it counts in all."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from dsassist.backend.types import Completion
from dsassist.settings import CompletionSettings, Settings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

OLD = "def f(x):\n    return x\n\n\ndef g():\n    pass  # foo\n"
NEW = (
    "def f(x, y):\n    total = max(\n        x.value,\n    )\n    return total + foo(x, y)\n\n\n"
    "def g():\n    pass  # foo\n"
)


@pytest.fixture
def scripts(monkeypatch):
    """The benchmark's own modules."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("replay", "_common", "_ledger", "_releases", "_moments", "_tape")
    yield {name: __import__(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def pair(tmp_path, scripts):
    for side, text in (("old", OLD), ("new", NEW)):
        (tmp_path / "src" / "pkg" / side).mkdir(parents=True)
        (tmp_path / "src" / "pkg" / side / "a.py").write_text(text)
    [found] = scripts["_releases"].in_folder(tmp_path / "src")
    return found


@pytest.fixture
def moments(pair, scripts):
    [hunk] = scripts["_releases"].hunks(pair, random.Random(0))
    return {
        (m.number, m.column): m for seed in range(30) for m in scripts["_moments"].moments(hunk, random.Random(seed))
    }


def test_the_document_is_new_above_and_old_below(moments):
    start = moments[1, 4]
    assert start.before == "def f(x, y):\n    "
    assert start.after == "\n\n\ndef g():\n    pass  # foo\n"
    # a replaced line is typed from where it differs, and brackets close by themselves
    assert min(moments) == (0, 6)
    assert (moments[0, 6].before, moments[0, 6].closers) == ("def f(", ")")
    inside = moments[2, 8]
    assert (inside.before[-9:], inside.after[:6]) == ("\n        ", "\n    )")
    # what is closed already is not typed
    assert not [key for key in moments if key[0] == 3]


@pytest.mark.parametrize(
    ("place", "said", "characters", "full"),
    [
        ((1, 4), "total = max(", 12, True),
        ((1, 4), "total = max(\n        x.value,", 29, True),
        ((1, 4), "total = max(\n        y.value,", 12, False),
        ((1, 4), "total = ", 7, True),
        ((1, 4), "tot", None, None),
        ((1, 4), "total = min(", None, None),
        ((4, 4), "return total + foo(x, y)\n\n\ndef", 24, False),
        ((4, 4), "return total + foo(x, y)", 24, True),
        ((4, 23), "x, y", 4, True),
        ((4, 23), "x, y)", None, None),
    ],
)
def test_only_what_is_written_next_is_taken(moments, scripts, place, said, characters, full):
    took = scripts["_moments"].taken(moments[place], said)
    assert (took.characters, took.full) == (characters, full) if characters else took is None


class Model:
    """Writes the right rest of every line, but for those that begin as ``wrong`` says."""

    def __init__(self, wrong):
        self.wrong, self.asked = wrong, 0

    async def stream(self, request):
        self.asked += 1
        rest = NEW[len(request.prompt) :].partition("\n")[0] if NEW.startswith(request.prompt) else ""
        # brackets that are closed already are closed again, and some lines are broken code
        yield Completion(rest + ("))" if self.wrong and rest.startswith(self.wrong) else ""), "stop", (-0.1,))

    async def close(self):
        pass


async def run(scripts, pair, tmp_path, model, rows, samples=None):
    tape = scripts["_tape"].Tape(model, "fake", rows)
    replay = scripts["replay"].Replay(tape, Settings(completion=CompletionSettings(debounce_ms=0)), samples)
    workspace = scripts["replay"].Workspace(pair, tmp_path / "cache")
    for place in scripts["replay"]._draw(pair, 0, 100):
        await replay.place(workspace, place)
    workspace.close()
    return replay, tape


async def test_filters_are_worth_what_they_drop_and_trim(scripts, pair, tmp_path):
    replay, tape = await run(scripts, pair, tmp_path, Model("return"), tmp_path / "rows.jsonl", tmp_path / "samples")
    plain, ours = replay.sides["_unfiltered"], replay.sides["_without_model"]
    assert plain.shown > plain.accepted > 0
    assert ours.acceptance > plain.acceptance
    assert ours.breaking == 0 < plain.breaking
    assert replay.filters.dropped["breaks_syntax"] and not replay.filters.right["breaks_syntax"]
    assert 0 < ours.saved <= ours.to_write
    assert 0 < tape.asked <= (tmp_path / "samples").read_text().count("\n") == replay.answers
    # the second time the model is not asked at all
    again, second = await run(scripts, pair, tmp_path, Model("return"), tmp_path / "rows.jsonl")
    assert second.asked == 0
    assert again.sides["_without_model"].figures() == ours.figures()


async def test_everything_right_saves_nearly_everything(scripts, pair, tmp_path):
    replay, _ = await run(scripts, pair, tmp_path, Model(""), None)
    ours = replay.sides["_without_model"]
    assert ours.acceptance == 1.0
    assert ours.saved_share > 0.85
    assert ours.figures()["retained"] == pytest.approx(1.0, abs=0.1)
