# ruff: noqa: E501
"""One small project a language: definitions in one file, uses in another. Sources stay on their lines."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from dsassist.index.languages import GRAMMARS, all_languages, by_name, is_wide, language_of

PROJECTS: dict[str, dict[str, str]] = {
    "typescript": {
        "tsconfig.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"@lib/*": ["src/lib/*"]}}, /* c */}',
        "src/lib/shape.ts": """
            export interface Shape { area(): number; name: string }
            export class Circle implements Shape {
              name = "circle";
              constructor(private radius: number) {}
              area(): number { return this.radius * 3; }
              static unit(): Circle { return new Circle(1); }
            }
            export default function make(): Circle { return new Circle(2); }
            """,
        "src/lib/index.ts": "export * from './shape';\nexport { default as build } from './shape';\n",
        "src/main.tsx": """
            import make, { Circle } from '@lib/shape';
            import { build } from './lib';
            const all: Circle[] = [make(), build(), Circle.unit()];
            all.forEach(c => c.area());
            const { name: title } = make();
            for (const c of all) console.log(c.area(), title);
            """,
    },
    "javascript": {
        "util.js": "function add(a, b) { return a + b; }\nclass Box { constructor() { this.size = 1; } }\nmodule.exports = { add, Box };\n",
        "main.js": "const { add, Box } = require('./util');\nadd(1, 2);\nconst b = new Box();\nb.size = 3;\n",
    },
    "go": {
        "go.mod": "module example.com/app\n",
        "store/store.go": """
            package store
            type Item struct { Title string }
            type Store struct { items map[string]*Item }
            func New() *Store { return &Store{} }
            func (s *Store) Get(name string) (*Item, error) { return s.items[name], nil }
            """,
        "main.go": """
            package main
            import "example.com/app/store"
            func main() {
                s := store.New()
                item, err := s.Get("a")
                if err == nil { println(item.Title, helper()) }
            }
            """,
        "other.go": "package main\nfunc helper() int { return 1 }\n",
    },
    "rust": {
        "Cargo.toml": '[package]\nname = "app"\n',
        "src/main.rs": """
            mod shapes;
            use crate::shapes::{Circle, area_of as measure};
            fn main() {
                let c = Circle::new(2.0);
                measure(&c);
                println!("{}", c.radius);
                c.grow();
            }
            """,
        "src/shapes.rs": """
            pub struct Circle { pub radius: f64 }
            impl Circle {
                pub fn new(radius: f64) -> Self { Circle { radius } }
                pub fn grow(&self) -> f64 { self.radius }
            }
            pub fn area_of(c: &Circle) -> f64 { c.grow() }
            """,
    },
    "java": {
        "src/main/java/com/acme/Main.java": """
            package com.acme;
            import com.acme.util.Store;
            public class Main extends Base {
                private Store store = new Store();
                void run() { store.get("x"); helper(); this.store.get("y"); Near.go(); }
            }
            """,
        "src/main/java/com/acme/Base.java": "package com.acme;\nclass Base { void helper() {} }\n",
        "src/main/java/com/acme/Near.java": "package com.acme;\nclass Near { static void go() {} }\n",
        "src/main/java/com/acme/util/Store.java": "package com.acme.util;\npublic class Store { public String get(String n) { return n; } }\n",
    },
    "c": {
        "include/list.h": "#define MOST 10\ntypedef struct node { int value; struct node *next; } node_t;\nnode_t *push(node_t *head, int value);\n",
        "list.c": '#include "list.h"\nnode_t *push(node_t *head, int value) {\n  head->value = value;\n  return head->next;\n}\n',
        "main.c": '#include "list.h"\nint main(void) {\n  node_t *l = push(0, MOST);\n  return l->value;\n}\n',
    },
    "cpp": {
        "widget.hpp": """
            #pragma once
            namespace ui {
            class Base { public: int id; };
            class Widget : public Base { public: void draw(); void resize(int w); private: int width_; };
            }
            """,
        "widget.cpp": """
            #include "widget.hpp"
            namespace ui {
            void Widget::draw() { resize(width_); id = 3; }
            void Widget::resize(int w) { width_ = w; this->draw(); }
            }
            int main() { auto *p = new ui::Widget(); p->resize(2); return p->id; }
            """,
    },
}

QUESTIONS = [
    ("typescript", "src/lib/shape.ts", 2, "Circle", ["src/lib/shape.ts:2", "src/lib/shape.ts:6", "src/lib/shape.ts:6", "src/lib/shape.ts:8", "src/lib/shape.ts:8", "src/main.tsx:1", "src/main.tsx:3", "src/main.tsx:3"]),
    ("typescript", "src/lib/shape.ts", 5, "area", ["src/lib/shape.ts:1", "src/lib/shape.ts:5", "src/main.tsx:4", "src/main.tsx:6"]),
    ("typescript", "src/lib/shape.ts", 4, "radius", ["src/lib/shape.ts:4", "src/lib/shape.ts:5"]),
    ("typescript", "src/lib/shape.ts", 3, "name", ["src/lib/shape.ts:1", "src/lib/shape.ts:3", "src/main.tsx:5"]),
    ("javascript", "util.js", 1, "add", ["main.js:1", "main.js:2", "util.js:1", "util.js:3"]),
    ("javascript", "util.js", 2, "size", ["main.js:4", "util.js:2"]),
    ("typescript", "src/lib/shape.ts", 6, "unit", ["src/lib/shape.ts:6", "src/main.tsx:3"]),
    ("go", "store/store.go", 5, "Get", ["main.go:5", "store/store.go:5"]),
    ("go", "store/store.go", 2, "Title", ["main.go:6", "store/store.go:2"]),
    ("go", "other.go", 2, "helper", ["main.go:6", "other.go:2"]),
    ("rust", "src/shapes.rs", 1, "radius", ["src/main.rs:6", "src/shapes.rs:1", "src/shapes.rs:3", "src/shapes.rs:4"]),
    ("rust", "src/shapes.rs", 4, "grow", ["src/shapes.rs:4", "src/shapes.rs:6", "src/main.rs:7"]),
    ("rust", "src/shapes.rs", 6, "area_of", ["src/main.rs:2", "src/shapes.rs:6"]),
    ("java", "src/main/java/com/acme/util/Store.java", 2, "get", ["src/main/java/com/acme/Main.java:5", "src/main/java/com/acme/Main.java:5", "src/main/java/com/acme/util/Store.java:2"]),
    ("java", "src/main/java/com/acme/Base.java", 2, "helper", ["src/main/java/com/acme/Base.java:2", "src/main/java/com/acme/Main.java:5"]),
    ("java", "src/main/java/com/acme/Near.java", 2, "go", ["src/main/java/com/acme/Main.java:5", "src/main/java/com/acme/Near.java:2"]),
    ("c", "include/list.h", 3, "push", ["include/list.h:3", "list.c:2", "main.c:3"]),
    ("c", "include/list.h", 2, "value", ["include/list.h:2", "list.c:3", "main.c:4"]),
    ("c", "include/list.h", 1, "MOST", ["include/list.h:1", "main.c:3"]),
    ("cpp", "widget.hpp", 4, "resize", ["widget.cpp:3", "widget.cpp:4", "widget.cpp:6", "widget.hpp:4"]),
    ("cpp", "widget.hpp", 3, "id", ["widget.cpp:3", "widget.cpp:6", "widget.hpp:3"]),
]  # fmt: skip


@pytest.mark.parametrize(("language", "path", "line", "name", "expected"), QUESTIONS)
def test_references_across_files(
    workspace: Any, language: str, path: str, line: int, name: str, expected: list[str]
) -> None:
    workspace.write(PROJECTS[language])
    workspace.index.update()
    assert sorted(workspace.references(path, line, name)) == sorted(expected)


@pytest.mark.parametrize("language", all_languages(), ids=lambda language: language.name)
def test_broken_text_is_survived(language: Any) -> None:
    """Every prefix of a file is a file in the middle of being typed."""
    name = {"typescript": "typescript"}.get(language.name, language.name)
    path, text = next(
        (path, text)
        for path, text in PROJECTS.get(name, {"a.py": "class A:\n  def f(self, x): return x.y\n"}).items()
        if language_of(path) is language
    )
    data = text.encode()
    for end in range(0, len(data), 7):
        source = data[:end] + b"\xff(" + data[end : end + 20]
        facts = language.extract(path, source, language.parser(path).parse(source))
        assert len(facts.occurrences.name) == len(facts.occurrences.role)


@pytest.mark.parametrize("language", all_languages(), ids=lambda language: language.name)
def test_the_table_says_what_the_language_says(language: Any) -> None:
    """Files are told apart without loading their language."""
    assert by_name(language.name) is language
    assert all(language_of(f"a{extension}") is language for extension in language.extensions)
    assert is_wide(language.name) == language.wide_references


def test_every_grammar_is_watched() -> None:
    """A grammar that is exchanged makes another index: all that are loaded have to be among those looked at."""
    all_languages()
    assert {name for name in sys.modules if name.startswith("tree_sitter") and "." not in name} == set(GRAMMARS)


def test_extensions_belong_to_one_language() -> None:
    extensions = [extension for language in all_languages() for extension in language.extensions]
    assert len(extensions) == len(set(extensions))
    assert language_of("a/b.PY") is language_of("x.py")
    assert language_of("Makefile") is None
    assert language_of(".py") is None


def test_java_static_imports_and_lambdas(workspace: Any) -> None:
    workspace.write(
        {
            "a/A.java": "package a;\npublic class A {\n  public static int twice(int x) { return x; }\n  public static int MAX = 3;\n  public void go() {}\n}\n",
            "Main.java": "import static a.A.twice;\nimport static a.A.*;\nimport a.A;\nimport java.util.List;\nclass Main {\n  void run(List<A> xs) {\n    twice(MAX);\n    xs.forEach(y -> y.go());\n  }\n}\n",
        }
    )
    workspace.index.update()
    assert workspace.references("a/A.java", 3, "twice") == ["Main.java:1", "Main.java:7", "a/A.java:3"]
    assert workspace.references("a/A.java", 4, "MAX") == ["Main.java:7", "a/A.java:4"]
    assert workspace.references("a/A.java", 5, "go") == ["Main.java:8", "a/A.java:5"]


def test_go_literals_of_slices_and_package_names(workspace: Any) -> None:
    workspace.write(
        {
            "go.mod": "module example.com/m\n",
            "store/s.go": 'package store\n\ntype Item struct{ Name string }\n\nfunc New() *Item { return &Item{Name: "a"} }\n',
            "main.go": 'package main\n\nimport "example.com/m/store"\n\nfunc main() {\n\tfor _, x := range []*store.Item{store.New()} {\n\t\t_ = x.Name\n\t}\n}\n',
        }
    )
    workspace.index.update()
    assert workspace.references("store/s.go", 3, "Name") == ["main.go:7", "store/s.go:3", "store/s.go:5"]
    assert [target for target, _ in workspace.index.find_symbols("store.New")] == [("store/s.go", "New")]


def test_rust_closures_over_elements(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": '[package]\nname = "demo"\n',
            "src/lib.rs": "pub struct Square { pub side: f64 }\nimpl Square { pub fn area(&self) -> f64 { self.side } }\npub fn total(items: &[Square]) -> f64 {\n    items.iter().map(|x| x.area()).sum()\n}\n",
        }
    )
    workspace.index.update()
    assert workspace.references("src/lib.rs", 2, "area") == ["src/lib.rs:2", "src/lib.rs:4"]


def test_typescript_callbacks_get_their_types_from_where_they_stand(workspace: Any) -> None:
    workspace.write(
        {
            "t.ts": "export interface Options { size: number }\nexport interface Maker<T> { (first: T): void }\nexport function make<T>(name: string, body: (it: T) => void): Maker<T> { return null as any; }\nexport function use(o: Options, cb: (p: Options) => void) { cb(o); }\n",
            "u.ts": 'import { Maker, Options, make, use } from "./t";\nexport const m: Maker<Options> = make("m", (it) => it.size);\nuse({ size: 1 }, (p) => { p.size; p["size"]; });\ntype S = Options["size"];\nconst f: Maker<Options> = (q) => q.size;\n',
        }
    )
    workspace.index.update()
    assert workspace.references("t.ts", 1, "size") == [
        "t.ts:1", "u.ts:2", "u.ts:3", "u.ts:3", "u.ts:3", "u.ts:4", "u.ts:5",
    ]  # fmt: skip


def test_javascript_members_that_are_assigned(workspace: Any) -> None:
    workspace.write(
        {
            "app.js": """
                var app = exports = module.exports = {};
                app.init = function init() { this.setup(); };
                app.setup = function () { return this.init; };
                var options = { read() { return this.size; }, size: 3 };
            """,
            "main.js": "const app = require('./app');\napp.setup();\n",
        }
    )
    workspace.index.update()
    assert workspace.references("app.js", 3, "setup") == ["app.js:2", "app.js:3", "main.js:2"]
    assert workspace.references("app.js", 2, "init") == ["app.js:2", "app.js:3"]
    assert workspace.references("app.js", 4, "size") == ["app.js:4", "app.js:4"]
    names = [info.qualified_name for info in workspace.index.document_symbols("app.js")]
    assert names == ["app", "app.init", "app.setup", "options", "options.read"]


def test_java_imports_of_inner_classes(workspace: Any) -> None:
    workspace.write(
        {
            "a/Outer.java": "package a;\npublic class Outer { public static class Inner { public int size() { return 1; } } }\n",
            "b/One.java": "package b;\nimport a.Outer.Inner;\nclass One { int f(Inner x) { return x.size(); } }\n",
            "b/All.java": "package b;\nimport a.Outer.*;\nclass All { int f(Inner x) { return x.size(); } }\n",
        }
    )
    workspace.index.update()
    assert workspace.references("a/Outer.java", 2, "Inner") == [
        "a/Outer.java:2",
        "b/All.java:3",
        "b/One.java:2",
        "b/One.java:3",
    ]
    assert workspace.references("a/Outer.java", 2, "size") == ["a/Outer.java:2", "b/All.java:3", "b/One.java:3"]


def test_javascript_modules_that_are_one_thing(workspace: Any) -> None:
    workspace.write(
        {
            "make.js": "module.exports = make;\nmodule.exports.extra = 1;\nfunction make() {}\n",
            "tools.js": "module.exports = { cut(x) { return x; }, size: 2 };\n",
            "main.js": "const make = require('./make');\nconst { cut } = require('./tools');\nmake(); cut(make.extra);\n",
        }
    )
    workspace.index.update()
    assert workspace.references("make.js", 3, "make") == [
        "main.js:1",
        "main.js:3",
        "main.js:3",
        "make.js:1",
        "make.js:3",
    ]
    assert workspace.references("make.js", 2, "extra") == ["main.js:3", "make.js:2"]
    assert workspace.references("tools.js", 1, "cut") == ["main.js:2", "main.js:3", "tools.js:1"]


def test_a_rename_leaves_aliases_alone(workspace: Any) -> None:
    files = {
        "a.ts": "export function foo() {}\nfoo();\n",
        "b.ts": 'import { foo as bar } from "./a";\nbar();\n',
        "c.ts": 'export { foo as qux } from "./a";\n',
        "d.ts": 'import { qux } from "./c";\nqux();\n',
    }
    workspace.write(files)
    workspace.index.update()
    assert workspace.references("a.ts", 1, "foo") == [
        "a.ts:1", "a.ts:2", "b.ts:1", "b.ts:1", "b.ts:2", "c.ts:1", "c.ts:1", "d.ts:1", "d.ts:2",
    ]  # fmt: skip
    plan = workspace.index.rename("a.ts", 0, 16, "fresh")
    assert [(place.path, place.line, place.column) for place in plan.edits] == [
        ("a.ts", 0, 16), ("a.ts", 1, 0), ("b.ts", 0, 9), ("c.ts", 0, 9),
    ]  # fmt: skip


def test_typescript_unions_are_told_apart_by_literals(workspace: Any) -> None:
    workspace.write(
        {
            "a.ts": """
                interface Added { type: 'added'; item: number }
                interface Removed { type: 'removed'; item: number }
                function notify(event: Added | Removed) {}
                notify({ type: 'removed', item: 1 });
                function each<T extends { inner: unknown }>(of: T, name: string, f: (inner: T["inner"]) => void) {}
                class Box { inner: Removed; }
                each(new Box(), "x", (one) => one.item);
                type Lots<T = Added> = T[];
                function all(lots: Lots) { for (const one of lots) one.item; }
            """
        }
    )
    workspace.index.update()
    assert workspace.references("a.ts", 2, "item") == ["a.ts:2", "a.ts:4", "a.ts:7"]
    assert workspace.references("a.ts", 1, "item") == ["a.ts:1", "a.ts:9"]


def test_java_inherited_members_know_what_the_class_gave_its_base(workspace: Any) -> None:
    workspace.write(
        {
            "a/Base.java": "package a;\npublic abstract class Base<T> { protected T held; public T get() { return held; } }\n",
            "a/Item.java": "package a;\npublic class Item { public int n; public Item next() { return this; } }\n",
            "a/Leaf.java": """
                package a;
                public class Leaf extends Base<Item> {
                    void f() { held.n = 1; get().n = 2; }
                    void g() { get().next().n++; this.held.n = 3; }
                }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("a/Item.java", 2, "n") == [
        "a/Item.java:2", "a/Leaf.java:3", "a/Leaf.java:3", "a/Leaf.java:4", "a/Leaf.java:4",
    ]  # fmt: skip


def test_java_cases_see_the_constants_of_what_is_switched_on(workspace: Any) -> None:
    workspace.write(
        {
            "Mode.java": "enum Mode { ON, OFF }\n",
            "Use.java": """
                class Use {
                    static final int LIMIT = 3;
                    int f(Mode m, int n) {
                        switch (m) { case ON: break; case OFF: return 1; default: }
                        switch (n) { case LIMIT: return 2; default: }
                        return switch (m) { case ON, OFF -> 3; };
                    }
                }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("Mode.java", 1, "ON") == ["Mode.java:1", "Use.java:4", "Use.java:6"]
    assert workspace.references("Use.java", 2, "LIMIT") == ["Use.java:2", "Use.java:5"]


def test_go_channels_give_what_is_sent(workspace: Any) -> None:
    workspace.write(
        {
            "go.mod": "module example.com/m\n",
            "a.go": """
                package m
                type Item struct { Name string }
                func f(in <-chan Item) {
                    out := make(chan Item)
                    x := <-out
                    _ = x.Name + (<-in).Name
                }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("a.go", 2, "Name") == ["a.go:2", "a.go:6", "a.go:6"]
