"""The engine: batching, caching and drafting change the time an answer takes, never the answer."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsassist_model.engine import Piece, Request
from dsassist_model.engine.scheduler import Limits
from dsassist_model.engine.sequence import StopText
from dsassist_model.errors import Cancelled, EngineError, QueueFull
from dsassist_model.prompt import build

PROMPTS = ["def f(x):\n    return x", "import os\n", "x = 1\nx = 2\nx = ", "class A:\n    pass\n" * 9, "z"]


class Leaving:
    """A client that cancels once it has got so many tokens."""

    def __init__(self, count: int) -> None:
        self.count, self.pieces, self.done = count, list[Piece](), threading.Event()
        self.handle: Any = None

    def emit(self, piece: Piece) -> None:
        self.pieces.append(piece)
        while self.handle is None and not self.done.is_set():
            self.done.wait(0.001)
        if sum(p.tokens for p in self.pieces) >= self.count:
            self.handle.cancel()
        if piece.last:
            self.done.set()

    def wait(self) -> None:
        assert self.done.wait(60)

    @property
    def last(self) -> Piece:
        return self.pieces[-1]


def answers(engines: Any, engine: Any, prompts: list[str], **options: Any) -> list[str]:
    return [engines.ask(engine, prompt, max_tokens=24, **options).wait().text for prompt in prompts]


def test_drafts_do_not_change_a_greedy_answer(engines: Any) -> None:
    plain = engines.make(draft=False)
    drafting = engines.make(draft=True)
    assert answers(engines, drafting, PROMPTS) == answers(engines, plain, PROMPTS)
    hint = tuple(tuple(plain.tokenizer.encode(text)) for text in answers(engines, plain, PROMPTS))
    asked = engines.ask(drafting, PROMPTS[0], max_tokens=24, drafts=hint).wait()
    assert asked.text == answers(engines, plain, PROMPTS[:1])[0]
    assert asked.last.details["accepted"] > 0


def test_a_busy_engine_gives_each_the_answer_it_gives_alone(engines: Any) -> None:
    """Also against leaks: no request's text may turn up in another's answer, whatever is cancelled in between."""
    alone = engines.make(draft=False)
    busy = engines.make(limits=Limits(chunk=16, shared_chunk=5, running=3))
    rng = random.Random(5)
    prompts = [PROMPTS[i % 5] + "".join(rng.choice("abc =\n") for _ in range(rng.randrange(90))) for i in range(24)]
    asked = [engines.ask(busy, p, max_tokens=12, session=str(i % 4)) for i, p in enumerate(prompts)]
    for one in asked[::5]:
        one.handle.cancel()
    for i, (prompt, one) in enumerate(zip(prompts, asked, strict=True)):
        one.wait()
        if i % 5:
            assert one.text == engines.ask(alone, prompt, max_tokens=12).wait().text
    assert busy.load == (0, 0)


def test_what_was_read_is_not_read_again(engines: Any) -> None:
    engine = engines.make()
    long = "value = compute(1)\n" * 20
    first = engines.ask(engine, long, max_tokens=4).wait()
    again = engines.ask(engine, long, max_tokens=4).wait()
    grown = engines.ask(engine, long + "more", max_tokens=4).wait()
    total = first.last.details["prompt_tokens"]
    assert first.last.details["prompt_tokens_cached"] == 0
    assert again.last.details["prompt_tokens_cached"] == total - 1
    assert grown.last.details["prompt_tokens_computed"] <= 6
    assert again.text == first.text


def test_reading_ahead(engines: Any) -> None:
    engine = engines.make()
    warm = engines.ask(engine, "hello world " * 9, max_tokens=0).wait()
    assert (warm.text, warm.last.finish_reason) == ("", "length")
    asked = engines.ask(engine, "hello world " * 9, max_tokens=1).wait()
    assert asked.last.details["prompt_tokens_computed"] == 1


def test_sampling_is_repeatable_by_seed_whatever_else_runs(engines: Any) -> None:
    engine = engines.make()
    options = {"max_tokens": 16, "temperature": 1.0, "top_p": 0.9}
    alone = engines.ask(engine, "abc", seed=7, **options).wait().text
    crowd = [engines.ask(engine, "abc", seed=seed, **options) for seed in (7, 8, 9, 7)]
    texts = [one.wait().text for one in crowd]
    assert texts[0] == texts[3] == alone
    assert len(set(texts)) > 1


def test_log_probabilities_are_told_when_asked_for(engines: Any) -> None:
    engine = engines.make()
    asked = engines.ask(engine, "abc", max_tokens=5, logprobs=True).wait()
    told = [value for piece in asked.pieces for value in piece.logprobs]
    assert len(told) == 5
    assert all(value < 0 for value in told)


def test_a_stop_text_ends_the_answer_before_it(engines: Any) -> None:
    engine = engines.make()
    free = engines.ask(engine, "abc", max_tokens=20).wait().text
    stop = free[6:9]
    asked = engines.ask(engine, "abc", max_tokens=20, stop=(stop,)).wait()
    assert asked.text == free[: free.index(stop)]
    assert asked.last.finish_reason == "stop"


def test_cancelling_stops_the_model(engines: Any) -> None:
    engine = engines.make(draft=False)
    seen = threading.Event()
    asked = engines.ask(engine, "abc", max_tokens=400)
    emit = asked.emit
    object.__setattr__(asked.handle, "emit", lambda piece: (emit(piece), seen.set()))
    assert seen.wait(60)
    asked.handle.cancel()
    asked.wait()
    assert isinstance(asked.last.error, Cancelled)
    assert len(asked.pieces) < 400
    assert engine.counters.cancelled == 1
    assert engines.ask(engine, "abc", max_tokens=3).wait().last.error is None


def test_refusals_name_the_thing(engines: Any) -> None:
    engine = engines.make(cache_tokens=128)
    with pytest.raises(EngineError, match="empty"):
        engines.ask(engine, [])
    with pytest.raises(EngineError, match=r"200 tokens; 112 fit"):
        engines.ask(engine, [5] * 200, max_tokens=16)


def test_a_full_queue_is_refused(engines: Any) -> None:
    engine = engines.make(limits=Limits(waiting=2, running=1))
    asked = []
    with pytest.raises(QueueFull):
        for _ in range(9):
            asked.append(engines.ask(engine, "abc" * 20, max_tokens=60))
    assert all(one.wait().last.finish_reason for one in asked)


def test_a_cache_smaller_than_the_requests_together(engines: Any) -> None:
    engine = engines.make(cache_tokens=256)
    prompts = [f"{letter} = 1\n" * 20 for letter in "abcdef"]
    asked = [engines.ask(engine, prompt, max_tokens=10) for prompt in prompts]
    whole = engines.make()
    for prompt, one in zip(prompts, asked, strict=True):
        assert one.wait().text == engines.ask(whole, prompt, max_tokens=10).wait().text
    assert engines.ask(engine, "again", max_tokens=3).wait().last.error is None


def test_a_failing_pass_is_told_and_the_next_request_served(engines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engines.make()
    whole = engine.model.forward
    monkeypatch.setattr(engine.model, "forward", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    asked = engines.ask(engine, "abc").wait()
    assert "broken" in str(asked.last.error)
    monkeypatch.setattr(engine.model, "forward", whole)
    assert engines.ask(engine, "abc", max_tokens=3).wait().last.error is None


def test_stopping_answers_what_runs(engines: Any) -> None:
    engine = engines.make()
    asked = engines.ask(engine, "abc", max_tokens=400)
    engine.stop()
    assert asked.wait().last.last
    with pytest.raises(EngineError, match="stopping"):
        engines.ask(engine, "abc")


def test_interactive_requests_go_first(engines: Any) -> None:
    engine = engines.make(draft=False)
    background = engines.ask(engine, "abc", max_tokens=300, priority="background")
    while not background.pieces:
        background.done.wait(0.01)
    interactive = engines.ask(engine, "xyz", max_tokens=20).wait()
    assert interactive.last.error is None
    assert not background.done.is_set()
    assert background.wait().last.error is None


def test_less_memory(engines: Any) -> None:
    engine = engines.make()
    for letter in "abcdefgh":
        engines.ask(engine, f"{letter} = 1\n" * 40, max_tokens=2).wait()
    before = engine.cache.used
    engine.shrink_cache(256)
    engines.ask(engine, "abc", max_tokens=2).wait()
    assert engine.cache.used <= 4 < before
    assert engine.max_context == 256


def test_cancelled_at_every_token(engines: Any) -> None:
    """A client that goes away after the first token, the second, and so on: each time the engine is free at once, and
    what it had written spoils no later answer."""
    engine = engines.make()
    whole = engines.ask(engine, PROMPTS[0], max_tokens=16, logprobs=True).wait()
    for count in range(16):
        leaving = Leaving(count)
        leaving.handle = engine.submit(Request(engine.tokenizer.encode(PROMPTS[0]), max_tokens=16), leaving.emit)
        leaving.wait()
        assert leaving.last.error is None or isinstance(leaving.last.error, Cancelled)
    assert engines.ask(engine, PROMPTS[0], max_tokens=16).wait().text == whole.text
    assert engine.counters.cancelled >= 8


def test_cancelled_and_asked_again_at_once(engines: Any) -> None:
    engine = engines.make()
    alone = engines.ask(engine, PROMPTS[3], max_tokens=8).wait().text
    for _ in range(30):
        engines.ask(engine, PROMPTS[3], max_tokens=8).handle.cancel()
        again = engines.ask(engine, PROMPTS[3], max_tokens=8)
    assert again.wait().text == alone
    assert engine.counters.failed == 0


def test_two_hundred_requests_at_once(engines: Any) -> None:
    """What fits into the queue is answered, the rest is refused by name; none is lost."""
    engine = engines.make(limits=Limits(waiting=64, running=32))
    asked, refused = [], 0
    for i in range(200):
        try:
            asked.append((i, engines.ask(engine, f"x{i} = ", max_tokens=4, session=str(i % 7))))
        except QueueFull:
            refused += 1
    assert len(asked) + refused == 200
    assert len(asked) >= 64
    assert engine.counters.refused == refused
    alone = engines.make()
    for i, one in asked[:: max(1, len(asked) // 12)]:
        assert one.wait().text == engines.ask(alone, f"x{i} = ", max_tokens=4).wait().text
    assert all(one.wait().last.error is None for _, one in asked)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab =\n(", min_size=1, max_size=150),
            st.text(alphabet="xy\n", max_size=60),
            st.booleans(),
            st.sampled_from(["", "one", "two"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_interleaved_requests_each_as_alone(engines: Any, requests: list[tuple[str, str, bool, str, bool]]) -> None:
    """Whatever runs beside it, is cancelled, waits in the background or shares its beginning: a request's answer is the
    one it gets from an engine of its own."""
    if not hasattr(engines, "pair"):
        engines.pair = (
            engines.make(cache_tokens=1024, limits=Limits(chunk=16, shared_chunk=5, running=4)),
            engines.make(),
        )
    crowded, alone = engines.pair
    asked = []
    for before, after, background, session, cancelled in requests:
        built = build(crowded.tokenizer, before, after, limit=200)
        options = {"max_tokens": 6, "session": session, "priority": "background" if background else "interactive"}
        one = engines.ask(crowded, built.tokens, suffix=built.suffix, **options)
        if cancelled:
            one.handle.cancel()
        asked.append((built, one))
    for (built, one), (*_, cancelled) in zip(asked, requests, strict=True):
        one.wait()
        if not cancelled:
            assert one.text == engines.ask(alone, built.tokens, suffix=built.suffix, max_tokens=6).wait().text


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["a", "b\n", "c"], "ab"),
        (["a\n\nb"], "a"),
        (["ab", "X", "Y", "c"], "ab"),
        (["abX", "Z"], "abXZ"),
        (["X"], "X"),
    ],
)
def test_stop_text_over_pieces(pieces: list[str], told: str) -> None:
    stop = StopText(("\n", "XY"))
    text = ""
    for piece in pieces:
        text += stop.feed(piece)
        if stop.stopped:
            break
    assert text + ("" if stop.stopped else stop.finish()) == told
