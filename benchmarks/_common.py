"""What every benchmark shares: its arguments, the facts of the machine, and the JSON line it ends with."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["SOURCE_SUFFIXES", "arguments", "commit", "hardware", "report", "say", "source_files", "versions"]

ROOT = Path(__file__).resolve().parents[1]

SOURCE_SUFFIXES = (".py", ".js", ".ts", ".tsx", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".hpp")
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv", ".venv", "build", "dist", "lib2to3", "idlelib"}


def arguments(description: str | None, *, source: str = "") -> argparse.ArgumentParser:
    """A parser with ``--quick`` and ``--seed``; with ``source``, its help, also ``--source DIR``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same keys in under a minute, from fewer repeats")
    parser.add_argument("--seed", type=int, default=0, help="draws other inputs")
    if source:
        parser.add_argument("--source", type=Path, help=source)
    return parser


def source_files(folder: Path, rng: random.Random, *, smallest: int = 2_000, largest: int = 200_000) -> Iterator[Path]:
    """Source files under ``folder`` in an order drawn by ``rng``, sizes in bytes. Same folder and seed, same order."""
    found = []
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        found += [Path(path, name) for name in sorted(names) if name.endswith(SOURCE_SUFFIXES)]
    rng.shuffle(found)
    return (path for path in found if smallest <= path.stat().st_size <= largest)


def commit() -> str:
    """The repository's commit, with ``+`` when tracked files differ from it; empty outside a checkout."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return run.stdout.strip()


def hardware() -> dict[str, Any]:
    """Processor, cores, the vector instructions that matter here, memory, GPU."""
    facts: dict[str, Any] = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        lines = dict(
            (part.strip() for part in line.split(":", 1)) for line in cpuinfo.read_text().splitlines() if ":" in line
        )
        flags = lines.get("flags", "").split()
        facts["cpu"] = lines.get("model name", "")
        facts["instructions"] = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    if meminfo.exists():
        facts["memory_gb"] = round(int(meminfo.read_text().split()[1]) / 1e6, 1)
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        gpu = ""
    return facts | ({"gpu": gpu} if gpu else {})


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of ``packages``; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in ("dsassist", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def report(
    name: str,
    *,
    inputs: Mapping[str, Any],
    figures: Mapping[str, Any],
    ratios: Mapping[str, float] | None = None,
    packages: Sequence[str] = (),
) -> None:
    """Print figures and ratios (ours better: above 1) for people on stderr, and the one JSON line on stdout."""
    ratios = {key: round(value, 4) for key, value in (ratios or {}).items()}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
    width = max((len(key) for key in [*rounded, *ratios]), default=0)
    for key, value in rounded.items():
        say(f"  {key:<{width}}  {value}")
    for key, value in ratios.items():
        say(f"  {key:<{width}}  {value:.2f}x")
    result = {
        "name": name,
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(*packages),
        "inputs": dict(inputs),
        "figures": rounded,
        "ratios": ratios,
    }
    print(json.dumps(result), flush=True)
