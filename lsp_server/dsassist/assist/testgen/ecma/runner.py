"""How a project runs its JavaScript tests, and how calls of a function are tried in the same way."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dsassist.assist.testgen.sandbox import Sandbox
from dsassist.errors import TestGenerationError

__all__ = ["Runner", "package_root"]

_KEPT = (".vite", ".vite-temp", ".vitest", ".cache")
"""What tools write into ``node_modules``."""


@dataclass(frozen=True, slots=True)
class Runner:
    """``kind``: "vitest", "jest" or "node". ``folder``: of the package.json."""

    kind: str
    folder: Path
    node: str
    commonjs: bool

    @classmethod
    def find(cls, source: Path, workspace: Path) -> Runner:
        """The runner of the package that ``source`` belongs to.

        Raises:
            TestGenerationError: there is no Node, or it cannot run the file.
        """
        node = shutil.which("node")
        if node is None:
            raise TestGenerationError("There is no `node` on the path.", remedy="Install Node.js 20 or newer.")
        folder = package_root(source, workspace)
        described: dict[str, object] = {}
        try:
            found = json.loads((folder / "package.json").read_text(encoding="utf-8"))
            described = found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            described = {}
        known: set[str] = set()
        for key in ("dependencies", "devDependencies"):
            part = described.get(key)
            known |= set(part) if isinstance(part, dict) else set()
        kind = next((name for name in ("vitest", "jest") if name in known and _program(folder, name)), "node")
        module = source.suffix in (".mjs", ".mts") or (
            source.suffix not in (".cjs", ".cts") and described.get("type") == "module"
        )
        text = source.read_text(encoding="utf-8")
        written_as_module = any(line.startswith(("export ", "import ")) for line in text.splitlines())
        return cls(kind, folder, node, not (module or written_as_module))

    @property
    def label(self) -> str:
        """For reports."""
        return "node's test runner" if self.kind == "node" else self.kind

    def command(self, box: Sandbox, file: Path, *, test: bool) -> list[str]:
        """Runs ``file`` of the copy, a test file or (not ``test``) a probe."""
        folder = box.work / self.folder.relative_to(box.workspace)
        if self.kind == "vitest":
            program = str(folder / "node_modules" / "vitest" / "vitest.mjs")
            return [
                self.node,
                program,
                "run",
                str(file),
                "--root",
                str(folder),
                "--pool=threads",
                "--no-file-parallelism",
                "--reporter=json",
            ]
        if self.kind == "jest":
            program = str(folder / "node_modules" / "jest" / "bin" / "jest.js")
            return [
                self.node,
                program,
                "--runTestsByPath",
                str(file),
                "--rootDir",
                str(folder),
                "--no-cache",
                "--runInBand",
                "--json",
            ]
        return [self.node, *(["--test", "--test-reporter=tap"] if test else []), str(file)]

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """For the sandbox."""
        return {"NODE_OPTIONS": "--max-old-space-size=1024", "CI": "1", "NODE_NO_WARNINGS": "1", **(extra or {})}


def _program(folder: Path, name: str) -> bool:
    return (folder / "node_modules" / name).is_dir()


def package_root(source: Path, workspace: Path) -> Path:
    """The nearest folder above ``source`` with a package.json, else the workspace."""
    for folder in source.parents:
        if (folder / "package.json").is_file():
            return folder
        if folder == workspace:
            break
    return workspace


def link_modules(box: Sandbox) -> None:
    """Give the copy the workspace's ``node_modules``, to read; what tools keep there goes to the scratch folder."""
    for place, names, _ in os.walk(box.workspace):
        copy = box.work / Path(place).relative_to(box.workspace)
        if "node_modules" in names and copy.is_dir() and not (copy / "node_modules").exists():
            (copy / "node_modules").mkdir()
            for item in Path(place, "node_modules").iterdir():
                if item.name not in _KEPT:
                    (copy / "node_modules" / item.name).symlink_to(item)
            for name in _KEPT:
                own = box.scratch / "modules" / str(len(list(box.scratch.glob("modules/*"))))
                own.mkdir(parents=True)
                (copy / "node_modules" / name).symlink_to(own)
        names[:] = [name for name in names if name not in ("node_modules", ".git")]
