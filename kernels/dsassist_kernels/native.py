"""Compiles a C file of ours with the machine's own compiler, once, and loads it. Nothing requires it: without a
compiler,
or when the compiled code fails its self-check, every operation runs on PyTorch's own.

The library is kept in a folder of the user's cache, under a name made from the source, the compiler's flags and the
processor, so that a changed source or another machine sharing the folder never meets an old one.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import torch

__all__ = [
    "Status",
    "address",
    "compiled",
    "disable",
    "enabled",
    "library",
    "pointer",
    "scratch",
    "set_folder",
    "set_threads",
    "signatures",
    "status",
]

_FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-std=gnu11",
    "-shared",
    "-fPIC",
)
_HEADER = Path(__file__).with_name("native.h")
_THREADS = Path(__file__).parent / "threads" / "cpu.c"
"""The pool that the others run their loops on."""

_LETTERS = {"p": ctypes.c_void_p, "i": ctypes.c_int64, "f": ctypes.c_float}
_KEPT = 1 << 18
_own = threading.local()
_folder: Path | None = None
_enabled = os.environ.get("DSASSIST_NATIVE", "1") != "0"


class Status:
    """What became of each source file, for ``dsassist doctor``: file name → ``compiled`` or the reason why not."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}


status = Status()


def set_folder(folder: Path) -> None:
    """Where compiled libraries are kept; call it before the first kernel runs. A temporary folder otherwise."""
    global _folder
    _folder = folder


def disable(*, yes: bool = True) -> None:
    """Run on PyTorch's operations only. The environment variable ``DSASSIST_NATIVE=0`` does so from the start."""
    global _enabled
    _enabled = not yes


def enabled() -> bool:
    """Whether compiled kernels may be used."""
    return _enabled


def pointer(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    """The address of a tensor's first element, for a C argument; NULL for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def address(tensor: torch.Tensor | None) -> int | None:
    """The same as a number, for functions whose ``signatures`` are known: several of those a layer and token cost a
    tenth of its time otherwise."""
    return None if tensor is None else tensor.data_ptr()


def signatures(lib: ctypes.CDLL, **kinds: str) -> None:
    """Tell what functions of ``lib`` take, a letter an argument: p pointer, i int64, f float. Cheap to repeat."""
    first = next(iter(kinds))
    if getattr(lib, first).argtypes is None:
        for name, letters in kinds.items():
            getattr(lib, name).argtypes = [_LETTERS[letter] for letter in letters]


def scratch(size: int) -> torch.Tensor:
    """``size`` bytes that nobody else uses until this thread asks again."""
    if size > _KEPT:
        return torch.empty(size, dtype=torch.uint8)
    kept: torch.Tensor | None = getattr(_own, "kept", None)
    if kept is None:
        kept = _own.kept = torch.empty(_KEPT, dtype=torch.uint8)
    return kept


@functools.cache
def library(source: Path) -> ctypes.CDLL | None:
    """The compiled form of ``source``, or None where there is no working compiler."""
    try:
        path = _compile(source)
        loaded = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        status.sources[source.parent.name] = str(error)
        return None
    status.sources[source.parent.name] = "compiled"
    if source != _THREADS and hasattr(loaded, "use_threads"):
        threads = library(_THREADS)
        if threads is not None:
            functions = threads.in_parallel, threads.count_threads
            loaded.use_threads(*(ctypes.cast(each, ctypes.c_void_p) for each in functions))
    return loaded


def set_threads(count: int) -> None:
    """How many threads compiled kernels run on, the caller's included; 0 for as many as PyTorch would take."""
    threads = library(_THREADS)
    if threads is not None:
        threads.set_threads(ctypes.c_int(count))


def compiled(source: Path) -> ctypes.CDLL | None:
    """``library``, while compiled kernels may be used; None otherwise."""
    return library(source) if _enabled else None


def _compile(source: Path) -> Path:
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise OSError("no C compiler on PATH")
    headers = sorted(_HEADER.parent.rglob("*.h"))
    text = b"".join(path.read_bytes() for path in (source, *headers))
    key = hashlib.sha256(text + repr((_FLAGS, compiler, _processor(), torch.__version__)).encode()).hexdigest()[:16]
    folder = (
        _folder or Path(tempfile.gettempdir()) / f"dsassist-kernels-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to another user")
    target = folder / f"{source.parent.name}-{key}.so"
    if target.exists():
        return target
    # Several processes may compile at once: each writes its own file, and the rename decides.
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        built = Path(temporary) / target.name
        # libgomp is the one that PyTorch has loaded already (same soname), so both share one pool of threads.
        command = [compiler, *_FLAGS, "-fopenmp", f"-I{_HEADER.parent}", str(source), "-o", str(built), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise OSError(f"{Path(compiler).name} failed on {source.parent.name}: {last}")
        built.replace(target)
    return target


def _processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
