"""Open buffers, and the promise that an index which was changed step by step equals one built at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsassist.errors import WorkspaceError
from dsassist.index import Index


def test_an_open_buffer_counts_and_the_disk_counts_again(workspace: Any) -> None:
    workspace.write({"a.py": "def f(): ...\n", "b.py": "from a import f\n"})
    workspace.index.update()
    index = workspace.index
    index.set_overlay("b.py", "from a import f\n\nf()\n")
    assert workspace.references("a.py", 1, "f") == ["a.py:1", "b.py:1", "b.py:3"]
    index.set_overlay("a.py", "x = 1\ndef f(): ...\ndef g(): ...\n")
    assert workspace.references("a.py", 2, "f") == ["a.py:2", "b.py:1", "b.py:3"]
    index.set_overlay("b.py", "from a import g as f\n\nf()\n")
    assert workspace.references("a.py", 2, "f") == ["a.py:2"]
    assert workspace.references("a.py", 3, "g") == ["a.py:3", "b.py:1"]
    index.close_overlay("b.py")
    index.close_overlay("a.py")
    assert workspace.references("a.py", 1, "f") == ["a.py:1", "b.py:1"]


def test_a_buffer_that_is_on_no_disk(workspace: Any) -> None:
    workspace.write({"b.py": "from fresh import f\nf()\n"})
    workspace.index.update()
    workspace.index.set_overlay("fresh.py", "def f(): ...\n")
    assert workspace.references("fresh.py", 1, "f") == ["b.py:1", "b.py:2", "fresh.py:1"]
    workspace.index.close_overlay("fresh.py")
    assert "fresh.py" not in workspace.index.paths()


def test_buffers_are_never_stored(workspace: Any) -> None:
    workspace.write({"a.py": "def f(): ...\n"})
    workspace.index.update()
    before = workspace.index.dump()
    workspace.index.set_overlay("a.py", "def other(): ...\n")
    workspace.index.update()
    assert workspace.index.dump() == before


def test_saving_makes_dependents_fresh(workspace: Any) -> None:
    workspace.write({"a.py": "class A:\n    def m(self): ...\n", "b.py": "from a import A\nA().m()\nA().n()\n"})
    workspace.index.update()
    assert workspace.references("a.py", 2, "m") == ["a.py:2", "b.py:2"]
    workspace.write({"a.py": "class A:\n    def n(self): ...\n"})
    workspace.index.refresh(["a.py"])
    assert workspace.references("a.py", 2, "n") == ["a.py:2", "b.py:3"]
    assert workspace.index.settle() >= 1
    assert workspace.references("a.py", 2, "n") == ["a.py:2", "b.py:3"]


def test_other_kinds_of_files_are_refused(workspace: Any) -> None:
    with pytest.raises(WorkspaceError, match="no language"):
        workspace.index.set_overlay("notes.txt", "hello")


def test_syntax_errors_while_typing_keep_the_rest(workspace: Any) -> None:
    body = "".join(f"def f{number}(x):\n    return x\n\n" for number in range(20))
    workspace.write({"a.py": body, "b.py": "from a import f19\nf19(1)\n"})
    workspace.index.update()
    workspace.index.set_overlay("a.py", body.replace("def f3(x):", "def f3(x"))
    assert "b.py:2" in workspace.references("b.py", 1, "f19")


@pytest.mark.parametrize("size", [1, 40])
def test_edited_trees_give_the_same_facts(workspace: Any, size: int) -> None:
    text = "class A:\n    def f(self, x):\n        return self.g(x)\n" * size
    workspace.write({"a.py": text})
    workspace.index.update()
    steps = [text + "\nA().f(1)\n", text.replace("x", "longer"), "é = 1\n" + text, "", text]
    for step in steps:
        workspace.index.set_overlay("a.py", step)
        overlay = workspace.index.facts_for("a.py")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "r").mkdir()
            (Path(folder) / "r" / "a.py").write_text(step)
            fresh = Index.open(Path(folder) / "r", Path(folder) / "c")
            fresh.update()
            assert fresh.facts_for("a.py").occurrences.pack() == overlay.occurrences.pack()
            fresh.close()


NAMES = ("a", "b", "pkg/c", "pkg/__init__", "d")
LINES = (
    "from a import *",
    "from b import thing",
    "import pkg.c",
    "from pkg import c as alias",
    "from .c import thing, Maker",
    "def thing(): return Maker()",
    "class Maker:",
    "    def make(self): return self.other",
    "    other = thing()",
    "class Sub(Maker): pass",
    "Sub().make().make()",
    "pkg.c.thing().make()",
    "alias.Maker().other.make()",
    "thing = thing.make",
    "x = Maker(); x = x.other",
    "__all__ = ['thing']",
    "def broken(:",
    "    def __enter__(self): return Sub()",
    "with thing() as w: w.make()",
    "def helper(y=Maker()): return y",
    "def thing(): return helper()",
    "from a import helper",
    "helper().make()",
    "T = Maker",
    "class Sub(T): pass",
    "    @property",
    "    def prop(self): return helper()",
    "Maker().prop.make()",
)
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), st.lists(st.sampled_from(LINES), max_size=6))),
    min_size=1,
    max_size=7,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_incremental_equals_full(steps: list[tuple[str, list[str] | None]]) -> None:
    """After any sequence of edits, creations and deletions, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        (root / "pkg").mkdir(parents=True)
        index = Index.open(root, Path(folder) / "cache")
        for name, lines in steps:
            file = root / f"{name}.py"
            if lines is None:
                file.unlink(missing_ok=True)
            else:
                file.write_text("\n".join(lines) + "\n")
            index.refresh([f"{name}.py"])
            index.settle()
        fresh = Index.open(root, Path(folder) / "fresh")
        fresh.update()
        changed, whole = index.dump(), fresh.dump()
        index.close()
        fresh.close()
        assert changed == whole


