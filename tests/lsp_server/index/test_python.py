from __future__ import annotations

from typing import Any

import pytest

from dsassist.index import Level

PACKAGE = {
    "pkg/__init__.py": """
        from .core import Engine as Engine
        from .tools import *
        """,
    "pkg/core.py": '''
        from __future__ import annotations
        from .base import Base

        class Engine(Base):
            """Runs things."""

            def __init__(self, name: str) -> None:
                self.name = name
                self.parts = [Part(self)]

            def run(self, count: int = 1) -> Part:
                self.start()
                for part in self.parts:
                    part.spin()
                return Part(self)

            @property
            def first(self) -> Part:
                return self.parts[0]

            @classmethod
            def make(cls) -> Engine:
                return cls("made")

        class Part:
            def __init__(self, owner: Engine):
                self.owner = owner

            def spin(self):
                return self.owner.name
        ''',
    "pkg/base.py": """
        class Base:
            def start(self):
                self.started = True
                return self

            def stop(self): ...
        """,
    "pkg/tools.py": """
        __all__ = ["helper"]

        def helper(engine: "Engine"): ...

        def hidden(): ...

        from .core import Engine
        """,
    "main.py": """
        import pkg
        import pkg.core as core
        from pkg import Engine, helper

        def go(thing):
            engine = Engine("a")
            engine.run(count=2).spin()
            engine.first.spin()
            engine.start().stop()
            Engine.make().run()
            pkg.core.Part(engine)
            core.Part(engine).owner.run()
            helper(engine)
            thing.spin()
        """,
}


@pytest.fixture
def package(workspace: Any) -> Any:
    workspace.write(PACKAGE)
    workspace.index.update()
    return workspace


def test_classes_are_followed_through_reexports(package: Any) -> None:
    assert package.references("pkg/core.py", 4, "Engine") == [
        "main.py:3", "main.py:6", "main.py:10", "pkg/__init__.py:1", "pkg/__init__.py:1", "pkg/core.py:4",
        "pkg/core.py:22",
        "pkg/core.py:26", "pkg/tools.py:3", "pkg/tools.py:7",
    ]  # fmt: skip


def test_methods_are_found_on_inferred_receivers(package: Any) -> None:
    assert package.references("pkg/core.py", 29, "spin") == [
        "main.py:7",
        "main.py:8",
        "pkg/core.py:14",
        "pkg/core.py:29",
    ]
    assert package.possible("pkg/core.py", 29, "spin") == ["main.py:14"]


def test_inherited_methods_and_self_returns(package: Any) -> None:
    assert package.references("pkg/base.py", 6, "stop") == ["main.py:9", "pkg/base.py:6"]
    assert package.references("pkg/base.py", 2, "start") == ["main.py:9", "pkg/base.py:2", "pkg/core.py:12"]


def test_keyword_arguments_are_parameters(package: Any) -> None:
    assert package.references("pkg/core.py", 11, "count") == ["main.py:7", "pkg/core.py:11"]


def test_star_imports_follow_all(package: Any) -> None:
    assert package.references("pkg/tools.py", 3, "helper") == ["main.py:3", "main.py:13", "pkg/tools.py:3"]
    found = package.index.references(*package.place("pkg/tools.py", 3, "helper"))
    assert [item.location.line for item in found.mentions] == [0]


def test_every_answer_has_its_level(package: Any) -> None:
    levels = {
        (item.location.path, item.location.line + 1): item.level
        for item in package.index.references(*package.place("pkg/base.py", 2, "start")).references
    }
    assert levels[("pkg/base.py", 2)] == Level.LEXICAL
    assert levels[("pkg/core.py", 12)] == Level.MEMBER
    assert levels[("main.py", 9)] == Level.INFERRED
    imports = package.index.references(*package.place("main.py", 3, "helper")).references
    assert imports[0].level == Level.IMPORT


def test_definitions_have_signature_and_documentation(package: Any) -> None:
    (info,) = package.index.definitions(*package.place("main.py", 6, "Engine"))
    assert (info.qualified_name, info.signature, info.documentation) == ("Engine", "class Engine(Base)", "Runs things.")
    assert package.definitions("main.py", 11, "Part") == ["pkg/core.py:25 Part"]


def test_locals_do_not_leave_their_function(workspace: Any) -> None:
    workspace.write({"a.py": "def f(x):\n    y = x\n    return y\n\ndef g(y):\n    return y\n"})
    workspace.index.update()
    assert workspace.references("a.py", 2, "y") == ["a.py:2", "a.py:3"]
    assert workspace.references("a.py", 5, "y") == ["a.py:5", "a.py:6"]


