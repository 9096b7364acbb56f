"""What is known at a cursor: the expression read from the text, and what the index says about it."""

from __future__ import annotations

from typing import Any

import pytest

from dsassist.index.chain import inside_text, narrowed, open_calls, receiver_before

STORE = """
    from dataclasses import dataclass
    from enum import Enum
    from elsewhere import Outside

    class Color(Enum):
        RED = 1
        GREEN = 2

    @dataclass
    class Session:
        name: str
        user_id: int = 0

        def touch(self, when: float) -> None:
            pass

    class Base:
        def close(self) -> None: ...

    class Store(Base):
        sessions: dict[str, Session]

        def __init__(self, path: str, color: Color = Color.RED):
            self.path = path

        def get(self, key: str) -> Session:
            return self.sessions[key]

        @property
        def size(self) -> int:
            return len(self.sessions)

    class Open(Outside):
        known: int

    def open_store(path: str, *, readonly: bool = False) -> Store:
        return Store(path)
    """
HEAD = "import store\nfrom store import Color, Open, Session, Store, open_store\n\n"


@pytest.fixture
def ask(workspace: Any) -> Any:
    workspace.write({"store.py": STORE})
    workspace.index.update()

    def asked(body: str, after: str = "\n\ndef other():\n    pass\n", *, head: str = HEAD) -> Any:
        workspace.index.set_overlay("main.py", head + body + after)
        return workspace.index.at_cursor("main.py", (head + body).count("\n"), head + body)

    return asked


@pytest.mark.parametrize(
    ("before", "receiver", "typed"),
    [
        ("x = self.foo.bar(1, 'a)').", "self.foo.bar(1, 'a)')", ""),
        ("await (await a.b()).c", "(await a.b())", "c"),
        ("return foo[1:2].na", "foo[1:2]", "na"),
        ("f(a, b=c.", "c", ""),
        ("p->q.", "p->q", ""),
        ("foo\n    .bar()\n    .", "foo .bar()", ""),
        ("    # So it does.\n    self.foo.", "self.foo", ""),
        ("x.y(", None, ""),
        ("'abc'.jo", None, "jo"),
        ("return (a or b).", None, ""),
        ("x = 1.", None, ""),
        ("", None, ""),
    ],
)
def test_receivers_are_read_backwards(before: str, receiver: str | None, typed: str) -> None:
    chain, word = receiver_before(before)
    assert (chain.text if chain else None, word) == (receiver, typed)


@pytest.mark.parametrize(
    ("before", "calls"),
    [
        ("foo(1, [2, 3], b=Bar(", [("Bar", 0, ""), ("foo", 2, "b")]),
        ("x = a.b(\n    one=1,\n    two=", [("a.b", 1, "two")]),
        ("foo(1)", []),
        ("def foo(a: str, b", []),
        ("if (a and (b", []),
        ("foo('(', ')', ", [("foo", 2, "")]),
    ],
)
def test_open_calls_are_found(before: str, calls: list[tuple[str, int, str]]) -> None:
    assert [(call.callee.text, call.position, call.keyword) for call in open_calls(before)] == calls


@pytest.mark.parametrize(
    ("above", "here", "language", "inside"),
    [
        ("", "x = 'the user.", "python", True),
        ("", "x = f'the {user.", "python", False),
        ("", "x = f'{a}b{c}.", "python", True),
        ("", "x = 'it\\'s' + user.", "python", False),
        ("", "x = 1  # the user.", "python", True),
        ("", "x = '#' + user.", "python", False),
        ('def f():\n    """Doc.', "    The user.", "python", True),
        ('def f():\n    """Doc."""', "    user.", "python", False),
        ("/* a", "the user.", "typescript", True),
        ("/* a */", "user.", "typescript", False),
        ("", "x = `a ${user.", "typescript", False),
        ("", "x = `a {user.", "typescript", True),
        ("", "fn f(x: &'a str) { x.", "rust", False),
        ("", "x(); // the user.", "java", True),
    ],
)
def test_prose_is_no_code(above: str, here: str, language: str, inside: bool) -> None:
    assert inside_text(above, here, language) is inside


def test_nothing_is_said_inside_a_docstring(ask: Any) -> None:
    assert ask('def f(s: Store):\n    """The s.', '"""\n').members == ()
    assert ask("def f(s: Store):\n    x = f'{s.", "}'\n").members != ()


