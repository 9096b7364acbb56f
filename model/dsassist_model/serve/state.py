"""The engine's life as the server sees it: loading, ready or failed, and when it was last asked."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Literal

import torch

from dsassist_kernels import native
from dsassist_model import convert, paths
from dsassist_model.engine import Engine, Request
from dsassist_model.errors import DeviceError, ModelError
from dsassist_model.kv_pool import KVPool
from dsassist_model.serve.pressure import Pressure, available_share
from dsassist_model.transformer import Transformer

__all__ = ["EngineOptions", "EngineState", "load_engine"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine is loaded."""

    model: str
    device: str = "auto"
    threads: int = 0
    cache_megabytes: int = 384
    cache_type: str = "float"
    """``float`` (the model's own type) or ``int8`` keys and values."""
    draft: bool = True


class EngineState:
    """Loads an engine in the background and holds it."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.status: Literal["loading", "ready", "error"] = "loading"
        self.progress = 0.0
        self.error: ModelError | None = None
        self.engine: Engine | None = None
        self.asked = time.monotonic()
        self._pressure: Pressure | None = None

    @property
    def notice(self) -> str:
        """What those who ask how the engine is should know while it works."""
        return self._pressure.notice if self._pressure else ""

    def look_at_memory(self) -> None:
        """Cut the cache if memory is short, or let it grow back; to be called every second or so."""
        if self.engine is None:
            return
        if self._pressure is None:
            self._pressure = Pressure(self.engine)
        self._pressure.look(available_share())

    def start(self) -> None:
        """Begin loading."""
        threading.Thread(target=self._load, name="dsassist-load", daemon=True).start()

    def touch(self) -> None:
        """Somebody asked."""
        self.asked = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody asks and nothing runs."""
        if self.status == "loading" or (self.engine is not None and any(self.engine.load)):
            return 0.0
        return time.monotonic() - self.asked

    def _load(self) -> None:
        try:
            self.engine = load_engine(self.options, self._report)
        except ModelError as error:
            self.error, self.status = error, "error"
        # Whatever else goes wrong must be told to those who wait, not only to a log.
        except Exception as error:  # noqa: BLE001
            _log.exception("loading failed")
            self.error = ModelError(f"The model could not be loaded: {error}.", remedy="The engine's log has more.")
            self.status = "error"
        else:
            self.status = "ready"
        self.touch()

    def _report(self, done: int, total: int) -> None:
        self.progress = done / max(1, total)


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where PyTorch sees a GPU.

    Raises:
        DeviceError: a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "No CUDA GPU can be used by PyTorch here.",
            remedy="Set engine.device to cpu or auto, or install a CUDA build of PyTorch.",
        )
    if name not in ("cpu", "cuda"):
        raise DeviceError(f"There is no device {name!r}.", remedy="Devices are auto, cpu and cuda.")
    return torch.device(name)


def cache_dtype(name: str, own: torch.dtype) -> torch.dtype:
    """The type of cached keys and values that the setting ``engine.cache_type`` names, for a model of type ``own``.

    Raises:
        DeviceError: there is no such type.
    """
    if name not in ("float", "int8"):
        raise DeviceError(f"There is no cache type {name!r}.", remedy="Use float or int8.")
    return torch.int8 if name == "int8" else own


def load_engine(options: EngineOptions, progress: convert.Progress | None = None) -> Engine:
    """An engine that is ready to be asked.

    Raises:
        ModelError: the model cannot be found, read, or put on the device.
    """
    native.set_folder(paths.cache_dir() / "kernels")
    device = choose_device(options.device)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    native.set_threads(torch.get_num_threads())
    loaded = convert.load(options.model, progress=progress)
    # GPUs run bfloat16 until kernels for quantized weights come
    model = Transformer(loaded.config, loaded.tensors, device, torch.bfloat16 if device.type == "cuda" else None)
    kind = cache_dtype(options.cache_type, model.dtype)
    pages = max(2, options.cache_megabytes * 1_000_000 // KVPool.bytes_per_page(loaded.config, kind))
    engine = Engine(model, loaded.tokenizer, cache_tokens=64 * pages, cache_dtype=kind, draft=options.draft)
    # compiles the kernels and brings the weights into memory, before anybody waits
    first = threading.Event()
    engine.submit(Request([0], max_tokens=1), lambda piece: first.set() if piece.last else None)
    first.wait()
    if device.type == "cpu" and native.enabled():
        _log.info("kernels: %s", native.status.sources or "compiled on first use")
    _log.info("%s on %s, %d threads, pid %d", options.model, device, torch.get_num_threads(), os.getpid())
    return engine
