"""Peers that say where a definition is used: basedpyright and ty over LSP, jedi as a library with its caps lifted."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from _references.lsp import Client, Place

__all__ = ["PYRIGHT_SETTINGS", "ask_jedi", "ask_server", "basedpyright", "ty"]

PYRIGHT_SETTINGS = {
    "python": {"analysis": {"diagnosticMode": "openFilesOnly", "autoSearchPaths": True, "indexing": True}},
    "basedpyright": {
        "analysis": {"diagnosticMode": "openFilesOnly", "typeCheckingMode": "off", "autoSearchPaths": True}
    },
}


def basedpyright(peers: Path, root: Path) -> Client:
    """Started on ``root``; files of the whole workspace are its program, open or not."""
    return Client([str(peers / "basedpyright-langserver"), "--stdio"], root, settings=PYRIGHT_SETTINGS)


def ty(peers: Path, root: Path) -> Client:
    """Started on ``root``."""
    return Client([str(peers / "ty"), "server"], root, settings={"ty": {"diagnosticMode": "off"}})


def ask_server(client: Client, places: Sequence[Place], timeout: float = 60.0) -> list[set[Place] | None]:
    """References of each place, None where the server failed. The file that is asked about is open, as in an editor."""
    out: list[set[Place] | None] = []
    opened: set[str] = set()
    for place in places:
        if place[0] not in opened:
            opened.add(place[0])
            client.open(place[0])
            if len(opened) == 1:
                client.wait_idle(120)
        try:
            out.append(client.references(place, timeout))
        except (RuntimeError, queue.Empty):
            out.append(None)
    return out


_JEDI = """
import json, sys
import jedi, jedi.inference.references as references
references._PARSED_FILE_LIMIT = references._OPENED_FILE_LIMIT = 10**9
root, places = sys.argv[1], json.load(sys.stdin)
project = jedi.Project(root, added_sys_path=[root], smart_sys_path=True)
scripts = {}
for path, line, column in places:
    try:
        if path not in scripts:
            scripts[path] = jedi.Script(path=root + "/" + path, project=project)
        found = scripts[path].get_references(line + 1, column, include_builtins=False)
        print(json.dumps([[str(n.module_path), n.line - 1, n.column] for n in found if n.module_path and n.line]),
        flush=True)
    except Exception:
        print("null", flush=True)
"""


def ask_jedi(python: Path, root: Path, places: Sequence[Place], timeout: float = 900.0) -> list[set[Place] | None]:
    """References of each place from jedi's library, None where it failed or the time was over. Two processes share
    the work."""
    halves = [list(places[0::2]), list(places[1::2])]
    runs = [
        subprocess.Popen(
            [str(python), "-c", _JEDI, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in halves
    ]
    for run, half in zip(runs, halves, strict=True):
        assert run.stdin is not None
        run.stdin.write(json.dumps(half))
        run.stdin.close()
        run.stdin = None
    results: list[list[set[Place] | None]] = []
    for run, half in zip(runs, halves, strict=True):
        try:
            text = run.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired as error:
            run.kill()
            run.communicate()
            text = (error.stdout or b"").decode() if isinstance(error.stdout, bytes) else (error.stdout or "")
        lines = text.splitlines()
        out: list[set[Place] | None] = []
        for number in range(len(half)):
            rows = json.loads(lines[number]) if number < len(lines) else None
            out.append(None if rows is None else {place for row in rows if (place := _inside(root, row)) is not None})
        results.append(out)
    merged: list[set[Place] | None] = [None] * len(places)
    merged[0::2], merged[1::2] = results
    if sum(item is None for item in merged) > len(merged) // 2:
        print("jedi answered less than half of the questions", file=sys.stderr)
    return merged


def _inside(root: Path, row: list[object]) -> Place | None:
    try:
        return Path(str(row[0])).relative_to(root).as_posix(), int(str(row[1])), int(str(row[2]))
    except ValueError:
        return None