FILLING = [f"def filling{number}(x):\n    return x.make().other\n" for number in range(12)]
"""So much that an edit is a small part of a file."""


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("a", "b", "pkg/c")),
            st.lists(st.tuples(st.integers(0, 12), st.sampled_from(LINES)), max_size=4),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_open_buffers_answer_as_files_do(steps: list[tuple[str, list[tuple[int, str]]]]) -> None:
    """Whatever was typed in what order, references are those of an index that is built from the texts."""
    with tempfile.TemporaryDirectory() as folder:
        root, written = Path(folder) / "project", Path(folder) / "written"
        texts = dict.fromkeys(("a", "b", "pkg/c"), "".join(FILLING))
        for place in (root, written):
            (place / "pkg").mkdir(parents=True)
            (place / "pkg" / "__init__.py").write_text("from .c import *\n")
            for name, text in texts.items():
                (place / f"{name}.py").write_text(text)
        index = Index.open(root, Path(folder) / "cache")
        index.update()
        for name, lines in steps:
            parts = list(FILLING)
            for at, line in lines:
                parts.insert(at, line + "\n")
            texts[name] = "".join(parts)
            index.set_overlay(f"{name}.py", texts[name])
        for name, text in texts.items():
            (written / f"{name}.py").write_text(text)
        fresh = Index.open(written, Path(folder) / "fresh")
        fresh.update()
        for name in texts:
            occurrences = fresh.facts_for(f"{name}.py").occurrences
            for line, column in {*zip(occurrences.line, occurrences.column, strict=True)}:
                asked = (f"{name}.py", line, column)
                assert index.references(*asked) == fresh.references(*asked)
        index.close()
        fresh.close()


def test_a_new_file_of_a_go_package_is_seen_by_the_others(workspace: Any) -> None:
    workspace.write({"go.mod": "module example.com/m\n", "a.go": "package m\n\nfunc use() { Make() }\n"})
    workspace.index.update()
    workspace.write({"b.go": "package m\n\nfunc Make() {}\n"})
    workspace.index.update()
    assert workspace.references("b.go", 3, "Make") == ["a.go:3", "b.go:3"]


def test_an_edit_leaves_those_alone_who_cannot_see_it(workspace: Any) -> None:
    workspace.write(
        {
            "a.py": "def f(): return C()\nclass C:\n    def m(self): return self\n",
            "b.py": "from a import f\nf().m()\n",
            "c.py": "from b import f\nf().m().m()\n",
        }
    )
    workspace.index.update()
    workspace.write({"a.py": "def f(): return C()\nclass C:\n    def m(self): return self\ndef fresh(): ...\n"})
    assert workspace.index.update().linked == 1
    workspace.write({"a.py": "def f(): return C()\nclass C:\n    def m(self): return 1\ndef fresh(): ...\n"})
    assert workspace.index.update().linked == 3
    assert workspace.references("a.py", 3, "m") == ["a.py:3", "b.py:2", "c.py:2"]


def test_a_common_name_is_looked_for_only_where_it_can_be_meant(workspace: Any) -> None:
    files = {f"other{n}.py": f"class O{n}:\n    def run(self): ...\nO{n}().run()\n" for n in range(12)}
    files |= {
        "base.py": "class Base:\n    def run(self): ...\n",
        "part.py": "from base import Base\nclass Part(Base): ...\n",
    }
    files |= {f"user{n}.py": "from part import Part\nPart().run()\n" for n in range(3)}
    workspace.write(files)
    workspace.index.update()
    expected = ["base.py:2", *(f"user{n}.py:2" for n in range(3))]
    found = workspace.index.references(*workspace.place("base.py", 2, "run"), include_possible=False)
    assert workspace.lines(found) == expected
    assert not any(path.startswith("other") for path in workspace.index._views)
    # A buffer that uses it now, and a file whose links are still to be made, count at once.
    workspace.index.set_overlay("other3.py", "from part import Part\nPart().run()\n")
    (workspace.root / "other4.py").write_text("import part\npart.Part().run()\n")
    workspace.index.refresh(["other4.py"])
    found = workspace.index.references(*workspace.place("base.py", 2, "run"), include_possible=False)
    assert workspace.lines(found) == ["base.py:2", "other3.py:2", "other4.py:2", *expected[1:]]
    workspace.index.close_overlay("other3.py")
    workspace.index.settle()
    found = workspace.index.references(*workspace.place("base.py", 2, "run"), include_possible=False)
    assert workspace.lines(found) == ["base.py:2", "other4.py:2", *expected[1:]]
