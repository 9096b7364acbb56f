"""Prefill, decode, drafts and memory: our engine against llama.cpp's best file, alternating in one run.

llama.cpp gets the same GGUF (Q4_K_M) and the two formats it runs quickest, Q4_0 and Q8_0, requantized by itself; for
every figure its best counts. Both use the same number of threads. Drafts are measured on editing sites: a line of real
code is taken out, and the text that fills the gap is generated greedily, ours with drafts, llama.cpp's token by token.
Last, the language server is started, a file of 300 lines is opened, and the time to the first completion is taken,
with no engine running (cold) and with one (warm).
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import torch
from _common import arguments, report, say, source_files
from _llama import FORMATS, LlamaCpp, requantize

from dsassist_kernels import native
from dsassist_model import catalog, paths, prompt, store
from dsassist_model.convert import load
from dsassist_model.engine import Engine, Piece, Request
from dsassist_model.transformer import Segment, Transformer

_DECODE = 48


class Ours:
    """Our engine in this process."""

    def __init__(self, model: str) -> None:
        native.set_folder(paths.cache_dir() / "kernels")
        loaded = load(model)
        self.tokenizer = loaded.tokenizer
        self.model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
        self.engine = Engine(self.model, self.tokenizer)

    def time(self, tokens: list[int], prefill: int, decode: int) -> dict[str, float]:
        """As ``LlamaCpp.time``; a decoded token includes its logits and the choice of the next."""
        pool, table = self.model.new_pool(48), torch.arange(48, dtype=torch.int32)
        start = time.perf_counter()
        for at in range(0, prefill, 512):
            hidden = self.model.forward([Segment(tokens[at : min(at + 512, prefill)], at, table)], pool)
        self.model.logits(hidden)
        middle = time.perf_counter()
        for i in range(decode):
            hidden = self.model.forward([Segment([tokens[prefill + i]], prefill + i, table)], pool)
            self.model.logits(hidden, greedy=True).argmax(-1)
        return {"prefill": middle - start, "decode": time.perf_counter() - middle}

    def ask(self, request: Request) -> dict[str, Any]:
        """The engine's own figures of an answer."""
        done, pieces = threading.Event(), list[Piece]()

        def emit(piece: Piece) -> None:
            pieces.append(piece)
            if piece.last:
                done.set()

        self.engine.submit(request, emit)
        done.wait()
        return dict(pieces[-1].details or {})


def bandwidth() -> float:
    """Bytes a second that PyTorch reads from memory with its threads."""
    block, best = torch.ones(128 << 20), 0.0
    for _ in range(5):
        start = time.perf_counter()
        block.sum()
        best = max(best, block.numel() * 4 / (time.perf_counter() - start))
    return best


def sites(files: list[str], count: int, rng: random.Random, ours: Ours) -> list[prompt.BuiltPrompt]:
    """Fill-in-the-middle prompts: a line of a file is missing, up to 1,200 tokens around it are there."""
    found = []
    for text in files * 8:
        lines = text.splitlines(keepends=True)
        at = rng.randrange(20, len(lines))
        if len(lines[at].strip()) < 12:
            continue
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        built = prompt.build(ours.tokenizer, "".join(lines[:at]) + indent, "\n" + "".join(lines[at + 1 :]), limit=1200)
        found.append(built)
        if len(found) == count:
            break
    return found


class Client:
    """The least of a language client: enough to open a file and ask for a completion."""

    def __init__(self, home: Path, model: str) -> None:
        environment = {**os.environ, "DSASSIST_HOME": str(home)}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "dsassist", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._id = 0
        options = {"engine": {"model": model}, "index": {"enabled": False}}
        capabilities = {"textDocument": {"inlineCompletion": {}}}
        self.request(
            "initialize",
            {"processId": None, "rootUri": None, "capabilities": capabilities, "initializationOptions": options},
        )
        self.notify("initialized", {})

    def notify(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._id and "method" not in message:
                return message.get("result")
            if "id" in message and "method" in message:  # the server asks: nothing is configured, everything is fine
                result = (
                    [None] * len(message["params"]["items"]) if message["method"] == "workspace/configuration" else None
                )
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _send(self, message: Any) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if not length:
            raise SystemExit("The language server ended.")
        return json.loads(self._process.stdout.read(length))


def first_completion(text: str, model: str) -> tuple[float, float, float, list[str]]:
    """Seconds from ``didOpen`` to a completion, with no engine running and with one; the engine's largest memory in
    bytes, a prompt of 2,048 tokens included; and what was suggested.
    """
    lines = text.splitlines()[:300]
    at = next(i for i in range(150, len(lines)) if lines[i].strip().startswith(("return ", "if ", "self.")))
    lines[at] = lines[at][: len(lines[at]) - len(lines[at].lstrip()) + 3]
    seconds, texts = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "cache").mkdir()
        for shared in ("models", "kernels"):
            (home / "cache" / shared).symlink_to(paths.cache_dir() / shared)
        try:
            for _ in range(2):
                client = Client(home, model)
                try:
                    start = time.perf_counter()
                    uri = (home / "opened.py").as_uri()
                    item = {"uri": uri, "languageId": "python", "version": 1, "text": "\n".join(lines)}
                    client.notify("textDocument/didOpen", {"textDocument": item})
                    position = {"line": at, "character": len(lines[at])}
                    where = {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 1}}
                    said = client.request("textDocument/inlineCompletion", where)
                    seconds.append(time.perf_counter() - start)
                    items = said.get("items", []) if isinstance(said, dict) else said or []
                    texts += [str(item["insertText"]) for item in items[:1]]
                finally:
                    client.close()
        finally:
            peak = _stop_engine(home, text)
    return seconds[0], seconds[1], peak, texts


