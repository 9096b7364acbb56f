"""Where a user's state lives. ``DSASSIST_HOME`` moves all of it (tests set it); otherwise the platform's own folders.

Nothing here creates a folder: who writes, creates.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["EngineFiles", "cache_dir", "config_dir", "engine_files", "models_dir", "runtime_dir"]


def _platformdirs() -> Any:
    """Loaded when it is asked, as everything here: a language server's start waits for this module."""
    import platformdirs

    return platformdirs


def _home() -> Path | None:
    value = os.environ.get("DSASSIST_HOME")
    return Path(value).expanduser().absolute() if value else None


def cache_dir() -> Path:
    """Models and indexes: can be deleted, costs time to get back."""
    home = _home()
    return home / "cache" if home else Path(_platformdirs().user_cache_path("dsassist", appauthor=False))


def models_dir() -> Path:
    """Pulled and converted models."""
    return cache_dir() / "models"


def config_dir() -> Path:
    """Holds ``config.toml``."""
    home = _home()
    return home / "config" if home else Path(_platformdirs().user_config_path("dsassist", appauthor=False))


def runtime_dir() -> Path:
    """Sockets, locks and tokens. Short, because a Unix socket's path holds only about 100 bytes."""
    home = _home()
    if home:
        return home / "run"
    if os.environ.get("XDG_RUNTIME_DIR"):
        return Path(_platformdirs().user_runtime_path("dsassist", appauthor=False))
    if hasattr(os, "getuid"):
        import tempfile

        return Path(tempfile.gettempdir()) / f"dsassist-{os.getuid()}"
    return cache_dir() / "run"


class EngineFiles(NamedTuple):
    """Where one engine, shared by all of a user's editors, is found."""

    socket: Path
    """Unix socket, mode 0600."""
    lock: Path
    """Held by the engine while it lives."""
    log: Path
    address: Path
    """With ``--tcp``: JSON with ``url`` and ``token``, mode 0600."""


def engine_files(model: str, device: str) -> EngineFiles:
    """The files of the engine for a model, as the settings name it, on a device. A path is made absolute first."""
    if Path(model).expanduser().exists():
        model = str(Path(model).expanduser().resolve())
    import hashlib

    key = hashlib.sha256(f"{model}\0{device}".encode()).hexdigest()[:12]
    folder = runtime_dir()
    return EngineFiles(*(folder / f"engine-{key}.{ending}" for ending in ("sock", "lock", "log", "json")))
