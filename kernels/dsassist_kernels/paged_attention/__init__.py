"""Dense causal attention over a paged KV cache, with the rotary embedding that fills it.

One layer's cache is two pools, ``keys`` [P, kv heads, D, 64] and ``values`` [P, kv heads, 64, D], of a floating type or
of int8 with a scale a token and head (``dsassist_kernels.kv_int8``); a sequence is a table of page numbers.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dsassist_kernels.paged_attention import cpu, reference, sdpa
from dsassist_kernels.paged_attention.cpu import FEW_QUERIES, Choice
from dsassist_kernels.paged_attention.reference import PAGE, Scales

__all__ = ["FEW_QUERIES", "PAGE", "Choice", "Scales", "attend", "backend_for", "rotate_and_store"]

Backend = Literal["reference", "cpu", "sdpa"]


def backend_for(q: Tensor) -> Backend:
    """``cpu`` for float32 on a CPU, ``sdpa`` for all else."""
    return "cpu" if q.device.type == "cpu" and q.element_size() == 4 else "sdpa"


def rotate_and_store(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    *,
    scales: Scales | None = None,
    bounds: Tensor | None = None,
    offset: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """Rotate queries and keys, put keys and values into the cache.

    ``qkv`` [T, (heads + 2 kv heads) D]; ``cos``, ``sin`` [T, D / 2]; ``slots`` [T] int64, page × 64 + place in the
    page, ascending within a sequence.
    Returns the rotated queries [T, heads, D]. ``keys`` and ``values`` are written in place; so are ``scales`` where the
    pages are int8, and ``bounds`` [P, kv heads, 2, D], the least and largest components of the keys of each page that
    these tokens fill. ``offset`` [kv heads, D] is subtracted from int8 keys: softmax does not see what all keys share,
    and without it their steps are finer.
    """
    chosen = backend or backend_for(qkv)
    store = cpu.rotate_and_store if chosen == "cpu" else reference.rotate_and_store
    return store(qkv, cos, sin, slots, keys, values, heads, scales, bounds, offset)


def attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    past: int,
    *,
    scales: Scales | None = None,
    choice: Choice | None = None,
    lse: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """``q`` [T, heads, D] at positions ``past`` … ``past + T - 1`` over the pages in ``table`` [N] int32 → [T, heads,
    D].

    The keys of the queries' own positions are in the cache already. Places behind the last one are never read as
    numbers. ``scales``, two of [P, kv heads, 64], for int8 pages. With ``choice``, a query that is one of few and far
    enough back reads only some pages, where a compiled kernel can; elsewhere all. ``lse`` [T, heads] float32 receives
    the logarithm of the sum of exponentials of the scores, which is slow without a compiled kernel.
    """
    named = backend or backend_for(q)
    if named == "cpu":
        return cpu.attend(q, keys, values, table, past, scales, choice, lse)
    if named == "sdpa" and lse is None:
        return sdpa.attend(q, keys, values, table, past, scales)
    return reference.attend(q, keys, values, table, past, scales, lse)
