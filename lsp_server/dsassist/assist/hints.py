"""What the index knows at the cursor, as comment lines for the model.

They stand near the cursor, in the file's own language: nearness makes a small model heed them, and the engine reads
anew only what follows a change, so the rest of the prompt stays in its cache. What belongs to the expression being
written stands right above the cursor's line and changes with it. What is in reach stands above the line where it was
gathered, and stays there while the next lines are written (`Around`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dsassist.assist.site import Site, indent_of

if TYPE_CHECKING:
    from dsassist.index import AtCursor, Outline

__all__ = ["Around", "around_for", "as_used", "hints_for", "is_secret", "names_for", "with_hints"]

MEMBER_CHARACTERS = 700
"""Of a receiver's members."""
LINE_CHARACTERS = 110
DEFAULT_CHARACTERS = 16
"""A longer default of a parameter says less than it takes."""
CALL_CHARACTERS = 400
USE_CHARACTERS = 600
"""Of lines of other files."""
MOST_GUIDING = 1_000
"""The engine refuses to be guided by more names, and so many say little."""
MOST_UNUSED = 4
NEAR_LINES = 4
STEM = 4
MOST_AROUND = 3
AROUND_CHARACTERS = 240

_SECRET_FILE = re.compile(
    r"(^|/)(\.env[^/]*|[^/]*\.(pem|key|p12|pfx)|id_[a-z0-9]+|credentials[^/]*|secrets?[^/]*)$", re.I
)
_KEYWORD = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
_NAMED = re.compile(r"\w*[ \t]*=(?!=)")
"""What follows where the name of an argument is changed."""
_FARTHEST = 2_000
"""Characters behind the cursor in which a call has to end."""
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HASH = frozenset({"python", "ruby", "shellscript", "toml", "yaml", "r", "julia", "perl", ""})


@dataclass(frozen=True, slots=True)
class Around:
    """Lines for a comment above ``line`` of the document, from 0."""

    line: int
    lines: tuple[str, ...]


def around_for(known: AtCursor, site: Site) -> Around:
    """What is in reach of the cursor: classes of values nearby, and imports that nothing uses yet."""
    known = _without_secrets(known)
    words = _words(known, site)
    lines: list[str] = []
    for name, outline in reversed(known.around[:MOST_AROUND]):
        lines += _members(name, outline, "", words, AROUND_CHARACTERS)
    for outline in known.unused[:MOST_UNUSED]:
        if outline.head.startswith(f"{outline.name}("):
            lines.append(_cut(as_used(outline.name, outline.head), CALL_CHARACTERS))
        else:
            lines += _members("", outline, "", words, AROUND_CHARACTERS)
    return Around(site.line, tuple(lines))


