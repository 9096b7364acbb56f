"""Are our references right? Precision and recall against what independent tools agree on.

Python: definitions are drawn by seed with Python's own parser, so many of each kind a package. basedpyright, ty and
jedi
(as a library, its caps lifted) are asked for the references of each. Truth is every occurrence that at least two of the
three give; whatever else we answer counts as wrong, whatever of the truth we lack as missed. Names in ``__all__`` are
not
references (only basedpyright says so), and our "possible" answers are not answers.

TypeScript: exports and class members are drawn with the TypeScript compiler's parser; truth is tsserver's answer, with
all files in one project, without the occurrences inside comments.

``--source DIR``: other Python packages, one folder each. Peers come from PyPI and npm by name (``--peers DIR``: where).
"""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from _common import arguments, report, say
from _references.judges import ask_jedi, ask_server, basedpyright, ty
from _references.lsp import Client, Place
from _references.peers import Peers, packages_of, unpack_npm, unpack_pypi
from _references.sample import KINDS, python_files, sample

from dsassist.index import Index, Limits

PYPI = ("flask==3.1.3", "celery==5.7.0", "jinja2==3.1.6", "rich==15.0.0", "starlette==1.10.0", "httpx==0.28.1")
NPM = (("rxjs@7.8.2", "src"), ("zod@4.6.7", "src"))
GROUPS = {"module_level": ("function", "class"), "members": ("method", "attribute")}
Counts = tuple[int, int, int]
"""Right, wrong, missed."""


def judge_python(root: Path, peers: Peers, each: int, seed: int, ours: Index) -> list[tuple[str, Counts]]:
    """Counts of every question that at least two tools answered alike somewhere."""
    questions = sample(root, python_files(root), dict.fromkeys(KINDS, each), seed)
    places = [place for _, _, place in questions]
    votes = []
    for start in (basedpyright, ty):
        client = start(peers.bin, root)
        votes.append(ask_server(client, places))
        client.stop()
    votes.append(ask_jedi(peers.python, root, places))
    rows: list[tuple[str, Counts]] = []
    for (kind, _, place), *answers in zip(questions, *votes, strict=True):
        counted = Counter(found for answer in answers if answer is not None for found in answer)
        truth = {found for found, count in counted.items() if count >= 2}
        if truth:
            rows.append((kind, compare(answer_of(ours, place), truth)))
    return rows


def answer_of(ours: Index, place: Place) -> set[Place]:
    """Our references, UTF-16 columns."""
    found = ours.references(*place, include_possible=False).references
    return {(item.location.path, item.location.line, item.location.column) for item in found}


def compare(answer: set[Place], truth: set[Place]) -> Counts:
    """Right, wrong, missed."""
    return len(answer & truth), len(answer - truth), len(truth - answer)


def judge_typescript(root: Path, peers: Peers, each: int, seed: int, ours: Index) -> list[tuple[str, Counts]]:
    """As ``judge_python``, with tsserver alone."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.ts") if "/tests/" not in path.as_posix())
    command = [
        "node",
        str(Path(__file__).parent / "_references" / "definitions.cjs"),
        str(peers.npm / "typescript"),
        str(root),
    ]
    listed = subprocess.run(command, input="\n".join(files), text=True, capture_output=True, check=True).stdout
    rows = [json.loads(line) for line in listed.splitlines()]
    chooser = random.Random(seed)
    questions: list[tuple[str, Place]] = []
    for kind in ("export", "member"):
        items = [(row[0], (row[2], row[3], row[4])) for row in rows if row[0] == kind]
        chooser.shuffle(items)
        questions += items[:each]
    library = {"tsserver": {"path": str(peers.npm / "typescript" / "lib")}}
    client = Client([str(peers.npm / ".bin" / "typescript-language-server"), "--stdio"], root, options=library)
    out: list[tuple[str, Counts]] = []
    opened: set[str] = set()
    texts: dict[str, list[str]] = {}
    for kind, place in questions:
        if place[0] not in opened:
            opened.add(place[0])
            client.open(place[0], "typescript")
            if len(opened) == 1:
                client.wait_idle(60, 2)
        try:
            truth = {found for found in client.references(place) if not in_comment(root, found, texts)}
        except (RuntimeError, queue.Empty):
            continue
        if truth:
            out.append((f"ts_{kind}", compare(answer_of(ours, place), truth)))
    client.stop()
    return out


def in_comment(root: Path, place: Place, texts: dict[str, list[str]]) -> bool:
    """Does the place lie in a comment? Judged by the line, which is how documentation comments are written."""
    if place[0] not in texts:
        texts[place[0]] = (root / place[0]).read_text("utf-8", "replace").split("\n")
    before = texts[place[0]][place[1]].encode("utf-16-le")[: 2 * place[2]].decode("utf-16-le", "replace")
    return before.lstrip().startswith(("*", "/*", "//")) or "//" in before.replace("://", "") or "/**" in before


def interval(rows: list[Counts], which: int, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval, over questions, of precision (1) or recall (2)."""
    chooser = random.Random(seed)
    values = []
    for _ in range(400):
        drawn = chooser.choices(rows, k=len(rows))
        right, other = sum(row[0] for row in drawn), sum(row[which] for row in drawn)
        values.append(right / max(1, right + other))
    values.sort()
    return round(values[10], 4), round(values[389], 4)


