"""Which members of which variables a suggestion uses, so that the index can say whether they exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsassist.assist.site import Site

__all__ = ["used_members"]

MOST = 4
_USE = re.compile(
    r"(?<![\w.)\]\"'?!>])(?P<receiver>[A-Za-z_]\w*)\.(?P<member>[A-Za-z_]\w*)(?!\w)(?P<then>\s*(?:=(?![=>])|:))?"
)


def used_members(site: Site, text: str) -> Iterator[tuple[str, str]]:
    """(variable, member) for members that ``text`` names, the nearest first. One that it assigns to comes into being by
    that, and a variable that it binds is not what the index knows under the name."""
    first = text.partition("\n")[0]
    line = site.line_before + first
    if _is_text(site.line_before):
        return
    found = 0
    for match in _USE.finditer(line):
        receiver = match["receiver"]
        if match.end("member") <= len(site.line_before) or match["then"] or _binds(line, receiver):
            continue
        if _is_text(line[: match.start()]):
            continue
        # a word that goes on after the cursor is not finished
        if match.end("member") == len(line) and site.line_after[:1].isalnum():
            continue
        yield receiver, match["member"]
        found += 1
        if found == MOST:
            return


def _binds(line: str, name: str) -> bool:
    """Whether ``line`` gives ``name`` a value: in an assignment, a loop, a lambda, a ``with`` or an import."""
    word = re.escape(name)
    return (
        re.search(rf"(?<![\w.]){word}\s*(?::[^=\n]*)?=(?!=)|\b(?:for|lambda|as|import)\b[^:\n]*\b{word}\b", line)
        is not None
    )


def _is_text(before: str) -> bool:
    """Whether what follows ``before`` on its line is in a string or a comment, by its looks."""
    quote = ""
    for place, character in enumerate(before):
        if quote:
            if character == quote and before[place - 1 : place] != "\\":
                quote = ""
        elif character in "\"'`":
            quote = character
        elif character == "#" or before.startswith("//", place):
            return True
    return bool(quote)