def test_members_of_a_receiver_with_those_of_its_bases(ask: Any) -> None:
    known = ask("def f():\n    s = open_store('x')\n    s.g")
    [outline] = known.members
    assert (known.receiver, known.typed, outline.name, outline.complete) == ("s", "g", "Store", True)
    assert dict(outline.members) == {
        "sessions": "sessions: dict[str, Session]",
        "path": "path: str",
        "get": "get(key: str) -> Session",
        "size": "size: int",
        "close": "close() -> None",
    }


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("def f():\n    s = open_store('x')\n    t = s.get('a').", "Session"),
        ("def f(s: Store):\n    for k in s.sessions:\n        x = [s.sessions[k].", "Session"),
        (
            "class A:\n    def __init__(self):\n        self.s = Store('a')\n\n    def go(self):\n        self.s.",
            "Store",
        ),
        ("def f():\n    return store.open_store('a').", "Store"),
        ("def f(c: Color):\n    if c == Color.", "Color"),
    ],
)
def test_receivers_of_every_shape(ask: Any, body: str, name: str) -> None:
    assert [outline.name for outline in ask(body).members] == [name]


@pytest.mark.parametrize(
    ("before", "classes"),
    [
        ("if isinstance(x, A):\n    y = [x.", ("A",)),
        ("if isinstance(x, (A, b.C)):\n    x.", ("A", "b.C")),
        ("if isinstance(x, A | B) and ok:\n    x.", ("A", "B")),
        ("if isinstance(x, A) and x.", ("A",)),
        ("if isinstance(x, A) or x.", ()),
        ("if isinstance(x, A) or ok:\n    x.", ()),
        ("if isinstance(x, A):\n    return x.a\nx.", ()),
        ("if isinstance(x, A):\n    pass\nelif isinstance(x, B):\n    x.", ("B",)),
        ("if isinstance(x, A):\n    return 1\nif isinstance(x, B):\n    x.", ("B",)),
        ("if not isinstance(x, A):\n    raise E\n\nx.", ("A",)),
        ("if not isinstance(x, A):\n    log()\n    return\nif y:\n    x.", ("A",)),
        ("if not isinstance(x, A):\n    log()\nx.", ()),
        ("if not isinstance(x, A) and y:\n    return\nx.", ()),
        ("if not isinstance(x, A):\n    x.", ()),
        ("if isinstance(x, A):\n    x = other()\n    x.", ()),
        ("if isinstance(x, A):\n    for x in y:\n        x.", ()),
        ("if isinstance(x, A):\n    def f(x):\n        x.", ()),
        ("if isinstance(ax, A):\n    x.", ()),
        ("  if (x instanceof A) {\n    x.", ("A",)),
        ("  if (!(x instanceof A)) {\n    return;\n  }\n  x.", ("A",)),
        ("  if (a) {\n    b();\n  } else if (x instanceof a.B) {\n    x.", ("a.B",)),
    ],
)
def test_conditions_tell_what_a_name_is(before: str, classes: tuple[str, ...]) -> None:
    assert narrowed(before, "x") == classes


def test_what_another_branch_found_does_not_count(ask: Any) -> None:
    body = (
        "def f(x):\n    if isinstance(x, Session):\n        return x.name\n    if isinstance(x, Store):\n        y = ["
    )
    assert [outline.name for outline in ask(f"{body}x.", "\n    # nothing\n    return []\n").members] == ["Store"]
    seen = "def f(x):\n    if isinstance(x, Session):\n        x.touch(1)\n"
    assert [outline.name for outline in ask(f"{seen}        x.").members] == ["Session"]
    assert not ask(f"{seen}    x.").members


def test_typescript_conditions_count_too(workspace: Any) -> None:
    workspace.write({"store.ts": "export class Store {\n  get(key: string): number { return 1 }\n}\n"})
    workspace.index.update()
    before = (
        "import { Store } from './store'\n\nfunction f(x: any) {\n  if (!(x instanceof Store)) {\n    return\n  }\n  x."
    )
    workspace.index.set_overlay("main.ts", before + "\n}\n")
    assert [outline.name for outline in workspace.index.at_cursor("main.ts", 6, before).members] == ["Store"]


def test_only_what_is_wholly_known_is_complete(ask: Any) -> None:
    [color] = ask("x = Color.").members
    assert color.complete and dict(color.members).keys() == {"RED", "GREEN"}
    [half] = ask("def f(o: Open):\n    o.").members
    assert not half.complete and dict(half.members) == {"known": "known: int"}
    assert not ask("def f(o):\n    o.").members


def test_calls_show_what_they_take(ask: Any) -> None:
    def heads(body: str) -> list[str]:
        return [call.head for call in ask(body).calls]

    assert heads("x = open_store(") == ["open_store(path: str, *, readonly: bool = False) -> Store"]
    assert heads("x = Session(") == ["Session(name: str, user_id: int = 0)"]
    assert heads("x = Store(open_store('x',") == [
        "open_store(path: str, *, readonly: bool = False) -> Store",
        "Store(path: str, color: Color = Color.RED)",
    ]
    assert [outline.name for outline in ask("x = Store('x', color=").expected] == ["Color"]
    assert [outline.name for outline in ask("x = Store('x', ").expected] == ["Color"]
    assert not ask("x = Store(").expected


