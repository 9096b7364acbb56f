"""Gated feed-forward layer in INT8: ``down(silu(gate(x)) * up(x))``, W8A8 in both products.

The input of ``down`` has outliers that one int8 digit a row does not hold beside the rest: it is taken in two.
"""

from __future__ import annotations

from torch import Tensor

from dsassist_kernels.int8_linear import Backend, backend_for
from dsassist_kernels.int8_mlp import cpu, reference

__all__ = ["int8_mlp"]


def int8_mlp(
    x: Tensor,
    gate_up: Tensor,
    gate_up_scale: Tensor,
    down: Tensor,
    down_scale: Tensor,
    *,
    backend: Backend | None = None,
) -> Tensor:
    """``x`` [M, K] → [M, K]; ``gate_up`` [2 I, K] int8 (gate's rows first) with scales [2 I], ``down`` [K, I] int8
    with scales [K].

    The result of a row does not depend on the other rows. ``backend`` forces one (tests).
    """
    run = cpu.int8_mlp if (backend or backend_for(x)) == "cpu" else reference.int8_mlp
    return run(x, gate_up, gate_up_scale, down, down_scale)
