"""Time and memory: each measurement is a process of its own, so that peaks and warm caches are its own too."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _common import say
from torch import Tensor

from _long_context.prompts import SEGMENT, segments
from _long_context.quality import set_way
from dsassist_kernels import paged_attention
from dsassist_kernels.paged_attention import PAGE, Choice
from dsassist_kernels.paged_attention.reference import gather
from dsassist_kernels.sparse_attention import Sparsity, attend, compiled, compute_dtype, packs, select
from dsassist_model.convert import load
from dsassist_model.long_context import LayerPages, LongContext
from dsassist_model.transformer import Transformer

__all__ = ["child", "decode_crossover", "growth", "kernel_growth", "measure"]


class Materialised:
    """Attention as it is written in a textbook's code: a float32 mask of all pairs of tokens."""

    mask: Tensor | None = None

    def attend(
        self, layer: int, q: Tensor, pages: LayerPages, table: Tensor, past: int, *, last: bool, **_: object
    ) -> Tensor:
        """As ``LongContext.attend``, for a prompt in one piece."""
        tokens = past + q.shape[0]
        if self.mask is None or self.mask.shape[0] != tokens:
            self.mask = torch.full((tokens, tokens), -torch.inf).triu_(1)
        k, v = (x[None] for x in gather(pages.keys, pages.values, table, tokens))
        query = q.transpose(0, 1)[None]
        return F.scaled_dot_product_attention(query, k, v, attn_mask=self.mask, enable_gqa=True)[0].transpose(0, 1)


def child(options: argparse.Namespace, sparsity: Sparsity) -> None:
    """One measurement, in this process: prints seconds and the peak of memory above the loaded weights."""
    tokens: list[int] = json.loads(sys.stdin.read())
    if options.child == "llamacpp":
        print(json.dumps(llamacpp(options.gguf, tokens)))
        return
    loaded = load(options.model)
    # beyond what the model was made for only time means something
    config = replace(loaded.config, max_context=max(loaded.config.max_context, len(tokens)))
    model = Transformer(config, loaded.tensors, torch.device("cpu"))
    context: LongContext = model.long_context
    cache = set_way(model, options.child, sparsity) or torch.float32
    size = SEGMENT
    if options.child == "materialised":
        model.long_context, size = Materialised(), len(tokens)  # type: ignore[assignment]
    elif options.child == "float16_cache":
        cache = torch.float16

    def read(part: list[int]) -> float:
        pages = -(-len(part) // 64)
        pool = model.new_pool(pages, cache)
        table = torch.arange(pages, dtype=torch.int32)
        start = time.perf_counter()
        for segment in segments(part, table, size, every=False):
            hidden = model.forward([segment], pool)
        model.logits(hidden)
        return time.perf_counter() - start

    read(tokens[:256])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    with stopwatch() as spent:
        seconds = read(tokens)
    told = {"seconds": seconds, "megabytes": resident("VmHWM") - before, "density": context.density, **spent}
    print(json.dumps(told))


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds in the compiled kernel's parts while the block runs."""
    spent: dict[str, float] = {"select_s": 0.0, "attend_s": 0.0, "pack_pages_s": 0.0}
    whole: dict[str, Callable[..., Any]] = {name: getattr(compiled, name[:-2]) for name in spent}

    def timed(name: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            got = whole[name](*args, **kwargs)
            spent[name] += time.perf_counter() - start
            return got

        return run

    for name in spent:
        setattr(compiled, name[:-2], timed(name))
    try:
        yield spent
    finally:
        for name, function in whole.items():
            setattr(compiled, name[:-2], function)


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


_MEASURED: dict[tuple[str, int], list[dict[str, float]]] = {}


def measure(options: argparse.Namespace, way: str, tokens: list[int], runs: int = 1) -> dict[str, float]:
    """Run ``child``, each time in a process of its own, until a way and length was measured ``runs`` times: the
    quickest. All prompts of a run begin alike."""
    found = _MEASURED.setdefault((way, len(tokens)), [])
    while len(found) < runs:
        found.append(_measure(options, way, tokens))
    return min(found, key=lambda one: one["seconds"])


def _measure(options: argparse.Namespace, way: str, tokens: list[int]) -> dict[str, float]:
    command = [sys.executable, options.script, "--child", way, "--model", options.model, "--gguf", options.gguf]
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


def growth(options: argparse.Namespace, tokens: list[int], lengths: list[int]) -> dict[str, float]:
    """Seconds of the whole sparse prefill at ``lengths``, each twice the one before."""
    return {f"sparse_{n}_s": measure(options, "sparse", tokens[:n])["seconds"] for n in lengths}


def kernel_growth(lengths: list[int], sparsity: Sparsity) -> float:
    """The largest growth a doubling of selection and attention of one layer, where every row reads all it may."""
    torch.manual_seed(0)
    seconds = []
    for n in lengths:
        q, k, v = (torch.randn(1, heads, n, 64) for heads in (14, 2, 2))
        if not packs(q):
            q, k, v = (x.to(compute_dtype(q)) for x in (q, k, v))

        def run(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> None:
            if packs(q):
                packed, query = compiled.pack(k[0], v[0]), q[0].transpose(0, 1)
                compiled.attend(query, packed, 0, compiled.select(query, packed, 0, sparsity))
            else:
                attend(q, k, v, select(q, k, 0, sparsity), backend="cpu")

        times = []
        for _ in range(2):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        seconds.append(min(times))
        say(f"  one layer, {n:6d} tokens: {seconds[-1]:.3f} s")
    return max(long / short for short, long in pairwise(seconds))


def decode_crossover(lengths: list[int], context: LongContext) -> dict[str, float]:
    """Milliseconds that 24 layers' attention of one new token takes: all pages and chosen ones, float and INT8."""
    figures: dict[str, float] = {}
    for n in lengths:
        for kind in ("float", "int8"):
            layers, pages = 24, n // PAGE
            keys, values = torch.randn(layers, pages, 2, 64, PAGE), torch.randn(layers, pages, 2, PAGE, 64)
            bounds = torch.stack((keys.amin(-1), keys.amax(-1)), dim=3)
            scales: list[tuple[Tensor, Tensor] | None] = [None] * layers
            if kind == "int8":
                keys, values = ((x * 30).to(torch.int8) for x in (keys, values))
                scales = [(torch.full((pages, 2, PAGE), 1 / 30),) * 2] * layers  # type: ignore[list-item]
            table, q = torch.arange(pages, dtype=torch.int32), torch.randn(1, 14, 64)
            for name in ("all", "chosen"):
                times = []
                for _ in range(5):
                    start = time.perf_counter()
                    for i in range(layers):
                        choice = Choice(bounds[i], context.decode_tokens, 1) if name == "chosen" else None
                        paged_attention.attend(q, keys[i], values[i], table, n - 1, scales=scales[i], choice=choice)
                    times.append(time.perf_counter() - start)
                figures[f"decode_{n}_{kind}_{name}_ms"] = 1e3 * min(times)
        say(
            f"  decode at {n}: "
            + ", ".join(f"{k[len(str(n)) + 8 : -3]} {v:.2f} ms" for k, v in figures.items() if f"_{n}_" in k)
        )
    return figures
