"""Names that a suggestion uses and that mean nothing where it stands.

A small model that reads a line of another file copies its arguments too, although nothing here is called like that. In
Python, what can be meant by a name stands somewhere in the file, belongs to the language, or is given its meaning by
the suggestion itself. So a name of which neither is true is a mistake, or lacks an import at best.
"""

from __future__ import annotations

import builtins
import keyword
import re

from dsassist.assist.site import Site
from dsassist.assist.syntax import surroundings

__all__ = ["first_unknown_name"]

_OWN = frozenset(
    (*dir(builtins), *keyword.kwlist, *keyword.softkwlist, "self", "cls", "__file__", "__path__", "__class__")
)
_WORD = re.compile(r"[^\W\d]\w*")
_PIECE = re.compile(
    r"""[a-zA-Z]{0,2}(?:\"{3}(?:.*?\"{3}|.*\Z)|'{3}(?:.*?'{3}|.*\Z)|"(?:\\.|[^"\\\n])*(?:"|$)|'(?:\\.|[^'\\\n])*(?:'|$))"""
    r"|\#[^\n]*|(?P<name>(?<![\w.])[^\W\d]\w*)|(?P<sign>[()\[\]{}\n:])",
    re.DOTALL | re.MULTILINE,
)
"""A string, a comment, a name that no full stop precedes, or a sign that matters."""
_UNTIL = {"for": ("in",), "lambda": (":",), "as": (":", ")"), "from": ("import",)} | dict.fromkeys(
    ("def", "class", "import", "global", "nonlocal", "case", "type"), ()
)
"""Words behind which names are given a meaning, and what ends that, if not the line."""
_STAR = re.compile(r"^\s*from\s+\S+\s+import\s+\*", re.MULTILINE)
_NAMED = re.compile(r"\s*=(?!=)")
_GIVEN = re.compile(r"\s*(?::?=(?!=)|:(?!=)|,|[-+*/%&|^@]+=)")
_WALRUS = re.compile(r"\s*:=")


def first_unknown_name(site: Site, text: str, *, whole: bool = True) -> int | None:
    """Where in ``text``, a suggestion at ``site``, the first name begins that is nowhere in the file.

    None where there is none, or it cannot be told: outside of Python's code, in a large file, or where a module gives
    all its names. ``whole`` tells whether the suggestion was meant to end where it does.
    """
    if site.language != "python" or site.whole is None:
        return None
    line = site.line_before
    used = [(at - len(line), name) for at, name in _bare_names(line + text) if at + len(name) > len(line)]
    if not used or surroundings(site).kind != "code":
        return None
    if not whole or site.line_after[:1].isalnum() or site.line_after[:1] == "_":
        used = [(at, name) for at, name in used if at + len(name) < len(text)]  # may go on
    if _STAR.search(site.whole):
        return None
    known = _OWN.union(_WORD.findall(site.whole))
    return next((max(at, 0) for at, name in used if name not in known), None)


def _bare_names(code: str) -> list[tuple[int, str]]:
    """Place and text of the names in ``code`` that are used by themselves and not given a meaning in it."""
    found: list[tuple[int, str]] = []
    bound: set[str] = set()
    brackets: list[int] = []
    begins, binds, until = True, False, tuple[str, ...]()
    for piece in _PIECE.finditer(code):
        name, sign, end = piece["name"], piece["sign"], piece.end()
        if (name or sign) in until or (sign == "\n" and not brackets):
            binds = False
        if sign:
            if sign in "([{":
                brackets.append(piece.start())
            elif sign in ")]}" and brackets:
                brackets.pop()
            begins = sign == "\n" and not brackets
        elif name:
            if name in _UNTIL:
                binds, until = True, _UNTIL[name]
            elif binds or (begins and _GIVEN.match(code, end)) or _WALRUS.match(code, end):
                bound.add(name)
            elif not _NAMED.match(code, end):
                found.append((piece.start(), name))
            begins = begins and code[end : end + 1] == ","
        else:
            begins = False
    # what stands first in a bracket that is open still may be given a meaning by a loop that is not written yet
    loose = next((at for at in brackets if "," not in code[at:]), len(code))
    return [(at, name) for at, name in found if name not in bound and at < loose]