def _stop_engine(home: Path, text: str) -> float:
    """Have the engine in ``home`` read a long prompt and write 48 tokens, end it, and return its largest memory."""
    peak = 0.0
    for socket in (home / "run").glob("*.sock"):
        transport = httpx.HTTPTransport(uds=str(socket))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=120) as client:
            pid = client.get("/health").json()["pid"]
            body = {"prompt": text, "max_tokens": _DECODE, "dsassist": {"max_prompt_tokens": 2048}}
            client.post("/v1/completions", json=body).raise_for_status()
            peak = peak_memory(pid)
            os.kill(pid, signal.SIGTERM)
    return peak


def peak_memory(pid: int) -> float:
    """Largest resident memory of a process so far, in bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024.0


def main() -> int:
    parser = arguments(__doc__, source="folder of source files to read and edit (default: Python's own library)")
    parser.add_argument("--model", default=catalog.default_model().name)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    native.set_threads(options.threads)
    rng = random.Random(options.seed)
    folder = options.source or Path(sysconfig.get_path("stdlib"))
    files = []
    for path in source_files(folder, rng, smallest=12_000):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.count("\n") > 320:
            files.append(text)
        if len(files) == 12:
            break
    repeats, lengths = (2, [512]) if options.quick else (5, [512, 2048])
    ours = Ours(options.model)
    source = store.require_source(store.resolve(options.model))
    formats = ["q4_0"] if options.quick else list(FORMATS)
    peers = {"q4_k_m": source, **{f: requantize(source, paths.cache_dir() / "benchmarks", f) for f in formats}}
    llamas = {name: LlamaCpp(path, context=4096, threads=options.threads) for name, path in peers.items()}
    runners: dict[str, Callable[[list[int], int, int], dict[str, float]]] = {"ours": ours.time}
    runners |= {name: llama.time for name, llama in llamas.items()}
    times: dict[tuple[str, str], list[float]] = {}
    tokens = [ours.tokenizer.encode(text)[: max(lengths) + _DECODE] for text in files]
    tokens = [t for t in tokens if len(t) == max(lengths) + _DECODE]
    ours.time(tokens[0], 64, 2)
    for turn in range(repeats):
        text = tokens[turn % len(tokens)]
        for name, run in runners.items():
            for length in lengths:
                took = run(text, length, _DECODE if length == 512 else 0)
                times.setdefault((name, f"prefill_{length}"), []).append(length / took["prefill"])
                if length == 512:
                    times.setdefault((name, "decode"), []).append(_DECODE / took["decode"])
        say(f"  turn {turn + 1} of {repeats}: " + ", ".join(f"{n} {times[n, 'decode'][-1]:.1f} tok/s" for n in runners))
    speed = {key: statistics.median(values) for key, values in times.items()}
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for what in (*(f"prefill_{n}" for n in lengths), "decode"):
        best = max(llamas, key=lambda name: speed[name, what])
        figures[f"ours_{what}_tok_s"] = speed["ours", what]
        figures |= {f"peer_{name}_{what}_tok_s": speed[name, what] for name in llamas}
        ratios[what] = speed["ours", what] / speed[best, what]
    # drafts: seconds a generated token, reading the prompt not counted on either side
    best = max(llamas, key=lambda name: speed[name, "decode"])
    spent, made, steps, theirs = 0.0, 0, 0, []
    for site in sites(files, 4 if options.quick else 24, rng, ours):
        told = ours.ask(Request(site.tokens, max_tokens=40, suffix=site.suffix))
        if told["completion_tokens"] > told["tokens_at_once"]:  # what came with the prompt's last pass is not counted
            spent += told["decode_ms"] / 1e3
            made += int(told["completion_tokens"]) - int(told["tokens_at_once"])
            steps += int(told["decode_steps"])
            theirs.append(llamas[best].time(site.tokens + site.tokens[-8:], len(site.tokens), 8)["decode"] / 8)
    figures["ours_decode_drafted_tok_s"], figures["peer_decode_sites_tok_s"] = (
        made / spent,
        1 / statistics.median(theirs),
    )
    figures["tokens_per_step"] = made / max(1, steps)
    ratios["decode_drafted"] = statistics.median(theirs) * made / spent
    read = bandwidth()
    figures["bandwidth_gb_s"] = read / 1e9
    figures["bandwidth_share"] = ours.model.bytes_per_token * speed["ours", "decode"] / read
    peaks = {f"peer_{name}_peak_mb": peak_memory(llama.pid) / 1e6 for name, llama in llamas.items()}
    for llama in llamas.values():
        llama.close()
    ours.engine.stop()
    cold, warm, peak, texts = first_completion(files[0], options.model)
    figures["first_completion_cold_s"], figures["first_completion_warm_s"] = cold, warm
    figures |= {"ours_peak_mb": peak / 1e6, **peaks}
    ratios["memory"] = min(peaks.values()) * 1e6 / peak
    report(
        "engine",
        inputs={
            "model": options.model,
            "threads": options.threads,
            "source": folder.name,
            "files": len(files),
            "repeats": repeats,
            "sites": len(theirs),
            "peer": "llama-cpp-python",
            "peer_buffers": llamas["q4_k_m"].how,
            "suggested": texts,
            "seed": options.seed,
        },
        figures=figures,
        ratios=ratios,
        packages=("torch", "llama-cpp-python"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
