"""Who calls what, where functions travel as values."""

from __future__ import annotations

from typing import Any

import pytest

F = "def f(): pass\ndef g(): pass\n"

CASES = {
    "argument": (F + "def run(step): step()\nrun(f)\n", "f", {"run"}),
    "argument by name": (F + "def run(a, b): b()\nrun(b=f, a=g)\n", "f", {"run"}),
    "default": (F + "def run(step=f): step()\nrun()\n", "f", {"run"}),
    "every argument": (F + "def run(*steps):\n    for step in steps: step()\nrun(f)\n", "f", {"run"}),
    "assigned": (F + "x = y = f\ny()\n", "f", {""}),
    "tuple": (F + "a, b = f, g\nb()\n", "g", {""}),
    "rest": (F + "a, *b = g, g, f\nb[1]()\n", "f", {""}),
    "after the rest": (F + "a, *b, c = g, g, g, f\nc()\n", "f", {""}),
    "before the end": (F + "a, *b, c = g, f, g\nb[0]()\n", "f", {""}),
    "key of a mapping": (F + "d = {'a': f, 'b': g}\nd['a']()\n", "f", {""}),
    "other key of a mapping": (F + "d = {'a': f, 'b': g}\nd['a']()\n", "g", set()),
    "key added later": (F + "d = {}\nd['a'] = f\nd['b'] = g\nd['b']()\n", "g", {""}),
    "key from an argument": (F + "d = {'a': f, 'b': g}\ndef run(key): d[key]()\nrun('b')\n", "g", {"run"}),
    "place in a list": (F + "xs = [f, [g]]\nxs[1][0]()\n", "g", {""}),
    "list that grows": (F + "xs = []\nxs.append(f)\nfor x in xs: x()\n", "f", {""}),
    "result": (F + "def give(): return f\ngive()()\n", "f", {""}),
    "closure": (F + "def make(h):\n    def inner(): h()\n    return inner\nmake(f)()\n", "f", {"make.inner"}),
    "lambda": (F + "call = lambda h: h()\ncall(f)\n", "f", {""}),
    "generator": (F + "def many():\n    yield f\nfor one in many(): one()\n", "f", {""}),
    "decorator": (F + "def d(h): return h\n@d\ndef k(): pass\n", "d", {""}),
    "wrapper": (
        "def d(h):\n    def inner(): h()\n    return inner\n@d\ndef f(): pass\ndef use(): f()\n",
        "d.inner",
        {"use"},
    ),
    "held by an instance": (
        F + "class A:\n    def __init__(self, h): self.h = h\n    def run(self): self.h()\nA(f).run()\n",
        "f",
        {"A.run"},
    ),
    "subclass": (
        "class A:\n    def run(self): self.step()\nclass B(A):\n    def step(self): pass\nB().run()\n",
        "B.step",
        {"A.run"},
    ),
    "constructor": ("class A:\n    def __init__(self): pass\ndef use(): A()\n", "A.__init__", {"use"}),
    "bound method": ("class A:\n    def m(self): pass\ndef run(h): h()\nrun(A().m)\n", "A.m", {"run"}),
    "instance": ("class A:\n    def m(self): pass\ndef run(a): a.m()\nrun(A())\n", "A.m", {"run"}),
    "iteration": (
        "class A:\n    def __iter__(self): return self\n    def __next__(self): return 1\nfor x in A(): pass\n",
        "A.__next__",
        {""},
    ),
    "context": (
        "class A:\n    def __enter__(self): return self\n    def __exit__(self, *_): pass\nwith A(): pass\n",
        "A.__exit__",
        {""},
    ),
    "partial": (F + "from functools import partial\npartial(f, 1)()\n", "f", {""}),
    "sorted": (F + "sorted([], key=f)\n", "f", {""}),
    "no call": (F + "xs = [f]\nprint(f)\n", "f", set()),
}


@pytest.mark.parametrize("name", CASES)
def test_callers(name: str, workspace: Any) -> None:
    text, callee, expected = CASES[name]
    workspace.write({"m.py": text})
    workspace.index.update()
    assert {call.symbol.qualified_name for call in workspace.index.callers([("m.py", callee)])} == expected


def test_a_function_that_is_handed_to_another_file(workspace: Any) -> None:
    workspace.write(
        {"tools.py": "def run(step):\n    step()\n", "m.py": "from tools import run\ndef f(): pass\nrun(f)\n"}
    )
    workspace.index.update()
    (call,) = workspace.index.callers([("m.py", "f")])
    assert (call.symbol.location.path, call.symbol.qualified_name) == ("tools.py", "run")
    assert [site.line for site in call.sites] == [1]


def test_callees_of_functions_and_files(workspace: Any) -> None:
    workspace.write({"m.py": F + "def run(step):\n    step()\n    g()\nrun(f)\n"})
    workspace.index.update()
    assert [call.symbol.name for call in workspace.index.callees(("m.py", "run"))] == ["f", "g"]
    assert [call.symbol.name for call in workspace.index.callees(("m.py", ""))] == ["run"]
    assert workspace.index.callees(("m.py", "gone")) == ()


def test_open_buffers_are_followed(workspace: Any) -> None:
    workspace.write({"m.py": F + "def run(step): step()\nrun(f)\n"})
    workspace.index.update()
    workspace.index.set_overlay("m.py", F + "def run(step): step()\nrun(g)\n")
    assert not workspace.index.callers([("m.py", "f")])
    assert [call.symbol.name for call in workspace.index.callers([("m.py", "g")])] == ["run"]
