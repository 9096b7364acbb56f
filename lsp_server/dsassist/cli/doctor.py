"""``dsassist doctor``: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from dsassist import __version__
from dsassist.backend import create
from dsassist.cli.common import console
from dsassist.errors import SettingsError
from dsassist.settings import Settings, load, read_file
from dsassist_model import paths, store
from dsassist_model.errors import ModelError

__all__ = ["Finding", "examine", "register"]

NEEDED = ("torch", "pygls", "lsprotocol", "httpx", "tree-sitter", "tokenizers", "safetensors")
NEEDED_MEMORY = 1.5e9
"""Bytes the default model takes while it runs, with some air."""

_MARKS = {"good": "[green]✓[/]", "note": "[yellow]•[/]", "bad": "[red]✗[/]"}

_CPU_FEATURES = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx2": "AVX2",
    "asimddp": "dotprod",
}

_TORCH_PROBE = """
import json, torch
from importlib.util import find_spec
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": torch.version.cuda,
                  "gpus": gpus, "triton": find_spec("triton") is not None}))
"""
"""Run in a process of its own: importing torch takes a second and this command must not die of a broken one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: Literal["good", "note", "bad"]
    message: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("doctor")
    def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of findings.")] = False) -> None:
        """Look at the model, the engine, the CPU and GPU and the versions: what is wrong and how to mend it."""
        findings = examine()
        if as_json:
            sys.stdout.write(json.dumps([_plain(finding) for finding in findings]) + "\n")
        else:
            _show(findings)
        if any(finding.state == "bad" for finding in findings):
            raise typer.Exit(1)


def examine() -> list[Finding]:
    """Every finding, in the order in which a reader would look."""
    settings, findings = _settings()
    return [
        Finding("dsassist", "good", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        *findings,
        *_packages(),
        _model(settings),
        asyncio.run(_engine(settings)),
        _cpu(),
        _memory(),
        *_torch(),
        _folders(),
    ]


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "topic": finding.topic,
        "state": finding.state,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _show(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.state], f"[bold]{finding.topic}[/]", escape(finding.message))
        if finding.remedy:
            table.add_row("", "", f"[dim]→[/] {escape(finding.remedy)}")
    console.print(table)
    bad = sum(finding.state == "bad" for finding in findings)
    console.print("[green]Everything is in order.[/]" if not bad else f"[red]{bad} to mend.[/]")


def _settings() -> tuple[Settings, list[Finding]]:
    file = paths.config_dir() / "config.toml"
    try:
        settings, problems = load(read_file(file))
    except SettingsError as error:
        return Settings(), [Finding("settings", "bad", error.message, error.remedy)]
    if problems:
        return settings, [Finding("settings", "bad", f"{file}: {problem}") for problem in problems]
    return settings, [Finding("settings", "good", str(file) if file.exists() else f"defaults (no {file})")]


def _packages() -> list[Finding]:
    found, missing = [], []
    for name in NEEDED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = "Run: python -m pip install --force-reinstall dsassist"
        return [Finding("packages", "bad", f"missing: {', '.join(missing)}", remedy)]
    return [Finding("packages", "good", ", ".join(found))]


def _model(settings: Settings) -> Finding:
    if settings.backend.kind != "local":
        return Finding("model", "good", settings.backend.model or "the server's choice")
    name = settings.engine.model
    try:
        place = store.resolve(name)
    except ModelError as error:
        return Finding("model", "bad", error.message, error.remedy)
    if not place.pulled:
        return Finding("model", "bad", f"{name} is not on this machine.", f"Run: dsassist model pull {name}")
    return Finding("model", "good", f"{name} in {place.folder}")


async def _engine(settings: Settings) -> Finding:
    backend = create(settings)
    try:
        status = await backend.status()
    finally:
        await backend.close()
    where = f"{settings.backend.kind}: " if settings.backend.kind != "local" else ""
    match status.state:
        case "ready":
            return Finding("engine", "good", f"{where}ready ({status.model})")
        case "loading":
            return Finding("engine", "note", f"{where}loading {status.model} ({status.progress:.0%})")
        case "stopped" if settings.backend.kind == "local":
            return Finding("engine", "note", status.message)
        case "no_model":
            return Finding("engine", "note", "cannot start without a model")
        case _:
            return Finding("engine", "bad", f"{where}{status.message}", status.remedy)


def _cpu() -> Finding:
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    except OSError:
        return Finding("CPU", "note", f"{name}, {os.cpu_count()} threads (its features cannot be read here)")
    known = {
        "amx_int8": "AMX",
        "avx512_vnni": "AVX512-VNNI",
        "avx_vnni": "AVX-VNNI",
        "avx2": "AVX2",
        "asimddp": "dotprod",
    }
    have = [label for flag, label in known.items() if flag in flags]
    message = f"{name}, {os.cpu_count()} threads, {', '.join(have) or 'no integer vector instructions'}"
    if {"avx512_vnni", "avx_vnni", "asimddp"} & flags:
        return Finding("CPU", "good", message)
    return Finding("CPU", "note", message, "Without VNNI or dotprod the INT8 arithmetic is several times slower.")


def _memory() -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return Finding("memory", "note", "free memory cannot be read here")
    if free < NEEDED_MEMORY:
        message = f"{free / 1e9:.1f} GB free; the default model takes {NEEDED_MEMORY / 1e9:.1f} GB"
        return Finding("memory", "bad", message, "Close something large, or use a smaller model.")
    return Finding("memory", "good", f"{free / 1e9:.1f} GB free")


def _torch() -> list[Finding]:
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return [Finding("torch", "bad", "importing torch took over a minute", "Reinstall torch.")]
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding("torch", "bad", said, "Run: python -m pip install --force-reinstall torch")]
    said_by_torch = json.loads(done.stdout)
    torch = Finding("torch", "good", f"{said_by_torch['version']}, {said_by_torch['threads']} threads")
    if said_by_torch["gpus"]:
        gpu = Finding("GPU", "good", f"{', '.join(said_by_torch['gpus'])} (CUDA {said_by_torch['cuda']})")
        if not said_by_torch["triton"]:
            gpu = Finding("GPU", "note", gpu.message, "Run: python -m pip install 'dsassist[gpu]'")
    elif shutil.which("nvidia-smi"):
        remedy = "Install a CUDA build of torch: https://pytorch.org/get-started/locally"
        gpu = Finding("GPU", "note", "an NVIDIA driver is here, but this torch cannot use it", remedy)
    else:
        gpu = Finding("GPU", "note", "none; the model runs on the CPU")
    return [torch, gpu]


def _folders() -> Finding:
    try:
        folder = paths.cache_dir()
        nearest = next(part for part in (folder, *folder.parents) if part.exists())
        free = shutil.disk_usage(nearest).free
        writable = os.access(nearest, os.W_OK)
    except OSError as error:
        return Finding("disk", "bad", f"{paths.cache_dir()}: {error.strerror}", "Set DSASSIST_HOME to another folder.")
    if not writable:
        return Finding("disk", "bad", f"{nearest} cannot be written to", "Set DSASSIST_HOME to another folder.")
    return Finding("disk", "good", f"{free / 1e9:.1f} GB free at {folder}")
