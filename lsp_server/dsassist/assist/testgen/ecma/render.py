"""Tests as text: for vitest and jest with ``expect``, for Node's runner with ``node:assert``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dsassist.assist.testgen.ecma.runner import Runner
from dsassist.assist.testgen.ecma.source import EcmaTarget

__all__ = ["Call", "extend", "place_of_tests", "specifier", "written"]

_WORDS = {
    "string": "a string",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
    "Object": "an object",
}
_FOLDERS = ("test", "tests", "__tests__", "spec")


@dataclass(frozen=True, slots=True)
class Call:
    """One kept call: ``outcome`` is "return" or "raise", ``value`` code of what it gave."""

    arguments: tuple[str, ...]
    outcome: str
    kind: str
    value: str = ""
    message: str = ""
    changed: tuple[str, ...] = ()
    awaited: bool = False
    iterated: bool = False


def place_of_tests(source: Path, runner: Runner) -> Path:
    """The test file of ``source``: one that exists, else where and how the package names its tests."""
    stem = re.sub(r"\.(c|m)?[jt]s$", "", source.name)
    found = [
        item
        for item in _test_files(runner.folder)
        if re.fullmatch(rf"{re.escape(stem)}[._-](test|spec)\.\w+", item.name)
    ]
    if found:
        return min(found, key=lambda item: (len(item.parts), str(item)))
    others = _test_files(runner.folder)
    ending = f".test{source.suffix}" if not runner.commonjs or source.suffix != ".cjs" else ".test.cjs"
    if others:
        mark = ".spec." if sum(".spec." in item.name for item in others) * 2 > len(others) else ".test."
        ending = f"{mark}{source.suffix.lstrip('.')}"
        beside = sum(item.parent.name not in _FOLDERS for item in others) * 2 > len(others)
        if not beside:
            return min((item.parent for item in others), key=lambda folder: len(folder.parts)) / f"{stem}{ending}"
        return source.with_name(f"{stem}{ending}")
    folder = next((runner.folder / name for name in _FOLDERS if (runner.folder / name).is_dir()), source.parent)
    return folder / f"{stem}{ending}"


def _test_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, names, files in os.walk(folder):
        names[:] = [
            name
            for name in names
            if name not in ("node_modules", "dist", "build", "out", "coverage") and name[0] != "."
        ]
        found += [Path(place, name) for name in files if re.search(r"\.(test|spec)\.(c|m)?[jt]s$", name)]
    return sorted(found)


def specifier(source: Path, test: Path, runner: Runner, like: str = "") -> str:
    """What a test imports ``source`` as: with its ending under Node, as ``like`` (an existing test) does elsewhere."""
    relative = Path(os.path.relpath(source, test.parent)).as_posix()
    relative = relative if relative.startswith(".") else f"./{relative}"
    if runner.kind == "node" or source.suffix in (".mjs", ".cjs", ".mts", ".cts"):
        return relative
    bare = relative.removesuffix(source.suffix)
    if re.search(r"from [\"']\.[^\"']*\.js[\"']", like):
        return f"{bare}.js"
    return relative if re.search(r"from [\"']\.[^\"']*\.ts[\"']", like) else bare


def _name(target: EcmaTarget, call: Call, taken: set[str]) -> str:
    subject = target.qualname
    if call.outcome == "raise":
        base = f"{subject} throws {call.kind}"
    elif call.changed and call.value == "undefined":
        base = f"{subject} changes its argument"
    else:
        told = call.value if len(call.value) <= 24 else _WORDS.get(call.kind, call.kind)
        base = f"{subject} gives {told}"
    shown = ", ".join(call.arguments) if call.arguments else "nothing"
    for name in (f"{base} for {shown}" if len(shown) < 48 else base, base):
        if name not in taken:
            taken.add(name)
            return name
    number = 2
    while f"{base} ({number})" in taken:
        number += 1
    taken.add(f"{base} ({number})")
    return f"{base} ({number})"


def written(target: EcmaTarget, calls: list[Call], runner: Runner, taken: set[str]) -> list[tuple[str, str]]:
    """(name, code) of a test for each call."""
    return [_one(target, call, runner, _name(target, call, taken)) for call in calls]


def _one(target: EcmaTarget, call: Call, runner: Runner, name: str) -> tuple[str, str]:
    plain = runner.kind == "node"
    lines = ["  // Characterises today's behaviour."]
    given = list(call.arguments)
    if call.changed:
        names = [parameter.name for parameter in target.parameters]
        for place, (before, after) in enumerate(zip(call.arguments, call.changed, strict=True)):
            if before[0] in "[{n" and after != before:
                given[place] = names[place] if place < len(names) else f"argument{place}"
                lines.append(f"  const {given[place]} = {before};")
    made = f"{target.qualname}({', '.join(given)})"
    if call.outcome == "raise":
        if plain:
            check = f"{{ name: {_quoted(call.kind)}, message: {_quoted(call.message)} }}"
            how = "await assert.rejects(async () => " if call.awaited else "assert.throws(() => "
            lines.append(f"  {how}{made}, {check});")
        elif call.awaited:
            lines.append(f"  await expect({made}).rejects.toThrow({_quoted(call.message)});")
        else:
            lines.append(f"  expect(() => {made}).toThrow({_quoted(call.message)});")
    else:
        result = f"[...{made}]" if call.iterated else f"await {made}" if call.awaited else made
        if call.value == "undefined" and call.changed:
            lines.append(f"  {result};")
        elif plain:
            lines.append(f"  assert.{'equal' if _is_simple(call.value) else 'deepEqual'}({result}, {call.value});")
        else:
            lines.append(f"  expect({result}).{'toBe' if _is_simple(call.value) else 'toEqual'}({call.value});")
    for name_given, before, after in zip(given, call.arguments, call.changed, strict=False):
        if name_given != before:
            lines.append(
                f"  assert.deepEqual({name_given}, {after});" if plain else f"  expect({name_given}).toEqual({after});"
            )
    asynchronous = "async " if call.awaited else ""
    return name, f"test({_quoted(name)}, {asynchronous}() => {{\n" + "\n".join(lines) + "\n});"


def _is_simple(code: str) -> bool:
    return bool(re.fullmatch(r"-?[\w.]+|\"[^\n]*\"", code))


def _quoted(text: str) -> str:
    mark = "'" if '"' in text and "'" not in text else '"'
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}").replace("\n", "\\n")
    return f"{mark}{escaped}{mark}"


def extend(existing: str, tests: list[tuple[EcmaTarget, str]], runner: Runner, module: str) -> str:
    """``existing`` (may be empty) with ``tests`` after what is there; imports that are missing come first."""
    named = sorted({target.qualname.partition(".")[0] for target, _ in tests if not target.default})
    default = next((target.qualname.partition(".")[0] for target, _ in tests if target.default), "")
    head: list[str] = []
    if runner.kind == "node":
        for name, place in (("assert", "node:assert/strict"), ("test", "node:test")):
            if not re.search(rf"\b(const|import)\s+{name}\b|\{{[^}}]*\b{name}\b[^}}]*\}}", existing):
                head.append(
                    f'const {name} = require("{place}");' if runner.commonjs else f'import {name} from "{place}";'
                )
    elif runner.kind == "vitest":
        wanted = [name for name in ("expect", "test") if not re.search(rf"import[^;]*\b{name}\b[^;]*from", existing)]
        if wanted:
            head.append(f'import {{ {", ".join(wanted)} }} from "vitest";')
    missing = [name for name in named if not re.search(rf"(import|const)[^;]*\b{name}\b[^;]*(from|require)", existing)]
    if runner.commonjs:
        head += [f'const {default} = require("{module}");'] if default else []
        head += [f'const {{ {", ".join(missing)} }} = require("{module}");'] if missing else []
    elif missing or default:
        parts = [*([default] if default else []), *([f"{{ {', '.join(missing)} }}"] if missing else [])]
        head.append(f'import {", ".join(parts)} from "{module}";')
    added = "\n\n".join(code for _, code in tests)
    if not existing.strip():
        return "\n".join(head) + f"\n\n{added}\n"
    lines = existing.rstrip("\n").splitlines()
    last = max(
        (
            number
            for number, line in enumerate(lines)
            if re.match(r"import\b|.*\}? from [\"'].*[\"'];?$|const .*require\(", line)
        ),
        default=-1,
    )
    lines[last + 1 : last + 1] = head
    return "\n".join(lines) + f"\n\n{added}\n"
