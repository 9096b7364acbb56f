"""What only Rust and C have: modules in line, paths inside macros, headers that lean on whoever includes them."""

from __future__ import annotations

from typing import Any

import pytest

CARGO = '[package]\nname = "demo"\n'


def test_rust_modules_in_line_see_the_file_around_them(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": CARGO,
            "src/lib.rs": """
                pub mod kinds;
                use kinds::Kind;
                pub fn decode(x: u8) -> u8 { x }
                mod tests {
                    use super::{decode, Kind};
                    fn t() { assert_eq!(decode(1), 1); Kind::new(); }
                    mod deeper { use super::super::decode; fn u() { decode(2); } }
                }
            """,
            "src/kinds.rs": "pub struct Kind;\nimpl Kind { pub fn new() -> Kind { Kind } }\n",
        }
    )
    workspace.index.update()
    assert workspace.references("src/lib.rs", 3, "decode") == [
        "src/lib.rs:3", "src/lib.rs:5", "src/lib.rs:6", "src/lib.rs:7", "src/lib.rs:7",
    ]  # fmt: skip
    assert workspace.references("src/kinds.rs", 2, "new") == ["src/kinds.rs:2", "src/lib.rs:6"]


@pytest.mark.parametrize(
    "use", ["use kinds::Kind::*;", "use kinds::Kind::{Small, Large};", "use crate::kinds::Kind::{self, Small, Large};"]
)
def test_rust_variants_come_by_use(workspace: Any, use: str) -> None:
    code = f"mod kinds;\n{use}\nfn f(k: kinds::Kind) -> u8 {{ match k {{ Small => 1, Large(x) => x }} }}\n"
    workspace.write({"Cargo.toml": CARGO, "src/lib.rs": code, "src/kinds.rs": "pub enum Kind { Small, Large(u8) }\n"})
    workspace.index.update()
    assert {"src/kinds.rs:1", "src/lib.rs:3"} <= set(workspace.references("src/kinds.rs", 1, "Large"))
    assert {"src/kinds.rs:1", "src/lib.rs:3"} <= set(workspace.references("src/kinds.rs", 1, "Small"))


def test_rust_paths_inside_macros_bounds_and_fields_by_number(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": CARGO,
            "src/lib.rs": """
                pub trait Format { fn begin(&self); }
                pub struct Number(u8);
                impl Number { pub fn make(x: u8) -> Number { Number(x) } pub fn twice(&self) -> u8 { 2 } }
                pub struct Writer<'a, F> { format: &'a F, last: Number }
                impl<'a, F> Writer<'a, F> where F: Format {
                    fn go(&self) { self.format.begin(); }
                }
                pub struct Outer(Number);
                impl Outer { fn go(&self) { self.0.twice(); } }
                fn check() { assert_eq!(Number::make(1).twice(), 2); }
                fn all() -> impl Iterator<Item = Number> { todo!() }
                fn each() { for one in all() { one.twice(); } }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("src/lib.rs", 1, "begin") == ["src/lib.rs:1", "src/lib.rs:6"]
    assert workspace.references("src/lib.rs", 3, "make") == ["src/lib.rs:3", "src/lib.rs:10"]
    assert workspace.references("src/lib.rs", 3, "twice") == [
        "src/lib.rs:3", "src/lib.rs:9", "src/lib.rs:10", "src/lib.rs:12",
    ]  # fmt: skip


HEADERS = {
    "all.h": '#include "base.h"\n#include "part.h"\n',
    "base.h": "typedef int handle;\nstruct Host { int run(); };\n",
    "part.h": "struct Part { handle first; Host* host; };\n",
    "main.cpp": '#include "all.h"\nint go(Part* part) { return part->host->run(); }\n',
}


def test_a_header_sees_what_its_includers_have_seen(workspace: Any) -> None:
    workspace.write(HEADERS)
    workspace.index.update()
    assert workspace.references("base.h", 1, "handle") == ["base.h:1", "part.h:1"]
    assert workspace.references("base.h", 2, "run") == ["base.h:2", "main.cpp:2"]


def test_who_includes_a_header_can_change(workspace: Any) -> None:
    workspace.write({**HEADERS, "all.h": '#include "base.h"\n'})
    workspace.index.update()
    assert workspace.references("base.h", 1, "handle") == ["base.h:1"]
    workspace.index.set_overlay("all.h", HEADERS["all.h"])
    assert workspace.references("base.h", 1, "handle") == ["base.h:1", "part.h:1"]
    workspace.index.close_overlay("all.h")
    assert workspace.references("base.h", 1, "handle") == ["base.h:1"]
    workspace.write({"other.h": HEADERS["all.h"]})
    workspace.index.update()
    assert workspace.references("base.h", 1, "handle") == ["base.h:1", "part.h:1"]
    (workspace.root / "other.h").unlink()
    workspace.index.update()
    assert workspace.references("base.h", 1, "handle") == ["base.h:1"]
    before = workspace.index.dump()
    for row in workspace.index._rows.values():
        workspace.index._store.unlink([row.id])
    workspace.index.settle()
    assert workspace.index.dump() == before


def test_rust_fields_and_methods_of_one_name(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": CARGO,
            "src/lib.rs": """
                pub struct Match { text: u8 }
                impl Match { pub fn text(&self) -> u8 { self.text } }
                pub trait Twice { fn text(&self) -> u8; }
                impl Twice for Match { fn text(&self) -> u8 { 2 } }
                fn f(m: Match) -> u8 { m.text() + m.text }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("src/lib.rs", 1, "text") == ["src/lib.rs:1", "src/lib.rs:2", "src/lib.rs:5"]
    assert workspace.references("src/lib.rs", 2, "text") == ["src/lib.rs:2", "src/lib.rs:5"]
    assert workspace.references("src/lib.rs", 4, "text") == ["src/lib.rs:4"]


def test_what_a_header_declares_is_defined_where_it_is_written_out(workspace: Any) -> None:
    workspace.write(
        {
            "tools.h": "int twice(int x);\nint gone(int x);\nclass Tool { public: void run(); };\n",
            "tools.cpp": '#include "tools.h"\nint\ntwice(int x) {\n    return x;\n}\nvoid Tool::run() { twice(1); }\n',
            "main.cpp": '#include "tools.h"\nint main() { Tool tool; tool.run(); gone(1); return twice(2); }\n',
        }
    )
    workspace.index.update()
    assert workspace.definitions("main.cpp", 2, "twice") == ["tools.cpp:3 twice"]
    assert workspace.definitions("tools.h", 1, "twice") == ["tools.cpp:3 twice"]
    assert workspace.definitions("main.cpp", 2, "run") == ["tools.cpp:6 Tool.run"]
    assert workspace.definitions("main.cpp", 2, "gone") == ["tools.h:2 gone"]
    places = workspace.index.declarations(*workspace.place("main.cpp", 2, "twice"))
    assert "tools.h" in {place.path for place in places}


def test_calls_are_followed_through_headers(workspace: Any) -> None:
    workspace.write(
        {
            "tools.h": "int twice(int x);\nint once(int x);\n",
            "tools.c": '#include "tools.h"\nint once(int x) { return x; }\nint twice(int x) { return once(x) * 2; }\n',
            "main.c": '#include "tools.h"\nint main() { return twice(2); }\n',
        }
    )
    workspace.index.update()
    for target in (("tools.h", "twice"), ("tools.c", "twice")):
        assert [call.symbol.name for call in workspace.index.callers([target])] == ["main"]
        assert [call.symbol.name for call in workspace.index.callees(target)] == ["once"]
    assert [call.symbol.name for call in workspace.index.callers([("tools.h", "once")])] == ["twice"]


def test_rust_modules_in_line_are_reached_from_other_files(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": CARGO,
            "src/lib.rs": "mod kinds;\nmod user;\n"
            "pub mod outer { pub mod inner { pub use crate::kinds::Kind; pub struct Own; } }\n",
            "src/kinds.rs": "pub struct Kind;\n",
            "src/user.rs": "use crate::outer::inner::{Kind, Own};\nfn f(k: Kind, o: Own) {}\n",
            "tests/it.rs": "use demo::outer::inner::Kind;\nfn f(k: Kind) {}\n",
        }
    )
    workspace.index.update()
    assert workspace.references("src/kinds.rs", 1, "Kind") == [
        "src/kinds.rs:1", "src/lib.rs:3", "src/user.rs:1", "src/user.rs:2", "tests/it.rs:1", "tests/it.rs:2",
    ]  # fmt: skip
    assert workspace.references("src/user.rs", 2, "Own") == ["src/lib.rs:3", "src/user.rs:1", "src/user.rs:2"]


