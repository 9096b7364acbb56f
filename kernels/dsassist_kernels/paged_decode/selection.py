"""Which pages one query reads: those whose keys could score highest, by bounds kept for each page (Quest,
arXiv:2406.10774).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsassist_kernels.paged_attention.reference import PAGE

__all__ = ["Pages", "choose", "page_bounds"]


@dataclass(frozen=True, slots=True)
class Pages:
    """Chosen places in each sequence's table."""

    places: Tensor
    """[B, Hkv, K] int32, ascending in the first ``counts`` places; the last of them holds the newest token."""
    counts: Tensor
    """[B] int32."""


def page_bounds(keys: Tensor) -> Tensor:
    """Least and largest component of the keys of whole pages: ``keys`` [P, Hkv, D, 64] → [P, Hkv, 2, D]."""
    return torch.stack((keys.amin(-1), keys.amax(-1)), dim=2)


def choose(q: Tensor, bounds: Tensor | None, table: Tensor, lengths: Tensor, budget: int) -> Pages:
    """Pages for ``q`` [B, Hq, D]; the first and the newest page are always read.

    ``bounds`` [P, Hkv, 2, D] as from ``page_bounds``; those of a page that is not full are not looked at. ``table``
    [B, N] int32, ``lengths`` [B] int32 (at least 1), ``budget`` in tokens. All pages where they fit into the budget or
    there are no bounds. Waits for no device.
    """
    batch, width = table.shape
    used = (lengths + PAGE - 1) // PAGE
    keep = max(2, budget // PAGE)
    heads = bounds.shape[1] if bounds is not None else 1
    if bounds is None or width <= keep:
        places = torch.arange(width, dtype=torch.int32, device=q.device).expand(batch, heads, width)
        return Pages(places, used.to(torch.int32))
    query = q.float().view(batch, heads, -1, 1, q.shape[-1])
    spot = torch.arange(width, device=q.device)
    limits = bounds[table.clamp(min=0).long()].float().permute(0, 2, 3, 1, 4)  # [B, Hkv, 2, N, D]
    low, high = limits[:, :, 0].unsqueeze(2), limits[:, :, 1].unsqueeze(2)
    most = torch.maximum(query * low, query * high).sum(-1).amax(2)
    newest = (used - 1)[:, None, None]
    most = most.masked_fill((spot == 0) | (spot == newest), torch.inf).masked_fill(spot > newest, -torch.inf)
    # bounds of pages that hold nothing are no numbers
    most = torch.where(most.isnan() & (spot != 0) & (spot != newest), -torch.inf, most)
    best = most.topk(keep, dim=-1).indices
    # behind the newest page there is nothing; such places sort to the end
    best = best.masked_fill(best > newest, width).sort(-1).values
    return Pages(best.to(torch.int32), used.clamp(max=keep).to(torch.int32))
