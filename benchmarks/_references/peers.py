"""Finds or installs the peers by package name, in a folder of their own, and unpacks packages to measure on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from _common import say

__all__ = ["Peers", "folder", "packages_of", "unpack_npm", "unpack_pypi"]

PYTHON_PEERS = ("basedpyright", "ty", "jedi", "jedi-language-server")
NPM_PEERS = ("typescript@5", "typescript-language-server", "@sourcegraph/scip-python")


def folder() -> Path:
    """Where peers and measured packages are kept between runs."""
    home = os.environ.get("DSASSIST_HOME")
    base = Path(home) / "cache" if home else Path.home() / ".cache" / "dsassist"
    return base / "benchmarks"


class Peers:
    """Programs to compare with. What is missing is installed once, by package name."""

    def __init__(self, where: Path | None) -> None:
        self.where = where or folder() / "peers"
        self.bin = self.where / "py" / "bin"
        self.npm = self.where / "npm" / "node_modules"

    @property
    def python(self) -> Path:
        """The interpreter that has jedi."""
        return self.bin / "python"

    def ensure_python(self) -> None:
        """basedpyright, ty, jedi and jedi-language-server in a virtual environment."""
        if not (self.bin / "jedi-language-server").exists():
            say(f"installing {', '.join(PYTHON_PEERS)} into {self.bin.parent}")
            venv.create(self.bin.parent, with_pip=True)
            subprocess.run([self.python, "-m", "pip", "install", "-q", *PYTHON_PEERS], check=True)

    def ensure_npm(self) -> bool:
        """typescript-language-server and scip-python; False where there is no npm."""
        if (self.npm / ".bin" / "typescript-language-server").exists():
            return True
        npm = shutil.which("npm")
        if npm is None:
            return False
        say(f"installing {', '.join(NPM_PEERS)} into {self.npm.parent}")
        self.npm.parent.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(self.npm.parent), *NPM_PEERS]
        return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def unpack_pypi(requirement: str) -> Path:
    """The files of a wheel, not installed."""
    target = folder() / "packages" / requirement.replace("==", "-")
    if not target.exists():
        wheels = folder() / "wheels" / requirement
        wheels.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(wheels),
        ]
        subprocess.run([*command, requirement], check=True)
        fresh = target.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
            archive.extractall(fresh, [name for name in archive.namelist() if name.endswith((".py", ".pyi"))])
        fresh.rename(target)
    return target


def unpack_npm(package: str, inner: str) -> Path:
    """The folder ``inner`` of a package from npm, TypeScript files only, as a project of its own."""
    target = folder() / "packages" / f"npm-{package.replace('@', '-').replace('/', '-')}"
    if not target.exists():
        packed = folder() / "tarballs" / package.replace("/", "-")
        packed.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm") or "npm"
        subprocess.run([npm, "pack", "--silent", package], cwd=packed, check=True, stdout=subprocess.DEVNULL)
        fresh = target.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(next(packed.glob("*.tgz"))) as archive:
            prefix = f"package/{inner}/"
            for member in archive.getmembers():
                if member.isfile() and member.name.startswith(prefix) and member.name.endswith((".ts", ".tsx")):
                    path = fresh / member.name[len(prefix) :]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(member)
                    assert content is not None
                    path.write_bytes(content.read())
        _tsconfig(fresh)
        fresh.rename(target)
    return target


def _tsconfig(root: Path) -> None:
    """All files are one project, so that tsserver sees the unopened ones."""
    (root / "tsconfig.json").write_text(
        '{"compilerOptions": {"target": "es2022", "module": "esnext", "moduleResolution": "bundler", "strict": true, '
        '"noEmit": true, "skipLibCheck": true, "allowImportingTsExtensions": true}, "include": ["**/*.ts"]}\n'
    )


def packages_of(source: Path) -> Sequence[Path]:
    """One folder a package."""
    return sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
