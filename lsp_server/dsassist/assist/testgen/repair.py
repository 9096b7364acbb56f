"""Rules that turn a model's half-right test into code that runs."""

from __future__ import annotations

import ast
import re
import textwrap

__all__ = ["statements"]


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
