"""The sandbox: a copy of the workspace, a scratch folder, and commands confined to them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dsassist.assist.testgen.sandbox.copying import copy_workspace
from dsassist.errors import TestGenerationError

__all__ = ["Confinement", "Limits", "Outcome", "Sandbox"]

_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may use. ``memory_bytes`` bounds the address space; ``data_bytes`` (0: no bound of its own) what
    is really written to, for programs that reserve far more than they use."""

    memory_bytes: int = 4 << 30
    data_bytes: int = 0
    cpu_seconds: int = 300
    file_bytes: int = 32 << 20
    output_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the system granted. An empty text means that only the audit-hook shim inside Python stands guard."""

    network: str = ""
    writes: str = ""
    processes: str = ""

    def __str__(self) -> str:
        shim = "blocking shim"
        return f"network: {self.network or shim}; writes: {self.writes or shim}; processes: {self.processes or shim}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. ``code`` is negative for a signal; ``truncated`` when its output passed the cap and it
    was ended."""

    code: int
    output: str
    timed_out: bool = False
    truncated: bool = False


class Sandbox:
    """Use as a context manager: the copy goes with it, and nothing it started outlives it."""

    def __init__(self, workspace: Path, *, limits: Limits | None = None, needed: Sequence[Path] = ()) -> None:
        self.workspace = workspace.resolve()
        self.limits = limits or Limits()
        self.root = Path(tempfile.mkdtemp(prefix="dsassist-testgen-")).resolve()
        self.work = self.root / "work"
        self.scratch = self.root / "scratch"
        self._running: set[subprocess.Popen[bytes]] = set()
        try:
            self.left_out = copy_workspace(self.workspace, self.work, needed=[path.resolve() for path in needed])
            for folder in (self.scratch, self.scratch / "home", self.scratch / "tmp"):
                folder.mkdir()
            self.confinement = self._measure()
        except BaseException:
            shutil.rmtree(self.root, ignore_errors=True)
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs and remove the copy."""
        for process in list(self._running):
            self.kill(process)
        shutil.rmtree(self.root, ignore_errors=True)

    def move(self) -> None:
        """Put the copy elsewhere: what depends on where a project lies comes to light. Paths in ``work`` change."""
        moved = self.root / "checked-out-elsewhere"
        self.work.rename(moved)
        self.work = moved

    def _measure(self) -> Confinement:
        report = self.scratch / "granted.json"
        self.run([sys.executable, "-I", "-c", ""], timeout=20, report=report)
        try:
            granted = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return Confinement()
        finally:
            report.unlink(missing_ok=True)
        return Confinement(**granted)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A small environment: no token, agent socket or proxy of the user's gets in."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
        return {
            "HOME": str(self.scratch / "home"),
            "TMPDIR": str(self.scratch / "tmp"),
            "PYTHONPYCACHEPREFIX": str(self.scratch / "pyc"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.scratch / "hypothesis"),
            "PYTHONHASHSEED": "0",
            "PYTHONUTF8": "1",
            "NO_COLOR": "1",
            "COLUMNS": "80",
            **kept,
            **(extra or {}),
        }

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        processes: bool = False,
        report: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.STDOUT,
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` confined, in its own session. ``processes`` lets it start others.

        Raises:
            TestGenerationError: on a system without process groups (Windows).
        """
        if os.name != "posix":
            raise TestGenerationError(
                "Tests are generated on Linux and macOS only: the sandbox needs fork and process groups.",
                remedy="On Windows, run it inside WSL.",
            )
        spec = {
            "writable": [str(self.scratch)],
            "memory": self.limits.memory_bytes,
            "data": self.limits.data_bytes,
            "cpu_seconds": self.limits.cpu_seconds,
            "file_bytes": self.limits.file_bytes,
            "processes": processes,
            "report": str(report) if report else None,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", str(_LAUNCH), json.dumps(spec), "--", *command],
            cwd=folder or self.work,
            env=self.environment(environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        self._running.add(process)
        return process

    def run(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        processes: bool = False,
        report: Path | None = None,
    ) -> Outcome:
        """Run ``command`` to its end, at most ``timeout`` seconds, keeping at most ``limits.output_bytes`` of what
        it prints."""
        process = self.start(command, environment=environment, folder=folder, processes=processes, report=report)
        kept = bytearray()
        state = {"timed_out": False, "truncated": False}

        def expire() -> None:
            state["timed_out"] = True
            self.kill(process)

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            assert process.stdout is not None
            while chunk := os.read(process.stdout.fileno(), 65536):
                kept += chunk
                if len(kept) > self.limits.output_bytes:
                    state["truncated"] = True
                    break
        finally:
            timer.cancel()
            if state["truncated"]:
                self.kill(process)
            code = process.wait()
            self.kill(process)
        return Outcome(code, kept.decode("utf-8", "replace"), **state)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End ``process`` and its whole group; with a process namespace, everything that ever came of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            deadline = time.monotonic() + 5
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._running.discard(process)
