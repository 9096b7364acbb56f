"""Rotary embedding and attention on a CPU, compiled; PyTorch's fused attention where there is no compiler."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.paged_attention import reference, sdpa
from dsassist_kernels.paged_attention.reference import PAGE, Scales

__all__ = ["FEW_QUERIES", "Choice", "attend", "library", "rotate_and_store"]

FEW_QUERIES = 32
"""Without the compiled kernel, up to here each query is computed alone, which makes a draft's verification bitwise
equal to decoding token by token. On float32 pages the kernel computes any number so, in half the time of PyTorch's
fused attention (Zen 4)."""

LARGEST_HEAD = 256
"""The compiled kernel keeps a head's sums on the stack."""

_SOURCE = Path(__file__).with_name("cpu.c")


def library() -> ctypes.CDLL | None:
    """The compiled operations of this module, for those that call them from C too; None where they may not be used."""
    lib = native.compiled(_SOURCE)
    if lib is not None:
        native.signatures(lib, rotate_and_store="p" * 11 + "i" * 4, attend_few="p" * 9 + "i" * 7 + "f")
    return lib


@dataclass(frozen=True, slots=True)
class Choice:
    """Which queries read chosen pages only, and how many."""

    bounds: Tensor
    """[P, kv heads, 2, D] float32, as ``rotate_and_store`` keeps them."""
    tokens: int
    """Tokens of the pages that are read; at least three pages."""
    start: int
    """Queries that see fewer tokens read everything."""

    def __post_init__(self) -> None:
        if self.tokens < 3 * PAGE:
            raise ValueError(f"a choice of {self.tokens} tokens has no room beside the first and the newest page")


def rotate_and_store(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    scales: Scales | None = None,
    bounds: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.rotate_and_store``."""
    lib = library()
    if lib is None or not _known(keys, scales):
        return reference.rotate_and_store(qkv, cos, sin, slots, keys, values, heads, scales, bounds, offset)
    _, kv_heads, d, _ = keys.shape
    t = qkv.shape[0]
    q = torch.empty(t, heads, d)
    tensors = (qkv, cos, sin, slots, q, keys, values, *(scales or (None, None)), bounds, offset)
    lib.rotate_and_store(*map(native.address, tensors), t, heads, kv_heads, d)
    return q


def attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    past: int,
    scales: Scales | None = None,
    choice: Choice | None = None,
    lse: Tensor | None = None,
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.attend``."""
    lib = library()
    t, heads, d = q.shape
    if lse is not None and not reports_lse(q, keys, scales):
        return reference.attend(q, keys, values, table, past, scales, lse)
    compiled = lib is not None and _known(keys, scales) and d <= LARGEST_HEAD
    if t > FEW_QUERIES and (not compiled or scales is not None):
        return sdpa.attend(q, keys, values, table, past, scales)
    if lib is None or not compiled:
        # one at a time, so that the result of a query does not depend on how many are asked
        rows = [sdpa.attend(q[i : i + 1], keys, values, table, past + i, scales) for i in range(t)]
        return torch.cat(rows)
    q = q.contiguous()
    out = torch.empty_like(q)
    if t > FEW_QUERIES:  # a prompt reads everything
        choice = None
    limits = (choice.tokens // PAGE, choice.start) if choice else (0, 0)
    bounds = choice.bounds if choice else None
    tensors = map(native.address, (q, keys, values, *(scales or (None, None)), bounds, table, out, lse))
    if lib.attend_few(*tensors, t, heads, keys.shape[1], d, past, *limits, d**-0.5):
        raise MemoryError(f"no memory for the scores of {past + t} tokens")
    return out


def reports_lse(q: Tensor, keys: Tensor, scales: Scales | None) -> bool:
    """Whether the compiled kernel computes ``q``; elsewhere sums of exponentials come from the slow definition."""
    return q.shape[0] <= FEW_QUERIES and library() is not None and _known(keys, scales) and q.shape[2] <= LARGEST_HEAD


def _known(keys: Tensor, scales: Scales | None) -> bool:
    return keys.dtype == (torch.float32 if scales is None else torch.int8)
