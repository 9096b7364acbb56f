"""How long a request waits for the next key before the model is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dsassist.assist import completion
from dsassist.assist.completion import BURST_GAP, LEAST_DELAY, MOST_DELAY, Completer
from dsassist.assist.site import Site
from dsassist.backend.types import Completion, CompletionRequest
from dsassist.settings import CompletionSettings, Settings


class Recorder:
    """A backend that answers at once, and the waits that came before."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Completion]:
        yield Completion("return 1")

    async def warm_up(self, request: CompletionRequest) -> None:
        """There is nothing to warm."""

    async def sleep(self, seconds: float, *_: object) -> None:
        if seconds:
            self.waits.append(seconds)
            self.now += seconds


def waits(monkeypatch: pytest.MonkeyPatch, gaps: list[float], settings: Settings | None = None) -> list[float]:
    """The wait after each key, for keys with these seconds between them."""
    recorder = Recorder()
    monkeypatch.setattr(completion.time, "monotonic", lambda: recorder.now)
    monkeypatch.setattr(completion.asyncio, "sleep", recorder.sleep)

    async def type_keys() -> list[float]:
        completer = Completer(recorder, settings or Settings())
        found = []
        text = "x = "
        for gap in [*gaps, 0.0]:
            text += "q"
            before = recorder.now
            await completer.suggest(Site.at(text, len(text)))
            found.append(recorder.now - before)
            recorder.now = before + gap
        return found

    return asyncio.run(type_keys())


def test_a_burst_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gap = 0.7 * BURST_GAP
    assert all(gap < wait < 2 * gap for wait in waits(monkeypatch, [gap] * 8)[2:])


def test_ordinary_typing_is_asked_about_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(LEAST_DELAY <= wait <= MOST_DELAY for wait in waits(monkeypatch, [2 * BURST_GAP] * 8)[2:])


def test_the_first_key_after_a_pause_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, [5.0] * 3) == [0.0] * 4


def test_the_setting_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(completion=CompletionSettings(debounce_ms=0))
    assert waits(monkeypatch, [0.05] * 8, settings) == [0.0] * 9
