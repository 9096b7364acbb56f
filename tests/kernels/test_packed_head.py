"""The split head: the largest product is always found, and what is exact is exact to the bit."""

from __future__ import annotations

import pytest
import torch

from dsassist_kernels.packed_head import SplitHead
from dsassist_kernels.packed_linear import Format, available, pack, packed_linear

compiled_only = pytest.mark.skipif(not available(), reason="needs a C compiler")


@compiled_only
@pytest.mark.parametrize("k", [64, 896])
@pytest.mark.parametrize("peak", [0.0, 1.0, 12.0])
def test_the_largest_is_found(k: int, peak: float) -> None:
    torch.manual_seed(int(peak) + k)
    weight, x = torch.randn(4096, k), torch.randn(21, k)
    for row in range(21):  # each row has a product that stands out by so much, more or less
        weight[row * 100] = weight[row * 100] + peak * x[row] / k**0.5
    packed = pack(weight, Format(8))
    head = SplitHead.of(packed)
    assert head is not None
    exact, found = packed_linear(x, packed), head(x, everything=False)
    assert torch.equal(head(x), exact)
    assert torch.equal(found.argmax(-1), exact.argmax(-1))
    assert torch.equal(found.amax(-1), exact.amax(-1))
    near = found != exact
    assert (found[near] < exact.amax(-1, keepdim=True).expand_as(exact)[near]).all()
    torch.testing.assert_close(found, exact, atol=(0.5 + 0.1 * peak) * k**0.5, rtol=0.0)
    if peak > 10 and k > 64:
        assert near.float().mean() > 0.9  # or nothing would be saved


@compiled_only
def test_a_row_is_alone() -> None:
    torch.manual_seed(1)
    head = SplitHead.of(pack(torch.randn(2048, 256), Format(8)))
    assert head is not None
    x = torch.randn(19, 256)
    together = head(x, everything=False)
    for row in range(19):
        assert torch.equal(head(x[row : row + 1], everything=False)[0], together[row])


@compiled_only
def test_the_bound_holds_where_it_is_tight() -> None:
    """Rows that differ in their lower halves only: the upper part cannot tell them apart."""
    torch.manual_seed(2)
    weight = torch.randn(1, 128).expand(512, 128).clone()
    weight += 0.004 * torch.randn(512, 128)
    packed = pack(weight, Format(8))
    head = SplitHead.of(packed)
    assert head is not None
    for scale in (1e-20, 1.0, 1e20):
        x = torch.randn(8, 128) * scale
        assert torch.equal(head(x, everything=False).argmax(-1), packed_linear(x, packed).argmax(-1))
    assert head(torch.zeros(1, 128), everything=False).abs().max() == 0
    assert head(torch.full((1, 128), torch.nan), everything=False).shape == (1, 512)


@compiled_only
def test_tiny_scales_and_those_that_are_too_large() -> None:
    torch.manual_seed(3)
    weight = torch.randn(64, 128) * torch.logspace(-8, 2, 64)[:, None]
    packed = pack(weight, Format(8))
    head = SplitHead.of(packed)
    assert head is not None
    x = torch.randn(5, 128)
    assert torch.equal(head(x), packed_linear(x, packed))
    assert torch.equal(head(x, everything=False).argmax(-1), packed_linear(x, packed).argmax(-1))
    assert SplitHead.of(pack(torch.full((64, 128), 1e6), Format(8))) is None
    assert SplitHead.of(pack(weight, Format(6))) is None
