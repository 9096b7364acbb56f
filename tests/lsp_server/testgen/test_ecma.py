"""JavaScript and TypeScript: what is read from a file, and the whole way with Node's own test runner."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from dsassist.assist import testgen
from dsassist.assist.testgen import ecma
from dsassist.assist.testgen.ecma import inputs
from dsassist.assist.testgen.ecma.change import instrumented, mutants
from dsassist.assist.testgen.ecma.render import Call, extend, place_of_tests, specifier, written
from dsassist.assist.testgen.ecma.runner import Runner
from dsassist.assist.testgen.ecma.source import examples
from dsassist.errors import TestGenerationError

NODE = shutil.which("node") or ""
needs_node = pytest.mark.skipif(not NODE, reason="there is no node")

TYPED = """
    interface Range { low: number; high: number }

    /** Keep a value inside. */
    export function clamp(value: number, range: Range, mode: "cut" | "wrap" = "cut"): number {
      if (mode === "wrap") return value % range.high;
      return Math.min(Math.max(value, range.low), range.high);
    }

    export const twice = (n: number) => n * 2;

    function hidden(n: number) { return n; }

    export class Box {
      static of(items: string[]) { return items.length; }
      open() { return 1; }
    }
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def test_exported_functions_and_static_methods_are_targets(tmp_path: Path) -> None:
    path = write(tmp_path, "range.ts", TYPED)
    assert [item.qualname for item in ecma.in_file(path)] == ["clamp", "twice", "Box.of"]
    clamp = ecma.select(path, "clamp")[0]
    assert [(item.name, item.kind, item.optional) for item in clamp.parameters] == [
        ("value", "number", False),
        ("range", "Range", False),
        ("mode", '"cut" | "wrap"', True),
    ]
    assert clamp.docstring.startswith("/** Keep") and clamp.line == 5
    assert [item.qualname for item in ecma.select(path, line=6)] == ["clamp"]
    with pytest.raises(TestGenerationError, match="exports no function hidden"):
        ecma.select(path, "hidden")
    with pytest.raises(TestGenerationError, match="no exported function at line 1 "):
        ecma.select(path, line=1)
    with pytest.raises(TestGenerationError, match="syntax error"):
        ecma.in_file(write(tmp_path, "broken.ts", "export function ( {"))


def test_commonjs_exports_are_seen(tmp_path: Path) -> None:
    text = (
        "function a(x) { return x; }\nconst b = (x) => x;\nfunction c() { return 1; }\n"
        "module.exports = { a, b };\nexports.c = c;\n"
    )
    assert [item.qualname for item in ecma.in_file(write(tmp_path, "m.cjs", text))] == ["a", "b", "c"]


def test_default_exports_are_targets_under_a_name(tmp_path: Path) -> None:
    cases = {
        "chunk.js": ("function chunk(a) { return a; }\nexport default chunk;\n", "chunk"),
        "to-case.js": ("export default function (text) { return text; }\n", "toCase"),
        "sum/index.mjs": ("export default (values) => values.length;\n", "sum"),
        "inc.cjs": ("const inc = (version) => version;\nmodule.exports = inc;\n", "inc"),
        "babel.cjs": ("exports.default = void 0;\nexports.default = trim;\nfunction trim(x) { return x; }\n", "trim"),
        "alias.js": ("const made = (x) => x;\nexport { made as default };\n", "made"),
    }
    for name, (text, expected) in cases.items():
        found = ecma.in_file(write(tmp_path, name, text))
        assert [(item.qualname, item.default) for item in found] == [(expected, True)], name
    node = Runner("node", tmp_path, "node", True)
    inc = ecma.in_file(tmp_path / "inc.cjs")[0]
    assert 'const inc = require("./inc.cjs");' in extend("", [(inc, "test();")], node, "./inc.cjs")


def test_comments_give_types_and_examples(tmp_path: Path) -> None:
    text = """
        /**
         * Splits.
         *
         * @param {Array<string>} items
         * @param {number} [size=1]
         * @example
         *
         * take(['a', 'b'], 2);
         * // => ['a']
         * take(made, 3);
         */
        export function take(items, size, options) { return items; }

        export function isEmail(value) { return value.includes("@"); }
    """
    take, email = ecma.in_file(write(tmp_path, "take.js", text))
    assert [(item.kind, item.optional) for item in take.parameters] == [
        ("Array<string>", False),
        ("number", True),
        ("", False),
    ]
    assert examples(take) == [("['a', 'b']", "2")]
    rows = inputs.calls(take)
    assert rows[0] == ("['a', 'b']", "2") and ('["hello", ""]',) in rows
    assert inputs.calls(email)[0] == ('"user@example.com"',)


def test_values_come_from_types_use_and_literals(tmp_path: Path) -> None:
    path = write(tmp_path, "range.ts", TYPED)
    tried = inputs.calls(ecma.select(path, "clamp")[0])
    assert tried[0] == ("3", "{ low: 3, high: 3 }")
    assert any(row[2:] == ('"wrap"',) for row in tried)
    plain = write(
        tmp_path, "plain.js", "export function f(things, pick, q) { return things.map((x) => pick(x)) + q.trim(); }\n"
    )
    row = inputs.calls(ecma.select(plain, "f")[0])[0]
    assert row == ("[1, 2, 3]", "(value) => value", '"hello"')
    assert inputs.by_type("(string | null)[]")[:2] == ['["hello", null]', "[]"]
    assert inputs.by_type("[number, string]")[0] == '[3, "hello"]'


