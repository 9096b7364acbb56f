"""Tests as text, in the project's style, and a test file extended by them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dsassist.assist.testgen.case import Case, Origin, double_quoted, import_lines, indented, redirected, wrapped
from dsassist.assist.testgen.naming import snake, test_name
from dsassist.assist.testgen.project import Style
from dsassist.assist.testgen.situation import situations
from dsassist.assist.testgen.target import Target

__all__ = ["Rendered", "extend", "formatted", "grouped", "render"]

_OBSERVED = "# Characterises today's behaviour."
_WEAK = "# Another value in every run: only its type is asserted."
_STATED = "# Stated by the docstring."
_INVARIANT = {
    "round trip": "# What one function makes, the other takes back.",
    "idempotent": "# Doing it twice changes nothing more.",
    "involution": "# Doing it twice gives back what was there.",
    "ordered": "# The result is in order.",
    "length": "# Nothing is lost and nothing is added.",
    "bounded": "# The result stays within the bounds.",
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """One test function (or method). ``imports`` are the names its code needs."""

    name: str
    code: str
    imports: dict[str, Origin]
    cases: tuple[Case, ...]
    target: str


def grouped(cases: list[Case], told: list[str]) -> list[tuple[str, list[Case]]]:
    """Cases in the same situation that differ in arguments and expected value only stand together, to become one
    parametrised test. ``told`` names the situation of each."""
    groups: dict[object, list[Case]] = {}
    phrases: dict[object, str] = {}
    for position, (case, phrase) in enumerate(zip(cases, told, strict=True)):
        known = _group_key(case)
        key = (known, phrase) if known else position
        groups.setdefault(key, []).append(case)
        phrases[key] = phrase
    return [(phrases[key], group) for key, group in groups.items()]


def _group_key(case: Case) -> object:
    if (
        case.invariant
        or case.outcome != "return"
        or len(case.facts) != 1
        or case.setup
        or not case.arguments
        or "\n" in case.act
    ):
        return None
    left, relation, _ = case.facts[0]
    if left != "result" or relation not in ("==", "is") or _arguments_text(case) not in case.act:
        return None
    if any(
        code.isidentifier() and code not in ("True", "False", "None") and code not in case.imports
        for _, code in case.arguments
    ):
        return None
    template = case.act.replace(_arguments_text(case), "(…)")
    return template, relation, tuple(keyword for keyword, _ in case.arguments), len(case.arguments), case.stated


def _arguments_text(case: Case) -> str:
    return "(" + ", ".join(f"{name}={code}" if name else code for name, code in case.arguments) + ")"


def render(target: Target, cases: list[Case], style: Style, parameters: list[str], taken: set[str]) -> list[Rendered]:
    """Test functions for the kept ``cases`` of one target. ``parameters`` are the target's own parameter names."""
    told = situations(target.node, cases)
    made = []
    for phrase, group in grouped(cases, told):
        name = test_name(target.qualname, group, taken, phrase, parameters)
        made.append(_one(target.qualname, name, group, style, parameters))
    return made


def _one(qualname: str, name: str, group: list[Case], style: Style, parameters: list[str]) -> Rendered:
    if group[0].invariant:
        return _invariant(qualname, name, group[0])
    imports = {label: origin for case in group for label, origin in case.imports.items()}
    lines = [_STATED if group[0].stated else _WEAK if group[0].weak else _OBSERVED]
    decorator = ""
    arguments: list[str] = []
    if len(group) > 1:
        decorator, arguments, body, needed = _parametrised(group, style, parameters)
    else:
        body, needed = _body(group[0], style)
        if any("tmp_path" in line for line in (*group[0].setup, group[0].act)):
            if style == "pytest":
                arguments = ["tmp_path"]
            else:
                needed |= {"tempfile": ("tempfile", ""), "Path": ("pathlib", "Path")}
                body = [
                    "folder = tempfile.TemporaryDirectory()",
                    "self.addCleanup(folder.cleanup)",
                    "tmp_path = Path(folder.name)",
                    *body,
                ]
    imports |= needed
    if style == "unittest":
        arguments = ["self"]
    code = f"{decorator}def {name}({', '.join(arguments)}):\n" + indented("\n".join([*lines, *body]))
    code = wrapped(double_quoted(code))
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    return Rendered(
        name, code, {label: origin for label, origin in imports.items() if label in used}, tuple(group), qualname
    )


def _invariant(qualname: str, name: str, case: Case) -> Rendered:
    """A property test. ``derandomize``: the same examples every time, so that it does not fail one day in a hundred."""
    job = case.job
    code = (
        f"@settings(deadline=None, derandomize=True)\n@given({job['given']})\ndef {name}({job['named']}):\n"
        f"    {_INVARIANT[case.invariant]}\n    {job['claim']}"
    )
    return Rendered(name, double_quoted(code), case.imports, (case,), qualname)


