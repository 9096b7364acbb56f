"""The prefix cache: what is shared, copied, evicted, and never mixed up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsassist_model.config import ModelConfig
from dsassist_model.engine.cache import OutOfPages, PrefixCache
from dsassist_model.kv_pool import KVPool

CONFIG = ModelConfig("llama", 10, 8, 8, 1, 1, 1, 2, 1e4, None, 1e-6, 4096, False, True)


class Marked:
    """A cache whose stored keys are the tokens themselves, so that what a lease sees can be read back."""

    def __init__(self, pages: int) -> None:
        self.cache = PrefixCache(KVPool(CONFIG, pages, torch.device("cpu"), torch.float32))

    def run(self, tokens: list[int], lasting: int | None = None) -> int:
        """As the engine does: match, grow, write the rest, check everything, keep. Returns how many were cached."""
        lease = self.cache.match(tokens)
        cached = lease.tokens
        assert self.read(lease.pages, cached) == tokens[:cached]
        self.cache.grow(lease, len(tokens))
        for i in range(cached, len(tokens)):
            self.cache.pool.keys[0, lease.pages[i // 64], 0, 0, i % 64] = tokens[i]
        lease.tokens = len(tokens)
        assert self.read(lease.pages, len(tokens)) == tokens
        self.cache.keep(lease, tokens, lasting)
        return cached

    def read(self, pages: list[int], count: int) -> list[int]:
        keys = self.cache.pool.keys
        return [int(keys[0, pages[i // 64], 0, 0, i % 64]) for i in range(count)]


def test_whole_pages_are_shared_and_a_started_one_is_copied() -> None:
    marked = Marked(16)
    text = list(range(1000, 1200))
    assert marked.run(text) == 0
    assert marked.run(text) == 199
    assert marked.run([*text[:150], *range(50)]) == 150
    assert marked.run([*text, 1, 2, 3]) == 200


def test_the_longest_ago_goes_first() -> None:
    marked = Marked(4)
    first, second = list(range(128)), list(range(500, 628))
    marked.run(first)
    marked.run(second)
    assert marked.run(first) == 127
    marked.run(list(range(900, 1000)))
    assert marked.run(first) >= 64


def test_what_does_not_last_goes_before_what_is_older() -> None:
    marked = Marked(6)
    first, second = list(range(192)), list(range(500, 692))
    marked.run(first)
    marked.run(second, lasting=70)
    marked.run(list(range(900, 950)))
    assert marked.run(first) == 191
    marked.run(second, lasting=70)
    marked.run(list(range(900, 950)))
    assert marked.cache.match(second).tokens == 128


def test_running_sequences_are_never_evicted() -> None:
    marked = Marked(3)
    lease = marked.cache.match(list(range(100)))
    marked.cache.grow(lease, 100)
    other = marked.cache.match(list(range(500, 700)))
    with pytest.raises(OutOfPages):
        marked.cache.grow(other, 200)
    assert len(other.pages) == 1
    marked.cache.keep(other, [])
    marked.cache.keep(lease, [])
    assert marked.cache.used == 0


def test_shrinking_and_clearing() -> None:
    marked = Marked(16)
    for start in range(0, 800, 100):
        marked.run(list(range(start, start + 100)))
    marked.cache.shrink(4)
    assert marked.cache.used <= 4
    marked.run(list(range(5000, 5100)))
    assert marked.cache.used <= 4
    marked.cache.clear()
    assert marked.cache.used == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=5), min_size=1, max_size=25))
def test_no_sequence_sees_anothers_text(bodies: list[list[int]]) -> None:
    """Prompts that branch in and between pages, in a cache that must evict: ``run`` checks every token it sees."""
    marked = Marked(8)
    for body in bodies:
        tokens = [piece * 1000 + i for piece in body for i in range(37)]
        cached = marked.run(tokens)
        assert cached < len(tokens)
    assert marked.cache.used <= 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_what_is_stored_is_loaded_and_copied(dtype: torch.dtype) -> None:
    config = ModelConfig("llama", 10, 8, 8, 3, 2, 2, 16, 1e4, None, 1e-6, 4096, False, True)
    pool = KVPool(config, 4, torch.device("cpu"), dtype)
    keys, values = torch.randn(3, 2, 16, 64), torch.randn(3, 2, 64, 16)
    pool.store(1, 0, keys[..., :40], values[:, :, :40])
    pool.store(1, 40, keys[..., 40:], values[:, :, 40:])
    pool.copy(1, 2)
    got_keys, got_values = pool.load(2, 10, 50)
    step = 0.0 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(got_keys, keys[..., 10:60], rtol=0, atol=step)
    torch.testing.assert_close(got_values, values[:, :, 10:60], rtol=0, atol=step)
    torch.testing.assert_close(pool.bounds[:, 2, :, 0], keys.amin(-1), rtol=0, atol=step)
    torch.testing.assert_close(pool.bounds[:, 2, :, 1], keys.amax(-1), rtol=0, atol=step)


def test_pages_given_back_are_free_and_the_rest_stays_in_order() -> None:
    marked = Marked(8)
    text = list(range(1000, 1320))
    marked.run(text[:64])
    cache = marked.cache
    lease = cache.match(text)
    cache.grow(lease, 320)
    lease.tokens = 320
    pages = list(lease.pages)
    assert len(lease.shared) == 1
    cache.drop(lease, [1, 3])
    assert lease.pages == [pages[0], pages[2], pages[4]]
    assert (lease.held, lease.dropped) == (192, 128)
    assert cache.missing(lease, 320 + 64) == 0
    assert cache.missing(lease, 320 + 64 * 6) == 1
    cache.grow(lease, 320 + 64)
    assert len(lease.pages) == 4
    cache.keep(lease, text)
    # what was shared is found again; what has a hole was not kept
    assert marked.run(text) == 64
    cache.clear()
    assert cache.used == 0
