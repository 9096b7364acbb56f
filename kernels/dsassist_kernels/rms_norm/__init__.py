"""Root-mean-square norm over rows."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels.rms_norm import cpu, reference

__all__ = ["rms_norm"]

Backend = Literal["reference", "cpu", "torch"]


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, backend: Backend | None = None) -> Tensor:
    """``x`` [T, K] and ``weight`` [K] → ``x / sqrt(mean(x²) + eps) * weight`` [T, K]. Rows do not depend on one
    another.

    ``cpu`` for float32 on a CPU, PyTorch's kernel for all else; ``backend`` forces one (tests).
    """
    chosen = backend or ("cpu" if x.device.type == "cpu" and x.element_size() == 4 else "torch")
    if chosen == "cpu":
        return cpu.rms_norm(x, weight, eps)
    return reference.rms_norm(x, weight, eps) if chosen == "reference" else F.rms_norm(x, weight.shape, weight, eps)
