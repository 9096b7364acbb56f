"""Which token follows, from logits."""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_model.engine.request import Request

__all__ = ["Sampler"]


class Sampler:
    """Greedy at temperature 0, else nucleus sampling that a seed makes repeatable, whatever else runs beside it."""

    def __init__(self, request: Request) -> None:
        self.greedy = request.temperature <= 0
        self._temperature, self._top_p = request.temperature, request.top_p
        self._generator = torch.Generator()
        if not self.greedy:
            self._generator.manual_seed(request.seed) if request.seed is not None else self._generator.seed()

    def choose(self, logits: Tensor) -> int:
        """``logits`` [V] float32 → a token id."""
        if self.greedy:
            return int(logits.argmax())
        probabilities = (logits.cpu() / self._temperature).softmax(dim=-1)
        if self._top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            # the smallest set of tokens that holds top_p of the mass; the first is always in it
            ordered[ordered.cumsum(dim=-1) - ordered > self._top_p] = 0
            return int(order[torch.multinomial(ordered, 1, generator=self._generator)])
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def logprob(logits: Tensor, token: int) -> float:
    """Natural log-probability of ``token`` under ``logits`` [V], at temperature 1."""
    return float(logits[token] - logits.logsumexp(dim=-1))
