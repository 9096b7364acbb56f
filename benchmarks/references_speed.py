"""How fast are our references? The same questions to every server, over the same protocol, on the same workspace, in
one run.

The workspace is several PyPI packages side by side (or ``--source DIR``). Every server is started by a plain LSP client
as an editor would. Restart: time from starting the process to the first answer that has as many references as the
server's answer once it is warm, the median over one symbol of each kind; ours restarts on the index that an earlier run
left, as it does for a user; the others keep what they keep. A client that ours has never met is answered later, once:
``ours_first_session_s``. Warm: the files are open and every server has had time to settle; other definitions are asked
about first, then each of the measured ones once. Edit: a line is put into an open file and references are asked at
once. All peers' figures are printed, better or worse.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from _common import arguments, report, say
from _references.judges import PYRIGHT_SETTINGS
from _references.lsp import Client, Place, uri
from _references.peers import Peers, folder, packages_of, unpack_pypi
from _references.sample import python_files, sample

PACKAGES = ("Django==5.2", "SQLAlchemy==2.0.44", "celery==5.7.0")
SETTLED_SECONDS = 2.5
"""Without progress or messages, before a server counts as warm."""
KINDS = {"function": 10, "class": 10, "method": 10, "attribute": 5, "variable": 5}


def workspace(source: Path | None) -> Path:
    """All packages as folders of one workspace."""
    roots = packages_of(source) if source else [unpack_pypi(name) for name in PACKAGES]
    place = folder() / "workspaces" / "-".join(root.name for root in roots)[:80]
    if not place.exists():
        fresh = place.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        for root in roots:
            for item in sorted(root.iterdir()):
                if item.is_dir() and not item.name.endswith(".dist-info"):
                    shutil.copytree(item, fresh / item.name, dirs_exist_ok=True)
        fresh.rename(place)
    return place.resolve()


def servers(peers: Peers, home: Path) -> dict[str, Callable[[Path], Client]]:
    """How each server is started."""
    ours = [sys.executable, "-I", "-m", "dsassist", "lsp"]
    return {
        "ours": lambda root: Client(ours, root, environment={"DSASSIST_HOME": str(home)}),
        "ty": lambda root: Client([str(peers.bin / "ty"), "server"], root, settings={"ty": {"diagnosticMode": "off"}}),
        "basedpyright": lambda root: Client(
            [str(peers.bin / "basedpyright-langserver"), "--stdio"], root, settings=PYRIGHT_SETTINGS
        ),
        "jedi": lambda root: Client([str(peers.bin / "jedi-language-server")], root),
    }


def restart(start: Callable[[Path], Client], root: Path, place: Place) -> float:
    """Seconds from starting the process to its first complete answer."""
    begun = time.perf_counter()
    client = start(root)
    client.open(place[0])
    answers: list[tuple[float, int]] = []
    for _ in range(4):
        answers.append((0.0, len(client.references(place))))
        answers[-1] = (time.perf_counter() - begun, answers[-1][1])
    client.stop()
    most = max(count for _, count in answers)
    return next(seconds for seconds, count in answers if count == most)


def warm(client: Client, others: Sequence[Place], places: Sequence[Place]) -> tuple[list[float], int]:
    """Milliseconds of each question, and how many locations were found. ``others`` are asked before, to warm up."""
    for path in {place[0] for place in (*others, *places)}:
        client.open(path)
    # As in the middle of a session: whatever a server loads or works out behind its first answers is done.
    client.wait_idle(60, SETTLED_SECONDS)
    times, found = [], 0
    for measured, asked in ((False, others), (True, places)):
        for place in asked:
            begun = time.perf_counter()
            try:
                count = len(client.references(place))
            except (RuntimeError, queue.Empty):
                continue
            if measured:
                times.append((time.perf_counter() - begun) * 1000)
                found += count
    return times, found


def edits(client: Client, root: Path, places: Sequence[Place]) -> list[float]:
    """Milliseconds from sending a changed text to the fresh references of a symbol in that file."""
    times = []
    version = 10
    for place in places:
        lines = (root / place[0]).read_text("utf-8", "replace").split("\n")
        name = lines[place[1]][place[2] :]
        word = name[: next((at for at, char in enumerate(name) if not (char.isalnum() or char == "_")), len(name))]
        before = len(client.references(place))
        version += 1
        end = {"line": len(lines), "character": 0}
        change = {"range": {"start": end, "end": end}, "text": f"\n_edited_{version} = {word}\n"}
        begun = time.perf_counter()
        client.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": uri(root / place[0]), "version": version}, "contentChanges": [change]},
        )
        after = len(client.references(place))
        times.append((time.perf_counter() - begun) * 1000)
        if after <= before:
            say(f"  note: the edit of {place[0]} gave {before} -> {after} references of {word}")
        client.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri(root / place[0]), "version": version + 1000},
                "contentChanges": [{"text": "\n".join(lines)}],
            },
        )
        client.references(place)
    return times


def symbols(client: Client, names: Sequence[str]) -> list[float]:
    """Milliseconds of workspace symbol queries."""
    times = []
    for name in names:
        for measured in (False, True):
            begun = time.perf_counter()
            client.request("workspace/symbol", {"query": name})
            if measured:
                times.append((time.perf_counter() - begun) * 1000)
    return times


def percentile(values: Sequence[float], share: float) -> float:
    """Of a sorted copy, the value at a share of its length."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def scip_lines_per_second(peers: Peers, root: Path) -> float:
    """scip-python over one package of the workspace; 0 where there is no npm."""
    program = peers.npm / ".bin" / "scip-python"
    if not program.exists():
        return 0.0
    part = min(
        (item for item in root.iterdir() if item.is_dir() and len(list(item.rglob("*.py"))) > 20),
        key=lambda item: len(list(item.rglob("*.py"))),
        default=root,
    )
    lines = sum(path.read_bytes().count(b"\n") for path in part.rglob("*.py"))
    with tempfile.TemporaryDirectory() as out:
        copy = Path(out) / "project"
        shutil.copytree(part, copy / part.name)
        # scip-python asks git and pip about the project and its environment; an empty environment keeps it to the
        # files.
        environment = Path(out) / "environment.json"
        environment.write_text("[]")
        command = [str(program), "index", "--project-name", "bench", "--project-version", "1", "--cwd", str(copy),
                   "--environment", str(environment), "--output", str(Path(out) / "index.scip"), "--quiet"]  # fmt: skip
        begun = time.perf_counter()
        run = subprocess.run(command, cwd=copy, capture_output=True, check=False, timeout=500)
        seconds = time.perf_counter() - begun
        if run.returncode != 0 or not (Path(out) / "index.scip").exists():
            say(f"scip-python failed: {run.stderr.decode()[-300:]}")
            return 0.0
    return lines / seconds


