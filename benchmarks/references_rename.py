"""Are our renames safe? Real symbols of real packages are renamed one after the other, in the sources and their tests.

Definitions are drawn by seed with Python's own parser. Each is given a new name by the index; a refusal is counted with
its reason and another symbol takes its place. The edits stay, so that the next rename works on what the last one left.
After every batch basedpyright checks the whole package and its own tests run: new errors, and tests that passed before
and fail now, are counted. No peer: what is held against us is the package itself.

``--source DIR``: other packages, one folder each with sources and a folder ``tests``, as in an sdist.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from _common import arguments, report, say
from _references.peers import Peers, folder, packages_of
from _references.sample import python_definitions, python_files

from dsassist.index import Index, Limits

PYPI = ("itsdangerous==2.2.0", "click==8.1.8", "jinja2==3.1.6")
KINDS = ("function", "class", "method", "attribute", "variable", "parameter", "local")


def unpack_sdist(requirement: str) -> Path:
    """The files of a source distribution, tests included."""
    target = folder() / "sdists" / requirement.replace("==", "-")
    if not target.exists():
        with tempfile.TemporaryDirectory() as temporary:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            subprocess.run([*command, "-d", temporary, requirement], check=True)
            fresh = target.with_suffix(".part")
            shutil.rmtree(fresh, ignore_errors=True)
            with tarfile.open(next(Path(temporary).glob("*.tar.gz"))) as archive:
                archive.extractall(fresh, filter="data")
            next(item for item in fresh.iterdir() if item.is_dir()).rename(target)
            shutil.rmtree(fresh, ignore_errors=True)
    return target


def errors_of(peers: Peers, root: Path) -> Counter[tuple[str, str]]:
    """basedpyright's errors, by file and rule."""
    command = [str(peers.bin / "basedpyright"), "--outputjson", "--level", "error", "--pythonpath", sys.executable, "."]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    found = json.loads(output)["generalDiagnostics"]
    return Counter(
        (Path(item["file"]).relative_to(root).as_posix(), item.get("rule", "syntax"))
        for item in found
        if item["severity"] == "error"
    )


def failing(root: Path) -> tuple[set[str], int]:
    """Tests that fail, and how many passed."""
    source = root / "src" if (root / "src").is_dir() else root
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "--continue-on-collection-errors"]
    command += ["-p", "no:cacheprovider", "tests"]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300)
    lines = run.stdout.splitlines()
    failed = {line.split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))}
    passed = re.search(r"(\d+) passed", run.stdout)
    return failed, int(passed.group(1)) if passed else 0


def apply(index: Index, edits: Sequence[object], root: Path, new_name: str) -> None:
    """Write a plan's edits to the disk and tell the index."""
    by_file: dict[str, list[tuple[int, int, int]]] = {}
    for place in edits:
        by_file.setdefault(place.path, []).append((place.line, place.column, place.end_column))  # type: ignore[attr-defined]
    for path, places in by_file.items():
        lines = (root / path).read_text("utf-8").split("\n")
        for line, start, end in sorted(places, reverse=True):
            lines[line] = lines[line][:start] + new_name + lines[line][end:]
        (root / path).write_text("\n".join(lines), "utf-8")
    index.refresh(by_file)
    index.settle()


def rename_in(package: Path, peers: Peers, wanted: int, seed: int, batch: int) -> dict[str, object]:
    """Rename ``wanted`` symbols of a package in a copy of it."""
    with tempfile.TemporaryDirectory() as temporary:
        root = (Path(temporary) / package.name).resolve()
        shutil.copytree(package, root)
        index = Index.open(root, Path(temporary) / "cache", Limits(), encoding="utf-32")
        index.update()
        before, (broken, passing) = errors_of(peers, root), failing(root)
        inside = [path for path in python_files(root) if not path.startswith(("tests/", "docs/", "examples/"))]
        names = [item for path in inside for item in python_definitions(root, path) if item[0] in KINDS]
        random.Random(seed).shuffle(names)
        renamed, refused, edits = 0, Counter[str](), 0
        new_errors: Counter[tuple[str, str]] = Counter()
        new_failures: set[str] = set()
        history: list[str] = []
        for _, name, (path, line, column) in names:
            if renamed == wanted:
                break
            text = (root / path).read_text("utf-8").split("\n")[line]
            if name.startswith("__") or not text[column:].startswith(name) or not text.isascii():
                continue  # moved by an earlier rename on its line
            new_name = f"{name}_renamed"
            plan = index.rename(path, line, column, new_name)
            if plan.refused:
                refused[reason(plan.refused)] += 1
                continue
            apply(index, plan.edits, root, new_name)
            renamed, edits = renamed + 1, edits + len(plan.edits)
            history.append(f"{path}:{line + 1} {name}")
            if renamed % batch == 0 or renamed == wanted:
                errors, (failed, _) = errors_of(peers, root), failing(root)
                for key in (errors - before) - new_errors:
                    say(f"  new error {key} after {history[-batch:]}")
                for test in sorted(failed - broken - new_failures)[:5]:
                    say(f"  {test} fails after {history[-batch:]}")
                new_errors |= errors - before
                new_failures |= failed - broken
        index.close()
    head = f"{package.name}: {renamed} renamed ({edits} places), {refused.total()} refused"
    say(f"{head}, {new_errors.total()} new errors, {len(new_failures)} of {passing} tests fail")
    return {"renamed": renamed, "places": edits, "refused": refused, "errors": new_errors.total(),
            "failures": len(new_failures), "tests": passing}  # fmt: skip


def reason(message: str) -> str:
    """A refusal's kind."""
    for part, name in (
        ("may also mean", "unknown receiver"),
        ("as a string", "named in a string"),
        ("inside a string", "named in a string"),
        ("makes names", "name put together"),
        ("outside the workspace", "base outside"),
        ("already", "name taken"),
        ("overrid", "parameter of an override"),
        ("several", "several things"),
        ("meaning for the language", "special name"),
    ):
        if part in message:
            return name
    return "other"


def main() -> None:
    parser = arguments(
        __doc__, source="folder with one package (sources and tests) a folder, in place of the default ones"
    )
    parser.add_argument("--peers", type=Path, help="folder of installed peers; made where it is missing")
    parser.add_argument("--renames", type=int, default=100, help="how many symbols, over all packages")
    options = parser.parse_args()
    peers = Peers(options.peers)
    peers.ensure_python()
    names = PYPI[:1] if options.quick else PYPI
    roots = packages_of(options.source) if options.source else [unpack_sdist(name) for name in names]
    wanted = 12 if options.quick else options.renames
    results: list[dict[str, object]] = []
    for number, root in enumerate(roots):
        share = (wanted - sum(int(str(item["renamed"])) for item in results)) // (len(roots) - number)
        results.append(rename_in(root, peers, share, options.seed, 12))
    total = {
        key: sum(int(str(item[key])) for item in results)
        for key in ("renamed", "places", "errors", "failures", "tests")
    }
    reasons = sum((item["refused"] for item in results), Counter())  # type: ignore[arg-type]
    figures = {
        "renamed": total["renamed"],
        "places": total["places"],
        "new_errors": total["errors"],
        "tests_broken": total["failures"],
        "tests": total["tests"],
        "refusal_rate": reasons.total() / max(1, reasons.total() + total["renamed"]),
        "refusals": dict(reasons.most_common()),
    }
    report(
        "references_rename", inputs={"packages": [root.name for root in roots], "seed": options.seed}, figures=figures
    )


if __name__ == "__main__":
    main()
