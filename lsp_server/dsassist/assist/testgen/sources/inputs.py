"""Static facts about each parameter: types its use implies, literals it is compared with, patterns it is matched
against."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from dsassist.assist.testgen.sources import Facts

__all__ = ["parameter_hints"]

_METHODS = {
    "str": {"lower", "upper", "strip", "lstrip", "rstrip", "split", "splitlines", "startswith", "endswith", "replace", "encode", "title",
            "capitalize", "isdigit", "isalpha", "find", "rfind", "partition", "rpartition", "rsplit", "zfill", "swapcase", "casefold",
            "isupper", "islower", "isspace", "ljust", "rjust", "center", "translate", "format", "isidentifier", "expandtabs"},
    "dict": {"items", "keys", "values", "get", "setdefault", "update", "popitem"},
    "list": {"append", "extend", "insert", "sort", "reverse", "pop", "remove"},
    "set": {"add", "union", "intersection", "difference", "discard", "issubset", "issuperset"},
    "bytes": {"decode", "hex"},
    "stream": {"read", "readline", "readlines", "write", "seek", "tell", "getvalue"},
    "datetime": {"strftime", "isoformat", "timetuple", "astimezone", "utcoffset", "date"},
    "timedelta": {"total_seconds"},
    "path": {"exists", "is_file", "is_dir", "read_text", "write_text", "mkdir", "iterdir", "with_suffix", "joinpath", "unlink"},
}  # fmt: skip
_FUNCTIONS = {
    "len": "list", "sorted": "list", "sum": "list", "enumerate": "list", "iter": "list", "list": "list", "tuple": "list", "set": "list",
    "reversed": "list", "min": "list", "max": "list", "any": "list", "all": "list", "map": "", "zip": "list", "next": "iterator",
    "int": "number", "float": "number", "abs": "number", "round": "number", "chr": "int", "range": "int", "ord": "str", "divmod": "number",
    "dict": "dict", "open": "path", "callable": "callable", "issubclass": "type",
}  # fmt: skip
_DOC = {
    "str": "str", "string": "str", "text": "str", "unicode": "str", "int": "int", "integer": "int", "float": "float", "number": "number", "bool": "bool",
    "boolean": "bool", "list": "list", "sequence": "list", "iterable": "list", "array": "list", "tuple": "tuple", "dict": "dict", "dictionary": "dict",
    "mapping": "dict", "set": "set", "bytes": "bytes", "callable": "callable", "function": "callable", "datetime": "datetime", "timedelta": "timedelta",
    "path": "path", "iterator": "iterator", "generator": "iterator",
}  # fmt: skip


def parameter_hints(facts: Facts) -> dict[str, dict[str, Any]]:
    """Parameter → ``kinds``, ``literals`` (code), ``classes`` (expressions), ``regexes``, ``attributes``, ``opens``."""
    node = facts.target.node
    arguments = node.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [item.arg for item in (arguments.vararg, arguments.kwarg) if item]
    hints: dict[str, dict[str, list[str]]] = {
        name: {"kinds": [], "literals": [], "classes": [], "regexes": [], "attributes": [], "elements": []}
        for name in names
    }
    aliases = _aliases(node, names)
    reader = _Reader(hints, aliases, _compiled(facts.tree))
    for inner in ast.walk(node):
        if not isinstance(inner, ast.For | ast.comprehension):
            continue
        if isinstance(inner.iter, ast.Name) and inner.iter.id in hints and isinstance(inner.target, ast.Name):
            reader.elements[inner.target.id] = inner.iter.id
    for statement in node.body:
        reader.visit(statement)
    _read_docstring(facts.target.docstring, hints)
    result: dict[str, dict[str, Any]] = {}
    for name, found in hints.items():
        kinds = list(dict.fromkeys(found["kinds"]))
        known = set().union(*(_METHODS[kind] for kind in _METHODS))
        own = sorted(set(found["attributes"]) - known)
        theirs = sorted(set(found["elements"]) - known)
        result[name] = {key: list(dict.fromkeys(items))[:16] for key, items in found.items()}
        result[name]["kinds"] = [kind for kind in kinds if kind][:4] if not own else []
        result[name]["attributes"], result[name]["elements"] = own, theirs
        result[name]["opens"] = "path" in kinds
    return result


def _aliases(node: ast.AST, names: list[str]) -> dict[str, str]:
    """Local names that are a parameter made over: ``text = text.strip()``, ``for item in items`` are not the same,
    ``x = str(y)`` is near."""
    found = {name: name for name in names}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assign) and len(inner.targets) == 1 and isinstance(inner.targets[0], ast.Name):
            used = {item.id for item in ast.walk(inner.value) if isinstance(item, ast.Name) and item.id in names}
            if len(used) == 1 and inner.targets[0].id not in found:
                found[inner.targets[0].id] = used.pop()
    return found


def _compiled(tree: ast.Module) -> dict[str, str]:
    """Module-level patterns: ``NAME = re.compile("…")``."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            call = node.value
            if isinstance(call.func, ast.Attribute) and call.func.attr == "compile" and call.args:
                pattern = call.args[0]
                if isinstance(pattern, ast.Constant) and isinstance(pattern.value, str):
                    found[node.targets[0].id] = pattern.value
    return found


