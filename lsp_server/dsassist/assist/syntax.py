"""Whether a suggestion leaves the code as whole as it was.

The window around the cursor is parsed without and with the suggestion. A window that begins in the middle of a file may
hold errors of its own, and so may code that is being written; only errors that the suggestion adds count.
"""

from __future__ import annotations

from dsassist.assist.site import Site
from dsassist.index.languages import language_of
from dsassist.index.languages.base import count_errors

__all__ = ["breaks_syntax"]

WINDOW = 6_000
"""Code points of each side that are parsed: a few milliseconds."""
_UNFINISHED = (":", "{", "(", "[", ",", "\\", "=", "+", "-", "&&", "||", "->", "=>", ".", " and", " or", " not")

MOST_ERRORS = 20
"""A window with so many errors is in a language or a state that the parser says nothing useful about."""


def breaks_syntax(site: Site, text: str) -> bool:
    """Whether inserting ``text`` at ``site`` adds syntax errors. False for a language without a parser."""
    language = language_of(site.path)
    if language is None or _goes_on(text) or len(site.line_before) + len(site.line_after) > WINDOW:
        return False
    parser = language.parser(site.path)
    before, after = _window(site)
    with_it = count_errors(parser.parse((before + text + after).encode("utf-8", "replace")).root_node, MOST_ERRORS)
    if not with_it:
        return False
    without = count_errors(parser.parse((before + after).encode("utf-8", "replace")).root_node, MOST_ERRORS)
    return without < with_it and without < MOST_ERRORS


def _goes_on(text: str) -> bool:
    """Whether ``text`` is a beginning by its looks: it opens what it does not close, or ends where more must come."""
    opened = any(text.count(opener) > text.count(closer) for opener, closer in ("()", "[]", "{}"))
    return opened or text.rstrip().endswith(_UNFINISHED)


def _window(site: Site) -> tuple[str, str]:
    """Whole lines: from a line that is not indented, so that no statement is entered in its middle."""
    before = site.prefix
    if len(before) > WINDOW:
        start = len(before) - WINDOW
        while True:
            line = before.find("\n", start) + 1
            if not line:
                break
            if before[line : line + 1].strip() and before[line] not in ")]}":
                before = before[line:]
                break
            start = line
    after = site.suffix
    if len(after) > WINDOW:
        after = after[: after.rfind("\n", 0, WINDOW) + 1]
    return before, after
