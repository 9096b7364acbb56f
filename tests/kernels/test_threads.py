"""The pool of threads: every piece is done once, whoever calls at the same time."""

from __future__ import annotations

import ctypes
import threading
from collections import Counter

import pytest

from dsassist_kernels import native

_PIECE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


@pytest.fixture
def pool() -> ctypes.CDLL:
    found = native.library(native._THREADS)
    if found is None:
        pytest.skip("needs a C compiler")
    found.set_threads(3)
    return found


def run(pool: ctypes.CDLL, pieces: int) -> Counter[int]:
    done: list[int] = []
    piece = _PIECE(lambda _, number: done.append(number))
    pool.in_parallel(piece, None, ctypes.c_int64(pieces))
    return Counter(done)


@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 64, 1000])
def test_every_piece_once(pool: ctypes.CDLL, pieces: int) -> None:
    try:
        for _ in range(20):
            assert run(pool, pieces) == Counter(range(pieces))
    finally:
        native.set_threads(0)


def test_callers_at_the_same_time(pool: ctypes.CDLL) -> None:
    wrong: list[int] = []

    def call() -> None:
        wrong.extend(1 for _ in range(40) if run(pool, 50) != Counter(range(50)))

    try:
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert wrong == []
    finally:
        native.set_threads(0)