def test_rust_what_options_results_and_boxes_hold(workspace: Any) -> None:
    workspace.write(
        {
            "Cargo.toml": CARGO,
            "src/lib.rs": """
                pub struct S { pub side: f64 }
                impl S { fn new() -> Result<S, String> { Ok(S { side: 1.0 }) } }
                fn f(v: Vec<Box<S>>, r: Result<S, String>) -> Option<f64> {
                    if let Some(x) = v.first() { x.side; }
                    match S::new() { Ok(k) => k.side, Err(_) => 0.0 };
                    S::new()?.side;
                    r.unwrap().side;
                    v.get(0).unwrap().side;
                    let shared = std::sync::Arc::new(S { side: 2.0 });
                    Some(shared.side)
                }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("src/lib.rs", 1, "side") == [
        f"src/lib.rs:{line}" for line in (1, 2, 4, 5, 6, 7, 8, 9, 10)
    ]


def test_cpp_names_that_using_shows(workspace: Any) -> None:
    workspace.write(
        {
            "widget.hpp": "namespace ui { class Widget { public: void draw(); int width; }; void free_one(); }\n",
            "all.cpp": """
                #include "widget.hpp"
                using namespace ui;
                class Button : public Widget { void f() { this->width; draw(); } };
                void g() { Widget w; w.draw(); free_one(); }
            """,
            "one.cpp": """
                #include "widget.hpp"
                using ui::Widget;
                void h() { Widget w; w.draw(); free_one(); }
            """,
        }
    )
    workspace.index.update()
    assert workspace.references("widget.hpp", 1, "draw") == ["all.cpp:3", "all.cpp:4", "one.cpp:3", "widget.hpp:1"]
    assert workspace.references("widget.hpp", 1, "width") == ["all.cpp:3", "widget.hpp:1"]
    assert workspace.references("widget.hpp", 1, "free_one") == ["all.cpp:4", "widget.hpp:1"]
    assert workspace.references("widget.hpp", 1, "Widget") == [
        "all.cpp:3", "all.cpp:4", "one.cpp:2", "one.cpp:3", "widget.hpp:1",
    ]  # fmt: skip


def test_cpp_members_through_smart_pointers(workspace: Any) -> None:
    workspace.write(
        {
            "b.cpp": """
                class B { public: void draw(); };
                void f(std::unique_ptr<B> u, std::vector<std::shared_ptr<B>> all) {
                    u->draw();
                    auto v = std::make_unique<B>();
                    v->draw();
                    for (auto& one : all) one->draw();
                    all[0]->draw();
                }
            """
        }
    )
    workspace.index.update()
    assert workspace.references("b.cpp", 1, "draw") == [f"b.cpp:{line}" for line in (1, 3, 5, 6, 7)]
