"""Neovim, Emacs, Vim and Helix, as Debian ships them, against the real language server and the real model.

Each editor starts in a home that is empty but for the set-up that ``docs/editors.md`` gives, to the letter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsassist_model import paths

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "editors.md"
CACHE = Path(os.environ.get("DSASSIST_E2E_CACHE") or Path.home() / ".cache" / "dsassist-e2e")


def blocks(editor: str) -> list[str]:
    """The code blocks that the page has for ``editor``, in order."""
    section = re.search(rf"^## {editor}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert section is not None, f"{PAGE.name} has no section {editor}"
    return [match[1] for match in re.finditer(r"^```\w+\n(.*?)^```$", section[1], re.M | re.S)]


def _program(name: str) -> str:
    """The editor's path: what the variable of its name says, what is on PATH, or what the set-up brought."""
    found = os.environ.get(name.upper()) or shutil.which(name) or shutil.which(CACHE / "helix" / name)
    if found is None:
        pytest.fail(f"{name} is not installed: run tests/e2e/setup.sh")
    return found


def _neovim(home: Path) -> list[str]:
    program = _program("nvim")
    banner = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", banner)[:2])
    modern, inline, older = blocks("Neovim")
    _write(home / ".config/nvim/init.lua", older if version < (0, 11) else modern + inline * (version >= (0, 12)))
    return [program, "--headless", "-i", "NONE", "-n", "-c", f"luafile {HERE}/neovim/conversation.lua"]


def _emacs(home: Path) -> list[str]:
    init = home / ".emacs.d/init.el"
    _write(init, blocks("Emacs")[0])
    files = (HERE / "emacs/packages.el", init, HERE / "emacs/conversation.el")
    return [_program("emacs"), "--batch", *(part for file in files for part in ("-l", str(file)))]


def _vim(home: Path) -> list[str]:
    _write(home / ".vimrc", blocks("Vim")[0])
    return [_program("vim"), "-i", "NONE", "-n", "-T", "dumb", "--not-a-term", "-S", f"{HERE}/vim/conversation.vim"]


def _helix(home: Path) -> list[str]:
    _write(home / ".config/helix/languages.toml", blocks("Helix")[0])
    return [sys.executable, f"{HERE}/helix/conversation.py", _program("hx")]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


EDITORS: dict[str, Callable[[Path], list[str]]] = {"neovim": _neovim, "emacs": _emacs, "vim": _vim, "helix": _helix}
"""Each writes its set-up into a home and gives the command."""


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


@pytest.fixture(scope="module", params=sorted(EDITORS))
def conversation(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the editor heard, and the project's files afterwards."""
    folder = tmp_path_factory.mktemp(request.param)
    project, answers = folder / "project", folder / "answers.json"
    shutil.copytree(HERE / "project", project)
    subprocess.run(["git", "init", "--quiet", str(project)], check=True, timeout=60)
    run = subprocess.run(
        EDITORS[request.param](folder / "home"),
        env=_environment(folder / "home")
        | {"DSASSIST_HOME": str(home), "PROJECT": str(project), "ANSWERS": str(answers)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=project,
    )
    assert answers.exists(), run.stdout + run.stderr
    heard: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    assert not heard.get("problem"), heard["problem"]
    return {**heard, "editor": request.param, "project": project}


def _environment(home: Path) -> dict[str, str]:
    """A person's who has just installed dsassist: its Python is ``python3``, and the home is theirs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "HOME": str(home), "PATH": path, "TERM": "xterm-256color"}


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
    if conversation["editor"] == "vim":
        pytest.skip("ALE 3.3 lets no server edit, so the server offers it no action")
    assert any("test" in title.lower() for title in conversation["actions"]), conversation["actions"]


def test_tests_are_generated_after_consent(conversation: dict[str, Any]) -> None:
    if conversation["editor"] == "vim":
        pytest.skip("ALE 3.3 lets no server edit")
    # Helix cannot ask, so the server says how to agree
    wanted = "dsassist testgen" if conversation["editor"] == "helix" else "runs the code of"
    assert wanted in conversation["consent"]
    assert "def test_average" in conversation["tests"]
    assert "import average" in conversation["tests"]
