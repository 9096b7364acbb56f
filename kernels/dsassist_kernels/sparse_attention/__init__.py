"""Block-sparse causal attention with a mask chosen from the content: O(n log n) in place of O(n²).

``sparse_attention`` chooses and attends; ``select`` and ``attend`` are its halves, for callers that keep pooled keys or
that look at what was chosen. ``compiled`` does both straight from a paged cache, where ``packs`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from dsassist_kernels.sparse_attention import compiled, cpu, dense, reference
from dsassist_kernels.sparse_attention.dense import compute_dtype
from dsassist_kernels.sparse_attention.selection import BLOCK, DENSE, Selection, Sparsity, pool, select

__all__ = [
    "BLOCK",
    "DENSE",
    "Backend",
    "HeadSizeError",
    "Selection",
    "Sparsity",
    "attend",
    "backend_for",
    "compiled",
    "compute_dtype",
    "dense_attention",
    "packs",
    "pool",
    "select",
    "sparse_attention",
]

Backend = Literal["reference", "cpu", "compiled", "triton", "dense"]

GPU_HEAD_SIZES = (64, 128)


class HeadSizeError(ValueError):
    """A kernel was asked by name for a head size it was not written for; without a name, dense attention runs."""


def packs(q: Tensor) -> bool:
    """Whether the compiled kernel is the fastest there is for ``q`` [..., D], where products in bfloat16 will do: it
    can, and there are no matrix tiles, which only PyTorch's attention uses."""
    return compiled.supports(q) and not torch.cpu._is_amx_tile_supported()


def backend_for(q: Tensor) -> Backend:
    """``cpu`` and ``triton`` where they can compute ``q`` [B, H, T, D] in its type; ``dense`` for other types and head
    sizes. ``compiled`` takes float32 and multiplies in bfloat16: it is used where it is asked for."""
    if q.device.type == "cpu":
        return "cpu" if q.dtype in (torch.float32, torch.bfloat16) else "reference"
    known = q.shape[-1] in GPU_HEAD_SIZES and q.dtype in (torch.float16, torch.bfloat16)
    return "triton" if q.device.type == "cuda" and known else "dense"


def attend(
    q: Tensor, k: Tensor, v: Tensor, selection: Selection, past: int = 0, *, backend: Backend | None = None
) -> Tensor:
    """Attention over chosen blocks; queries see no later key.

    ``q`` [B, Hq, T, D] at positions ``past`` … ``past + T - 1``, ``k`` and ``v`` [B, Hkv, past + T, D] →
    [B, Hq, T, D]. Raises ``HeadSizeError`` where ``backend`` names a kernel that cannot compute D, ``ValueError`` for
    shapes that do not belong together.
    """
    _check(q, k, v, past)
    chosen = backend or backend_for(q)
    if q.shape[2] == 0:
        return torch.empty_like(q)
    if chosen == "dense":
        return dense.attend(q, k, v, past)
    if chosen == "compiled":
        return _by_compiled(q, k, v, past, lambda query, packed, b: selection.of(b))
    if chosen != "reference" and (selection.block != BLOCK or selection.indices.shape[1] != k.shape[1]):
        raise ValueError(f"{chosen} reads blocks of {BLOCK} keys, one list a KV head; select() chooses such")
    if chosen == "triton":
        if q.shape[-1] not in GPU_HEAD_SIZES:
            raise HeadSizeError(f"the Triton kernel has head sizes {GPU_HEAD_SIZES}, not {q.shape[-1]}")
        # imports the triton package, which exists on Linux only
        from dsassist_kernels.sparse_attention.triton import attend as attend_on_gpu

        return attend_on_gpu(q, k, v, selection, past)
    if chosen == "cpu":
        return cpu.attend(q, k, v, selection, past)
    return reference.attend(q, k, v, selection, past)


def sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: int = 0,
    sparsity: Sparsity | None = None,
    *,
    pooled: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """``select`` and ``attend``. Shapes and errors as there; without tokens, an empty tensor."""
    _check(q, k, v, past)
    named = backend or backend_for(q)
    if q.shape[2] == 0 or named == "dense":
        return torch.empty_like(q) if q.shape[2] == 0 else dense.attend(q, k, v, past)
    if named == "compiled":
        settings = sparsity or Sparsity()
        return _by_compiled(q, k, v, past, lambda query, packed, b: compiled.select(query, packed, past, settings))
    return attend(q, k, v, select(q, k, past, sparsity, pooled=pooled), past, backend=backend)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, past: int = 0) -> Tensor:
    """All keys: what sparse attention is compared with. Shapes as in ``attend``."""
    _check(q, k, v, past)
    return torch.empty_like(q) if q.shape[2] == 0 else dense.attend(q, k, v, past)


def _by_compiled(
    q: Tensor, k: Tensor, v: Tensor, past: int, choose: Callable[[Tensor, compiled.Packed, int], Selection]
) -> Tensor:
    if not compiled.supports(q):
        raise HeadSizeError(
            f"the compiled kernel has float32 heads of a multiple of 32 on its processors, not {q.shape[-1]}"
        )
    out = torch.empty_like(q)
    for b in range(q.shape[0]):
        packed, query = compiled.pack(k[b], v[b]), q[b].transpose(0, 1)
        out[b] = compiled.attend(query, packed, past, choose(query, packed, b)).transpose(0, 1)
    return out


def _check(q: Tensor, k: Tensor, v: Tensor, past: int) -> None:
    if q.dim() != 4 or k.shape != v.shape or k.dim() != 4:
        raise ValueError(f"q, k, v must be [B, H, T, D], k and v alike: {[*q.shape]}, {[*k.shape]}, {[*v.shape]}")
    if q.shape[1] % k.shape[1] or q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(f"{[*q.shape]} queries do not belong to {[*k.shape]} keys")
    if past < 0 or k.shape[2] != past + q.shape[2]:
        raise ValueError(f"{q.shape[2]} queries after {past} tokens need {past + q.shape[2]} keys, not {k.shape[2]}")
