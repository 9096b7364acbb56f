"""Filling in the middle of real functions: our engine and llama.cpp with the same GGUF file, in one run.

Tasks are HumanEval's random spans (or any file of the same form with ``--tasks``). Both get the same prompt tokens in
the order prefix, suffix, middle, and generate greedily. Small models often go on after the gap: both answers are cut
by the same rule (``cut``). Exact match compares with the removed span, white space at both ends aside; pass@1 runs
the function's own tests in a process with limits.

A third answer, ``reused``, is ours with the suffix taken over from the prompt as it was ``--typed`` tokens earlier:
what the editor's requests do while one types, and what that costs.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _common import arguments, report, say
from _llama import LlamaCpp

from dsassist_model import catalog, prompt, store
from dsassist_model.convert import LoadedModel, load
from dsassist_model.engine import Engine, Piece, Request
from dsassist_model.prompt import BuiltPrompt
from dsassist_model.transformer import Transformer

_DEFAULT_TASKS = Path(__file__).parent / "data" / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
_CONTEXT = 2048
_SECONDS = 15

# The program under test can do anything a Python program can: this bounds time, memory and files, and nothing more.
_LIMITS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
exec(compile(sys.stdin.read(), "candidate", "exec"), {"__name__": "__main__"})
"""


def first_line(suffix: str) -> str:
    """The suffix up to the end of its first written line; behind a line break, with that line's indentation."""
    blank = suffix[: len(suffix) - len(suffix.lstrip())]
    line = suffix[len(blank) :].split("\n", 1)[0].rstrip()
    return ("\n" + blank.rsplit("\n", 1)[1] if "\n" in blank else blank) + line if line else ""


def cut(completion: str, suffix: str) -> str:
    """What fills the gap: the text before the suffix's first written line comes again, or the indented block ends."""
    line = first_line(suffix)
    again = re.search(re.escape(line) + r"[ \t]*(?=\n|$)", completion) if line else None
    if again:
        completion = completion[: again.start()]
    dedent = re.search(r"\n(?=[^\s)\]}])", completion)
    return completion[: dedent.start()] if dedent else completion


def stops(suffix: str) -> tuple[str, ...]:
    """Texts after which ``cut`` keeps nothing more: they end the generation and change no result."""
    line = first_line(suffix)
    return (*((line + "\n",) if line else ()), "\ndef ", "\nclass ", "\n# ", "\nprint(", "\nassert ", "\n```", "\n@")


