"""Worker processes for builds: ``python -m dsassist.index.pool`` at the other end of two pipes.

Parsing holds Python's global lock, so a build in threads would stall the editor. Workers are plain subprocesses and not
``multiprocessing``, so that no script of a user's is imported again. A message is a length and a ``marshal`` value. A
worker that dies takes only its batch with it, which is then done in the calling process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import marshal
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from dsassist.index.work import Extracted, Linker, extract

__all__ = ["Pool", "default_workers"]

_FIELDS = tuple(field.name for field in dataclasses.fields(Extracted))
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
                out.append(None if item is None else tuple(getattr(item, name) for name in _FIELDS))
            return out
        if message[0] == "open":
            self.linker = Linker(Path(message[1]), Path(message[2]), message[3], message[4])
            return None
        assert self.linker is not None
        return [self.linker.link(path) for path in message[1]]


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
        todo: SimpleQueue[int] = SimpleQueue()
        for number in range(len(messages)):
            todo.put(number)
        done: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        threads = [
            threading.Thread(target=self._serve, args=(worker, messages, first, todo, done, stop), daemon=True)
            for worker in self._workers
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
                while True:
                    try:
                        todo.get_nowait()
                    except Empty:
                        break
                break
        for thread in threads:
            thread.join()

    @staticmethod
    def _serve(
        worker: subprocess.Popen[bytes],
        messages: Sequence[tuple[Any, ...]],
        first: tuple[Any, ...],
        todo: SimpleQueue[int],
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
            try:
                number = todo.get_nowait()
            except Empty:
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
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write into the answers
    handle = _Handler()
    while True:
        try:
            message = _receive(source)
        except EOFError:
            return
        _send(sink, handle(message))


if __name__ == "__main__":
    _main()
