"""The GPU kernel in Triton's interpreter, in a process of its own: the switch must be set before triton is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

CASES = Path(__file__).with_name("triton_cases.py")


@pytest.mark.parametrize("part", ["prefill-float16", "prefill-float32", "ragged", "decode-float16", "decode-float32"])
def test_in_the_interpreter(part: str) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", str(CASES), part]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compared" in done.stdout
