"""From a model's answer to what is shown: ranking, the accept model, members, and what the last outcome says."""

from __future__ import annotations

import json
import math

import pytest

from dsassist.assist.accept import FEATURES, AcceptModel, choices, shipped
from dsassist.assist.completion import Completer
from dsassist.assist.postprocess import REASONS
from dsassist.assist.shape import shape_at
from dsassist.assist.site import Site
from dsassist.assist.syntax import breaks_syntax
from dsassist.backend.types import Completion
from dsassist.settings import CompletionSettings, Settings


class Model:
    """Answers by temperature: ``greedy`` first, then ``others`` by seed; each is (text, log-probability a token)."""

    def __init__(self, greedy, *others):
        self.greedy, self.others = greedy, others

    async def stream(self, request):
        text, number = self.greedy if not request.temperature else self.others[request.seed - 1]
        for piece in (text[:3], text[3:]):
            yield Completion(piece, None, (number,) if number is not None else ())
        yield Completion("", "stop")


def site(marked, **options):
    before, _, after = marked.partition("|")
    before = f"from q import HELLO, a, abc, b, f, g, items, log, start\n{before}"  # what the answers name
    return Site.at(before + after, len(before), path="a.py", language="python", **options)


def settings(**completion):
    return Settings(completion=CompletionSettings(debounce_ms=0, **completion))


BY_MEAN = AcceptModel(0.0, {"mean": (-0.5, 1.0, 8.0)}, 0.5)
"""Likely where the tokens are likely."""


@pytest.mark.parametrize(
    ("number", "least", "manual", "reason"),
    [
        (-0.1, -1.0, False, "none"),
        (-2.0, -1.0, False, "unsure"),
        (-2.0, 0.0, False, "none"),
        (-2.0, -1.0, True, "none"),
        (-0.1, 0.999, False, "unsure"),
        (None, -1.0, False, "none"),
    ],
)
async def test_what_is_not_likely_enough_is_not_shown_while_typing(number, least, manual, reason):
    completer = Completer(Model(("f(a)", number)), settings(minimum_acceptance=least), accept=BY_MEAN)
    shown = await completer.suggest(site("a = 1\nx = |\n", manual=manual))
    assert [s.text for s in shown] == (["f(a)"] if reason == "none" else [])
    assert completer.outcome.reason == reason
    assert completer.outcome.message == REASONS[reason]
    assert completer.outcome.suppressed == ("" if reason == "none" else "f(a)")
    await completer.close()


async def test_what_was_typed_of_an_unsure_suggestion_makes_it_surer():
    model = AcceptModel(0.0, {"typed_along": (1.0, 1.0, 8.0)}, 0.5)
    completer = Completer(Model(("f(abc)", -0.1)), settings(), accept=model)
    assert await completer.suggest(site("a = 1\nx = |\n")) == []
    assert [s.text for s in await completer.suggest(site("a = 1\nx = f(a|\n"))] == ["bc)"]
    await completer.close()


async def test_of_a_doubtful_answer_its_sure_beginning_is_shown():
    class Doubtful(Model):
        async def stream(self, request):
            for text, number in (("sum", -0.01), ("(", -0.01), ("items", -0.02), (", start", -3.0), (")", -0.01)):
                yield Completion(text, None, (number,))
            yield Completion("", "stop")

    model = AcceptModel(0.0, {"line_sum": (-0.5, 1.0, 8.0)}, 0.5)
    for manual, text in ((False, "sum(items"), (True, "sum(items, start)")):
        completer = Completer(Doubtful(None), settings(), accept=model)
        [shown] = await completer.suggest(site("a = 1\nx = |\n", manual=manual))
        assert shown.text == text
        await completer.close()


async def test_of_beginnings_that_would_break_the_code_a_shorter_one_is_shown():
    class Quoting(Model):
        async def stream(self, request):
            for text, number in (("log", -0.01), ("(", -0.01), ("'''", -0.02), ("a", -0.01), ("''')", -3.0)):
                yield Completion(text, None, (number,))
            yield Completion("", "stop")

    model = AcceptModel(0.0, {"line_sum": (-0.5, 1.0, 8.0)}, 0.5)
    here = site("def f(a, b):\n    |\n    return total\n")
    completer = Completer(Quoting(None), settings(), accept=model)
    # to end in the middle of a text would take the rest of the file into it
    assert breaks_syntax(here, "log('''a")
    [shown] = await completer.suggest(here)
    assert shown.text == "log("
    await completer.close()


async def test_candidates_are_ranked_and_checked():
    model = Model(("f(a)", -0.7), ("g(a)", -0.2), ("h(a))", -0.1), ("f(a)", -0.3))
    completer = Completer(model, settings())
    found = await completer.candidates(site("x = |\ny = 1\n", manual=True), 4)
    assert [s.text for s in found] == ["g(a)", "f(a)"]
    assert found[0].probability == pytest.approx(math.exp(-0.2))
    await completer.close()


