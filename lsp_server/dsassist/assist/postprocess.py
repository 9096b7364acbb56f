"""From what the model wrote to what is shown: nothing that is there already, nothing empty, brackets once.

Every reason for showing nothing has a short stable name, which the "why nothing" command tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsassist.assist.shape import LOOP_LENGTH, Shape, enough
from dsassist.assist.site import Site, indent_of
from dsassist.assist.syntax import open_quote

__all__ = ["REASONS", "Verdict", "judge"]

REASONS = {
    "none": "A suggestion was shown.",
    "off": "Suggestions while typing are switched off (completion.enabled).",
    "paused": "Suggestions are paused.",
    "language_off": "The language is listed in completion.languagesOff.",
    "inside_word": "The cursor is inside a word.",
    "text_after_cursor": "There is text after the cursor on the line; ask with the manual trigger there.",
    "too_little": "There is nothing before the cursor to go by.",
    "superseded": "Typing went on before the answer came.",
    "nothing_to_add": "The model had nothing to add.",
    "repeats_next_lines": "The suggestion repeats the lines that follow.",
    "repeats_line_above": "The suggestion repeats the line above.",
    "closes_twice": "The suggestion only closes brackets that are closed already.",
    "other_indentation": "The suggestion is indented in another way than the file.",
    "repeats_itself": "The suggestion says the same line again and again.",
    "unknown_member": "The suggestion uses a member that does not exist.",
    "unknown_name": "The suggestion uses a name that is nowhere in the file.",
    "breaks_syntax": "The suggestion would break code that is whole.",
    "unsure": "The suggestion is not likely enough to be what you want (completion.minimumAcceptance).",
    "loading": "The engine is loading its model.",
    "busy": "The engine has too much to do.",
    "no_model": "No model is on this machine.",
    "error": "The engine could not answer.",
}
"""Name of every reason and what it means."""

_CLOSERS = {")": "(", "]": "[", "}": "{"}
_QUOTES = "\"'`"
_SPACE_LINES = re.compile(r"[ \t]+(?=\n)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` to show, or the ``reason`` why not (a key of `REASONS`) with the text held back."""

    text: str
    reason: str = "none"
    suppressed: str = ""


def judge(site: Site, shape: Shape, raw: str) -> Verdict:
    """What to show at ``site`` of ``raw``, which continues ``site.prefix``."""
    end = enough(shape, raw)
    text = raw[:end].rstrip()
    text = _SPACE_LINES.sub("", text)
    if not text:
        return Verdict("", "nothing_to_add")
    if site.on_blank_line and text.startswith("\n"):
        return Verdict("", "nothing_to_add", text)
    whole = _without_second_indent(site, text)
    text = _without_suffix(site, whole)
    if not text.strip():
        only_closers = set(whole.strip()) <= set(")]}>\"'`;,: ")
        return Verdict("", "closes_twice" if only_closers else "repeats_next_lines", raw[:end])
    if _repeats_below(site, text):
        return Verdict("", "repeats_next_lines", text)
    if _repeats_above(site, text):
        return Verdict("", "repeats_line_above", text)
    if _indents_otherwise(site, text):
        return Verdict("", "other_indentation", text)
    if _says_again(text):
        return Verdict("", "repeats_itself", text)
    return Verdict(text)


def _indents_otherwise(site: Site, text: str) -> bool:
    """Tabs where the lines around have spaces, or spaces where they have tabs."""
    lines = text.split("\n")[1:]
    mine = {indent_of(line)[:1] for line in lines if line.strip()} - {""}
    near = [*site.lines_above[-200:], *site.lines_below[:50], site.line_before]
    theirs = [indent_of(line)[:1] for line in near if line.strip() or line is site.line_before]
    tabs, spaces = theirs.count("\t"), theirs.count(" ")
    return (mine == {"\t"} and spaces > tabs) or (mine == {" "} and tabs > spaces)


def _says_again(text: str) -> bool:
    """Of three lines or more, all but one are the same."""
    lines = [line.strip() for line in text.split("\n") if len(line.strip()) >= LOOP_LENGTH]
    return len(lines) >= 3 and len(set(lines)) == 1