def test_planted_bugs_and_counters_keep_the_file_valid(tmp_path: Path) -> None:
    path = write(tmp_path, "range.ts", TYPED)
    target = ecma.select(path, "clamp")[0]
    made = mutants(target, path.read_text())
    assert {"negate the condition", "min → max", "% → *", "=== → !==", "return undefined", "change the text"} <= {
        change for _, change, _ in made
    }
    counted, lines = instrumented(target, path.read_text())
    assert lines == {6, 7} and counted.count("__dsassist") == 3
    copy = tmp_path / "counted.ts"
    copy.write_text(counted)
    assert len(ecma.in_file(copy)) == 3


def test_tests_follow_the_runner_and_the_place_of_others(tmp_path: Path) -> None:
    path = write(tmp_path, "src/range.ts", TYPED)
    target = ecma.select(path, "twice")[0]
    calls = [Call(("3",), "return", "number", "6"), Call(('"x"',), "raise", "TypeError", message='no "x"')]
    vitest = Runner("vitest", tmp_path, "node", False)
    assert place_of_tests(path, vitest) == tmp_path / "src" / "range.test.ts"
    write(tmp_path, "spec/other.spec.ts", "")
    assert place_of_tests(path, vitest) == tmp_path / "spec" / "range.spec.ts"
    assert specifier(path, tmp_path / "spec" / "range.spec.ts", vitest) == "../src/range"
    text = extend("", [(target, code) for _, code in written(target, calls, vitest, set())], vitest, "../src/range")
    assert text.startswith('import { expect, test } from "vitest";\nimport { twice } from "../src/range";\n')
    assert "expect(twice(3)).toBe(6);" in text and 'expect(() => twice("x")).toThrow(\'no "x"\');' in text
    again = extend(text, [(target, 'test("more", () => {});')], vitest, "../src/range")
    assert again.startswith(text.rstrip("\n")) and again.count("import") == text.count("import")


SHOP = """
    export function slugify(text, separator = "-") {
      if (typeof text !== "string") throw new TypeError("text must be a string");
      return text.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean).join(separator);
    }

    export async function later(n) {
      if (n < 0) {
        throw new RangeError("negative");
      }
      return n * 2;
    }

    export function add(items, item) { items.push(item); }

    export function now(n) { return Date.now() + n; }

    export function forever(n) { while (n !== 1e99) n = n; }
"""


@pytest.mark.slow
@needs_node
def test_the_whole_way_with_node(tmp_path: Path) -> None:
    path = write(tmp_path, "src/text.js", SHOP)
    write(tmp_path, "package.json", json.dumps({"name": "x", "type": "module"}))
    before = sorted(tmp_path.rglob("*"))
    options = testgen.Options(seconds=12.0, rounds=2)
    targets = ecma.select(path)
    report = asyncio.run(ecma.generate(path, targets, workspace=tmp_path, options=options))
    assert sorted(tmp_path.rglob("*")) == before
    kept = {target.target: target for target in report.targets}
    assert kept["slugify"].kept and kept["later"].kept and kept["add"].kept
    assert not kept["forever"].kept and kept["forever"].dropped["hangs"]
    assert kept["now"].dropped["differs from run to run"]
    assert kept["slugify"].killed >= kept["slugify"].mutants - 1
    text = report.text or ""
    assert "assert.throws(() => slugify(" in text and "await assert.rejects(async () => later(-1)" in text
    report.test_path.write_text(text)
    done = subprocess.run([NODE, "--test", str(report.test_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@needs_node
def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    path = write(tmp_path, "src/text.mjs", 'import "not-there";\nexport function f(n) { return n; }\n')
    report = asyncio.run(
        ecma.generate(path, ecma.select(path), workspace=tmp_path, options=testgen.Options(seconds=8.0))
    )
    assert report.text is None and "not-there" in report.targets[0].problem


@needs_node
def test_dangerous_javascript_stays_in_the_sandbox(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    folder = tmp_path / "w"
    source = f"""
        import fs from "node:fs";
        import {{ execSync }} from "node:child_process";
        export function remove() {{ fs.rmSync({json.dumps(str(outside))}); return 1; }}
        export function leave() {{ process.exit(3); }}
        export function eat() {{ const all = []; for (;;) all.push(Buffer.alloc(1 << 29, 1)); }}
        export async function call() {{ return (await fetch("http://127.0.0.1:9/")).status; }}
    """
    path = write(folder, "bad.mjs", source)
    report = asyncio.run(
        ecma.generate(path, ecma.select(path), workspace=folder, options=testgen.Options(seconds=12.0))
    )
    assert outside.read_text() == "keep"
    assert report.text is None
    assert not any(target.kept for target in report.targets)
    assert report.targets[1].dropped["ends the interpreter"]


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TestGenerationError, match=r"not generated for a\.rb"):
        testgen.targets_of(write(tmp_path, "a.rb", ""))
    assert (
        testgen.is_test(Path("a.test.ts")) and testgen.is_test(Path("test_a.py")) and not testgen.is_test(Path("a.ts"))
    )
