"""What is sent to the model for a site, within a budget.

Characters stand for tokens here, at a rate that code rarely falls below; the engine counts exactly and cuts what is
too much, the text nearest the cursor last. Cuts stay put while one types (see ``site``), and other files come before
the prompt, so the engine's cache keeps all of it but the last few tokens.
"""

from __future__ import annotations

from dsassist.assist.context import NOTHING, Context
from dsassist.assist.hints import with_hints
from dsassist.assist.shape import Shape
from dsassist.assist.site import Site, cut_prefix, cut_suffix
from dsassist.backend.types import CompletionRequest, ContextFile
from dsassist.settings import Settings

__all__ = ["request_for"]

CHARACTERS_PER_TOKEN = 3.2
SUFFIX_SHARE = 0.06
MANUAL_SUFFIX_SHARE = 0.15
"""Of the prompt. What follows the cursor is read anew with every key, because it comes after what was typed."""
CONTEXT_SHARE = 0.4
"""The most of the prompt that other files may take."""
HINTS_SHARE = 0.15
"""Of the prompt, for what the index knows at the cursor."""
MANUAL_FACTOR = 2
"""A suggestion that was asked for may be so many times longer."""


def request_for(site: Site, shape: Shape, settings: Settings, context: Context = NOTHING) -> CompletionRequest:
    """The request, with ``context`` in the order the model reads it."""
    budget = settings.context.max_tokens * CHARACTERS_PER_TOKEN
    kept = _within(context.files, budget * CONTEXT_SHARE)
    left = budget - sum(len(piece.text) for piece in kept)
    after = budget * (MANUAL_SUFFIX_SHARE if site.manual else SUFFIX_SHARE)
    suffix = cut_suffix(site.suffix, int(after))
    # the room is kept free whether there are hints or not: a cut that moved would have all of the prompt read anew
    room = int(budget * HINTS_SHARE) if settings.context.cross_file else 0
    prefix = cut_prefix(site.prefix, int(left - budget * MANUAL_SUFFIX_SHARE) - room)
    prefix = with_hints(prefix, site, context.hints, context.around, room)
    tokens = settings.completion.max_tokens * (MANUAL_FACTOR if site.manual else 1)
    return CompletionRequest(
        prompt=prefix,
        suffix=suffix,
        max_tokens=tokens,
        stop=shape.stop,
        repository=site.repository,
        path=site.path,
        context=kept,
        max_prompt_tokens=settings.context.max_tokens,
        heal=bool(site.word_before),
        names=context.names,
        likely=context.likely,
    )


def _within(context: tuple[ContextFile, ...], budget: float) -> tuple[ContextFile, ...]:
    kept: list[ContextFile] = []
    for piece in reversed(context):
        if len(piece.text) > budget:
            continue
        budget -= len(piece.text)
        kept.append(piece)
    return tuple(reversed(kept))
