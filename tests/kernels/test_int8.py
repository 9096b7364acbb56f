"""INT8 linear and gated feed-forward: every backend against the definition, at odd sizes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dsassist_kernels import native
from dsassist_kernels.int8_linear import backend_for, int8_linear, quantize_weight
from dsassist_kernels.int8_linear import reference as linear_reference
from dsassist_kernels.int8_mlp import int8_mlp

ROWS = (1, 2, 3, 7, 16, 31, 32, 33, 63, 130)


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test with compiled kernels and on PyTorch's operations alone."""
    native.disable(yes=request.param == "torch")
    yield request.param
    native.disable(yes=False)


def layer(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return quantize_weight(torch.randn(n, k, generator=generator) * torch.rand(n, 1, generator=generator))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 63), (129, 64), (77, 1000), (96, 896)])
def test_linear_is_the_exact_integer_product(way: str, rows: int, n: int, k: int) -> None:
    torch.manual_seed(rows + n + k)
    weight, scale = layer(n, k)
    x, bias = torch.randn(rows, k) * 3, torch.randn(n)
    expected = int8_linear(x, weight, scale, bias, backend="reference")
    assert torch.equal(int8_linear(x, weight, scale, bias), expected)
    two = int8_linear(x, weight, scale, bias, digits=2, backend="reference")
    torch.testing.assert_close(
        int8_linear(x, weight, scale, bias, digits=2), two, rtol=1e-6, atol=1e-6 * float(two.abs().max())
    )
    exact = x.double() @ (weight.double() * scale.double()[:, None]).T + bias
    # what two digits can lose of an activation is half a step of the second: s / 508, times the weights it meets
    step = x.abs().amax(dim=1, keepdim=True).double() / 127
    most = step / 508 * (weight.double().abs().sum(dim=1) * scale.double())
    assert ((two - exact).abs() <= 1.02 * most + 1e-5 * exact.abs().max()).all()
    assert torch.equal(
        int8_linear(x, weight, scale), int8_linear(x, weight, scale, torch.zeros(n), backend="reference")
    )


def test_a_row_does_not_depend_on_the_others(way: str) -> None:
    weight, scale = layer(200, 320)
    x = torch.randn(100, 320)
    for digits in (1, 2):
        together = int8_linear(x, weight, scale, digits=digits)
        alone = [int8_linear(x[i : i + 1], weight, scale, digits=digits) for i in range(100)]
        assert torch.equal(torch.cat(alone), together)
    gate_up, gate_up_scale = layer(2 * 72, 64)
    down, down_scale = layer(64, 72)
    y = torch.randn(50, 64)
    together = int8_mlp(y, gate_up, gate_up_scale, down, down_scale)
    alone = [int8_mlp(y[i : i + 1], gate_up, gate_up_scale, down, down_scale) for i in range(50)]
    if way == "compiled":
        assert torch.equal(torch.cat(alone), together)
    else:  # PyTorch's own silu may vectorise the last elements differently
        torch.testing.assert_close(torch.cat(alone), together, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("rows", ROWS)
def test_mlp(way: str, rows: int) -> None:
    gate_up, gate_up_scale = layer(2 * 200, 96)
    down, down_scale = layer(96, 200)
    x = torch.randn(rows, 96)
    expected = int8_mlp(x.double(), gate_up, gate_up_scale, down, down_scale, backend="reference")
    got = int8_mlp(x, gate_up, gate_up_scale, down, down_scale).double()
    # one step of the int8 grid may fall the other way where a float32 lies on the edge
    assert (got - expected).abs().max() <= 0.01 * expected.abs().max()
    assert (got - expected).abs().mean() <= 1e-4 * expected.abs().mean()


def test_extreme_values(way: str) -> None:
    weight, scale = quantize_weight(torch.tensor([[0.0, 0.0, 0.0], [1e30, -1e30, 0.0], [127.0, -127.0, 1.0]]))
    assert scale[0] == 1
    assert weight.tolist() == [[0, 0, 0], [127, -127, 0], [127, -127, 1]]
    x = torch.tensor([[0.0, 0.0, 0.0], [-1e-30, 1e-30, 0.0], [-127.0, 127.0, 64.0]])
    assert torch.equal(int8_linear(x, weight, scale), int8_linear(x, weight, scale, backend="reference"))


def test_rounding_is_to_even_as_in_torch(way: str) -> None:
    x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]])
    identity = torch.eye(7, dtype=torch.int8)
    y = int8_linear(x, identity, torch.ones(7))
    assert y.tolist() == [[127.0, 0.0, 2.0, 2.0, 0.0, -2.0, -2.0]]


def test_quantization_error_is_half_a_step() -> None:
    w = torch.randn(50, 300)
    q, s = quantize_weight(w)
    assert ((q.float() * s[:, None] - w).abs() <= s[:, None] * 0.5001).all()


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"x \(1, 3\), weight \(2, 4\)"):
        int8_linear(torch.zeros(1, 3), torch.zeros(2, 4, dtype=torch.int8), torch.ones(2))


def test_choice_of_backend() -> None:
    assert backend_for(torch.zeros(1)) == "cpu"
    assert backend_for(torch.zeros(1, dtype=torch.float64)) == "reference"
    assert backend_for(torch.zeros(1, dtype=torch.bfloat16)) == "reference"


def test_reference_product_is_exact() -> None:
    q = torch.full((1, 4864), 127.0)
    w = torch.full((1, 4864), -127, dtype=torch.int8)
    assert linear_reference.int8_linear(q, w, torch.ones(1)).item() == -127 * 127 * 4864
