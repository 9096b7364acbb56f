"""llama.cpp as a peer, in a process of its own, so that neither's threads or memory are the other's.

As a script it is that process: it reads a JSON object a line, ``{"tokens", "max_tokens", "stop"}``, and answers one,
``{"text", "tokens", "seconds"}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["LlamaCpp"]


class LlamaCpp:
    """llama-cpp-python on a GGUF file. It keeps the common prefix of successive prompts in its cache by itself."""

    def __init__(self, path: Path, *, context: int, threads: int) -> None:
        command = [sys.executable, __file__, str(path), str(context), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if not self._process.stdout or self._process.stdout.readline().strip() != "ready":
            raise SystemExit(f"llama-cpp-python cannot load {path}; is the bench extra installed?")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def ask(self, tokens: list[int], max_tokens: int, stop: Sequence[str] = ()) -> dict[str, Any]:
        """Continue ``tokens`` greedily: ``text``, ``tokens`` (how many), ``seconds``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"tokens": tokens, "max_tokens": max_tokens, "stop": list(stop)}
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


def main() -> None:
    from llama_cpp import Llama

    path, context, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = Llama(path, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        answer = model.create_completion(
            request["tokens"], max_tokens=request["max_tokens"], stop=request["stop"], temperature=0.0
        )
        seconds = time.perf_counter() - start
        facts = {"text": answer["choices"][0]["text"], "tokens": answer["usage"]["completion_tokens"]}
        print(json.dumps({**facts, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
