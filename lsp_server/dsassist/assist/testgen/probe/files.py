"""What a call did to the folder that the test gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _dsassist_probe.literal import Literals, Unwritable, quote

__all__ = ["changes", "held"]

_MOST_FILES, _MOST_BYTES = 20, 400


def held(folder: Path) -> dict[str, bytes | None]:
    """Path below ``folder`` → content, None for a folder."""
    found: dict[str, bytes | None] = {}
    for item in sorted(folder.rglob("*"))[:_MOST_FILES]:
        found[item.relative_to(folder).as_posix()] = item.read_bytes()[: _MOST_BYTES + 1] if item.is_file() else None
    return found


def changes(
    before: dict[str, bytes | None], after: dict[str, bytes | None], setup: list[str], literals: Literals
) -> list[list[str]]:
    """Facts about names that came or went, and about the text of files that are new or changed."""
    facts: list[list[Any]] = []
    names = [sorted({name.partition("/")[0] for name in files}) for files in (before, after)]
    if names[0] != names[1] and len(after) < _MOST_FILES:
        facts.append(["sorted(item.name for item in tmp_path.iterdir())", "==", literals.write(names[1])])
    for name, data in after.items():
        if data is None or before.get(name) == data or len(data) > _MOST_BYTES or len(facts) > 3:
            continue
        place = f"tmp_path / {quote(name)}"
        named = [line for line in setup if line.startswith("path = ")] == [f"path = {place}"]
        left = "path" if named else f"({place})"
        try:
            text = data.decode("utf-8")
            if "\r" not in text:
                facts.append([f'{left}.read_text(encoding="utf-8")', "==", literals.write(text)])
        except (UnicodeDecodeError, Unwritable):
            continue
    return facts
