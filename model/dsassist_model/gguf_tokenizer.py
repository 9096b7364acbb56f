"""Builds a tokenizer in the format of the ``tokenizers`` library from a GGUF file's metadata. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dsassist_model.config import FimTokens, SpecialTokens, fim_from_vocabulary, is_end_of_generation
from dsassist_model.errors import BadModelFile

__all__ = ["build_tokenizer_json", "special_tokens"]

_REMEDY = "Download it again, or give the model as a Hugging Face folder."

# Values of tokenizer.ggml.token_type
_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 2, 3, 4, 5


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _byte_level(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": use_regex}


def _words_and_digits(digits: str) -> list[dict[str, Any]]:
    return [
        _split(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
            + digits
            + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        _byte_level(use_regex=False),
    ]


_QWEN2 = _words_and_digits(r"\p{N}")
_LLAMA3 = _words_and_digits(r"\p{N}{1,3}")
_GPT2 = [_byte_level(use_regex=True)]
_SINGLE_DIGITS = [{"type": "Digits", "individual_digits": True}, _byte_level(use_regex=True)]
_DEEPSEEK_CODER = [
    _split(r"[\r\n]"),
    _split(r"\s?\p{L}+"),
    _split(r"\s?\p{P}+"),
    _split("[一-龥ࠀ-一가-\ud7ff]+"),
    {"type": "Digits", "individual_digits": True},
    _byte_level(use_regex=False),
]
# tokenizer.ggml.pre → how text is cut before byte-pair merging
_PRE_TOKENIZERS: Mapping[str, list[dict[str, Any]]] = {
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "gpt-2": _GPT2,
    "smollm": _SINGLE_DIGITS,
    "starcoder": _SINGLE_DIGITS,
    "refact": _SINGLE_DIGITS,
    "codeshell": _SINGLE_DIGITS,
    "deepseek-coder": _DEEPSEEK_CODER,
}
# These look a whole word up in the vocabulary before merging.
_WHOLE_WORDS_FIRST = frozenset(("llama3", "llama-v3", "llama-bpe"))


def build_tokenizer_json(metadata: Mapping[str, Any]) -> str:
    """The text of a ``tokenizer.json`` equal to the tokenizer that GGUF ``metadata`` describes.

    Raises:
        BadModelFile: the vocabulary is missing or damaged, or of a kind that is not supported.
    """
    kind, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    if kind != "gpt2":
        raise BadModelFile(
            f"The file's tokenizer is of the kind {kind!r}; byte-level BPE ('gpt2') is supported.",
            remedy="Give the model as a Hugging Face folder with a tokenizer.json.",
        )
    if pre not in _PRE_TOKENIZERS:
        raise BadModelFile(
            f"The file's pre-tokenizer {pre!r} is not known.",
            remedy="Give the model as a Hugging Face folder with a tokenizer.json.",
        )
    tokens, kinds = _vocabulary(metadata)
    merges = []
    for merge in metadata.get("tokenizer.ggml.merges") or ():
        cut = merge.find(" ", 1) if isinstance(merge, str) else -1
        if cut < 0:
            raise BadModelFile(f"The file's vocabulary is damaged: {merge!r} is no merge.", remedy=_REMEDY)
        merges.append([merge[:cut], merge[cut + 1 :]])
    added = [i for i, kind in enumerate(kinds) if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": i,
                    "content": tokens[i],
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for i in added
            ],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": _PRE_TOKENIZERS[pre]},
            "post_processor": None,
            "decoder": _byte_level(use_regex=False),
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": pre in _WHOLE_WORDS_FIRST,
                "vocab": {token: i for i, token in enumerate(tokens) if kinds[i] != _UNUSED},
                "merges": merges,
            },
        },
        ensure_ascii=False,
    )


def special_tokens(metadata: Mapping[str, Any]) -> SpecialTokens:
    """The special tokens that GGUF ``metadata`` names, or spells in the usual way among its control tokens.

    Raises:
        BadModelFile: the vocabulary is missing, or nothing in it ends an answer.
    """
    tokens, kinds = _vocabulary(metadata)
    control = {tokens[i]: i for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)}

    def named(name: str) -> int | None:
        value = metadata.get(f"tokenizer.ggml.{name}_token_id")
        return value if isinstance(value, int) and 0 <= value < len(tokens) else None

    spelled = asdict(fim_from_vocabulary(control))
    keys = {"prefix": "fim_pre", "middle": "fim_mid", "suffix": "fim_suf", "pad": "fim_pad"} | {
        "repo_name": "fim_rep",
        "file_sep": "fim_sep",
    }
    chosen = {role: spelled[role] if named(key) is None else named(key) for role, key in keys.items()}
    fim = FimTokens(**chosen)
    fim = fim if fim.supported else FimTokens()
    ends = [named("eos"), named("eot"), named("eom"), fim.pad, fim.repo_name, fim.file_sep]
    ends += [i for spelling, i in control.items() if is_end_of_generation(spelling)]
    eos = tuple(sorted({i for i in ends if i is not None}))
    if not eos:
        raise BadModelFile("The file names no token that ends an answer.", remedy=_REMEDY)
    bos = named("bos")
    template = metadata.get("tokenizer.chat_template")
    return SpecialTokens(
        eos=eos,
        bos=bos,
        add_bos=metadata.get("tokenizer.ggml.add_bos_token") is True and bos is not None,
        chat_template=template if isinstance(template, str) else None,
        fim=fim,
    )


def _vocabulary(metadata: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    tokens, kinds = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], str):
        raise BadModelFile("The file has no vocabulary.", remedy=_REMEDY)
    if kinds is None:
        kinds = [1] * len(tokens)
    if not isinstance(kinds, list) or len(kinds) != len(tokens):
        raise BadModelFile("The file's vocabulary is damaged: tokens and token types differ in number.", remedy=_REMEDY)
    return tokens, kinds
