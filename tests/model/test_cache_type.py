"""INT8 pages and chosen pages inside the engine: batching, drafts and the prefix cache change no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dsassist_model.config import FimTokens
from dsassist_model.errors import DeviceError
from dsassist_model.kv_pool import KVPool
from dsassist_model.serve.state import cache_dtype

PROMPT = [int(x) for x in torch.randint(1, 250, (420,), generator=torch.Generator().manual_seed(5))]


def test_the_setting_names_a_type() -> None:
    assert cache_dtype("int8", torch.float32) == torch.int8
    assert cache_dtype("float", torch.bfloat16) == torch.bfloat16
    with pytest.raises(DeviceError, match="int4"):
        cache_dtype("int4", torch.float32)


@pytest.mark.parametrize("choosing", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.int8])
def test_answers_do_not_depend_on_drafts_batches_or_what_is_cached(
    engines: Any, dtype: torch.dtype | None, choosing: bool
) -> None:
    made = [engines.make(draft=draft, cache_dtype=dtype, context=1024) for draft in (False, True)]
    for engine in made:
        # a random model would also end by opening another hole
        engine.tokenizer.special = replace(engine.tokenizer.special, fim=FimTokens())
        context = engine.model.long_context
        context.decode_layers, context.decode_tokens, context.decode_from = 0, 192, 400 if choosing else 0
    plain, drafting = made
    expected = engines.ask(plain, PROMPT, max_tokens=60).wait()
    assert expected.last.details["completion_tokens"] == 60
    together = [engines.ask(drafting, PROMPT, max_tokens=60, drafts=(PROMPT[5:40],)) for _ in range(3)]
    assert {one.wait().text for one in together} == {expected.text}
    assert engines.ask(plain, PROMPT, max_tokens=60).wait().text == expected.text


def test_int8_pages_take_about_a_quarter(engines: Any) -> None:
    config = engines.make().model.config
    whole, small = (KVPool.bytes_per_page(config, dtype) for dtype in (torch.float32, torch.int8))
    # heads of 16 components: a scale weighs more here than with heads of 64
    assert 0.25 < small / whole < 0.45
    pool = KVPool(config, 3, torch.device("cpu"), torch.int8)
    parts = (pool.keys, pool.values, pool.bounds, pool.key_scale, pool.value_scale)
    assert sum(x.nbytes for x in parts if x is not None) == 3 * small
