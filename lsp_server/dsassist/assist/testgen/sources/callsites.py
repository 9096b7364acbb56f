"""Calls with plain arguments that the project itself makes: in the module, in its tests, in other files."""

from __future__ import annotations

import ast

from dsassist.assist.testgen.sources import Facts, Seed

__all__ = ["CallSiteSource"]


class CallSiteSource:
    """Reads ``Facts.source`` and ``Facts.usages``."""

    async def seeds(self, facts: Facts) -> list[Seed]:
        """Calls of a function (not of a method) with literal arguments, at most twelve."""
        found: dict[str, Seed] = {}
        for text in (facts.source, *facts.usages):
            try:
                tree = ast.parse(text)
            except SyntaxError:
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and _is_call_of(node, facts) and _plain(node):
                    code = ast.unparse(ast.Call(ast.Name(facts.target.name), node.args, node.keywords))
                    found.setdefault(code, Seed((), f"result = {code}", "callsites"))
        return list(found.values())[:12]


def _is_call_of(node: ast.Call, facts: Facts) -> bool:
    name = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
    return name == facts.target.name and not facts.target.owner


def _plain(node: ast.Call) -> bool:
    """Only literals, so that it means the same anywhere."""
    try:
        for item in (*node.args, *(keyword.value for keyword in node.keywords)):
            ast.literal_eval(item)
    except (ValueError, TypeError, SyntaxError):
        return False
    return all(keyword.arg for keyword in node.keywords)
