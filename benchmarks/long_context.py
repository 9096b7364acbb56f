"""Long prompts: what leaving keys out costs in quality, and what it saves in time and memory.

Quality: prompts of real packages, read densely and sparsely by the same weights, compared token by token. A probe is an
identifier of several tokens that was last seen more than a quarter of the prompt before (4,096 of 16,384 tokens): it is
recalled when the model, given its first token, predicts the rest.

Time and memory: every measurement is a process of its own that loads the model, warms up, and reads one prompt. Ours
and the peers take turns. ``dense`` is our own attention over all keys in the type that is fastest on the machine;
``dense_float32`` is the same in float32; ``materialised`` reads the prompt in one piece with a float32 mask of all
pairs; ``float16_cache`` is ``dense`` over a cache of half the size; llama.cpp reads the GGUF file of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import sysconfig
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _common import ROOT, arguments, report, say, source_files
from _plot import two_panels
from torch import Tensor

from dsassist_kernels.paged_attention.reference import gather
from dsassist_kernels.sparse_attention import Sparsity, attend, compute_dtype, select
from dsassist_model import catalog, store
from dsassist_model.convert import load
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import KVPool, Segment, Transformer

SEGMENT = 2048
PARTS = ("quality", "speed", "memory", "llamacpp", "growth")


def prompt(tokenizer: Tokenizer, folder: Path, length: int, seed: int) -> list[int]:
    """``length`` tokens: the files of one package after another, each under its name, in an order drawn by ``seed``."""
    rng = random.Random(seed)
    packages: dict[Path, list[Path]] = {}
    for path in source_files(folder, rng):
        packages.setdefault(folder / path.relative_to(folder).parts[0], []).append(path)
    tokens: list[int] = []
    for package in rng.sample(sorted(packages), len(packages)):
        for path in packages[package]:
            text = path.read_text(encoding="utf-8", errors="replace")
            tokens += tokenizer.encode(f"# {path.relative_to(folder)}\n{text}\n")
            if len(tokens) >= length:
                return tokens[:length]
    raise SystemExit(f"{folder} has only {len(tokens)} tokens of source; {length} are asked for.")


def segments(tokens: list[int], pages: Tensor, size: int, *, every: bool) -> list[Segment]:
    """The prompt in pieces; ``every`` asks for the hidden state of each token."""
    found = []
    for at in range(0, len(tokens), size):
        piece = tokens[at : at + size]
        end = at + len(piece)
        outputs = len(piece) if every else 1
        found.append(Segment(piece, at, pages[: -(-end // 64)], outputs=outputs, last=end == len(tokens)))
    return found


@torch.inference_mode()
def predictions(model: Transformer, tokens: list[int], mode: str) -> tuple[Tensor, Tensor]:
    """Loss of each token behind the first, and the model's own choice in its place: both [T - 1]."""
    model.long_context.mode = "dense" if mode == "dense" else "auto"
    pool = model.new_pool(-(-len(tokens) // 64))
    wanted = torch.tensor(tokens)
    losses, choices, at = [], [], 0
    for segment in segments(tokens, torch.arange(pool.pages, dtype=torch.int32), SEGMENT, every=True):
        hidden = model.forward([segment], pool)
        for rows in hidden.split(128):
            next_tokens = wanted[at + 1 : at + 1 + len(rows)]
            logits = model.logits(rows)[: len(next_tokens)]
            losses.append(F.cross_entropy(logits, next_tokens, reduction="none"))
            choices.append(logits.argmax(-1))
            at += len(rows)
    return torch.cat(losses), torch.cat(choices)


def probes(tokenizer: Tokenizer, tokens: list[int]) -> list[range]:
    """Tokens, but the first, of identifiers whose last occurrence is more than a quarter of the prompt back."""
    ends, text, far = [], "", len(tokens) // 4
    pieces = [tokenizer.decode([t]) for t in tokens]
    for piece in pieces:
        text += piece
        ends.append(len(text))
    last: dict[str, int] = {}
    found, token = [], 0
    for match in re.finditer(r"[A-Za-z_][A-Za-z0-9_]{5,}", text):
        while ends[token] <= match.start():
            token += 1
        stop = token
        while ends[stop] < match.end():
            stop += 1
        before = last.get(match.group())
        last[match.group()] = token
        if before is not None and token - before > far and stop > token and ends[stop] == match.end():
            found.append(range(token + 1, stop + 1))
    return found


def quality(options: argparse.Namespace, folder: Path, length: int) -> dict[str, Any]:
    """Dense against sparse on ``options.prompts`` prompts."""
    loaded = load(options.model)
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    model.long_context.sparsity = sparsity(options)
    loss = {"dense": 0.0, "sparse": 0.0}
    recalled = {"dense": 0, "sparse": 0}
    same = total = asked = 0
    for number in range(1 if options.quick else options.prompts):
        tokens = prompt(loaded.tokenizer, folder, length, options.seed + number)
        got = {mode: predictions(model, tokens, mode) for mode in ("dense", "sparse")}
        sites = probes(loaded.tokenizer, tokens)
        for mode, (losses, choices) in got.items():
            loss[mode] += float(losses.sum())
            recalled[mode] += sum(all(int(choices[i - 1]) == tokens[i] for i in site) for site in sites)
        same += int((got["dense"][1] == got["sparse"][1]).sum())
        total += length - 1
        asked += len(sites)
        say(f"prompt {number + 1}: loss {loss['dense'] / total:.4f} dense, {loss['sparse'] / total:.4f} sparse")
    return {
        "nll_dense": loss["dense"] / total,
        "nll_increase_percent": 100 * (loss["sparse"] / loss["dense"] - 1),
        "top1_agreement": same / total,
        "identifier_probes": asked,
        "identifier_recall_dense": recalled["dense"] / max(1, asked),
        "identifier_recall_sparse": recalled["sparse"] / max(1, asked),
        "identifier_recall_ratio": recalled["sparse"] / max(1, recalled["dense"]),
        "density": model.long_context.density,
    }


class Materialised:
    """Attention as it is written in a textbook's code: a float32 mask of all pairs of tokens."""

    mask: Tensor | None = None

    def attend(
        self, layer: int, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int, *, last: bool
    ) -> Tensor:
        """As ``LongContext.attend``, for a prompt in one piece."""
        tokens = past + q.shape[0]
        if self.mask is None or self.mask.shape[0] != tokens:
            self.mask = torch.full((tokens, tokens), -torch.inf).triu_(1)
        k, v = (x[None] for x in gather(keys, values, table, tokens))
        query = q.transpose(0, 1)[None]
        return F.scaled_dot_product_attention(query, k, v, attn_mask=self.mask, enable_gqa=True)[0].transpose(0, 1)


def child(options: argparse.Namespace) -> None:
    """One measurement, in this process: prints seconds and the peak of memory above the loaded weights."""
    tokens: list[int] = json.loads(sys.stdin.read())
    if options.child == "llamacpp":
        print(json.dumps(llamacpp(options.gguf, tokens)))
        return
    loaded = load(options.model)
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    context = model.long_context
    context.sparsity = sparsity(options)
    context.mode = "auto" if options.child in ("sparse", "sparse_float32") else "dense"
    if options.child in ("dense_float32", "sparse_float32"):
        context.dtype = torch.float32
    size = SEGMENT
    if options.child == "materialised":
        model.long_context, size = Materialised(), len(tokens)  # type: ignore[assignment]
    cache = torch.float16 if options.child == "float16_cache" else torch.float32

    def read(part: list[int]) -> float:
        pages = -(-len(part) // 64)
        pool = KVPool(loaded.config, pages, model.device, cache)
        table = torch.arange(pages, dtype=torch.int32)
        start = time.perf_counter()
        for segment in segments(part, table, size, every=False):
            hidden = model.forward([segment], pool)
        model.logits(hidden)
        return time.perf_counter() - start

    read(tokens[:256])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    seconds = read(tokens)
    print(json.dumps({"seconds": seconds, "megabytes": resident("VmHWM") - before, "density": context.density}))


def resident(key: str) -> float:
    """A line of /proc/self/status in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1e3


def llamacpp(gguf: str, tokens: list[int]) -> dict[str, float]:
    """llama.cpp on the same tokens, with its fused attention and as many threads as we use."""
    from llama_cpp import Llama

    model = Llama(
        gguf,
        n_ctx=len(tokens) + 64,
        n_batch=2048,
        n_ubatch=512,
        n_threads=torch.get_num_threads(),
        n_threads_batch=torch.get_num_threads(),
        flash_attn=True,
        verbose=False,
    )
    model.eval(tokens[:256])
    model.reset()
    start = time.perf_counter()
    model.eval(tokens)
    return {"seconds": time.perf_counter() - start}


def measure(options: argparse.Namespace, way: str, tokens: list[int]) -> dict[str, float]:
    """Run ``child`` in a process of its own."""
    command = [sys.executable, __file__, "--child", way, "--model", options.model, "--gguf", options.gguf]
    command += ["--mass", str(options.mass), "--blocks", str(options.blocks)]
    done = subprocess.run(
        command, input=json.dumps(tokens), capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    memory = f", {result['megabytes']:.0f} MB above the weights" if "megabytes" in result else ""
    say(f"{way:>14} {len(tokens):6d} tokens: {result['seconds']:7.2f} s{memory}")
    return result


def kernel_growth(lengths: list[int]) -> float:
    """The largest growth a doubling of selection and attention of one layer, every row at its cap."""
    torch.manual_seed(0)
    most, settings, seconds = 0.0, Sparsity(mass=2.0, floor=0.0), []
    for n in lengths:
        q, k, v = (torch.randn(1, heads, n, 64) for heads in (14, 2, 2))
        dtype = compute_dtype(q)
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
        times = []
        for _ in range(2):
            start = time.perf_counter()
            attend(q, k, v, select(q, k, 0, settings))
            times.append(time.perf_counter() - start)
        seconds.append(min(times))
        say(f"  one layer, {n:6d} tokens: {seconds[-1]:.3f} s")
    for short, long in pairwise(seconds):
        most = max(most, long / short)
    return most


def sparsity(options: argparse.Namespace) -> Sparsity:
    """The settings asked for."""
    return Sparsity(mass=options.mass, blocks_per_doubling=options.blocks)


def main() -> int:
    parser = arguments(__doc__, source="folder of packages (default: this Python's installed packages)")
    parser.add_argument("--model", default=catalog.default_model().name, help="a catalog name or a path")
    parser.add_argument("--tokens", type=int, default=16_384, help="length of the prompts (--quick: 4,096)")
    parser.add_argument("--prompts", type=int, default=4, help="prompts that quality is measured on")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure, of {','.join(PARTS)}")
    parser.add_argument("--mass", type=float, default=Sparsity().mass, help="share of attention that must be captured")
    parser.add_argument(
        "--blocks", type=float, default=Sparsity().blocks_per_doubling, help="c in k(n) = c log2(n / 128)"
    )
    parser.add_argument("--plot", type=Path, help="write time and memory against length to this SVG file (minutes)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--gguf", default="", help="file for llama.cpp (default: the one the model was converted from)")
    options = parser.parse_args()
    if options.child:
        child(options)
        return 0
    parts = options.parts.split(",")
    length = 4096 if options.quick else options.tokens
    folder = (options.source or Path(sysconfig.get_path("purelib"))).resolve()
    options.gguf = options.gguf or str(store.resolve(options.model).source)
    tokenizer = load(options.model).tokenizer
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    tokens = prompt(tokenizer, folder, length, options.seed)
    if "quality" in parts:
        figures |= quality(options, folder, length)
    taken: dict[str, dict[str, float]] = {}
    if "speed" in parts:
        for way in ("dense", "sparse", "dense_float32", "sparse_float32"):
            taken[way] = measure(options, way, tokens)
            figures[f"{way}_16k_s"] = taken[way]["seconds"]
        ratios["prefill_16k_vs_dense"] = taken["dense"]["seconds"] / taken["sparse"]["seconds"]
        ratios["prefill_16k_float32_vs_dense"] = taken["dense_float32"]["seconds"] / taken["sparse_float32"]["seconds"]
        figures["speed_density"] = taken["sparse"]["density"]
    if {"memory", "llamacpp"} & {*parts} and "sparse" not in taken:
        taken["sparse"] = measure(options, "sparse", tokens)
    if "memory" in parts:
        for way in ("materialised", "float16_cache"):
            taken[way] = measure(options, way, tokens)
        for way in ("sparse", "materialised", "float16_cache"):
            figures[f"{way}_16k_peak_mb"] = taken[way]["megabytes"]
        ratios["memory_16k_reduction"] = 1 - taken["sparse"]["megabytes"] / taken["materialised"]["megabytes"]
        ratios["memory_16k_reduction_vs_float16_cache"] = (
            1 - taken["sparse"]["megabytes"] / taken["float16_cache"]["megabytes"]
        )
    if "llamacpp" in parts:
        # --quick spares it the long end, where it is slowest: the ratio of speeds is then too small, not too large
        theirs = tokens[:1024] if options.quick else tokens
        figures["llamacpp_tokens"] = len(theirs)
        figures["llamacpp_tok_s"] = len(theirs) / measure(options, "llamacpp", theirs)["seconds"]
        figures["sparse_tok_s"] = length / taken["sparse"]["seconds"]
        ratios["prefill_16k_vs_llamacpp"] = figures["sparse_tok_s"] / figures["llamacpp_tok_s"]
    if "growth" in parts:
        ratios["growth_per_doubling"] = kernel_growth([8192, 16384] if options.quick else [8192, 16384, 32768, 65536])
    if options.plot:
        plot(options, prompt(tokenizer, folder, 32_768, options.seed))
    inputs = {
        "model": options.model,
        "tokens": length,
        "source": folder.name,
        "seed": options.seed,
        "mass": options.mass,
        "blocks_per_doubling": options.blocks,
        "parts": parts,
    }
    report("long_context", inputs=inputs, figures=figures, ratios=ratios, packages=("torch", "llama_cpp_python"))
    return 0


def plot(options: argparse.Namespace, tokens: list[int]) -> None:
    """Measure dense and sparse at growing lengths and draw them."""
    lengths = [n for n in (2048, 4096, 8192, 16_384, 32_768) if n <= len(tokens)]
    got: dict[str, list[dict[str, float]]] = {"dense": [], "sparse": []}
    for n in lengths:
        for way, rows in got.items():
            rows.append(measure(options, way, tokens[:n]))
    panels = [
        ("Prefill, seconds", {way: [x["seconds"] for x in rows] for way, rows in got.items()}),
        ("Peak memory above the weights, MB", {way: [x["megabytes"] for x in rows] for way, rows in got.items()}),
    ]
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(two_panels(lengths, panels), encoding="utf-8")
    say(f"wrote {options.plot.resolve().relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
