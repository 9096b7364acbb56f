"""Many small jobs in forked children: one child a batch, a new one after each that hangs or dies."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Budget", "TooLong", "in_children", "time_limit"]


class TooLong(BaseException):
    """Raised inside a call that ran past its limit; not an ``Exception``, so that code under test does not swallow
    it."""


class time_limit:  # noqa: N801 - reads as a statement
    """``with time_limit(seconds):`` raises ``TooLong`` in the main thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        def expire(*_: object) -> None:
            raise TooLong

        signal.signal(signal.SIGALRM, expire)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 0.2)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Budget:
    """Seconds left of a job."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, not below 0."""
        return max(0.0, self.end - time.monotonic())


def in_children(
    jobs: list[Any],
    work: Callable[[Any], dict[str, Any]],
    *,
    prepare: Callable[[], None],
    limit: float,
    budget: Budget,
    batch: int = 32,
) -> list[dict[str, Any]]:
    """``work`` on each job in a child; ``{"outcome": "hang" | "died" | "unrun"}`` where it gave no answer.

    Args:
        prepare: called once in each child, before the first job.
        limit: seconds after which a silent child is killed.
        budget: jobs that no time is left for are "unrun".
        batch: jobs a child.
    """
    answers: list[dict[str, Any]] = [{"outcome": "unrun"} for _ in jobs]
    position = 0
    while position < len(jobs) and budget.left > 0:
        last = min(len(jobs), position + batch)
        position = _one_child(jobs, position, last, work, prepare, limit, budget, answers)
    return answers


def _one_child(
    jobs: list[Any],
    first: int,
    last: int,
    work: Callable[[Any], dict[str, Any]],
    prepare: Callable[[], None],
    limit: float,
    budget: Budget,
    answers: list[dict[str, Any]],
) -> int:
    """Run jobs ``first`` to ``last`` and return the position of the first job not answered for."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _serve(jobs, first, last, work, prepare, writer)
    os.close(writer)
    position, pending = first, b""
    killed = False
    while True:
        ready, _, _ = select.select([reader], [], [], min(limit, budget.left + 0.2))
        chunk = os.read(reader, 1 << 20) if ready else b""
        if not chunk:
            killed = not ready
            break
        pending += chunk
        *lines, pending = pending.split(b"\n")
        for line in lines:
            answers[position] = json.loads(line)
            position += 1
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if position < last:
        signalled = os.waitstatus_to_exitcode(status)
        answers[position] = {"outcome": "hang"} if killed else {"outcome": "died", "status": signalled}
        position += 1
    return position


def _serve(
    jobs: list[Any],
    first: int,
    last: int,
    work: Callable[[Any], dict[str, Any]],
    prepare: Callable[[], None],
    writer: int,
) -> None:
    code = 70
    try:
        prepare()
        for job in jobs[first:last]:
            try:
                answer = work(job)
            except MemoryError:
                answer = {"outcome": "memory"}
            except RecursionError:
                answer = {"outcome": "recursion"}
            except Exception as error:  # noqa: BLE001 - looking at foreign objects runs foreign code
                answer = {"outcome": "setup", "error": f"{type(error).__name__}: {error}"[:300], "flags": []}
            data = json.dumps(answer).encode() + b"\n"
            while data:
                data = data[os.write(writer, data) :]
        code = 0
    except BaseException as error:  # noqa: BLE001 - a child must never return into the parent's code
        if os.environ.get("DSASSIST_PROBE_DEBUG"):
            import traceback

            traceback.print_exception(error, file=sys.__stderr__)
    finally:
        os._exit(code)
