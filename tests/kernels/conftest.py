"""What the tests of all kernels share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

AssertClose = Callable[..., None]


def _assert_close(got: Tensor, exact: Tensor, *, baseline: Tensor | None = None, atol: float = 0.0) -> None:
    """``got`` has no NaN and its largest error against ``exact`` (float64) is at most twice the ``baseline``'s, or
    ``atol``.
    """
    assert got.shape == exact.shape
    assert not got.isnan().any(), f"{int(got.isnan().sum())} NaN of {got.numel()}"
    if not got.numel():
        return
    allowed = atol
    if baseline is not None:
        allowed = max(allowed, 2 * float((baseline.double() - exact).abs().max()))
    worst = float((got.double() - exact).abs().max())
    assert worst <= allowed, f"largest error {worst:.3g}, allowed {allowed:.3g}"


@pytest.fixture
def assert_close() -> AssertClose:
    return _assert_close