def cold(root: Path, home: Path) -> dict[str, float]:
    """Our index of the workspace from nothing, in a process of its own whose memory is counted with its workers'."""
    code = (
        "import json, resource, sys; from pathlib import Path; from dsassist.index import Index\n"
        "index = Index.open(Path(sys.argv[1]), Path(sys.argv[2])); report = index.update()\n"
        "own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "size = sum((index.root / path).stat().st_size for path in index.paths())\n"
        "index.close()\n"
        "kept = [file for file in index.database.parent.iterdir() if file.name.startswith(index.database.name)]\n"
        "memory = own + report.worker_peak_bytes; stored = sum(file.stat().st_size for file in kept)\n"
        "print(json.dumps([report.lines, report.files, report.seconds, memory, stored, size]))\n"
    )
    shutil.rmtree(home / "cache", ignore_errors=True)
    output = subprocess.run(
        [sys.executable, "-c", code, str(root), str(home / "cache")], capture_output=True, text=True, check=True
    ).stdout
    lines, files, seconds, memory, stored, size = json.loads(output)
    return {"lines": lines, "files": files, "seconds": seconds, "memory": memory, "stored": stored, "size": size}


def main() -> None:
    parser = arguments(__doc__, source="folder with one Python package a folder, in place of the default ones")
    parser.add_argument("--peers", type=Path, help="folder of installed peers; made where it is missing")
    options = parser.parse_args()
    peers = Peers(options.peers)
    peers.ensure_python()
    peers.ensure_npm()
    root = workspace(options.source)
    counts = {kind: max(1, count // 4) for kind, count in KINDS.items()} if options.quick else KINDS
    questions = sample(root, python_files(root), counts, options.seed)
    places = [place for _, _, place in questions]
    others = [place for _, _, place in sample(root, python_files(root), counts, options.seed + 1000)]
    others = [place for place in others if place not in places]
    chooser = random.Random(options.seed)
    names = sorted({name for _, name, _ in questions})
    queries = [name[: chooser.randint(3, 7)] for name in names][: 8 if options.quick else 24]
    figures: dict[str, object] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        built = cold(root, home)
        say(f"{built['files']} files, {built['lines']} lines; ours cold: {built['seconds']:.1f} s")
        figures["cold_lines_per_s"] = built["lines"] / built["seconds"]
        figures["rss_mb"] = built["memory"] / 1e6
        figures["index_bytes_per_source_byte"] = built["stored"] / built["size"]
        if not options.quick:
            theirs = scip_lines_per_second(peers, root)
            figures["scip_lines_per_s"] = theirs
            if theirs:
                ratios["cold_vs_scip"] = built["lines"] / built["seconds"] / theirs
        started = servers(peers, home)
        kinds = ("class",) if options.quick else ("function", "class", "method", "attribute", "variable")
        probes = [next(place for what, _, place in questions if what == kind) for kind in kinds]
        first: dict[str, float] = {}
        for name, start in started.items():
            if name == "jedi" and options.quick:
                continue
            if name == "ours":
                figures["ours_first_session_s"] = restart(start, root, probes[0])
            first[name] = statistics.median(restart(start, root, probe) for probe in probes)
            figures[f"{name}_restart_s"] = first[name]
            say(f"  {name}: first complete answer after {first[name]:.2f} s")
        for name in ("ty", "basedpyright", "jedi"):
            if name in first:
                ratios[f"restart_vs_{name}"] = first[name] / first["ours"]
        medians: dict[str, tuple[float, float]] = {}
        for name, start in started.items():
            client = start(root)
            asked = places[: len(places) // 4] if name == "jedi" and options.quick else places
            times, found = warm(client, others, asked)
            medians[name] = (statistics.median(times), percentile(times, 0.95))
            figures[f"{name}_warm_ms"], figures[f"{name}_warm_p95_ms"] = medians[name]
            figures[f"{name}_locations"] = found
            if name == "ours":
                top = [place for kind, _, place in questions if kind in ("function", "class", "variable")]
                changed = edits(client, root, top)
                figures["edit_ms"], figures["edit_p95_ms"] = statistics.median(changed), percentile(changed, 0.95)
                searched = symbols(client, queries)
                figures["symbols_ms"], figures["symbols_p95_ms"] = (
                    statistics.median(searched),
                    percentile(searched, 0.95),
                )
                figures["server_rss_mb"] = client.memory_peak() / 1e6
            client.stop()
            say(f"  {name}: median {medians[name][0]:.2f} ms, p95 {medians[name][1]:.2f} ms, {found} locations")
        for name in ("jedi", "basedpyright", "ty"):
            ratios[f"warm_vs_{name}"] = medians[name][0] / medians["ours"][0]
            ratios[f"warm_p95_vs_{name}"] = medians[name][1] / medians["ours"][1]
    inputs = {
        "workspace": root.name,
        "files": built["files"],
        "lines": built["lines"],
        "questions": len(places),
        "seed": options.seed,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    report("references_speed", inputs=inputs, figures=figures, ratios=ratios, packages=("pygls", "tree-sitter"))


if __name__ == "__main__":
    main()
