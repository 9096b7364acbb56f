"""When memory runs short, the engine gives some back: its cache is what it can do without."""

from __future__ import annotations

import logging
from pathlib import Path

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.engine import Engine

__all__ = ["Pressure", "available_share"]

_log = logging.getLogger(__name__)

SHORT = 0.04
"""Share of the memory that is left when the cache is cut to half; at twice as much it grows back."""
CALM_LOOKS = 30
"""So many looks in a row must find enough before it does."""
FEWEST_TOKENS = 1024


def available_share(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Share of the memory that can still be had, of the machine's or of what a control group allows, the smaller one;
    1 where the system does not tell."""
    shares = [1.0]
    try:
        lines = (line.split() for line in (proc / "meminfo").read_text(encoding="ascii").splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines if len(words) > 1}
        shares.append(kilobytes["MemAvailable:"] / kilobytes["MemTotal:"])
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        pass
    try:
        most = int((cgroup / "memory.max").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
        used = int((cgroup / "memory.current").read_text(encoding="ascii")) - int(stat.get("inactive_file", 0))
        shares.append(1 - used / most)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return min(shares)


class Pressure:
    """Looks at the memory and cuts one engine's cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._whole = engine.cache.pool.pages * PAGE
        self._tokens = self._whole
        self._calm = 0

    @property
    def notice(self) -> str:
        """What to tell those who ask how the engine is, empty while it has all it wants."""
        if self._tokens == self._whole:
            return ""
        return f"Memory is short: the cache was cut from {self._whole} to {self._tokens} tokens."

    def look(self, share: float) -> None:
        """``share`` of the memory is left: cut the cache, or let it grow back."""
        self._calm = self._calm + 1 if share > 2 * SHORT else 0
        if share < SHORT and self._tokens > FEWEST_TOKENS:
            self._resize(max(FEWEST_TOKENS, self._tokens // 2))
        elif self._calm >= CALM_LOOKS and self._tokens < self._whole:
            self._resize(min(self._whole, self._tokens * 2))

    def _resize(self, tokens: int) -> None:
        self._calm, self._tokens = 0, tokens
        self._engine.shrink_cache(tokens)
        _log.warning("%s", self.notice or f"Memory is enough again: the cache has {tokens} tokens.")