def _parametrised(
    group: list[Case], style: Style, parameters: list[str]
) -> tuple[str, list[str], list[str], dict[str, Origin]]:
    first = group[0]
    names: list[str] = []
    for position, (keyword, _) in enumerate(first.arguments):
        name = keyword or (parameters[position] if position < len(parameters) else f"argument_{position}")
        name = name.strip("_") or f"argument_{position}"
        names.append(f"{name}_" if name in first.imports or name in ("expected", "request", "self", *names) else name)
    call = first.act.replace(
        _arguments_text(first),
        "("
        + ", ".join(
            f"{keyword}={name}" if keyword else name for name, (keyword, _) in zip(names, first.arguments, strict=True)
        )
        + ")",
    ).removeprefix("result = ")
    rows = [f"({', '.join([*(code for _, code in case.arguments), case.facts[0][2]])})" for case in group]
    relation = first.facts[0][1]
    if style == "pytest":
        listed = "".join(f"        {row},\n" for row in rows)
        labels = ", ".join(f'"{name}"' for name in [*names, "expected"])
        decorator = f"@pytest.mark.parametrize(\n    ({labels}),\n    [\n{listed}    ],\n)\n"
        return decorator, [*names, "expected"], [f"assert {call} {relation} expected"], {"pytest": ("pytest", "")}
    method = "assertEqual" if relation == "==" else "assertIs"
    joined = ", ".join([*names, "expected"])
    body = [f"for {joined} in [", *(f"    {row}," for row in rows), "]:"]
    body += [
        f"    with self.subTest({', '.join(f'{name}={name}' for name in names)}):",
        f"        self.{method}({call}, expected)",
    ]
    return "", [], body, {}


def _body(case: Case, style: Style) -> tuple[list[str], dict[str, Origin]]:
    needed: dict[str, Origin] = {}
    body = list(case.setup)
    act = case.act
    if case.outcome == "raise":
        act = act.removeprefix("result = ")
        match = case.match
        if style == "pytest":
            needed["pytest"] = ("pytest", "")
            opener = f"with pytest.raises({case.exception}{f', match={match}' if match else ''}):"
        else:
            opener = (
                f"with self.assertRaisesRegex({case.exception}, {match}):"
                if match
                else f"with self.assertRaises({case.exception}):"
            )
        return [*body, opener, indented(act)], needed
    facts = case.facts
    if shown := re.search(r"\nresult = (\w+)$", act):  # what it changed, under its own name
        act = act[: shown.start()]
        facts = [(re.sub(r"\bresult\b", shown.group(1), left), relation, right) for left, relation, right in facts]
    if case.streams:
        needed |= {"contextlib": ("contextlib", ""), "io": ("io", "")}
        act = redirected(act, case.streams)
    elif (
        len(facts) == 1
        and facts[0][0] == "result"
        and act.startswith("result = ")
        and "\n" not in act
        and len(act) < 70
    ):
        return [*body, _assertion((act.removeprefix("result = "), facts[0][1], facts[0][2]), style, needed)], needed
    if not any(re.search(r"\bresult\b", fact[0]) for fact in facts) and act.startswith("result = "):
        act = act.removeprefix("result = ")
    return [*body, act, *(_assertion(fact, style, needed) for fact in facts)], needed


_LOOSE = ast.Compare | ast.BoolOp | ast.Lambda | ast.IfExp | ast.Await | ast.Yield | ast.NamedExpr | ast.UnaryOp


def _assertion(fact: tuple[str, str, str], style: Style, needed: dict[str, Origin]) -> str:
    left, relation, right = fact
    if relation in ("==", "is") and isinstance(ast.parse(left, mode="eval").body, _LOOSE):
        left = f"({left})"
    if style == "pytest":
        if relation == "approx":
            needed["pytest"] = ("pytest", "")
            return f"assert {left} == pytest.approx({right})"
        return {
            "==": f"assert {left} == {right}",
            "is": f"assert {left} is {right}",
            "isinstance": f"assert isinstance({left}, {right})",
            "startswith": f"assert {left}.startswith({right})",
        }[relation]
    if relation == "is":
        return {
            "None": f"self.assertIsNone({left})",
            "True": f"self.assertIs({left}, True)",
            "False": f"self.assertIs({left}, False)",
        }.get(right, f"self.assertIs({left}, {right})")
    if relation == "approx":
        try:
            number = isinstance(ast.literal_eval(right), float)
        except ValueError:
            number = False
        return f"self.assertAlmostEqual({left}, {right})" if number else f"self.assertEqual({left}, {right})"
    return {
        "==": f"self.assertEqual({left}, {right})",
        "isinstance": f"self.assertIsInstance({left}, {right})",
        "startswith": f"self.assertTrue({left}.startswith({right}))",
    }[relation]