async def test_where_the_surest_answer_breaks_the_code_another_one_is_offered():
    completer = Completer(Model(("f(a))", -0.1), ("g(a)", -0.9), ("f(a))", -0.3)), settings())
    found = await completer.candidates(site("x = |\ny = 1\n", manual=True), 3)
    assert [s.text for s in found] == ["g(a)"]
    assert completer.outcome.reason == "none"
    await completer.close()


async def test_a_member_that_does_not_exist_is_not_suggested():
    asked = []

    async def lacks(_, receiver, member):
        asked.append((receiver, member))
        return member == "nothing"

    for text, reason in (("a.go(a.nothing)", "unknown_member"), ("a.go(1)", "none")):
        completer = Completer(Model((text, -0.1)), settings(), lacks=lacks)
        await completer.suggest(site("x = |\n"))
        assert completer.outcome.reason == reason
        await completer.close()
    assert asked == [("a", "go"), ("a", "nothing"), ("a", "go")]


async def test_a_name_that_is_nowhere_in_the_file_is_not_suggested():
    for text, manual, reason in (
        ("f(decoded)", False, "unknown_name"),
        ("f(y)", False, "none"),
        ("f(decoded)", True, "none"),
    ):
        completer = Completer(Model((text, -0.1)), settings())
        await completer.suggest(site("x = |\ny = f(1)\n", manual=manual))
        assert completer.outcome.reason == reason
        await completer.close()


async def test_of_a_suggestion_with_such_a_name_what_comes_before_it_is_shown():
    class Adding(Model):
        async def stream(self, request):
            for piece in ("f(y)", " + g(y)", " + decoded"):
                yield Completion(piece, None, (-0.1,))
            yield Completion("", "stop")

    completer = Completer(Adding(None), settings(), accept=BY_MEAN)
    found = await completer.suggest(site("x = |\ny = f(g(1))\n"))
    assert [s.text for s in found] == ["f(y) + g(y)"]
    await completer.close()


async def test_a_suggestion_does_not_wait_for_a_slow_index():
    async def lacks(*_):
        await __import__("asyncio").sleep(30)

    completer = Completer(Model(("a.go()", -0.1)), settings(), lacks=lacks)
    assert [s.text for s in await completer.suggest(site("x = |\n"))] == ["a.go()"]
    await completer.close()


async def test_the_torso_at_the_end_of_a_block_is_not_shown():
    class Long(Model):
        async def stream(self, request):
            yield Completion("b = a\n    c = some_unfin", "length", (-0.1,))

    completer = Completer(Long(None), settings())
    assert [s.text for s in await completer.suggest(site("def f(a):\n    |\n"))] == ["b = a"]
    await completer.close()


async def test_who_measures_sees_every_answer():
    completer = Completer(Model(("f(a)", -2.0)), settings(), accept=BY_MEAN)
    seen = []
    completer.observer = seen.append
    await completer.suggest(site("a = 1\nx = |\n"))
    [attempt] = seen
    assert (attempt.raw, attempt.text, attempt.reason) == ("f(a)", "f(a)", "unsure")
    assert [choice.text for choice in attempt.choices] == ["f(a)", "f(a"]
    assert all(set(choice.features) == set(FEATURES) for choice in attempt.choices)
    assert attempt.chance < 0.5
    await completer.close()


async def test_a_file_in_no_known_language_is_completed():
    here = Site.at("PROCEDURE DIVISION.\n    DISPLAY ", 32, path="a.cob", language="cobol")
    completer = Completer(Model(('"HELLO".', -0.1)), settings(), accept=BY_MEAN)
    assert [s.text for s in await completer.suggest(here)] == ['"HELLO".']
    await completer.close()


def test_the_shipped_model_is_whole_and_calibrated_on_packages_that_it_did_not_see():
    model = shipped()
    assert model is not None
    assert 0 < model.threshold < 1
    assert set(model.weights) <= set(FEATURES)
    here = site("def total(items):\n    return |\n")
    shape = shape_at(here)

    def chance(number):
        tokens = [(0, number), (4, number), (6, number)]
        return model.chance(choices(here, shape, "sum(items)", tokens, typed=0, cut=0, whole=True)[0].features)

    assert chance(-0.02) > chance(-0.5) > chance(-2.5)
    assert chance(-0.02) > model.threshold > chance(-2.5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bias": 1, "threshold": 0.5, "weights": {"no_such": [0, 1, 1]}}'])
def test_weights_that_are_none_are_named(text):
    with pytest.raises(ValueError, match=r"accept model|features"):
        AcceptModel.from_json(text)


def test_weights_survive_their_file():
    data = {"bias": 0.5, "threshold": 0.4, "weights": {"mean": [0.0, 2.0, 3.0]}}
    model = AcceptModel.from_json(json.dumps(data))
    assert model.chance({"mean": 2.0}) == pytest.approx(1 / (1 + math.exp(-3.5)))
