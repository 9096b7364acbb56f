"""Puts dsassist's wheel beside the VS Code extension, which installs it where no dsassist is found.

    python tools/pack_server.py

The wheel's files are stored and not compressed: the VSIX around it compresses them all as one, a fifth smaller. The
README, which installers do not read, is left out of its metadata.
"""

from __future__ import annotations

import base64
import hashlib
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
    """The same wheel without compression and without the README."""
    with zipfile.ZipFile(wheel) as packed, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as stored:
        held = {item.filename: packed.read(item) for item in packed.infolist()}
        metadata = next(name for name in held if name.endswith(".dist-info/METADATA"))
        held[metadata] = held[metadata].partition(b"\n\n")[0] + b"\n"
        record = metadata.replace("METADATA", "RECORD")
        lines = held[record].decode("utf-8").splitlines()
        held[record] = "".join(
            f"{metadata},{digest(held[metadata])}\n" if line.startswith(f"{metadata},") else f"{line}\n"
            for line in lines
        ).encode("utf-8")
        for item in packed.infolist():
            stored.writestr(item, held[item.filename], zipfile.ZIP_STORED)


def digest(content: bytes) -> str:
    """Hash and size as a wheel's RECORD tells them."""
    value = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode("ascii").rstrip("=")
    return f"sha256={value},{len(content)}"


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
