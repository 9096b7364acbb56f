"""The host's end of the probe: one process in the sandbox that answers jobs about one module."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from dsassist.assist.testgen.sandbox import Sandbox
from dsassist.errors import TestGenerationError

__all__ = ["Probe"]

_PACKAGE = Path(__file__).with_name("probe")


class Probe:
    """Use as a context manager. ``seed`` is Python's hash seed: a second probe with another shows what hangs on it."""

    def __init__(self, sandbox: Sandbox, python: Path, *, seed: int = 0) -> None:
        self.sandbox = sandbox
        staged = sandbox.root / "probe" / "_dsassist_probe"
        if not staged.exists():
            shutil.copytree(_PACKAGE, staged, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(Path(__file__).parent / "sandbox" / "confine.py", staged / "confine.py")
        home = sandbox.scratch / f"home-{seed}"
        home.mkdir(exist_ok=True)
        self.scratch = sandbox.scratch / f"runs-{seed}"
        self.scratch.mkdir(exist_ok=True)
        extra = {
            "PYTHONHASHSEED": str(seed),
            "HOME": str(home),
            "TMPDIR": str(self.scratch),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.scratch / "hypothesis"),
            "TZ": "UTC" if seed == 0 else "Asia/Tokyo",
        }
        if "DSASSIST_PROBE_DEBUG" in os.environ:
            extra["DSASSIST_PROBE_DEBUG"] = "1"
        self.process = sandbox.start(
            [str(python), "-B", str(staged / "__main__.py")],
            environment=extra,
            folder=self.scratch,
            processes=True,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "DSASSIST_PROBE_DEBUG" not in os.environ else None,  # type: ignore[arg-type]
        )

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and everything it started."""
        self.sandbox.kill(self.process)

    def ask(self, job: dict[str, Any], *, timeout: float) -> dict[str, Any]:
        """The answer to ``job``.

        Raises:
            TestGenerationError: it took longer than ``timeout`` seconds, or the process ended.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        what = {"load": "importing the module"}.get(job["op"], f"the {job['op']} step")
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise TestGenerationError(f"The sandboxed Python ended before {what}.") from None
        deadline = time.monotonic() + timeout
        received = bytearray()
        descriptor = self.process.stdout.fileno()
        while not received.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise TestGenerationError(
                    f"Stopped after {timeout:.0f} s: {what} did not end.",
                    remedy="Does it wait for something or loop for ever?",
                )
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                self.close()
                raise TestGenerationError(
                    f"Python ended during {what}.",
                    remedy="Code that runs on import may call sys.exit or os._exit, or need more memory than allowed.",
                )
            received += chunk
        answer: dict[str, Any] = json.loads(received)
        return answer
