"""Many queries over the paged cache, on any device: pages gathered, then PyTorch's fused attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels.paged_attention.reference import Scales, gather

__all__ = ["attend"]


def attend(q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int, scales: Scales | None = None) -> Tensor:
    """See ``dsassist_kernels.paged_attention.attend``."""
    t, heads, _ = q.shape
    k, v = gather(keys, values, table, past + t, scales)
    group = heads // k.shape[0]
    # expanded views cost nothing on the CPU's kernel and keep CUDA's flash kernel eligible
    k = k.to(q.dtype)[:, None].expand(-1, group, -1, -1).reshape(1, heads, past + t, -1)
    v = v.to(q.dtype)[:, None].expand(-1, group, -1, -1).reshape(1, heads, past + t, -1)
    query = q.transpose(0, 1)[None]
    if past == 0:
        return F.scaled_dot_product_attention(query, k, v, is_causal=t > 1)[0].transpose(0, 1)
    rows = torch.arange(past, past + t, device=q.device)[:, None]
    visible = torch.arange(past + t, device=q.device)[None, :] <= rows
    return F.scaled_dot_product_attention(query, k, v, attn_mask=visible)[0].transpose(0, 1)
