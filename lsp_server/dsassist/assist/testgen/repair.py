"""Rules that turn a model's half-right test into code that runs."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import textwrap

from dsassist.assist.testgen.sources import Facts, Seed

__all__ = ["repaired", "statements"]

_COMMON = {
    "Path": "pathlib", "datetime": "datetime", "timedelta": "datetime", "date": "datetime", "Decimal": "decimal", "Fraction": "fractions",
    "OrderedDict": "collections", "defaultdict": "collections", "deque": "collections", "Counter": "collections", "StringIO": "io", "BytesIO": "io",
    "Mock": "unittest.mock", "MagicMock": "unittest.mock", "SimpleNamespace": "types", "partial": "functools", "UUID": "uuid",
}  # fmt: skip


def statements(text: str, *, most: int = 40) -> list[ast.stmt]:
    """The statements of the longest run of whole lines of ``text`` that parses: fences, prompts and a cut last
    line removed."""
    text = re.sub(r"^```\w*\s*$|^>>> ?|^\.\.\. ?", "", text, flags=re.MULTILINE)
    text = text.replace("\t", "    ")
    lines = text.splitlines()
    # the model continues inside a body: its first line is at column 0, the others are indented
    if len(lines) > 1 and lines[0] and not lines[0][0].isspace():
        inner = [line for line in lines[1:] if line.strip() and not re.match(r"(async def|def|class|@)", line)]
        indent = min((len(line) - len(line.lstrip()) for line in inner), default=0)
        lines = [lines[0], *(line[indent:] if line[:indent].strip() == "" else line for line in lines[1:])]
    while lines:
        try:
            tree = ast.parse(textwrap.dedent("\n".join(lines)))
        except (SyntaxError, ValueError) as error:
            wrong = getattr(error, "lineno", None)
            if wrong and wrong < len(lines):
                del lines[wrong - 1]
            else:
                lines.pop()
            continue
        flat: list[ast.stmt] = []
        for node in tree.body:
            flat += node.body if isinstance(node, ast.FunctionDef) else [node]
        return flat[:most]
    return []


def repaired(seed: Seed, error: str, facts: Facts) -> Seed | None:
    """``seed`` changed so that ``error`` should not come again: a missing import, a method called without its object, an
    argument that there is no parameter for. None where no rule knows."""
    if match := re.search(r"name '(\w+)' is not defined", error):
        return _named(seed, match.group(1), facts)
    if match := re.search(r"got an unexpected keyword argument '(\w+)'", error):
        return _edited(seed, facts, keyword=match.group(1))
    if match := re.search(r"takes (?:from \d+ to )?(\d+) positional arguments? but (\d+) (?:was|were) given", error):
        return _edited(seed, facts, surplus=int(match.group(2)) - int(match.group(1)))
    return None


def _named(seed: Seed, name: str, facts: Facts) -> Seed | None:
    origin: tuple[str, str] | None = None
    if name == facts.target.name and facts.target.owner:
        made = ast.unparse(ast.parse(re.sub(rf"(?<![\w.]){name}\(", f"{facts.target.owner}().{name}(", seed.act)))
        owner = facts.target.owner.partition(".")[0]
        return Seed(seed.setup, made, seed.source, imports={**seed.imports, owner: (facts.module, owner)})
    if name in _COMMON:
        origin = (_COMMON[name], name)
    elif name in sys.stdlib_module_names:
        origin = (name, "")
    elif any(getattr(node, "name", "") == name for node in facts.tree.body):
        origin = (facts.module, name)
    if origin is None or hasattr(builtins, name):
        return None
    return Seed(seed.setup, seed.act, seed.source, imports={**seed.imports, name: origin})


def _edited(seed: Seed, facts: Facts, *, keyword: str = "", surplus: int = 0) -> Seed | None:
    tree = ast.parse(seed.act)
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if isinstance(node, ast.Call) and name in (facts.target.name, facts.target.owner):
            if keyword:
                node.keywords = [item for item in node.keywords if item.arg != keyword]
            elif 0 < surplus <= len(node.args):
                del node.args[-surplus:]
            act = ast.unparse(tree)
            return Seed(seed.setup, act, seed.source, imports=seed.imports) if act != seed.act else None
    return None