class _Reader(ast.NodeVisitor):
    def __init__(
        self, hints: dict[str, dict[str, list[str]]], aliases: dict[str, str], patterns: dict[str, str]
    ) -> None:
        self.hints, self.aliases, self.patterns = hints, aliases, patterns
        self.elements: dict[str, str] = {}
        """Loop variable → the parameter that the loop goes through."""

    def _of(self, node: ast.AST) -> str:
        """The parameter that ``node`` is, or is made from by a method, subscript or conversion."""
        while True:
            if isinstance(node, ast.Name):
                return self.aliases.get(node.id, "")
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.args:
                    node = node.args[0]
                elif isinstance(node.func, ast.Attribute):
                    node = node.func.value
                else:
                    return ""
            elif isinstance(node, ast.Subscript | ast.Starred):
                node = node.value
            elif isinstance(node, ast.UnaryOp):
                node = node.operand
            elif isinstance(node, ast.BinOp):
                return self._of(node.left) or self._of(node.right)
            else:
                return ""

    def _direct(self, node: ast.AST) -> str:
        return node.id if isinstance(node, ast.Name) and node.id in self.hints else ""

    def _literals(self, name: str, nodes: Iterable[ast.expr], *, around: bool = False) -> None:
        for node in nodes:
            try:
                value = ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError):
                continue
            if isinstance(value, tuple | list | set | frozenset) and all(
                isinstance(item, str | int | float) for item in value
            ):
                self.hints[name]["literals"] += [repr(item) for item in list(value)[:5]]
            elif isinstance(value, bool) or value is None:
                self.hints[name]["literals"].append(repr(value))
            elif isinstance(value, int | float):
                self.hints[name]["literals"] += [repr(value), *([repr(value + 1), repr(value - 1)] if around else [])]
                self.hints[name]["kinds"].append("number" if isinstance(value, float) else "int")
            elif isinstance(value, str | bytes) and len(value) < 80:
                self.hints[name]["literals"].append(repr(value))

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for position, side in enumerate(sides):
            name = self._of(side)
            others = [*sides[:position], *sides[position + 1 :]]
            if not name:
                continue
            if isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "len":
                for other in others:
                    if isinstance(other, ast.Constant) and isinstance(other.value, int) and 0 <= other.value <= 64:
                        for size in (other.value, other.value + 1):
                            self.hints[name]["literals"] += [repr("a" * size), repr(list(range(size)))]
                continue
            self._literals(
                name, others, around=any(isinstance(op, ast.Lt | ast.Gt | ast.LtE | ast.GtE) for op in node.ops)
            )
            if (
                position
                and isinstance(node.ops[0], ast.In | ast.NotIn)
                and isinstance(node.left, ast.Constant)
                and isinstance(node.left.value, str)
            ):
                text = node.left.value
                self.hints[name]["literals"] += [repr(f"a{text}b"), repr({text: 1})]
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            for argument in node.args[:2]:
                name = self._direct(argument)
                if name:
                    self.hints[name]["kinds"].append(_FUNCTIONS.get(function.id, ""))
            if function.id == "isinstance" and len(node.args) == 2 and (name := self._of(node.args[0])):
                kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
                self.hints[name]["classes"] += [ast.unparse(kind) for kind in kinds]
            named = node.args[1] if function.id in ("hasattr", "getattr") and len(node.args) > 1 else None
            if (
                isinstance(named, ast.Constant)
                and isinstance(named.value, str)
                and (name := self._direct(node.args[0]))
            ):
                self.hints[name]["attributes"].append(named.value)
            if name := self._direct(function):
                self.hints[name]["kinds"].append("callable")
                self.hints[name]["literals"] += _functions(node)
        elif isinstance(function, ast.Attribute):
            self._method(node, function)
        self.generic_visit(node)

    def _method(self, node: ast.Call, function: ast.Attribute) -> None:
        name = self._of(function.value)
        if name:
            direct = self._direct(function.value)
            for kind, methods in _METHODS.items():
                if direct and function.attr in methods:
                    self.hints[direct]["kinds"].append(kind)
            if function.attr in (
                "startswith",
                "endswith",
                "partition",
                "rpartition",
                "split",
                "rsplit",
                "find",
                "index",
                "count",
                "replace",
            ):
                for argument in node.args[:1]:
                    for item in argument.elts if isinstance(argument, ast.Tuple) else [argument]:
                        if isinstance(item, ast.Constant) and isinstance(item.value, str):
                            text = item.value
                            shaped = {"startswith": f"{text}abc", "endswith": f"abc{text}"}.get(
                                function.attr, f"ab{text}cd{text}ef"
                            )
                            self.hints[name]["literals"].append(repr(shaped))
                            if function.attr == "startswith":
                                self.hints[name]["literals"].append(repr(f"{text}12"))
            if function.attr == "get" and node.args and isinstance(node.args[0], ast.Constant):
                self.hints[name]["literals"].append(repr({node.args[0].value: "x"}))
        if function.attr in ("match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"):
            pattern = ""
            if isinstance(function.value, ast.Name) and function.value.id == "re" and node.args:
                first = node.args[0]
                pattern = (
                    str(first.value)
                    if isinstance(first, ast.Constant)
                    else self.patterns.get(first.id, "")
                    if isinstance(first, ast.Name)
                    else ""
                )
                texts = node.args[1:]
            else:
                pattern = self.patterns.get(function.value.id, "") if isinstance(function.value, ast.Name) else ""
                texts = node.args
            for argument in texts:
                if pattern and (subject := self._of(argument)):
                    self.hints[subject]["regexes"].append(pattern)
                    self.hints[subject]["kinds"].append("str")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if name := self._direct(node.value):
            self.hints[name]["attributes"].append(node.attr)
        elif isinstance(node.value, ast.Name) and (name := self.elements.get(node.value.id, "")):
            self.hints[name]["elements"].append(node.attr)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if name := self._direct(node.value):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                self.hints[name]["kinds"].append("dict")
                self.hints[name]["literals"].append(repr({node.slice.value: "x"}))
            elif isinstance(node.slice, ast.Constant | ast.Slice | ast.UnaryOp):
                self.hints[name]["kinds"].append("list")
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter, node.target)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._iterated(node.iter, node.target)
        self.generic_visit(node)

    def _iterated(self, iterated: ast.expr, target: ast.expr) -> None:
        if name := self._direct(iterated):
            self.hints[name]["kinds"].append("list")
            if isinstance(target, ast.Tuple):
                self.hints[name]["literals"].append(repr([tuple(range(len(target.elts)))]))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if name := self._direct(side):
                if isinstance(other, ast.Constant) and isinstance(other.value, str | bytes | int | float):
                    self.hints[name]["kinds"].append(
                        "str"
                        if isinstance(other.value, str)
                        else "bytes"
                        if isinstance(other.value, bytes)
                        else "number"
                    )
                elif isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Pow):
                    self.hints[name]["kinds"].append("number")
        self.generic_visit(node)

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        for name in self.hints:
            self._literals(name, [node.value])


