"""Our decoder in fp32 against Hugging Face transformers in fp32, on the same dequantized weights."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dsassist_model.convert import load_source, open_source
from dsassist_model.hf_folder import open_hf_folder
from dsassist_model.store import ModelPlace
from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Segment, Transformer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    # transformers' own imports warn of things that are not ours to mend
    pytest.mark.filterwarnings("ignore"),
]

TASKS = Path(__file__).parents[2] / "benchmarks" / "data" / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
_HF_NAMES = {
    "attn_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_TOP_NAMES = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}


def _hf_name(name: str) -> str:
    *layer, role, ending = name.split(".")
    stem = f"model.layers.{layer[1]}.{_HF_NAMES[role]}" if layer else _TOP_NAMES[role]
    return f"{stem}.{ending}"


def _reference(source: Any) -> Any:
    transformers = pytest.importorskip("transformers", reason="the bench extra is not installed")
    config = source.config
    kinds = {"qwen2": transformers.Qwen2Config, "llama": transformers.LlamaConfig}
    theirs = kinds[config.architecture](
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        rms_norm_eps=config.rms_norm_eps,
        max_position_embeddings=config.max_context,
        tie_word_embeddings=config.tie_embeddings,
        rope_theta=config.rope_theta,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
    )
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(theirs)
    model = model.to_empty(device="cpu").float()
    state = {_hf_name(name): torch.from_numpy(array) for name, array in source.tensors()}
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert set(missing.missing_keys) <= {"lm_head.weight"}
    model.tie_weights()
    # to_empty left the rotary frequencies unset: they are no part of the state
    model.model.rotary_emb = type(model.model.rotary_emb)(config=theirs)
    return model.eval()


def _ours(source: Any) -> Transformer:
    return Transformer(source.config, load_source(source).tensors, torch.device("cpu"), torch.float32)


def _texts(count: int) -> Iterator[str]:
    with gzip.open(TASKS, "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    for task in random.Random(1).sample(tasks, count):
        yield task["prompt"] + task["canonical_solution"] + task["suffix"] + task["test"]


@torch.inference_mode()
def _compare(source: Any, texts: list[list[int]]) -> tuple[float, float, int]:
    theirs, ours = _reference(source), _ours(source)
    agree, difference, count = 0, 0.0, 0
    for tokens in texts:
        pool = ours.new_pool(-(-len(tokens) // 64))
        table = torch.arange(pool.pages, dtype=torch.int32)
        # in two pieces: the second reads the first from the cache
        cut = len(tokens) // 3
        states = [ours.forward([Segment(tokens[:cut], 0, table, outputs=cut)], pool)]
        states.append(ours.forward([Segment(tokens[cut:], cut, table, outputs=len(tokens) - cut)], pool))
        mine = ours.logits(torch.cat(states))
        reference = theirs(torch.tensor([tokens])).logits[0]
        agree += int((mine.argmax(-1) == reference.argmax(-1)).sum())
        difference += float((mine - reference).abs().mean(-1).sum())
        count += len(tokens)
    return agree / count, difference / count, count


@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b", "smollm2-135m"])
def test_real_models(pulled: Callable[[str], ModelPlace], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = open_source(pulled(name).source)
    tokenizer = Tokenizer.from_json(source.tokenizer_json(), source.special)
    agreement, difference, count = _compare(source, [tokenizer.encode(text)[:400] for text in _texts(10)])
    with capsys.disabled():
        print(f"\n{name}: top-1 agreement {agreement:.4%}, mean |difference| {difference:.2e} over {count} positions")
    assert agreement >= 0.995
    assert difference < 1e-2


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_tiny_models(tmp_path: Path, tiny: Any, architecture: str, tied: bool) -> None:
    source = open_hf_folder(tiny(architecture, tied=tied).write_hf(tmp_path))
    rng = random.Random(0)
    tokens = [[rng.randrange(source.config.vocab_size) for _ in range(n)] for n in (3, 63, 200)]
    agreement, difference, _ = _compare(source, tokens)
    assert agreement == 1.0
    assert difference < 1e-5
