"""The engine lowers its own priority, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsassist_model.serve.priority import NICENESS

pytestmark = pytest.mark.skipif(not hasattr(os, "nice"), reason="the client sets the priority here")

CODE = (
    "import os, pathlib, sys\n"
    "from dsassist_model.serve.priority import give_way\n"
    "before = os.nice(0)\n"
    "give_way(pathlib.Path(sys.argv[1]))\n"
    "print(os.nice(0) - before)\n"
)


@pytest.mark.parametrize("own_session", [True, False])
def test_it_gives_way(tmp_path: Path, own_session: bool) -> None:
    group = tmp_path / "autogroup"
    group.write_text("/autogroup-1 nice 0\n")
    command = [sys.executable, "-c", CODE, str(group)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=own_session)
    # 19 is the lowest there is
    assert int(done.stdout) == min(NICENESS, 19 - os.nice(0))
    assert group.read_text() == (f"{NICENESS}\n" if own_session else "/autogroup-1 nice 0\n")


def test_it_goes_without_where_the_system_refuses(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path / "missing")]
    subprocess.run(command, capture_output=True, check=True, start_new_session=True)
    assert not (tmp_path / "missing").exists()