def _functions(call: ast.Call) -> list[str]:
    """Functions that take what ``call`` gives them: they hand it back, or say yes or no."""
    if call.keywords or any(isinstance(item, ast.Starred) for item in call.args):
        return []
    names = ["value", "other", "third", "fourth"][: len(call.args)]
    if len(names) != len(call.args) or not names:
        return ["lambda: 1"] if not call.args else []
    return [f"lambda {', '.join(names)}: {answer}" for answer in (names[0], names[-1], "True", "None")]


def _read_docstring(text: str, hints: dict[str, dict[str, list[str]]]) -> None:
    for name, found in hints.items():
        escaped = re.escape(name)
        for pattern in (
            rf":type\s+{escaped}:\s*(.+)",
            rf":param\s+(\w+)\s+{escaped}:",
            rf"^\s*\*{{0,2}}{escaped}\s*\(([^)]+)\)\s*:",
            rf"^\s*{escaped}\s*:\s*([\w ,|\[\]]+)$",
        ):
            if match := re.search(pattern, text, re.MULTILINE):
                for word in re.findall(r"[A-Za-z]+", match.group(1)):
                    if kind := _DOC.get(word.lower()):
                        found["kinds"].append(kind)
    for name in hints:
        # quoted choices in the parameter's own line: mode: 'fast' or "slow"
        if match := re.search(rf"^\s*(?::param\s+)?\*?{re.escape(name)}\b[^\n]*", text, re.MULTILINE):
            hints[name]["literals"] += [
                repr(item) for item in re.findall(r"['\"`]([\w./:-]{1,20})['\"`]", match.group())
            ]
