"""Neovim, Emacs and Vim, as Debian ships them, against the real language server and the real model."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsassist_model import paths

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
COMMANDS = {
    "neovim": f"nvim --headless -u NONE -i NONE -n -c 'luafile {HERE}/neovim/conversation.lua'",
    "emacs": f"emacs -Q --batch -l '{HERE}/emacs/conversation.el'",
    "vim": f"vim -N -u NONE -i NONE -n -T dumb --not-a-term -S '{HERE}/vim/conversation.vim'",
}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """State of our own with this machine's models. Short: a socket's path holds about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="dse-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "cache").mkdir()
        (home / "cache" / "models").symlink_to(paths.models_dir())
        (home / "config").mkdir()
        (home / "config" / "config.toml").write_text("[engine]\nidle_minutes = 0.2\n", encoding="utf-8")
        yield home


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def conversation(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the editor heard, and the project's files afterwards."""
    command = shlex.split(COMMANDS[request.param])
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed: run tests/e2e/setup.sh")
    folder = tmp_path_factory.mktemp(request.param)
    project, answers = folder / "project", folder / "answers.json"
    shutil.copytree(HERE / "project", project)
    environment = {
        **os.environ,
        "DSASSIST_HOME": str(home),
        "DSASSIST_PYTHON": sys.executable,
        "PROJECT": str(project),
        "ANSWERS": str(answers),
    }
    run = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=folder,
    )
    assert answers.exists(), run.stdout + run.stderr
    heard: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    assert not heard.get("problem"), heard
    return {**heard, "project": project}


def test_completion_comes_from_the_model(conversation: dict[str, Any]) -> None:
    assert conversation["completion"], "nothing was suggested"
    # ALE takes the text up to the first bracket
    assert any("prices" in item or item == "min" for item in conversation["completion"])


def test_references_cross_files(conversation: dict[str, Any]) -> None:
    found = set(conversation["references"])
    assert {"prices.py:23", "cart.py:3", "cart.py:18", "report.py:4", "report.py:9"} <= found
    # ALE does not ask for the declaration
    assert found <= {"prices.py:4", "prices.py:23", "cart.py:3", "cart.py:18", "report.py:4", "report.py:9"}


def test_rename_changes_every_file(conversation: dict[str, Any]) -> None:
    project: Path = conversation["project"]
    assert "def reduced(" in (project / "shop/prices.py").read_text(encoding="utf-8")
    cart = (project / "shop/cart.py").read_text(encoding="utf-8")
    assert "import average, reduced, total" in cart
    assert "return reduced(total(" in cart


def test_tests_are_offered(conversation: dict[str, Any]) -> None:
    if "actions" not in conversation:
        pytest.skip("ALE 3.3 lets no server edit, so the server offers it no action")
    assert any("test" in title.lower() for title in conversation["actions"]), conversation["actions"]


def test_tests_are_generated_after_consent(conversation: dict[str, Any]) -> None:
    if "actions" not in conversation:
        pytest.skip("ALE 3.3 lets no server edit")
    assert "runs the code of" in conversation["consent"]
    assert "def test_average" in conversation["tests"]
    assert "import average" in conversation["tests"]
