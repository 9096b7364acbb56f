"""Dense causal attention over a paged KV cache, with the rotary embedding that fills it.

One layer's cache is two pools, ``keys`` [P, kv heads, D, 64] and ``values`` [P, kv heads, 64, D]; a sequence is a
table of page numbers.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dsassist_kernels.paged_attention import cpu, reference, sdpa
from dsassist_kernels.paged_attention.reference import PAGE

__all__ = ["PAGE", "attend", "backend_for", "rotate_and_store"]

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
    backend: Backend | None = None,
) -> Tensor:
    """Rotate queries and keys, put keys and values into the cache.

    ``qkv`` [T, (heads + 2 kv heads) D]; ``cos``, ``sin`` [T, D / 2]; ``slots`` [T] int64, page × 64 + place in the
    page.
    Returns the rotated queries [T, heads, D]. ``keys`` and ``values`` are written in place.
    """
    chosen = backend or backend_for(qkv)
    store = cpu.rotate_and_store if chosen == "cpu" else reference.rotate_and_store
    return store(qkv, cos, sin, slots, keys, values, heads)


def attend(
    q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int, *, backend: Backend | None = None
) -> Tensor:
    """``q`` [T, heads, D] at positions ``past`` … ``past + T - 1`` over the pages in ``table`` [N] int32 → [T, heads,
    D].

    The keys of the queries' own positions are in the cache already. Places behind the last one are never read as
    numbers.
    """
    run = {"cpu": cpu.attend, "sdpa": sdpa.attend, "reference": reference.attend}[backend or backend_for(q)]
    return run(q, keys, values, table, past)
