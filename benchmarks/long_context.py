"""Long prompts: what leaving keys out costs in quality, and what it saves in time and memory.

Quality: prompts of real packages, read densely and sparsely by the same weights, compared token by token. A probe is an
identifier of several tokens that was last seen more than a quarter of the prompt before (4,096 of 16,384 tokens): it is
recalled when the model, given its first token, predicts the rest. A gap is the rest of a line of another file of the
same packages, filled in behind the whole prompt. ``dense_float32`` is dense attention in another arithmetic: how often
it disagrees with ``dense`` is the floor for any change.

Time and memory: every measurement is a process of its own that loads the model, warms up, and reads one prompt.
``dense`` is our own attention over all keys in the way that is fastest on the machine; ``dense_float32`` is PyTorch's
in float32; ``materialised`` reads the prompt in one piece with a float32 mask of all pairs; ``float16_cache`` is
``dense`` over a cache of half the size; ``…_int8`` has a cache in INT8; llama.cpp reads the GGUF file of ours.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path
from typing import Any

from _common import ROOT, arguments, report, say
from _long_context.layers import layers
from _long_context.prompts import SEGMENT, prompt
from _long_context.quality import quality
from _long_context.recall import recall
from _long_context.speed import child, decode_crossover, growth, kernel_growth, measure
from _plot import two_panels

from dsassist_kernels.sparse_attention import Sparsity
from dsassist_model import catalog, store
from dsassist_model.convert import load
from dsassist_model.long_context import LongContext

PARTS = ("quality", "recall", "layers", "speed", "memory", "llamacpp", "growth", "decode")
LAYERS_NEED = 0.004
"""Leaves out so much that a layer's loss shows."""
WAYS = ("dense", "sparse", "sparse_int8", "dense_float32")


def sparsity(options: argparse.Namespace, **changes: float) -> Sparsity:
    """The settings asked for."""
    return Sparsity(**({"mass": options.mass, "blocks_per_doubling": options.blocks} | changes))


def speed(options: argparse.Namespace, tokens: list[int], taken: dict[str, dict[str, float]]) -> tuple[Any, Any]:
    """Seconds of a whole prefill, ways in turns."""
    ways = options.ways.split(",") if not options.quick else ["dense", "sparse"]
    for turn in range(1 if options.quick else options.repeats):
        for way in ways:
            taken[way] = measure(options, way, tokens, runs=turn + 1)
    figures = {f"{way}_16k_s": took["seconds"] for way, took in taken.items()}
    best = min(taken[way]["seconds"] for way in ways if way.startswith("dense"))
    own = taken["sparse"]
    attention = sum(own[part] for part in ("select_s", "attend_s", "pack_pages_s"))
    if attention:
        figures["selection_share"] = own["select_s"] / attention
        figures["attention_16k_s"] = attention
        figures["attention_dense_16k_s"] = taken["dense"]["attend_s"] + taken["dense"]["pack_pages_s"]
    figures["speed_density"] = own["density"]
    ratios = {"prefill_16k_vs_dense": best / own["seconds"]}
    if "dense_float32" in taken:
        ratios["prefill_16k_vs_dense_float32"] = taken["dense_float32"]["seconds"] / own["seconds"]
    return figures, ratios


def memory(options: argparse.Namespace, tokens: list[int], taken: dict[str, dict[str, float]]) -> tuple[Any, Any]:
    """Peaks above the weights."""
    ways = ("sparse", "sparse_int8", "materialised", "float16_cache")
    for way in ways:
        taken[way] = taken.get(way) or measure(options, way, tokens)
    peak = {way: taken[way]["megabytes"] for way in ways}
    return {f"{way}_16k_peak_mb": value for way, value in peak.items()}, {
        "memory_16k_reduction": 1 - peak["sparse"] / peak["materialised"],
        "memory_16k_reduction_vs_float16_cache": 1 - peak["sparse"] / peak["float16_cache"],
        "memory_16k_reduction_int8": 1 - peak["sparse_int8"] / peak["materialised"],
        "memory_16k_reduction_int8_vs_float16_cache": 1 - peak["sparse_int8"] / peak["float16_cache"],
    }


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