def hints_for(known: AtCursor, site: Site) -> tuple[str, ...]:
    """What belongs to the expression at the cursor, as lines without comment signs, the most useful last. Where not
    all members can be shown, those that share words with the text before the cursor come first."""
    known = _without_secrets(known)
    words = _words(known, site)
    lines: list[str] = []
    for outline in reversed(known.calls):
        if outline.head:
            lines.append(_cut(as_used(outline.name, outline.head), CALL_CHARACTERS))
    for outline in known.expected:
        lines += _members("", outline, "", words, MEMBER_CHARACTERS // 2)
    shown = known.members[:3]
    for outline in reversed(shown):
        lines += _members(known.receiver, outline, known.typed, words, MEMBER_CHARACTERS // len(shown))
    return (*lines, *_uses(known))


def _uses(known: AtCursor) -> Iterator[str]:
    """Lines of other files like the one being written, the most alike last, as much as fits."""
    room, kept = USE_CHARACTERS, []
    for use in known.used:
        size = sum(len(line) + 3 for line in use.lines)
        if size <= room:
            room -= size
            kept.append(use)
    for use in reversed(kept):
        yield from use.lines


def is_secret(path: str) -> bool:
    """Is it a file of keys or passwords, by its name? Nothing of it is ever given to the model."""
    return _SECRET_FILE.search(path) is not None


def _without_secrets(known: AtCursor) -> AtCursor:
    def kept(outlines: tuple[Outline, ...]) -> tuple[Outline, ...]:
        return tuple(outline for outline in outlines if not is_secret(outline.path))

    return replace(
        known,
        members=kept(known.members),
        calls=kept(known.calls),
        expected=kept(known.expected),
        unused=kept(known.unused),
        around=tuple(pair for pair in known.around if not is_secret(pair[1].path)),
        used=tuple(use for use in known.used if not is_secret(use.path)),
    )


def names_for(known: AtCursor, site: Site) -> tuple[tuple[str, ...], bool]:
    """What the name at the cursor may be, without what of it is typed already, and whether it can be nothing else:
    every member of the receiver is known, or every name that an argument can be given by."""
    typed, sure = known.typed, known.keywords.sure
    names = [name for outline in known.members for name, _ in outline.members]
    if names:
        sure = all(outline.complete for outline in known.members)
    elif known.keywords.names and not _NAMED.match(site.suffix):
        given = set(_KEYWORD.findall(_rest_of_call(site.suffix)))
        names = [f"{name}=" for name in known.keywords.names if name not in given]
    names = [name for name in names if name.startswith(typed)]
    if not names or typed in names or len(names) > MOST_GUIDING:
        return (), False
    return tuple(dict.fromkeys(name[len(typed) :] for name in names)), sure


def _rest_of_call(after: str) -> str:
    """The arguments that stand behind the cursor already."""
    depth = 0
    for at, letter in enumerate(after[:_FARTHEST]):
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth < 0:
                return after[:at]
    return ""


def with_hints(prefix: str, site: Site, lines: tuple[str, ...], around: Around | None, room: int) -> str:
    """``prefix``, the end of the text before the cursor of ``site``, with ``lines`` as comments above the cursor's
    line, and those of ``around`` above theirs; the first ones are left out where they take more than ``room``
    characters, of which what is around gets at most half."""
    sign = "#" if site.language in _HASH else "//"
    places = [(0, lines, room)]
    if around is not None and around.lines and (back := site.line - around.line) >= 0:
        places = [(back, around.lines, room // 2), (0, lines, room - room // 2)]
    for back, said, left in places:
        at = len(prefix)
        for _ in range(back + 1):
            at = prefix.rfind("\n", 0, max(at, 0))
        if at < 0 and back:
            continue  # the line is not in the prompt any more
        indent = indent_of(prefix[at + 1 :])
        comments = [f"{indent}{sign} {line}\n" for line in said]
        while comments and sum(map(len, comments)) > left:
            del comments[0]
        prefix = f"{prefix[: at + 1]}{''.join(comments)}{prefix[at + 1 :]}"
    return prefix


def _words(known: AtCursor, site: Site) -> frozenset[str]:
    """Of the line being written and the ones above it; not of the name at the cursor, which changes with every key."""
    return _parts("\n".join(site.prefix.removesuffix(known.typed).split("\n")[-NEAR_LINES:]))


def _ordered(outline: Outline, typed: str, words: frozenset[str], room: int) -> tuple[tuple[str, str], ...]:
    """Members, public ones first; where not all can be shown, those that what is typed may become, and that share
    words with the text nearby."""
    members = sorted(outline.members, key=lambda pair: pair[0].startswith("_"))
    if sum(len(as_used(*pair)) + 2 for pair in members) > room:
        members.sort(key=lambda pair: (bool(typed) and not pair[0].startswith(typed), -len(words & _parts(pair[0]))))
    return tuple(members)


def _parts(text: str) -> frozenset[str]:
    """Words of names, each cut to what its forms share: ``signing_config`` and ``SignConfig`` have two in common."""
    return frozenset(part.lower()[:STEM] for part in _PART.findall(text) if len(part) > 2)


def _members(receiver: str, outline: Outline, typed: str, words: frozenset[str], room: int) -> Iterator[str]:
    """A value's members as they are used, several a line, up to ``room`` characters."""
    head = f"{receiver} ({outline.name})" if receiver and receiver != outline.name else outline.name
    line = f"{_cut(head, 60)}:"
    for name, text in _ordered(outline, typed, words, room):
        used = as_used(name, text)
        if len(used) > room:
            break
        room -= len(used) + 2
        if len(line) + len(used) > LINE_CHARACTERS:
            yield line
            line = "   "
        line += f" {used},"
    if not line.endswith(":"):
        yield line.rstrip(",")


def as_used(name: str, declared: str) -> str:
    """How a member or function is written where it is used: no types, defaults as keyword arguments. A declaration
    above the cursor would be copied as one."""
    if not declared.startswith(f"{name}("):
        return name
    arguments: list[str] = []
    start, depth = len(name) + 1, 0
    for at in range(start, len(declared)):
        letter = declared[at]
        if letter in "([{<":
            depth += 1
        elif letter in ")]}>" and depth:
            depth -= declared[at - 1] not in "-=" or letter != ">"
        elif letter in ",)" and not depth:
            arguments.append(_argument(declared[start:at]))
            start = at + 1
            if letter == ")":
                break
    return f"{name}({', '.join(part for part in arguments if part not in _NOT_PASSED)})"


_NOT_PASSED = ("", "*", "/")
_PARAMETER = re.compile(r"\s*([*/.]*\s*[^\s:=?]*)[?]?\s*(?::(?:[^=]|=>)*)?(?:=\s*(.*?))?\s*\Z", re.DOTALL)


def _argument(parameter: str) -> str:
    found = _PARAMETER.match(parameter)
    if found is None:
        return parameter.strip()
    name, default = found[1].strip(), found[2]
    return f"{name}={default}" if default and len(default) <= DEFAULT_CHARACTERS else name


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
