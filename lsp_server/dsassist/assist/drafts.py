"""Texts that an answer is likely to go on like, for the engine to verify instead of generating.

The prompt itself is looked up by the engine anyway. What it does not hold: answers that were given up when the next key
contradicted their beginning, and the rest of the file behind the prompt's end.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsassist.assist.site import Site

__all__ = ["drafts_for"]

MOST_CHARACTERS = 4000
"""Of all drafts together: what is tokenized in about a millisecond."""
MOST_ANSWERS = 4


def drafts_for(site: Site, read: str, answers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Drafts for ``site``, whose prompt holds ``read`` of the text after the cursor; the likeliest last.

    ``answers`` are late ones for this document, the newest first: the line before each, and its text.
    """
    rest = site.suffix[len(read) : len(read) + MOST_CHARACTERS] if site.suffix.startswith(read) else ""
    late = [line + text for line, text in answers if text.strip()][:MOST_ANSWERS]
    return tuple(text for text in (rest, *reversed(late)) if text.strip())