TAKING = """
    from dataclasses import dataclass
    from typing import ClassVar, TypedDict
    from elsewhere import BaseModel, Outside

    def plain(a, b, c=1): ...
    def named(a, *, b, c=1): ...
    def many(*rest, flag=False): ...
    def others(a, **more): ...

    @dataclass(kw_only=True)
    class Point:
        x: int
        y: int = 0
        sort: ClassVar[int] = 1

    @dataclass
    class Pair:
        one: int
        two: int

    class Options(TypedDict, total=False):
        depth: int
        name: str

    class Model(BaseModel):
        size: int

    class Wide(Outside):
        size: int

    class Maker:
        def make(self, a, b=2): ...
    """


@pytest.mark.parametrize(
    ("call", "names", "sure"),
    [
        ("plain(1, ", (), False),
        ("plain(b=1, ", ("a", "c"), True),
        ("plain(1, b=(2, 3), c", ("c",), True),
        ("plain(1, b=2", (), False),
        ("plain(1, b=x.", (), False),
        ("plain(1, 2, 3, ", (), True),
        ("plain(*x, ", (), False),
        ("plain(\n    1,\n    b=2,\n    ", ("c",), False),
        ("named(1, ", ("b", "c"), True),
        ("named(", (), False),
        ("many(1, 2, ", (), False),
        ("many(flag=True, ", (), True),
        ("others(a=1, ", (), False),
        ("Point(", ("x", "y"), True),
        ("Point(x=1, ", ("y",), True),
        ("Pair(", (), False),
        ("Pair(one=1, ", ("two",), True),
        ("Options(", ("depth", "name"), True),
        ("Model(", ("size",), True),
        ("Wide(", (), False),
        ("Maker().make(1, 2, ", (), True),
        ("Maker().make(a=1, ", ("b",), True),
        ("unknown(a=1, ", (), False),
    ],
)
def test_what_an_argument_has_to_be_given_by(
    ask: Any, workspace: Any, call: str, names: tuple[str, ...], sure: bool
) -> None:
    workspace.write({"taking.py": TAKING})
    workspace.index.update()
    known = ask(f"x = {call}", head="from taking import *\n\n").keywords
    assert known.names == names
    assert known.sure is sure or not names


def test_only_python_gives_arguments_by_name(workspace: Any) -> None:
    workspace.write({"m.ts": "export class BaseModel {}\nexport class Model extends BaseModel {\n  size: number\n}\n"})
    workspace.index.update()
    before = "import { Model } from './m'\n\nconst x = new Model("
    workspace.index.set_overlay("main.ts", before + ")\n")
    known = workspace.index.at_cursor("main.ts", 2, before)
    assert [call.name for call in known.calls] == ["Model"]
    assert known.keywords.names == ()


def test_imports_that_nothing_uses_yet(ask: Any) -> None:
    head = "from store import Session, open_store\n\n"
    assert [outline.head for outline in ask("x = 1\n", head=head).unused] == [
        "Session(name: str, user_id: int = 0)",
        "open_store(path: str, *, readonly: bool = False) -> Store",
    ]
    assert [outline.name for outline in ask("x = open_store('a')\n", head=head).unused] == ["Session"]


def test_an_import_being_written_shows_what_there_is(ask: Any) -> None:
    known = ask("from store import Color, Se", head="")
    assert (known.receiver, known.typed) == ("store", "Se")
    [outline] = known.members
    names = {name for name, _ in outline.members}
    assert {"Session", "Store", "open_store"} <= names and "Color" not in names
    assert not ask("from nowhere import ", head="").members


def test_conflict_marks_and_unknown_files_do_no_harm(ask: Any, workspace: Any) -> None:
    body = "<<<<<<< ours\ndef f(s: Store):\n=======\ndef f(s: Store, t):\n>>>>>>> theirs\n    s."
    assert ask(body).members == () or ask(body).members[0].name == "Store"
    assert workspace.index.at_cursor("unknown.py", 0, "x.").members == ()


def test_other_languages_have_members_too(workspace: Any) -> None:
    workspace.write(
        {
            "shop.ts": "export class Shop {\n  items: string[] = [];\n  add(item: string): number { return 1; }\n}\n",
            "main.ts": 'import { Shop } from "./shop";\nconst shop = new Shop();\n\n',
        }
    )
    workspace.index.update()
    text = 'import { Shop } from "./shop";\nconst shop = new Shop();\nshop.'
    workspace.index.set_overlay("main.ts", text + "\n")
    known = workspace.index.at_cursor("main.ts", 2, text)
    assert [outline.name for outline in known.members] == ["Shop"]
    assert {name for name, _ in known.members[0].members} == {"items", "add"}
