"""Prompts longer than the cache: what is given back, what stands for it, and that it is told."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from dsassist_kernels.paged_attention import PAGE, attend, rotate_and_store
from dsassist_model.config import ModelConfig
from dsassist_model.engine.far import POOLED, FarMemory
from dsassist_model.errors import Cancelled
from dsassist_model.kv_pool import KVPool
from dsassist_model.long_context import Far, LayerPages, LongContext

CONFIG = ModelConfig("llama", 10, 64, 64, 2, 4, 2, 16, 1e4, None, 1e-6, 4096, False, True)


def test_pooled_keys_weigh_what_they_stand_for() -> None:
    torch.manual_seed(0)
    q, keys, values = torch.randn(5, 4, 16), torch.randn(3, 2, 16, PAGE), torch.randn(3, 2, PAGE, 16)
    # of pages in which each 16 tokens are alike nothing is lost
    keys[0], values[0] = (
        x.repeat_interleave(POOLED, dim) for x, dim in ((keys[0, :, :, :4], 2), (values[0, :, :4], 1))
    )
    table = torch.arange(3, dtype=torch.int32)
    exact = attend(q, keys, values, table, 3 * PAGE - 5, backend="reference")
    far = Far(keys[0, :, :, ::POOLED].mT.contiguous(), values[0, :, ::POOLED].contiguous(), POOLED)
    context = LongContext()
    pages = LayerPages(keys, values)
    got = context.attend(5, q, pages, table[1:], 2 * PAGE - 5, last=True, far=far)
    torch.testing.assert_close(got, exact, rtol=1e-4, atol=1e-5)
    assert (context.attend(5, q, pages, table[1:], 2 * PAGE - 5, last=True) - exact).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_pages_are_pooled_in_every_layer(dtype: torch.dtype) -> None:
    pool = KVPool(CONFIG, 4, torch.device("cpu"), dtype)
    angle, slots = torch.zeros(PAGE, 8), torch.arange(PAGE) + 2 * PAGE
    for i in range(2):
        layer, qkv = pool.layer(i), torch.randn(PAGE, 8 * 16)
        rotate_and_store(
            *(qkv, angle.cos(), angle.sin(), slots, layer.keys, layer.values, 4),
            scales=layer.scales,
            bounds=layer.bounds,
        )
    far = FarMemory(pool)
    assert far.layer(0) is None
    far.count(torch.tensor([5.0, 1.0, 3.0]))
    far.pool(pool, [2], [1])
    assert far.tokens == PAGE
    assert far.asked.tolist() == [5.0, 3.0]
    keys = pool.keys[1, 2].float() * (1 if pool.key_scale is None else pool.key_scale[1, 2].unsqueeze(1))
    layer_far = far.layer(1)
    assert layer_far is not None
    torch.testing.assert_close(layer_far.keys[:, 1], keys[:, :, POOLED : 2 * POOLED].mean(-1))


def test_what_nobody_asks_for_goes_first_but_never_the_first_the_shared_or_the_newest() -> None:
    far = FarMemory(KVPool(CONFIG, 1, torch.device("cpu"), torch.float32))
    far.count(torch.tensor([0, 0, 4, 0, 9, 0, 0, 0, 0, 0.0]))
    far.count(torch.tensor([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0.0]))
    assert far.least_asked(0, 11, 3) == [1, 5, 6]
    assert far.least_asked(0, 11, 5) == [1, 2, 3, 5, 6]
    assert far.least_asked(4, 11, 99) == [4, 5, 6]
    assert far.least_asked(0, 4, 3) == []


@pytest.mark.parametrize("cache_dtype", [None, torch.int8])
def test_a_prompt_longer_than_the_cache_is_read_and_answered(engines: Any, cache_dtype: torch.dtype | None) -> None:
    small = engines.make(cache_tokens=16 * PAGE, cache_dtype=cache_dtype, context=4096)
    tokens = torch.randint(1, 250, (2000,), generator=torch.Generator().manual_seed(0)).tolist()
    told = [engines.ask(small, tokens, max_tokens=12).wait() for _ in range(2)]
    assert told[0].last.error is None
    assert told[0].last.details["prompt_tokens"] == 2000
    assert 2000 - 16 * PAGE <= told[0].last.details["tokens_pooled"] < 2000
    assert told[0].text == told[1].text
    # others are served as ever, and nothing is lost
    short = engines.ask(small, tokens[:300], max_tokens=5).wait()
    assert short.last.details["tokens_pooled"] == 0
    whole = engines.make(cache_dtype=cache_dtype, context=4096)
    assert engines.ask(whole, tokens[:300], max_tokens=5).wait().text == short.text
    small.cache.clear()
    assert small.cache.used == 0


def test_a_cache_smaller_than_one_segment(engines: Any) -> None:
    """Fewer pages than a pass reads of a prompt: it reads less at a time, to the same answer as in one piece."""
    small = engines.make(cache_tokens=15 * PAGE, context=4096)
    tokens = torch.randint(1, 250, (900,), generator=torch.Generator().manual_seed(1)).tolist()
    answer = engines.ask(small, tokens, max_tokens=8).wait()
    assert answer.last.details["tokens_pooled"] == 0
    assert engines.ask(engines.make(context=4096), tokens, max_tokens=8).wait().text == answer.text


def test_cancelling_inside_a_segment_gives_everything_back(engines: Any) -> None:
    small = engines.make(cache_tokens=16 * PAGE, context=4096)
    tokens = torch.randint(1, 250, (3000,), generator=torch.Generator().manual_seed(2)).tolist()
    inside, go_on = threading.Event(), threading.Event()
    whole, calls = small.model.long_context.attend, []

    def attend_slowly(layer: int, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(layer)
        if len(calls) == 4:  # in the middle of a pass, when pages have been given back
            inside.set()
            assert go_on.wait(60)
        return whole(layer, *args, **kwargs)  # type: ignore[no-any-return]

    class Slow:
        attend = staticmethod(attend_slowly)

    small.model.long_context = Slow()
    asked = engines.ask(small, tokens, max_tokens=4)
    assert inside.wait(60)
    asked.handle.cancel()
    go_on.set()
    assert isinstance(asked.wait().last.error, Cancelled)
    assert len(calls) == 4
    assert engines.ask(small, tokens[:100], max_tokens=3).wait().last.error is None
    small.cache.clear()
    assert small.cache.used == 0
