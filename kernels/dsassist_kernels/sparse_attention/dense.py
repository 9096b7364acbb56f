"""Dense attention over a cached past on a CPU, without a mask: the past and the new tokens apart, merged exactly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend", "compute_dtype", "merge"]


def compute_dtype(q: Tensor) -> torch.dtype:
    """The type in which long attention is fastest at ``q``: bfloat16 where a CPU has tile instructions (3× float32
    there, slower than float32 elsewhere), the tensor's own type otherwise.
    """
    if q.device.type == "cpu" and q.dtype == torch.float32 and torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return q.dtype


def fused(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """PyTorch's fused CPU attention with its log-sum-exp: ``q`` [B, H, T, D] → [B, H, T, D] and [B, H, T] float32."""
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, attn_mask=mask)
    return out, lse


def merge(a: Tensor, a_lse: Tensor, b: Tensor, b_lse: Tensor) -> Tensor:
    """Attention over two disjoint sets of keys from attention over each: weights are the shares of the sums."""
    share = torch.sigmoid(b_lse.float() - a_lse.float()).unsqueeze(-1)
    return torch.lerp(a.float(), b.float(), share).to(a.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
    """``q`` [B, Hq, T, D] at positions ``past`` … over ``k``, ``v`` [B, Hkv, past + T, D] → [B, Hq, T, D]."""
    if q.device.type != "cpu" or q.dtype not in (torch.float32, torch.bfloat16):
        return _by_mask(q, k, v, past)
    batch, heads, t, d = q.shape
    kv_heads = k.shape[1]
    group = heads // kv_heads
    own_k, own_v = (x[:, :, past:].repeat_interleave(group, dim=1) for x in (k, v))
    own, own_lse = fused(q, own_k, own_v, causal=True)
    if past == 0:
        return own
    # the heads of a group read the same keys: one matrix product of all their rows
    folded = q.reshape(batch, kv_heads, group * t, d)
    before, before_lse = fused(folded, k[:, :, :past], v[:, :, :past])
    return merge(own, own_lse, before.reshape(own.shape), before_lse.reshape(own_lse.shape))


def _by_mask(q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
    if past == 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1, enable_gqa=True)
    tokens = k.shape[2]
    seen = torch.arange(tokens, device=q.device) <= torch.arange(past, tokens, device=q.device)[:, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