def extend(existing: str, tests: list[Rendered], style: Style, stem: str) -> str:
    """``existing`` (may be empty) with ``tests`` after what is there. Nothing there moves but for imports added
    below its own."""
    try:
        tree = ast.parse(existing)
    except SyntaxError:
        tree = ast.Module(body=[], type_ignores=[])
    bound = _bound(tree)
    merged: dict[str, Origin] = {}
    codes: list[str] = []
    for test in tests:
        local: dict[str, Origin] = {}
        for name, origin in test.imports.items():
            if bound.get(name, origin) != origin or merged.get(name, origin) != origin:
                local[name] = origin
            elif name not in bound:
                merged[name] = origin
        code = test.code
        if local:
            head, _, body = code.partition(":\n" + " " * 4)
            code = f"{head}:\n" + indented("\n".join(import_lines(local))) + "\n" + " " * 4 + body
        codes.append(code)
    if style == "unittest":
        if bound.get("unittest") != ("unittest", ""):
            merged["unittest"] = ("unittest", "")
        label = "".join(part.title() for part in snake(stem).split("_")) or "Module"
        name, number = f"Generated{label}Test", 2
        while name in bound:
            name, number = f"Generated{label}Test{number}", number + 1
        added = f"class {name}(unittest.TestCase):\n" + "\n\n".join(indented(code) for code in codes)
    else:
        added = "\n\n\n".join(codes)
    imports = _ordered(merged)
    if not existing.strip():
        return f"{imports}\n\n\n{added}\n" if imports else f"{added}\n"
    lines = existing.splitlines()
    position = _after_imports(tree)
    if imports:
        lines[position:position] = imports.splitlines()
    body = "\n".join(lines).rstrip("\n")
    main = next((node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)), None)
    if main is not None and main is tree.body[-1]:
        cut = main.lineno - 1 + (len(imports.splitlines()) if imports and main.lineno > position else 0)
        text = body.splitlines()
        head, tail = "\n".join(text[:cut]).rstrip("\n"), "\n".join(text[cut:])
        return f"{head}\n\n\n{added}\n\n\n{tail}\n"
    return f"{body}\n\n\n{added}\n"


def _ordered(merged: dict[str, Origin]) -> str:
    """Standard library, others, in two blocks."""
    standard = {
        name: origin for name, origin in merged.items() if origin[0].partition(".")[0] in sys.stdlib_module_names
    }
    others = {name: origin for name, origin in merged.items() if name not in standard}
    blocks = []
    for block in (standard, others):
        lines = import_lines(block)
        joined: dict[str, list[str]] = {}
        for line in lines:
            match = re.fullmatch(r"from (\S+) import (.+)", line)
            joined.setdefault(f"from {match.group(1)} import " if match else line, []).append(
                match.group(2) if match else ""
            )
        plain = sorted(head for head in joined if head.startswith("import "))
        froms = [_wrapped(head, sorted(names)) for head, names in sorted(joined.items()) if head.startswith("from ")]
        if plain or froms:
            blocks.append("\n".join([*plain, *froms]))
    return "\n\n".join(blocks)


def _wrapped(head: str, names: list[str]) -> str:
    line = head + ", ".join(names)
    return line if len(line) <= 88 else f"{head}(\n" + "".join(f"    {name},\n" for name in names) + ")"


def _bound(tree: ast.Module) -> dict[str, Origin]:
    """Names that the file binds at its top level; what is no import has the origin ("", "")."""
    found: dict[str, Origin] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module or "", alias.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = ("", "")
        elif isinstance(node, ast.Assign):
            for item in node.targets:
                if isinstance(item, ast.Name):
                    found[item.id] = ("", "")
    return found


def _after_imports(tree: ast.Module) -> int:
    position = 0
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or (docstring and position == 0):
            position = node.end_lineno or node.lineno
        elif not isinstance(node, ast.Expr):
            break
    return position


def formatted(text: str, workspace: Path, path: Path) -> str:
    """``text`` as the project's formatter (ruff or black, whichever it configures) writes it, if one is at hand."""
    configuration = "".join(
        (workspace / name).read_text(encoding="utf-8", errors="replace")
        for name in ("pyproject.toml", "ruff.toml", "setup.cfg", ".pre-commit-config.yaml")
        if (workspace / name).is_file()
    )
    for tool, command in (
        ("black", ["-q", "-", "--stdin-filename"]),
        ("ruff", ["format", "-q", "-", "--stdin-filename"]),
    ):
        program = next(
            (str(place) for place in (workspace / ".venv" / "bin" / tool,) if place.exists()), shutil.which(tool)
        )
        if program and tool in configuration:
            done = subprocess.run(
                [program, *command, str(path)],
                input=text,
                capture_output=True,
                text=True,
                cwd=workspace,
                timeout=20,
                check=False,
            )
            if done.returncode == 0 and done.stdout:
                return done.stdout
    return text
