"""llama.cpp as a peer, in a process of its own, so that neither's threads or memory are the other's.

As a script it is that process: it reads a JSON object a line and answers one: ``{"tokens", "max_tokens", "stop"}``
continues a prompt,
``{"tokens", "prefill", "decode"}`` times reading the first tokens and then taking the next ones one by one.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["FORMATS", "LlamaCpp", "requantize"]

FORMATS = {"q4_0": 2, "q8_0": 7}
"""llama.cpp's file types that a GGUF is requantized to."""


class LlamaCpp:
    """llama-cpp-python on a GGUF file. It keeps the common prefix of successive prompts in its cache by itself.

    A build for a processor with AMX can crash in its first pass (0.3.36 does on some Sapphire Rapids machines); it is
    then run without
    its repacked weight buffers, and ``how`` says so. ``make bench`` builds it without AMX, which keeps the repacked
    ones.
    """

    def __init__(self, path: Path, *, context: int, threads: int) -> None:
        self.how = "default buffers"
        self._command = [sys.executable, __file__, str(path), str(context), str(threads)]
        try:
            self._start()
            self.time(list(range(100, 164)), 48, 2)
        except SystemExit:
            self.how = "without repacked buffers: its default build crashes on this processor"
            self._command.append("plain")
            self._start()
            self.time(list(range(100, 164)), 48, 2)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if not self._process.stdout or self._process.stdout.readline().strip() != "ready":
            raise SystemExit(f"llama-cpp-python cannot load {self._command[2]}; is the bench extra installed?")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def ask(self, tokens: list[int], max_tokens: int, stop: Sequence[str] = ()) -> dict[str, Any]:
        """Continue ``tokens`` greedily: ``text``, ``tokens`` (how many), ``seconds``."""
        return self._call({"tokens": tokens, "max_tokens": max_tokens, "stop": list(stop)})

    def time(self, tokens: list[int], prefill: int, decode: int) -> dict[str, float]:
        """Seconds to read ``tokens[:prefill]`` from an empty cache and to take the next ``decode`` ones singly."""
        return self._call({"tokens": tokens, "prefill": prefill, "decode": decode})

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"llama-cpp-python ended with exit status {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def requantize(source: Path, folder: Path, name: str) -> Path:
    """``source`` in another of llama.cpp's formats, made once in ``folder``."""
    import llama_cpp

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.{name}.gguf"
    if not target.exists():
        options = llama_cpp.llama_model_quantize_default_params()
        options.ftype, options.allow_requantize = FORMATS[name], True
        part = target.with_suffix(".part")
        if llama_cpp.llama_model_quantize(str(source).encode(), str(part).encode(), ctypes.byref(options)):
            raise SystemExit(f"llama.cpp cannot make {name} of {source}.")
        part.replace(target)
    return target


def main() -> None:
    from llama_cpp import Llama, llama_cpp

    path, context, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if sys.argv[4:] == ["plain"]:
        defaults = llama_cpp.llama_model_default_params

        def without_repacking() -> Any:
            options = defaults()
            options.use_extra_bufts = False
            return options

        llama_cpp.llama_model_default_params = without_repacking
    model = Llama(path, n_ctx=context, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        tokens = request["tokens"]
        start = time.perf_counter()
        if "prefill" in request:
            model.reset()
            model.eval(tokens[: request["prefill"]])
            middle = time.perf_counter()
            for token in tokens[request["prefill"] : request["prefill"] + request["decode"]]:
                model.eval([token])
            print(json.dumps({"prefill": middle - start, "decode": time.perf_counter() - middle}), flush=True)
            continue
        answer = model.create_completion(
            tokens, max_tokens=request["max_tokens"], stop=request["stop"], temperature=0.0
        )
        seconds = time.perf_counter() - start
        facts = {"text": answer["choices"][0]["text"], "tokens": answer["usage"]["completion_tokens"]}
        print(json.dumps({**facts, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
