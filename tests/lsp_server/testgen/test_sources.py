"""Where candidates come from: call sites, invariants, the model; and the rules that repair what the model writes."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest

from dsassist.assist.testgen import ModelSource, callers_in, project, select
from dsassist.assist.testgen.repair import repaired
from dsassist.assist.testgen.sources import Facts, Gaps, Seed, Usage
from dsassist.assist.testgen.sources.callsites import CallSiteSource
from dsassist.assist.testgen.sources.properties import inverses, properties, strategy_of
from dsassist.backend.types import Completion, CompletionRequest
from dsassist.errors import BackendUnavailable
from dsassist.index import Index


def facts(tmp_path: Path, source: str, name: str = "f", *usages: Usage) -> Facts:
    path = tmp_path / "m.py"
    path.write_text(source)
    return Facts(select(path, name)[0], source, ast.parse(source), "m", usages)


STACK = (
    "class Stack:\n    def __init__(self, size):\n        self.items = []\n"
    "    def push(self, item):\n        self.items.append(item)\n"
)


def test_a_call_site_brings_the_lines_that_make_its_arguments(tmp_path: Path) -> None:
    usage = Usage(
        "from m import Stack\nimport json\n\nSIZE = 4\n\n\ndef run():\n    unrelated = 1\n    stack = Stack(SIZE)\n"
        "    stack.push(1)\n    text = json.dumps({})\n    stack.push(text)\n",
        "app",
    )
    seeds = asyncio.run(CallSiteSource().seeds(facts(tmp_path, STACK, "Stack.push", usage)))
    assert [(seed.setup, seed.act) for seed in seeds] == [
        (("SIZE = 4", "stack = Stack(SIZE)"), "result = stack.push(1)"),
        (("SIZE = 4", "stack = Stack(SIZE)", "stack.push(1)", "text = json.dumps({})"), "result = stack.push(text)"),
    ]
    assert seeds[1].imports == {"Stack": ("m", "Stack"), "json": ("json", "")}


@pytest.mark.parametrize(
    "text",
    [
        "def run(value):\n    return f(value)\n",  # only its caller knows the argument
        "for value in range(3):\n    f(value)\n",
        "with open('x') as value:\n    f(value)\n",
        "f(undefined)\n",
    ],
)
def test_a_call_site_that_cannot_stand_alone_gives_nothing(tmp_path: Path, text: str) -> None:
    assert asyncio.run(CallSiteSource().seeds(facts(tmp_path, "def f(a):\n    return a\n", "f", Usage(text)))) == []


def test_lines_of_the_index_decide_which_calls_count(tmp_path: Path) -> None:
    usage = Usage("f(1)\nf(2)\n", "", frozenset({2}))
    seeds = asyncio.run(CallSiteSource().seeds(facts(tmp_path, "def f(a):\n    return a\n", "f", usage)))
    assert [seed.act for seed in seeds] == ["result = f(2)"]


def test_relative_imports_of_a_call_site_are_resolved(tmp_path: Path) -> None:
    usage = Usage("from ..core import f\nfrom .data import DEFAULT\n\nf(DEFAULT)\n", "app.web.views")
    seeds = asyncio.run(CallSiteSource().seeds(facts(tmp_path, "def f(a):\n    return a\n", "f", usage)))
    assert seeds[0].imports == {"f": ("app.core", "f"), "DEFAULT": ("app.web.data", "DEFAULT")}


def test_the_index_tells_a_method_from_another_of_the_same_name(tmp_path: Path) -> None:
    root = tmp_path / "w"
    root.mkdir()
    (root / "a.py").write_text(
        "class A:\n    def go(self):\n        return 1\n\n\nclass B:\n    def go(self):\n        return 2\n"
    )
    (root / "use.py").write_text("from a import A, B\n\nA().go()\nB().go()\n")
    index = Index.open(root, tmp_path / "cache")
    try:
        index.update()
        found = callers_in(index)(select(root / "a.py", "B.go")[0])
    finally:
        index.close()
    assert found == {root / "use.py": frozenset({4})}
    usages = project.usages(select(root / "a.py", "B.go")[0], root, found)
    assert [usage.lines for usage in usages] == [frozenset({4})]


def test_evident_invariants(tmp_path: Path) -> None:
    signatures = (
        "encode_name(text: str) -> str",
        "decode_name(text: str) -> str",
        "normalize(text: str, form: str = 'x') -> str",
        "sort_items(items: list[int]) -> list[int]",
        "clamp(value: int, low: int, high: int) -> int",
        "total(a: int) -> int",
    )
    source = "\n\n\n".join(f"def {signature}:\n    return 1" for signature in signatures)
    found = {
        name: [item.kind for item in properties(facts(tmp_path, source, name), ())]
        for name in ("encode_name", "normalize", "sort_items", "clamp", "total")
    }
    assert found == {
        "encode_name": ["round trip"],
        "normalize": ["idempotent"],
        "sort_items": ["idempotent", "ordered", "length"],
        "clamp": ["idempotent", "bounded"],
        "total": [],
    }


def test_names_of_opposites_and_strategies_of_types() -> None:
    tree = ast.parse("def rgb_to_hex(a): ...\ndef hex_to_rgb(a): ...\ndef loads(a): ...\ndef dumps(a, *, b): ...\n")
    assert inverses("rgb_to_hex", tree) == ["hex_to_rgb"]
    assert inverses("loads", tree) == []  # dumps needs more than its argument
    annotation = ast.parse("dict[str, Optional[list[int]]]", mode="eval").body
    assert strategy_of(annotation) == "st.dictionaries(st.text(), st.lists(st.integers()))"
    assert strategy_of(ast.parse("Widget", mode="eval").body) == ""


class FakeBackend:
    def __init__(self, text: str | Exception) -> None:
        self.text = text
        self.asked: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> list[Completion]:
        self.asked.append(request)
        if isinstance(self.text, Exception):
            raise self.text
        return [Completion(self.text)]


def test_the_model_gives_inputs_and_never_expectations(tmp_path: Path) -> None:
    backend = FakeBackend(
        'x = "a"\n    assert f(x, 2) == "wrong"\n    with pytest.raises(ValueError):\n        f("", -1)\n'
    )
    source = ModelSource(backend, draws=2)  # type: ignore[arg-type]
    found = asyncio.run(source.help(facts(tmp_path, "def f(a, b):\n    return a * b\n"), Gaps(missed=(2,))))
    assert ("result = f(x, 2)", ("x = 'a'",), "") in [(seed.act, seed.setup, seed.expected) for seed in found]
    assert any(seed.act == "result = f('', -1)" for seed in found)
    calls, test = backend.asked
    assert calls.prompt.endswith("results = [\n    f(") and calls.n == test.n == 2
    assert "def f(a, b)" in test.prompt and "# reaches: return a * b" in test.prompt and test.suffix


def test_the_model_reads_tests_that_passed_and_is_told_which_branch_is_missing(tmp_path: Path) -> None:
    source = (
        "def f(a, b):\n    if a > b:\n        return a\n    if not b:\n        raise ValueError('b')\n    return b\n"
    )
    backend = FakeBackend("3, 0),\n    f(0, 0),\n    f(")
    gaps = Gaps(
        missed=(3, 5), survivors=("6: return None",), known=("assert f(1, 2) == 2", "a = 1\nassert f(a, 3) == 3")
    )
    found = asyncio.run(ModelSource(backend).help(facts(tmp_path, source), gaps))  # type: ignore[arg-type]
    assert {"result = f(3, 0)", "result = f(0, 0)"} <= {seed.act for seed in found}
    prompts = [request.prompt for request in backend.asked]
    assert "results = [\n    f(1, 2),\n    f(" in prompts[0]
    assert "    a = 1\n    assert f(a, 3) == 3\n" in prompts[1] and "# reaches: return a  (when a > b)" in prompts[1]
    assert "# reaches: raise ValueError('b')  (when not b)" in prompts[2] and prompts[2].endswith("result = f(")
    assert "# depends on: return b" in prompts[3]


def test_the_model_is_shown_what_failed_and_why(tmp_path: Path) -> None:
    backend = FakeBackend("result = f(1, 2)")
    source = ModelSource(backend)  # type: ignore[arg-type]
    gaps = Gaps(survivors=("2: return None",), failed=(("result = f(1)", "TypeError: missing 1 argument: 'b'"),))
    found = asyncio.run(source.help(facts(tmp_path, "def f(a, b):\n    return a * b\n"), gaps))
    assert "# fails with TypeError: missing 1 argument: 'b': result = f(1)" in backend.asked[0].prompt
    assert len(backend.asked) == 1 and found[0].act == "result = f(1, 2)"


def test_a_model_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    source = ModelSource(FakeBackend(BackendUnavailable("nobody listens")))  # type: ignore[arg-type]
    assert asyncio.run(source.help(facts(tmp_path, "def f(a):\n    return a\n"), Gaps(missed=(2,)))) == []
    assert "nobody listens" in source.problem


@pytest.mark.parametrize(
    ("name", "act", "error", "fixed", "imports"),
    [
        ("f", "result = f(Path())", "name 'Path' is not defined", "result = f(Path())", {"Path": ("pathlib", "Path")}),
        ("f", "result = f(json.x)", "name 'json' is not defined", "result = f(json.x)", {"json": ("json", "")}),
        ("f", "result = f(Box())", "name 'Box' is not defined", "result = f(Box())", {"Box": ("m", "Box")}),
        ("f", "result = f(1, loud=True)", "f() got an unexpected keyword argument 'loud'", "result = f(1)", {}),
        ("f", "result = f(1, 2, 3)", "f() takes 1 positional argument but 3 were given", "result = f(1)", {}),
        ("Box.open", "result = open(1)", "name 'open' is not defined", "result = Box().open(1)", {"Box": ("m", "Box")}),
    ],
)  # fmt: skip
def test_rules_repair_what_the_model_got_half_right(
    tmp_path: Path, name: str, act: str, error: str, fixed: str, imports: dict[str, tuple[str, str]]
) -> None:
    known = facts(tmp_path, "class Box:\n    def open(self, n):\n        return n\n\n\ndef f(a):\n    return a\n", name)
    seed = repaired(Seed((), act, "model"), error, known)
    assert seed is not None and seed.act == fixed and seed.imports == imports


def test_what_no_rule_knows_is_left_to_the_model(tmp_path: Path) -> None:
    known = facts(tmp_path, "def f(a):\n    return a\n")
    assert repaired(Seed((), "result = f(1)", "model"), "ZeroDivisionError: division by zero", known) is None
    assert repaired(Seed((), "result = f(q)", "model"), "name 'q' is not defined", known) is None
