"""The engine computes on every core for a moment after each key; the editor that waits for it must not feel that."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["NICENESS", "give_way"]

NICENESS = 3
"""Half the weight of other programs, where they want the same core. On an idle machine it costs nothing. It must not be
much more: beside a build on both of two cores a short suggestion took 1.6 s with 2, 2.9 s with 5 and 8 to 14 s with 10.
"""


def give_way(autogroup: Path = Path("/proc/self/autogroup")) -> None:
    """Let other programs go first from now on. Does nothing where the system does not let us."""
    if not hasattr(os, "nice"):  # Windows: the client starts us below normal priority
        return
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # Linux weighs sessions before it weighs processes. One that we share with the user's shell is not ours to change.
    if os.getsid(0) == os.getpid() and autogroup.exists():
        with contextlib.suppress(OSError):
            autogroup.write_text(f"{NICENESS}\n")
