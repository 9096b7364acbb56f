"""What quantization costs: perplexity and next-token agreement of our engine against fp32, on real source code.

Both run the same dequantized weights and the same windows of tokens, in turn. fp32 is our own decoder with plain
float matrices, which tests/model/test_against_transformers.py compares with Hugging Face transformers.
"""

from __future__ import annotations

import random
import sys
import sysconfig
import time
from pathlib import Path

import torch
from _common import arguments, report, say, source_files

from dsassist_model import catalog
from dsassist_model.convert import load
from dsassist_model.kv_pool import KVPool
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Segment, Transformer

_HEAD_ROWS = 64  # logits of a whole window would take hundreds of megabytes


def windows(tokenizer: Tokenizer, folder: Path, count: int, length: int, seed: int) -> list[tuple[str, list[int]]]:
    """``count`` runs of ``length`` tokens, one a file, each from a random line on."""
    rng, found = random.Random(seed), []
    for path in source_files(folder, rng):
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        except UnicodeDecodeError:
            continue
        start = rng.randrange(max(1, len(lines) // 2))
        tokens = tokenizer.encode("".join(lines[start:])[: length * 8])[:length]
        if len(tokens) == length:
            found.append((str(path.relative_to(folder)), tokens))
        if len(found) == count:
            break
    return found


@torch.inference_mode()
def hidden_states(model: Transformer, pool: KVPool, tokens: list[int]) -> torch.Tensor:
    """Hidden states of all positions, [T, hidden]."""
    table = torch.arange(pool.pages, dtype=torch.int32)
    return model.forward([Segment(tokens, 0, table, outputs=len(tokens))], pool)


def main() -> int:
    parser = arguments(__doc__, source="folder of source files (default: the standard library of this Python)")
    parser.add_argument("--model", default=catalog.default_model().name, help="a catalog name or a path")
    parser.add_argument("--windows", type=int, default=24, help="how many pieces of source")
    parser.add_argument("--tokens", type=int, default=512, help="length of each")
    options = parser.parse_args()
    count = min(options.windows, 6) if options.quick else options.windows
    folder = (options.source or Path(sysconfig.get_path("stdlib"))).resolve()
    cpu = torch.device("cpu")
    exact_file, our_file = load(options.model, quantization="none"), load(options.model)
    exact = Transformer(exact_file.config, exact_file.tensors, cpu, torch.float32)
    ours = Transformer(our_file.config, our_file.tensors, cpu)
    pools = [model.new_pool(-(-options.tokens // 64)) for model in (exact, ours)]
    chosen = windows(our_file.tokenizer, folder, count, options.tokens, options.seed)
    if not chosen:
        say(f"{folder} has no source file of {options.tokens} tokens.")
        return 2
    losses, agree, difference, seconds = [0.0, 0.0], 0, 0.0, [0.0, 0.0]
    for number, (name, tokens) in enumerate(chosen, 1):
        states = []
        for i, (model, pool) in enumerate(zip((exact, ours), pools, strict=True)):
            start = time.perf_counter()
            states.append(hidden_states(model, pool, tokens))
            seconds[i] += time.perf_counter() - start
        sums = [0.0, 0.0]
        for begin in range(0, len(tokens) - 1, _HEAD_ROWS):
            end = min(begin + _HEAD_ROWS, len(tokens) - 1)
            target = torch.tensor(tokens[begin + 1 : end + 1])
            logits = [model.logits(state[begin:end]) for model, state in zip((exact, ours), states, strict=True)]
            for i in range(2):
                sums[i] += float(torch.nn.functional.cross_entropy(logits[i], target, reduction="sum"))
            agree += int((logits[0].argmax(-1) == logits[1].argmax(-1)).sum())
            difference += float((logits[0] - logits[1]).abs().mean(-1).sum())
        losses = [a + b for a, b in zip(losses, sums, strict=True)]
        per_token = [total / (len(tokens) - 1) for total in sums]
        say(f"{number}/{len(chosen)} {name}: {per_token[0]:.4f} → {per_token[1]:.4f} nats a token")
    n = len(chosen) * (options.tokens - 1)
    perplexity = [torch.tensor(loss / n).exp().item() for loss in losses]
    report(
        "quality",
        inputs={
            "model": options.model,
            "source": str(folder),
            "seed": options.seed,
            "windows": len(chosen),
            "tokens_each": options.tokens,
        },
        figures={
            "perplexity_fp32": perplexity[0],
            "perplexity_ours": perplexity[1],
            "loss_percent": 100 * (perplexity[1] / perplexity[0] - 1),
            "top1_agreement": agree / n,
            "mean_abs_logit_difference": difference / n,
            "n": n,
            "fp32_tok_s": n / seconds[0],
            "ours_tok_s": n / seconds[1],
        },
        packages=("torch",),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
