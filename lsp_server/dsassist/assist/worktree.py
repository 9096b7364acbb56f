"""What a git working tree holds that is not committed.

Git is asked for names and for the committed texts only, and its filters are switched off: a diff of its own would run
programs that a repository's settings name, and what is in a folder must not decide what runs. Files of the working tree
are read here, those that the index would take: nothing ignored, linked, outside of the folder, or in a language that
nobody knows.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from time import monotonic

from dsassist.assist.changes import Version
from dsassist.assist.hints import is_secret
from dsassist.index.languages import is_source
from dsassist.index.scan import takes

__all__ = ["uncommitted"]

logger = logging.getLogger(__name__)

MOST_FILES = 40
"""Those that were written last."""
LARGEST = 262_144
"""Bytes of a file."""
SECONDS = 5.0
"""For all that git is asked."""

_BUSY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
"""In git's folder while it brings in work of others: what is staged then is not what somebody is writing."""
_RAW = re.compile(r":100\d+ 100\d+ ([0-9a-f]+) [0-9a-f]+ M")
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}
"""Nothing is locked, asked or fetched."""
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"})
"""Who starts an editor from one of git's hooks hands down which repository that was about."""


def uncommitted(root: Path, exclude: Sequence[str] = (), buffers: Mapping[str, str] | None = None) -> list[Version]:
    """Files under ``root`` that are not as they were committed, the last written first; of open ones the text in
    ``buffers`` (by path from ``root``). Empty where there is no git, no repository, or it takes too long. Blocks."""
    git = _Git(root)
    folder = git.ask("rev-parse", "--absolute-git-dir")
    if folder is None or not git.without_filters():
        return []
    place = Path(folder.decode("utf-8", "replace").strip())
    objects: dict[str, str] = {}
    # first what is written and not staged, then what is: the older text counts
    asked: list[tuple[str, ...]] = [("diff-files",)]
    if not any((place / name).exists() for name in _BUSY):
        asked.append(("diff-index", "--cached", "HEAD"))
    unmerged: set[str] = set()
    for command in asked:
        fields = (git.ask(*command, "--raw", "-z", "--relative", "--no-renames", "--ignore-submodules") or b"").split(
            b"\0"
        )
        for status, name in zip(fields[::2], fields[1::2], strict=False):
            path = name.decode("utf-8", "surrogateescape")
            if found := _RAW.fullmatch(status.decode("ascii", "replace")):
                objects[path] = found[1]
            elif status.endswith(b" U"):
                unmerged.add(path)
            else:
                # new, gone, or a link now: nothing was there to compare it with
                objects.pop(path, None)
    known = [path for path in objects if path not in unmerged and is_source(path) and not is_secret(path)]
    known.sort(key=lambda path: _written(root / path), reverse=True)
    wanted = list(islice((path for path in known if takes(root, path, exclude)), MOST_FILES))
    versions = []
    for path, before in zip(wanted, git.texts([objects[path] for path in wanted]), strict=True):
        now = (buffers or {}).get(path)
        now = _read(root / path) if now is None else now
        if before is not None and now is not None:
            versions.append(Version(path, before, now))
    return versions


class _Git:
    """Git in a folder, for a limited time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._settings = list(_SETTINGS)
        self._until = monotonic() + SECONDS

    def without_filters(self) -> bool:
        """Whether every filter in the settings could be switched off: even a list of changed files may run them."""
        keys = (self.ask("config", "--null", "--name-only", "--get-regexp", r"^filter\..*") or b"").decode(
            "utf-8", "replace"
        )
        for name in {key[: key.rindex(".")] for key in keys.split("\0") if "." in key}:
            if "=" in name or "\n" in name or "\ufffd" in name:
                return False
            self._settings += ["-c", f"{name}.process=", "-c", f"{name}.clean=", "-c", f"{name}.required=false"]
        return True

    def ask(self, *arguments: str, said: bytes = b"") -> bytes | None:
        """What it prints, None where it fails."""
        left = self._until - monotonic()
        if left <= 0:
            return None
        try:
            done = subprocess.run(
                ["git", *self._settings, *arguments],
                cwd=self._root,
                env={**{name: value for name, value in os.environ.items() if name not in _ELSEWHERE}, **_ENVIRONMENT},
                input=said,
                capture_output=True,
                check=False,
                timeout=left,
            )
        except (OSError, subprocess.SubprocessError) as error:
            logger.info("git %s: %s", arguments[0], error)
            return None
        return done.stdout if done.returncode == 0 else None

    def texts(self, objects: Sequence[str]) -> list[str | None]:
        """Committed texts, None for one that is not there or too large."""
        sizes = self.ask("cat-file", "--batch-check", said="".join(f"{name}\n" for name in objects).encode())
        lines = (sizes or b"").decode("ascii", "replace").splitlines()
        if len(lines) != len(objects):
            return [None] * len(objects)
        small = [name for name, line in zip(objects, lines, strict=True) if _is_small(line)]
        said = self.ask("cat-file", "--batch", said="".join(f"{name}\n" for name in small).encode()) or b""
        known: dict[str, str] = {}
        for name in small:
            head, _, rest = said.partition(b"\n")
            fields = head.split()
            if len(fields) != 3:
                break
            size = int(fields[2])
            known[name], said = rest[:size].decode("utf-8", "replace"), rest[size + 1 :]
        return [known.get(name) for name in objects]


def _is_small(line: str) -> bool:
    fields = line.split()
    return len(fields) == 3 and fields[1] == "blob" and int(fields[2]) <= LARGEST


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError:
        return None
    return data.decode("utf-8", "replace") if len(data) <= LARGEST else None
