"""The rows of ``testgen.py`` that ask a model: what it adds where rules leave lines unreached or bugs unnoticed."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import statistics
from pathlib import Path
from typing import Any

from dsassist.assist import testgen
from dsassist.assist.testgen.sources import Facts, Gaps, Seed
from dsassist.backend import create
from dsassist.backend.types import CompletionRequest
from dsassist.errors import BackendError
from dsassist.settings import Settings

__all__ = ["figures", "source"]

_LOADING_SECONDS = 180.0


class _Fresh:
    """A model source whose client lives in the event loop that asks: every target has a loop of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.problem = ""

    async def help(self, facts: Facts, gaps: Gaps) -> list[Seed]:
        backend = create(self.settings)
        try:
            asked = testgen.ModelSource(backend, seconds=30.0)
            found = await asked.help(facts, gaps)
            self.problem = asked.problem or self.problem
            return found
        finally:
            await backend.close()


class _Nobody:
    """Has nothing to say: the search that follows a model's answer, without one."""

    problem = ""

    async def help(self, facts: Facts, gaps: Gaps) -> list[Seed]:
        return []


def source(model: str) -> _Fresh | _Nobody:
    """The engine with ``model`` (a name or a file), loaded; "none": the control, which is asked and says nothing."""
    if model == "none":
        return _Nobody()
    settings = Settings()
    path = Path(model).expanduser()
    engine = dataclasses.replace(settings.engine, model=str(path.resolve()) if path.exists() else model)
    made = _Fresh(dataclasses.replace(settings, engine=engine))
    asyncio.run(_loaded(made.settings))
    return made


async def _loaded(settings: Settings) -> None:
    backend = create(settings)
    try:
        async with asyncio.timeout(_LOADING_SECONDS):
            while True:
                try:
                    await backend.complete(CompletionRequest(prompt="x = ", suffix="", max_tokens=1))
                    return
                except BackendError:
                    await asyncio.sleep(1.0)
    finally:
        await backend.close()


def figures(name: str, without: list[dict[str, Any]], with_model: list[dict[str, Any]]) -> dict[str, Any]:
    """The same targets without and with the model."""
    label = re.sub(r"[^a-z0-9]+", "_", Path(name).name.lower().removesuffix(".gguf"))
    found: dict[str, Any] = {f"{label}_targets": len(with_model)}
    for prefix, rows in ((f"{label}_without", without), (f"{label}_with", with_model)):
        delivered = [row for row in rows if row["delivered"]]
        mutants = sum(row.get("mutants") or 0 for row in rows)
        lines = sum(row.get("lines") or 0 for row in rows)
        found[f"{prefix}_delivered_share"] = len(delivered) / len(rows) if rows else 0.0
        found[f"{prefix}_mutants_killed_of_all"] = sum(row.get("killed") or 0 for row in rows) / max(1, mutants)
        found[f"{prefix}_lines_of_all"] = sum(row.get("covered") or 0 for row in rows) / max(1, lines)
        found[f"{prefix}_median_s"] = statistics.median(row["seconds"] for row in rows) if rows else 0.0
    found[f"{label}_tests_from_model"] = sum(row.get("model_tests") or 0 for row in with_model)
    return found