def main() -> int:
    parser = arguments(__doc__, source="folder of packages (default: this Python's installed packages)")
    parser.add_argument("--model", default=catalog.default_model().name, help="a catalog name or a path")
    parser.add_argument("--tokens", type=int, default=16_384, help="length of the prompts (--quick: 4,096)")
    parser.add_argument("--prompts", type=int, default=4, help="prompts that quality is measured on")
    parser.add_argument("--gaps", type=int, default=16, help="gaps filled behind each prompt")
    parser.add_argument("--ways", default=",".join(WAYS), help="what quality and speed compare, with the first")
    parser.add_argument("--keep", type=Path, help="folder for quality's results, to go on where a run ended")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure, of {','.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=2, help="prefills of each way for speed, in turns")
    parser.add_argument("--mass", type=float, default=Sparsity().mass, help="share of attention that must be captured")
    parser.add_argument(
        "--blocks", type=float, default=Sparsity().blocks_per_doubling, help="c in k(n) = c log2(n / 128)"
    )
    parser.add_argument("--plot", type=Path, help="write time and memory against length to this SVG file (minutes)")
    parser.add_argument("--llamacpp-tokens", type=int, default=16_384, help="of the prompt, read by llama.cpp")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--gguf", default="", help="file for llama.cpp (default: the one the model was converted from)")
    options = parser.parse_args()
    options.script = __file__
    if options.child:
        child(options, sparsity(options))
        return 0
    parts = [part for part in options.parts.split(",") if part]
    length = 4096 if options.quick else options.tokens
    folder = (options.source or Path(sysconfig.get_path("purelib"))).resolve()
    options.gguf = options.gguf or str(store.resolve(options.model).source)
    tokenizer = load(options.model).tokenizer
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    tokens = prompt(tokenizer, folder, length, options.seed)
    taken: dict[str, dict[str, float]] = {}
    if "quality" in parts:
        ways = ["dense", "sparse"] if options.quick else options.ways.split(",")
        figures |= quality(options, folder, length, sparsity(options), ways)
    if "recall" in parts:
        figures |= recall(options.model, prompt(tokenizer, folder, length + SEGMENT, options.seed), sparsity(options))
    if "layers" in parts:
        strong = sparsity(options, fine_need=LAYERS_NEED)
        figures |= layers(options.model, tokens, strong, quick=options.quick)
    for name, part in (("speed", speed), ("memory", memory)):
        if name in parts:
            more_figures, more_ratios = part(options, tokens, taken)
            figures |= more_figures
            ratios |= more_ratios
    if "llamacpp" in parts:
        own = taken.get("sparse") or measure(options, "sparse", tokens)
        # without the long end, where it is slowest, the ratio of speeds is too small, not too large
        theirs = tokens[: 1024 if options.quick else options.llamacpp_tokens]
        figures["llamacpp_tokens"] = len(theirs)
        figures["llamacpp_tok_s"] = len(theirs) / measure(options, "llamacpp", theirs)["seconds"]
        figures["sparse_tok_s"] = length / own["seconds"]
        ratios["prefill_16k_vs_llamacpp"] = figures["sparse_tok_s"] / figures["llamacpp_tok_s"]
    if "growth" in parts:
        lengths = [2048, 4096] if options.quick else [8192, 16_384, 32_768, 65_536]
        seconds = growth(options, prompt(tokenizer, folder, lengths[-1], options.seed), lengths)
        figures |= seconds
        ratios["growth_per_doubling"] = max(b / a for a, b in pairwise(seconds.values()))
        # one layer, every row at its cap, which real prompts reach in few rows
        figures["growth_at_the_cap"] = kernel_growth(lengths, sparsity(options, mass=2.0, floor=0.0, fine_need=0.0))
    if "decode" in parts:
        figures |= decode_crossover([4096, 16_384] if options.quick else [4096, 8192, 16_384, 32_768], LongContext())
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


if __name__ == "__main__":
    sys.exit(main())