def test_scopes_of_classes_comprehensions_and_globals(workspace: Any) -> None:
    workspace.write({
        "a.py": """
            total = 0
            Error = ValueError

            class C:
                Error = Error
                total = 1

                def bump(self):
                    global total
                    total += 1
                    return [total for total in range(3)]

            def outer():
                count = 0
                def inner():
                    nonlocal count
                    count += 1
                return inner
            """
    })  # fmt: skip
    workspace.index.update()
    assert workspace.references("a.py", 1, "total") == ["a.py:1", "a.py:9", "a.py:10"]
    assert workspace.references("a.py", 2, "Error") == ["a.py:2", "a.py:5"]
    assert workspace.references("a.py", 11, "total") == ["a.py:11", "a.py:11"]
    assert workspace.references("a.py", 14, "count") == ["a.py:14", "a.py:16", "a.py:17"]


def test_narrowing_and_reassignment(workspace: Any) -> None:
    workspace.write({
        "a.py": """
            class A:
                def hit(self): ...
            class B:
                def hit(self): ...
            def f(x):
                if isinstance(x, A):
                    x.hit()
                elif isinstance(x, B):
                    x.hit()
                x = A()
                x.hit()
                x = B()
                x.hit()
            def g(x):
                assert isinstance(x, B)
                x.hit()
            """
    })  # fmt: skip
    workspace.index.update()
    assert workspace.references("a.py", 2, "hit") == ["a.py:2", "a.py:7", "a.py:11"]
    assert workspace.references("a.py", 4, "hit") == ["a.py:4", "a.py:9", "a.py:13", "a.py:16"]


def test_generics_containers_and_context_managers(workspace: Any) -> None:
    workspace.write({
        "a.py": """
            from contextlib import contextmanager
            from typing import Generic, Iterator, Optional, TypeVar
            T = TypeVar("T")
            class Item:
                def use(self): ...
            class Box(Generic[T]):
                def get(self) -> T: ...
            def find() -> Optional[Item]: ...
            @contextmanager
            def opened() -> Iterator[Item]:
                yield Item()
            def f(box: Box[Item], many: dict[str, list[Item]]):
                box.get().use()
                find().use()
                with opened() as item:
                    item.use()
                for key, items in many.items():
                    items[0].use()
                    [i.use() for i in items]
            """
    })  # fmt: skip
    workspace.index.update()
    assert workspace.references("a.py", 5, "use") == [f"a.py:{line}" for line in (5, 13, 14, 16, 18, 19)]


def test_circles_end(workspace: Any) -> None:
    workspace.write({
        "a.py": "from b import *\nclass Node:\n    def __init__(self):\n        self.next = self.next.next or Node()\n",
        "b.py": "from a import *\nx = y\ny = x\nclass A(B): ...\nclass B(A): ...\n",
    })  # fmt: skip
    workspace.index.update()
    assert "a.py:4" in workspace.references("a.py", 4, "next")


def test_missing_member_is_said_only_when_all_is_known(package: Any) -> None:
    package.write({"more.py": "from pkg import Engine\nEngine('a').nope\nEngine('a').run\nunknown().nope\n"})
    package.index.update()
    assert package.index.missing_member(*package.place("more.py", 2, "nope"))
    assert not package.index.missing_member(*package.place("more.py", 3, "run"))
    assert not package.index.missing_member(*package.place("more.py", 4, "nope"))


def test_hierarchies(package: Any) -> None:
    base, engine = ("pkg/base.py", "Base"), ("pkg/core.py", "Engine")
    assert package.index.subtypes(base) == (engine,)
    assert package.index.supertypes(engine) == (base,)
    callers = package.index.callers([("pkg/core.py", "Engine.run")])
    assert [(call.symbol.qualified_name, len(call.sites)) for call in callers] == [("go", 3)]
    callees = {call.symbol.qualified_name for call in package.index.callees(("pkg/core.py", "Engine.run"))}
    assert callees == {"Base.start", "Part.spin", "Part", "Part.__init__"}


def test_self_as_a_type_is_the_class_around(workspace: Any) -> None:
    workspace.write(
        {
            "m.py": """
                import typing as t
                from typing import Self
                class A:
                    def __init__(self) -> None:
                        def later(self: t.Self) -> None:
                            self.done = True
                        self.later = later
                    done = False
                    def same(self) -> Self: ...
                class B(A):
                    def mine(self) -> None: ...
                B().same().mine()
            """
        }
    )
    workspace.index.update()
    assert workspace.references("m.py", 8, "done") == ["m.py:6", "m.py:8"]
    assert workspace.references("m.py", 11, "mine") == ["m.py:11", "m.py:12"]


def test_a_case_tells_what_the_subject_is(workspace: Any) -> None:
    workspace.write(
        {
            "a.py": """
                class A:
                    def go(self): ...
                class B:
                    def go(self): ...
                def f(it):
                    match it:
                        case A(): it.go()
                        case B() as other: other.go(); it.go()
                        case _: it.go()
            """
        }
    )
    workspace.index.update()
    assert workspace.references("a.py", 2, "go") == ["a.py:2", "a.py:7"]
    assert workspace.references("a.py", 4, "go") == ["a.py:4", "a.py:8", "a.py:8"]
