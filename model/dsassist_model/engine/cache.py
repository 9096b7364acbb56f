"""The KV cache: pages of 64 tokens, a prefix tree over them, and least-recently-used eviction.

A sequence holds the pages it writes. When it ends, its pages pass to the tree, where a later prompt finds them by
content: whole
pages are shared, and where a prompt parts from a cached page in its middle, the page is copied up to there. Pages in
the tree are
never written again, so no sequence can see another's later text.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from dsassist_kernels.paged_attention import PAGE
from dsassist_model.kv_pool import KVPool

__all__ = ["OutOfPages", "PrefixCache"]


class OutOfPages(Exception):
    """Every page is in use by a running sequence."""


@dataclass(slots=True, eq=False)
class _Node:
    tokens: tuple[int, ...]
    page: int
    parent: _Node | None
    children: dict[tuple[int, ...], _Node] = field(default_factory=dict)
    users: int = 0
    """Running sequences whose table holds this page."""
    used: int = 0
    """When last matched or inserted, in ticks."""


@dataclass(slots=True, eq=False)
class Lease:
    """The pages of one running sequence, in order. The first ``len(shared)`` belong to the tree and are only read."""

    pages: list[int]
    shared: list[_Node]
    tokens: int
    """Tokens of the sequence whose keys and values were computed."""
    dropped: int = 0
    """How many of them have no page any more (see ``PrefixCache.drop``)."""

    @property
    def held(self) -> int:
        """Tokens whose keys and values the pages hold."""
        return self.tokens - self.dropped


class PrefixCache:
    """Hands out a pool's pages. Not thread-safe: the engine's thread owns it."""

    def __init__(self, pool: KVPool) -> None:
        self.pool = pool
        self._root = _Node((), -1, None)
        self._free = list(range(pool.pages - 1, -1, -1))
        self._clock = itertools.count(1)
        self.limit = pool.pages
        """Pages that may be in use; the engine lowers it under memory pressure."""

    @property
    def used(self) -> int:
        """Pages that hold something."""
        return self.pool.pages - len(self._free)

    def match(self, tokens: Sequence[int]) -> Lease:
        """A lease that starts with what is cached of ``tokens``, never all of them: the last is left to be computed."""
        tick, node, shared, at = next(self._clock), self._root, [], 0
        while at + PAGE < len(tokens):
            child = node.children.get(tuple(tokens[at : at + PAGE]))
            if child is None:
                break
            child.used, child.users = tick, child.users + 1
            shared.append(child)
            node, at = child, at + PAGE
        lease = Lease([n.page for n in shared], shared, at)
        rest = tuple(tokens[at : min(at + PAGE, len(tokens) - 1)])
        best, length = None, 0
        for child in node.children.values():
            common = _common(child.tokens, rest)
            if common > length:
                best, length = child, common
        if best is not None:
            best.used = tick
            best.users += 1  # or making room might evict it
            try:
                page = self._take()
            except OutOfPages:
                return lease
            finally:
                best.users -= 1
            self.pool.copy(best.page, page)
            lease.pages.append(page)
            lease.tokens = at + length
        return lease

    def grow(self, lease: Lease, tokens: int) -> None:
        """Make room for ``tokens`` tokens in all.

        Raises:
            OutOfPages: there is none; the lease keeps what it has.
        """
        while len(lease.pages) * PAGE < tokens - lease.dropped:
            lease.pages.append(self._take())

    def missing(self, lease: Lease, tokens: int) -> int:
        """How many pages a lease lacks for ``tokens`` tokens in all that cannot be had, even by forgetting what no
        running sequence uses."""
        wanted = -(-(tokens - lease.dropped) // PAGE) - len(lease.pages)
        idle = sum(not node.users for node in self._nodes())
        return max(0, wanted - idle - max(0, self.limit - self.used))

    def drop(self, lease: Lease, places: Sequence[int]) -> None:
        """Give back whole pages of a lease that it does not share, by their places in it, ascending. It keeps its order
        without them, and nothing but what is shared is in the tree at its end."""
        assert not places or places[0] >= len(lease.shared)
        for place in reversed(places):
            self._free.append(lease.pages.pop(place))
        lease.dropped += len(places) * PAGE

    def keep(self, lease: Lease, tokens: Sequence[int], lasting: int | None = None) -> None:
        """End a lease; ``tokens`` are the sequence's first ``lease.tokens``, which later prompts may find. Pages behind
        the first ``lasting`` of them go before others where room is needed."""
        tick, node = next(self._clock), lease.shared[-1] if lease.shared else self._root
        first = len(lease.shared)
        if lease.dropped:  # what is left has a hole
            self._free += lease.pages[first:]
            del lease.pages[first:]
        for index in range(first, len(lease.pages)):
            piece = tuple(tokens[index * PAGE : min((index + 1) * PAGE, lease.tokens)])
            page = lease.pages[index]
            if not piece or node is None:
                self._free.append(page)
                continue
            existing = node.children.get(piece)
            if existing is None:
                existing = node.children[piece] = _Node(piece, page, node)
                self._forget_shorter(node, existing)
            else:
                self._free.append(page)
            existing.used = tick if lasting is None or index * PAGE < lasting else 0
            node = existing
        for shared in lease.shared:
            shared.users -= 1
        lease.pages, lease.shared, lease.tokens, lease.dropped = [], [], 0, 0

    def clear(self) -> None:
        """Forget what no running sequence uses."""
        while self._evict():
            pass

    def shrink(self, pages: int) -> None:
        """Use at most ``pages`` from now on (at least one), and give the memory of the others back."""
        self.limit = max(1, min(pages, self.pool.pages))
        while self.used > self.limit and self._evict():
            pass
        self.pool.discard(self._free)

    def _take(self) -> int:
        while self.used >= self.limit or not self._free:
            if not self._evict():
                raise OutOfPages
        return self._free.pop()

    def _evict(self) -> bool:
        """Free the leaf that was used longest ago and that nobody reads."""
        leaf = min(
            (n for n in self._nodes() if not n.children and not n.users), key=lambda n: (n.used, -n.page), default=None
        )
        if leaf is None or leaf.parent is None:
            return False
        del leaf.parent.children[leaf.tokens]
        self._free.append(leaf.page)
        return True

    def _forget_shorter(self, parent: _Node, node: _Node) -> None:
        """Drop siblings that are a true prefix of ``node``: whatever they would match, it matches."""
        for sibling in list(parent.children.values()):
            shorter = len(sibling.tokens) < len(node.tokens) and node.tokens[: len(sibling.tokens)] == sibling.tokens
            if shorter and not sibling.users and not sibling.children:
                del parent.children[sibling.tokens]
                self._free.append(sibling.page)

    def _nodes(self) -> list[_Node]:
        found, open_nodes = [], list(self._root.children.values())
        while open_nodes:
            node = open_nodes.pop()
            found.append(node)
            open_nodes.extend(node.children.values())
        return found


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