def main() -> None:
    parser = arguments(__doc__, source="folder with one Python package a folder, in place of the default ones")
    parser.add_argument("--peers", type=Path, help="folder of installed peers; made where it is missing")
    parser.add_argument("--each", type=int, default=10, help="definitions of each kind and package")
    parser.add_argument("--no-typescript", action="store_true", help="leave the npm packages out")
    options = parser.parse_args()
    peers = Peers(options.peers)
    peers.ensure_python()
    each = 4 if options.quick else options.each
    names = PYPI[:1] if options.quick else PYPI
    roots = packages_of(options.source) if options.source else [unpack_pypi(name) for name in names]
    rows: dict[str, list[Counts]] = defaultdict(list)
    typescript = not options.no_typescript and not options.source and peers.ensure_npm()
    with tempfile.TemporaryDirectory() as cache:
        for root in roots:
            ours = Index.open(root, Path(cache), Limits(), encoding="utf-16")
            ours.update()
            judged = judge_python(root.resolve(), peers, each, options.seed, ours)
            for kind, counts in judged:
                rows[kind].append(counts)
            say(line_of(root.name, [counts for _, counts in judged]))
            ours.close()
        for package, inner in (NPM[:1] if options.quick else NPM) if typescript else ():
            root = unpack_npm(package, inner)
            ours = Index.open(root, Path(cache), Limits(), encoding="utf-16")
            ours.update()
            judged = judge_typescript(root.resolve(), peers, each * 4, options.seed, ours)
            for kind, counts in judged:
                rows[kind].append(counts)
            say(line_of(package, [counts for _, counts in judged]))
            ours.close()
    figures: dict[str, object] = {}
    groups = {name: [row for kind in kinds for row in rows.get(kind, [])] for name, kinds in GROUPS.items()}
    python = [row for kind, found in rows.items() if not kind.startswith("ts_") for row in found]
    for name, found in {**rows, **groups, "all": python}.items():
        if not found:
            continue
        right, wrong, missed = (sum(row[at] for row in found) for at in range(3))
        figures[f"precision_{name}"] = right / max(1, right + wrong)
        figures[f"recall_{name}"] = right / max(1, right + missed)
        figures[f"precision_{name}_95"] = interval(found, 1, options.seed)
        figures[f"recall_{name}_95"] = interval(found, 2, options.seed)
        figures[f"n_{name}"] = len(found)
    figures["precision"], figures["recall"], figures["n"] = (
        figures.get("precision_all"),
        figures.get("recall_all"),
        len(python),
    )
    inputs = {
        "packages": [root.name for root in roots],
        "npm": [name for name, _ in NPM] if typescript else [],
        "each": each,
        "seed": options.seed,
    }
    report("references_accuracy", inputs=inputs, figures=figures)


def line_of(name: str, found: list[Counts]) -> str:
    """One package's figures."""
    right, wrong, missed = (sum(row[at] for row in found) for at in range(3))
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    head = f"{name}: {len(found)} symbols, precision {precision:.4f}, recall {recall:.4f}"
    return f"{head} ({right} right, {wrong} wrong, {missed} missed)"


if __name__ == "__main__":
    sys.exit(main())
