"""An output head whose largest products are found without reading all of it."""

from __future__ import annotations

from torch import Tensor

from dsassist_kernels.packed_head import cpu

__all__ = ["SplitHead"]


class SplitHead:
    """An output head of eight bits whose upper four are read for every row and the lower four for few.

    The upper part gives every product within a bound (Cauchy-Schwarz, from the norm of what is left out); where the
    bound reaches the largest product, the lower part makes it exact, to the same bits as ``packed_linear``. So the
    largest product is always found, and half of the head's bytes are not read.
    """

    def __init__(self, parts: tuple[Tensor, ...]) -> None:
        self.parts = parts
        """Upper and lower tiles, and for each row the norms that the bound is made of."""

    @classmethod
    def of(cls, packed: Tensor) -> SplitHead | None:
        """``packed`` [N / 16, K / 64, bytes] in two parts; None where that cannot be (other widths, no compiler)."""
        parts = cpu.split(packed)
        return None if parts is None else cls(parts)

    def __call__(self, x: Tensor, *, everything: bool = True) -> Tensor:
        """``x`` [M, K] float32 → [M, N]; without ``everything``, exact where a row's largest product may be, and within
        the bound elsewhere. The result of a row does not depend on the other rows."""
        return cpu.head_scores(x, self.parts, everything)