def _without_second_indent(site: Site, text: str) -> str:
    """``text`` less an indent before its first line that stands before the cursor already: models write it twice."""
    rest = text.lstrip(" \t")
    above = site.last_line_with_text().rstrip()
    if rest == text or not site.on_blank_line or not site.line_before or above.endswith((",", "(", "[")):
        return text
    here = _columns(site.line_before)
    opens = above.endswith((":", "{"))
    if opens and _columns(indent_of(above)) >= here:
        return text
    later = [_columns(indent_of(line)) for line in text.split("\n")[1:] if line.strip()]
    return rest if (min(later) <= here if later else opens) else text


def _columns(indent: str) -> int:
    return len(indent.expandtabs(4))


def _without_suffix(site: Site, text: str) -> str:
    """``text`` less what stands after the cursor already: the rest of the line, closing brackets, whole lines."""
    rest = site.line_after.strip()
    if not rest:
        return _without_lines_below(site, text) if "\n" in text else text
    # what follows the cursor on its line will follow the last line of the suggestion
    start = text.rfind("\n") + 1
    return text[:start] + _without_rest(site.line_before if not start else "", text[start:], rest)


def _without_rest(before: str, text: str, rest: str) -> str:
    if rest[0] in _QUOTES and _inside_string(before, rest[0]):
        end = _first_unescaped(text, rest[0])
        return text if end < 0 else text[:end]
    if rest[0] in _CLOSERS:
        kept = _without_extra_closers(text, rest, _quote_at_end(before))
        # what is listed on one line ends without a comma
        return kept.rstrip().removesuffix(",") if rest[0] in ")]" else kept
    return text[: -len(rest)].rstrip() if text.endswith(rest) else text


def _inside_string(before: str, quote: str) -> bool:
    return sum(c == quote and before[i - 1 : i] != "\\" for i, c in enumerate(before)) % 2 == 1


def _first_unescaped(text: str, quote: str) -> int:
    return next((i for i, c in enumerate(text) if c == quote and text[i - 1 : i] != "\\"), -1)


def _quote_at_end(before: str) -> str:
    """As ``open_quote``, but that code within a string (``{…}``) is code."""
    quote = open_quote(before)
    said = before.rpartition(quote)[2] if quote else ""
    return "" if said.count("{") > said.count("}") else quote


def _without_extra_closers(text: str, rest: str, quote: str) -> str:
    """Cut ``text``, which begins in a string with ``quote`` if there is one, at the first closing bracket that nothing
    in it opened and that ``rest`` begins with."""
    depth: list[str] = []
    for index, character in enumerate(text):
        if quote:
            if character == quote and text[index - 1] != "\\":
                quote = ""
        elif character in _QUOTES:
            quote = character
        elif character in _CLOSERS.values():
            depth.append(character)
        elif character in _CLOSERS:
            if depth and depth[-1] == _CLOSERS[character]:
                depth.pop()
            elif character == rest[0]:
                return text[:index]
    return text


def _without_lines_below(site: Site, text: str) -> str:
    """Drop lines at the end of ``text`` that are the next lines of the document."""
    below = [line.rstrip() for line in site.lines_below[:8]]
    while below and not below[0].strip():
        below.pop(0)
    lines = text.split("\n")
    for count in range(min(len(lines), len(below)), 0, -1):
        tail = [line.rstrip() for line in lines[-count:]]
        if tail == below[:count] and (count > 1 or len(tail[0].strip()) > 0):
            return "\n".join(lines[:-count]).rstrip()
    return text


def _repeats_below(site: Site, text: str) -> bool:
    if site.line_after.strip():
        return False
    below = [line.strip() for line in site.lines_below if line.strip()]
    lines = (site.line_before + text).split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return bool(said) and len("".join(said)) > 3 and said == below[: len(said)]


def _repeats_above(site: Site, text: str) -> bool:
    """The whole line, as it would become, is the line above it again (and more than a bracket)."""
    if "\n" in text or not site.lines_above or site.line_after.strip():
        return False
    line = (site.line_before + text).strip()
    return len(line) > 3 and line == site.last_line_with_text().strip() and site.lines_above[-1].strip() == line
