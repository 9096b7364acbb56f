"""Worker processes for builds: ``python -m dsassist.index.pool`` at the other end of two pipes.

Parsing holds Python's global lock, so a build in threads would stall the editor. Workers are plain subprocesses and not
``multiprocessing``, so that no script of a user's is imported again. A message is a length and a ``marshal`` value. A
worker that dies takes only its batch with it, which is then done in the calling process.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from dsassist.index.work import Extracted, Linker, extract

__all__ = ["Pool", "default_workers"]

_RECURSION = 20_000
"""Syntax trees are walked by recursion; long chains of operators are deep."""


def default_workers() -> int:
    """One a core that this process may use, at most 8."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, count))


def _send(stream: IO[bytes], value: Any) -> None:
    data = marshal.dumps(value)
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    size = int.from_bytes(head, "big")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return marshal.loads(data)


class _Handler:
    """What a worker does with a message: ``("extract", root, paths)``, ``("open", …)``, ``("link", paths)``."""

    def __init__(self) -> None:
        self.linker: Linker | None = None

    def __call__(self, message: tuple[Any, ...]) -> Any:
        if message[0] == "extract":
            out = []
            for path in message[2]:
                item = extract(Path(message[1]), path)
                out.append(None if item is None else tuple(item))
            return out
        if message[0] == "open":
            self.linker = Linker(Path(message[1]), Path(message[2]), message[3], message[4])
            return None
        assert self.linker is not None
        return [self.linker.link(path) for path in message[1]]


class _Shares:
    """Batches, a run of neighbours for each worker: what a file needs to be linked is often what its neighbours need.
    Who has done all of its own takes from the end of the longest share."""

    def __init__(self, count: int, workers: int) -> None:
        bounds = [count * part // workers for part in range(workers + 1)]
        self._shares = [deque(range(low, high)) for low, high in pairwise(bounds)]
        self._lock = threading.Lock()

    def take(self, own: int) -> int:
        """The number of a batch, -1 when none is left."""
        with self._lock:
            if self._shares[own]:
                return self._shares[own].popleft()
            longest = max(self._shares, key=len)
            return longest.pop() if longest else -1

    def clear(self) -> None:
        """Give out nothing more."""
        with self._lock:
            for share in self._shares:
                share.clear()


class Pool:
    """Some workers. Use as a context manager."""

    def __init__(self, workers: int) -> None:
        command = [sys.executable, "-I", "-m", "dsassist.index.pool"]
        self._workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(workers)
        ]

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            assert worker.stdin is not None and worker.stdout is not None
            with contextlib.suppress(OSError):
                worker.stdin.close()
        for worker in self._workers:
            try:
                worker.wait(timeout=2)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()

    def memory_peak(self) -> int:
        """Peak resident bytes of all workers together, 0 where the system does not tell."""
        total = 0
        for worker in self._workers:
            with contextlib.suppress(OSError, ValueError, IndexError):
                text = Path(f"/proc/{worker.pid}/status").read_text()
                total += int(text.split("VmHWM:")[1].split()[0]) * 1024
        return total

    def extract(
        self, root: Path, batches: Sequence[Sequence[str]], stop: Callable[[], bool]
    ) -> Iterator[list[Extracted | None]]:
        """The facts of files, batch by batch in any order."""
        for _, result in self._run([("extract", str(root), list(batch)) for batch in batches], (), stop):
            yield [None if item is None else Extracted(*item) for item in result]

    def link(
        self,
        root: Path,
        database: Path,
        paths: Sequence[tuple[int, str]],
        configuration: Sequence[str],
        batches: Sequence[Sequence[str]],
        stop: Callable[[], bool],
    ) -> Iterator[list[tuple[str, bytes, list[int]]]]:
        """The links of files, batch by batch in any order."""
        first = ("open", str(root), str(database), list(paths), list(configuration))
        for number, result in self._run([("link", list(batch)) for batch in batches], first, stop):
            yield [(path, *item) for path, item in zip(batches[number], result, strict=True) if item is not None]

    def _run(
        self, messages: Sequence[tuple[Any, ...]], first: tuple[Any, ...], stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Any]]:
        todo = _Shares(len(messages), len(self._workers))
        done: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        threads = [
            threading.Thread(target=self._serve, args=(worker, messages, first, todo, own, done, stop), daemon=True)
            for own, worker in enumerate(self._workers)
        ]
        for thread in threads:
            thread.start()
        for _ in range(len(messages)):
            number, result = done.get()
            if number < 0:
                break
            if result is None:
                handler = _Handler()
                if first:
                    handler(first)
                result = handler(messages[number])
            yield number, result
            if stop():
                todo.clear()
                break
        for thread in threads:
            thread.join()

    @staticmethod
    def _serve(
        worker: subprocess.Popen[bytes],
        messages: Sequence[tuple[Any, ...]],
        first: tuple[Any, ...],
        todo: _Shares,
        own: int,
        done: SimpleQueue[tuple[int, Any]],
        stop: Callable[[], bool],
    ) -> None:
        assert worker.stdin is not None and worker.stdout is not None
        alive = True
        if first:
            try:
                _send(worker.stdin, first)
                _receive(worker.stdout)
            except (OSError, EOFError, ValueError):
                alive = False
        while not stop():
            number = todo.take(own)
            if number < 0:
                return
            result = None
            if alive:
                try:
                    _send(worker.stdin, messages[number])
                    result = _receive(worker.stdout)
                except (OSError, EOFError, ValueError):
                    alive = False
            done.put((number, result))
        done.put((-1, None))


def _main() -> None:
    """A worker: answers until its input ends."""
    sys.setrecursionlimit(_RECURSION)
    # Nearly everything that is made lives until its file is done, and little of it is in circles.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write into the answers
    handle = _Handler()
    while True:
        try:
            message = _receive(source)
        except EOFError:
            # All is sent. Taking apart what a build has made would take longer than half of what follows it.
            os._exit(0)
        _send(sink, handle(message))


if __name__ == "__main__":
    _main()
