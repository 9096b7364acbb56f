"""Puts dsassist's wheel beside the VS Code extension, which installs it where no dsassist is found.

    python tools/pack_server.py

The wheel's files are stored and not compressed: the VSIX around it compresses them all as one, a fifth smaller.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "vscode-extension" / "server"


def build(folder: Path) -> Path:
    """The wheel of the working tree."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def store(wheel: Path, target: Path) -> None:
    """The same wheel without compression."""
    with zipfile.ZipFile(wheel) as packed, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as stored:
        for item in packed.infolist():
            stored.writestr(item, packed.read(item), zipfile.ZIP_STORED)


def main() -> None:
    """Replace what is in the folder."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for old in FOLDER.glob("*.whl"):
            old.unlink()
        store(wheel, FOLDER / wheel.name)
    print(f"{FOLDER.relative_to(ROOT) / wheel.name}")


if __name__ == "__main__":
    main()