def passes(task: dict[str, Any], completion: str) -> bool:
    """Whether the function with ``completion`` in its gap passes its tests."""
    program = f"{task['prompt']}{completion}{task['suffix']}\n{task['test']}\ncheck({task['entry_point']})\n"
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = subprocess.run(
                [sys.executable, "-I", "-c", _LIMITS],
                input=program.encode("utf-8", "replace"),
                cwd=folder,
                env={},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return run.returncode == 0


class Ours:
    """Our engine, as ``dsassist serve`` runs it."""

    def __init__(self, model: Transformer, loaded: LoadedModel, typed: int = 0, *, passed: bool = False) -> None:
        self._engine, self._typed, self._passed = Engine(model, loaded.tokenizer), typed, passed

    def complete(self, built: BuiltPrompt, max_tokens: int, stop: tuple[str, ...]) -> str:
        """The text that fills the gap. With ``typed``, the suffix comes from the prompt so many tokens earlier: they
        were not there yet, or, ``passed``, the cursor stood before them."""
        assert built.suffix is not None
        if not self._typed:
            return self._ask(Request(built.tokens, max_tokens=max_tokens, stop=stop))
        start, end = built.suffix
        less = min(self._typed, start - 2)  # the first token and the one before the suffix are of the template
        before, template, after = built.tokens[: start - 1], built.tokens[start - 1], built.tokens[start:]
        later = before[len(before) - less :] if self._passed else []
        earlier = [*before[: len(before) - less], template, *later, *after]
        self._ask(Request(earlier, max_tokens=0, suffix=(start - less, end - less + len(later))))
        request = Request(built.tokens, max_tokens=max_tokens, stop=stop, suffix=built.suffix, reuse_suffix=True)
        return self._ask(request)

    def _ask(self, request: Request) -> str:
        pieces: list[Piece] = []
        done = threading.Event()

        def emit(piece: Piece) -> None:
            pieces.append(piece)
            if piece.last:
                done.set()

        self._engine.submit(request, emit)
        done.wait()
        if pieces[-1].error is not None:
            raise pieces[-1].error
        return "".join(piece.text for piece in pieces)


def read_tasks(path: Path, limit: int, seed: int) -> list[dict[str, Any]]:
    """Tasks in an order drawn by ``seed``; all of them without a ``limit``."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines if line.strip()]
    random.Random(seed).shuffle(tasks)
    return tasks[:limit] if limit else tasks


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--tasks", type=Path, default=_DEFAULT_TASKS, help="JSON lines, gzipped or not")
    parser.add_argument("--limit", type=int, default=0, help="how many tasks, drawn by --seed (default: all)")
    parser.add_argument("--model", default=catalog.default_model().name, help="a catalog name or the path of a GGUF")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--typed", type=int, default=16, help="tokens typed since a suffix that is reused was read")
    options = parser.parse_args()
    limit = min(options.limit or 6, 6) if options.quick else options.limit
    tasks = read_tasks(options.tasks, limit, options.seed)
    loaded = load(options.model)
    if not loaded.special.fim.supported:
        say(f"{options.model} cannot fill in the middle.")
        return 2
    broken = [task["task_id"] for task in tasks if not passes(task, task["canonical_solution"])]
    if broken:
        say(f"{len(broken)} tasks fail with their own solution and are left out: {', '.join(broken[:5])}")
        tasks = [task for task in tasks if task["task_id"] not in broken]
    if not tasks:
        say(f"{options.tasks} has no task that can be used.")
        return 2
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    ours, reused = Ours(model, loaded), Ours(model, loaded, options.typed)
    passed_by = Ours(model, loaded, options.typed, passed=True)
    path = store.require_source(store.resolve(options.model))
    peer = LlamaCpp(path, context=_CONTEXT, threads=torch.get_num_threads())
    engines: dict[str, Callable[[BuiltPrompt, int, tuple[str, ...]], str]] = {
        "ours": ours.complete,
        "reused": reused.complete,
        "passed_by": passed_by.complete,
        "peer": lambda built, *rest: str(peer.ask(built.tokens, *rest)["text"]),
    }
    exact, passed = dict.fromkeys(engines, 0), dict.fromkeys(engines, 0)
    seconds, same = dict.fromkeys(engines, 0.0), dict.fromkeys(engines, 0)
    for number, task in enumerate(tasks, 1):
        built = prompt.build(loaded.tokenizer, task["prompt"], task["suffix"], limit=_CONTEXT - options.max_tokens - 8)
        order = list(engines) if number % 2 else list(reversed(engines))
        answers: dict[str, str] = {}
        for who in order:
            start = time.perf_counter()
            text = engines[who](built, options.max_tokens, stops(task["suffix"]))
            seconds[who] += time.perf_counter() - start
            answers[who] = cut(text, task["suffix"])
            exact[who] += answers[who].strip() == task["canonical_solution"].strip()
            passed[who] += passes(task, answers[who])
        for who in engines:
            same[who] += answers[who] == answers["ours"]
        totals = ", ".join(f"{who} {exact[who]} exact {passed[who]} passed" for who in engines)
        say(f"{number}/{len(tasks)} {task['task_id']}: {totals}")
    peer.close()
    n = len(tasks)
    figures: dict[str, Any] = {}
    for who in engines:
        figures |= {f"{who}_exact_match": exact[who] / n, f"{who}_pass_at_1": passed[who] / n}
        figures[f"{who}_seconds_per_task"] = seconds[who] / n
    report(
        "infill",
        inputs={
            "model": options.model,
            "peer": "llama-cpp-python, same GGUF",
            "tasks": options.tasks.name,
            "limit": limit,
            "seed": options.seed,
            "max_tokens": options.max_tokens,
            "typed": options.typed,
        },
        figures=figures
        | {"same_answer": same["peer"] / n, "reused_same_answer": same["reused"] / n}
        | {"passed_by_same_answer": same["passed_by"] / n, "n": n},
        ratios={"time": seconds["peer"] / seconds["ours"]},
        packages=("torch", "llama-cpp-python"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
