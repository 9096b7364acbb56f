"""Dense against sparse by the same weights: loss, most likely tokens, identifiers from far back, gaps filled."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from _common import say
from torch import Tensor

from _long_context.prompts import SEGMENT, gaps, probes, prompt, segments
from dsassist_kernels.sparse_attention import Sparsity
from dsassist_model.convert import load
from dsassist_model.kv_pool import KVPool
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Transformer

__all__ = ["quality", "set_way"]

NEAR_TIE = 0.25
"""Difference of two logits, in nats, up to which another arithmetic alone changes which is larger."""


def set_way(model: Transformer, way: str, sparsity: Sparsity) -> torch.dtype | None:
    """Make ``model`` attend as ``way`` says; the type of its cache. Ways are ``dense`` or ``sparse``, with a suffix
    ``_float32`` (attention in that type) or ``_int8`` (cache)."""
    context = model.long_context
    context.sparsity = sparsity
    context.mode = "auto" if way.startswith("sparse") else "dense"
    context.dtype = torch.float32 if way.endswith("_float32") else None
    return torch.int8 if way.endswith("_int8") else None


@torch.inference_mode()
def predictions(model: Transformer, tokens: list[int], pool: KVPool) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of each token behind the first, the model's own choice in its place, and by how much its logit is the
    largest: all [T - 1]."""
    wanted = torch.tensor(tokens)
    losses, choices, margins, at = [], [], [], 0
    for segment in segments(tokens, torch.arange(pool.pages, dtype=torch.int32), SEGMENT, every=True):
        for rows in model.forward([segment], pool).split(128):
            next_tokens = wanted[at + 1 : at + 1 + len(rows)]
            logits = model.logits(rows)[: len(next_tokens)]
            losses.append(logits.logsumexp(-1) - logits.gather(1, next_tokens[:, None]).squeeze(1))
            best = logits.max(dim=-1)
            choices.append(best.indices)
            # many times quicker than topk of 152K
            margins.append(best.values - logits.scatter_(1, best.indices[:, None], -torch.inf).amax(-1))
            at += len(rows)
    return torch.cat(losses), torch.cat(choices), torch.cat(margins)


@torch.inference_mode()
def fill(model: Transformer, tokenizer: Tokenizer, pool: KVPool, past: int, tokens: list[int]) -> str:
    """The line that ``model`` puts into a gap behind ``past`` cached tokens, greedily."""
    table, text, at = torch.arange(pool.pages, dtype=torch.int32), "", past
    pieces, special = [tokens], tokenizer.special
    out: list[int] = []
    while len(out) < 32 and "\n" not in text:
        for segment in segments(pieces.pop(), table, SEGMENT, every=False, past=at):
            hidden = model.forward([segment], pool)
            at += len(segment.tokens)
        token = int(model.logits(hidden[-1:]).argmax())
        if token in special.eos or token in (special.fim.pad, special.fim.file_sep):
            break
        out.append(token)
        pieces = [[token]]
        text = tokenizer.decode(out)
    return text.split("\n")[0].rstrip()


def quality(
    options: argparse.Namespace, folder: Path, length: int, sparsity: Sparsity, ways: list[str]
) -> dict[str, Any]:
    """Each of ``ways`` against the first on ``options.prompts`` prompts."""
    loaded = load(options.model)
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    loss, same, recalled, filled = (defaultdict[str, float](float) for _ in range(4))
    densities = defaultdict[str, list[float]](list)
    near = total = asked = holes = 0
    base, count = ways[0], 1 if options.quick else options.prompts
    for number in range(count):
        seed = options.seed + number
        tokens = prompt(loaded.tokenizer, folder, length, seed)
        sites = probes(loaded.tokenizer, tokens)
        wanted = gaps(loaded.tokenizer, folder, seed, tokens, 2 if options.quick else options.gaps)
        exact: tuple[Tensor, Tensor] | None = None
        for way in ways:
            name = f"{Path(options.model).name}-{length}-{seed}-{way}-{sparsity.mass}-{sparsity.blocks_per_doubling}.pt"
            kept = options.keep / name if options.keep else None
            if kept is None or not kept.exists():
                pool = model.new_pool(-(-len(tokens) // 64) + 20, set_way(model, way, sparsity))
                context = model.long_context
                context.read = context.visible = 0
                found = predictions(model, tokens, pool)
                density = context.density  # of the prompt: what fills the gaps is short, and mostly read densely
                full = [fill(model, loaded.tokenizer, pool, len(tokens), gap.tokens) == gap.answer for gap in wanted]
                result = (*found, sum(full), density)
                del pool
                if kept is not None:
                    torch.save(result, kept)
            else:
                result = torch.load(kept)
            losses, choices, margins, full_lines, density = result
            loss[way] += float(losses.sum())
            recalled[way] += sum(all(int(choices[i - 1]) == tokens[i] for i in site) for site in sites)
            filled[way] += full_lines
            densities[way].append(density)
            exact = exact or (choices, margins)
            other = choices != exact[0]
            same[way] += int((~other).sum())
            if way == "sparse":
                near += int((other & (exact[1] < NEAR_TIE)).sum())
        total, asked, holes = total + length - 1, asked + len(sites), holes + len(wanted)
        told = ", ".join(f"{way} {loss[way] / total:.4f} ({same[way] / total:.2%} as {base})" for way in ways)
        say(f"prompt {number + 1} of {count}, loss: {told}")
    figures: dict[str, Any] = {"prompts": count, "identifier_probes": asked, "gaps": holes}
    for way in ways:
        figures[f"nll_{way}"] = loss[way] / total
        figures[f"identifier_recall_{way}"] = recalled[way] / max(1, asked)
        figures[f"gaps_filled_{way}"] = filled[way] / max(1, holes)
        if way != base:
            figures[f"top1_agreement_{way}"] = same[way] / total
            figures[f"nll_increase_percent_{way}"] = 100 * (loss[way] / loss[base] - 1)
    wrong = total - same["sparse"]
    return figures | {
        "nll_increase_percent": figures["nll_increase_percent_sparse"],
        "top1_agreement": figures["top1_agreement_sparse"],
        "near_ties_among_disagreements": near / max(1, wrong),
        "identifier_recall_ratio": recalled["sparse"] / max(1, recalled[base]),
        "density": sum(densities["sparse"]) / count,
    }
