"""Memoised evaluation that stays right on cycles, and that knows which files an answer was read from.

Types of code refer to each other in circles (``x = x.next``). A question that meets itself is answered with what is
known
so far, and the question at the head of the circle is asked again until its answer no longer changes. Answers that were
given inside an unfinished circle are not kept. So what is kept never depends on the order of questions, which is what
makes an index that was updated step by step equal to one that was built at once.

Dependencies are bit sets: bit n of an answer's set is the n-th file (or looked-up module name) met by this memo.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

__all__ = ["Memo"]

_ROUNDS = 6
"""How often a circle is walked before its last answer is taken; two or three are enough for all code met so far."""


class _Frame:
    __slots__ = ("deps", "depth", "hit", "lowest", "value")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.value: Any = ()
        self.hit = False
        self.lowest = depth
        self.deps = 0


class Memo:
    """Answers by question. ``limit`` bounds how many are kept; past it all are dropped, which costs time and nothing
    else."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._kept: dict[Hashable, tuple[Any, int]] = {}
        self._tentative: dict[Hashable, tuple[Any, int, int]] = {}
        self._active: dict[Hashable, _Frame] = {}
        self._stack: list[_Frame] = []
        self._made: list[Hashable] = []
        self._bits: dict[str, int] = {}
        self._names: list[str] = []

    def clear(self) -> None:
        """Forget every answer."""
        self._kept.clear()

    def depend(self, name: str) -> None:
        """The question being answered has looked at ``name``."""
        if self._stack:
            bit = self._bits.get(name)
            if bit is None:
                bit = self._bits[name] = 1 << len(self._names)
                self._names.append(name)
            self._stack[-1].deps |= bit

    def names(self, deps: int) -> Iterator[str]:
        """The members of a bit set."""
        index = 0
        while deps:
            skip = (deps & -deps).bit_length() - 1
            index += skip
            yield self._names[index]
            deps >>= skip + 1
            index += 1

    def tracked(self, compute: Callable[[], Any]) -> tuple[Any, int]:
        """The result of ``compute`` and the set of what it looked at. Not kept."""
        frame = _Frame(len(self._stack))
        self._stack.append(frame)
        try:
            return compute(), frame.deps
        finally:
            self._stack.pop()

    def ask(self, key: Hashable, compute: Callable[..., Any], *arguments: Any) -> Any:
        """``compute(*arguments)``, or what it was the last time. Its result must be a hashable that starts as
        ``()``."""
        stack = self._stack
        kept = self._kept.get(key)
        if kept is not None:
            if stack:
                stack[-1].deps |= kept[1]
            return kept[0]
        running = self._active.get(key)
        if running is not None:
            running.hit = True
            top = stack[-1]
            if running.depth < top.lowest:
                top.lowest = running.depth
            return running.value
        tentative = self._tentative.get(key)
        if tentative is not None:
            top = stack[-1]
            top.deps |= tentative[1]
            if tentative[2] < top.lowest:
                top.lowest = tentative[2]
            return tentative[0]
        return self._compute(key, compute, arguments)

    def _compute(self, key: Hashable, compute: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        stack, made = self._stack, self._made
        frame = _Frame(len(stack))
        mark = len(made)
        self._active[key] = frame
        stack.append(frame)
        try:
            for _ in range(_ROUNDS):
                frame.hit = False
                result = compute(*arguments)
                if not frame.hit or result == frame.value:
                    break
                frame.value = result
                self._forget_since(mark)
        finally:
            stack.pop()
            del self._active[key]
            if not stack:
                self._forget_since(0)
        if frame.lowest < frame.depth:
            self._tentative[key] = (result, frame.deps, frame.lowest)
            made.append(key)
        else:
            self._forget_since(mark)
            if len(self._kept) >= self._limit:
                self._kept.clear()
            self._kept[key] = (result, frame.deps)
        if stack:
            top = stack[-1]
            top.deps |= frame.deps
            if frame.lowest < frame.depth and frame.lowest < top.lowest:
                top.lowest = frame.lowest
        return result

    def _forget_since(self, mark: int) -> None:
        made = self._made
        for key in made[mark:]:
            self._tentative.pop(key, None)
        del made[mark:]
