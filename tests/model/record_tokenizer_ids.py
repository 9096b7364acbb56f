"""Records llama.cpp's token ids of 2,000 snippets, for test_tokenizer.py. Run it again when the snippets change.

    python tests/model/record_tokenizer_ids.py

Needs llama-cpp-python (the `bench` extra) and the pulled models. Snippets are pieces of this repository and of
HumanEval (benchmarks/data), and text made by rule: identifiers, numbers, operators, white space, scripts, emoji,
contractions, line ends, spellings of special tokens.
"""

from __future__ import annotations

import gzip
import json
import lzma
import random
import subprocess
from pathlib import Path

from llama_cpp import Llama

from dsassist_model import store

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = HERE / "data" / "tokenizer_ids.json.xz"
MODELS = ("qwen2.5-coder-0.5b", "smollm2-135m")

_WORDS = [
    "get",
    "set",
    "user",
    "index",
    "buffer",
    "value",
    "Parser",
    "HTTPResponse",
    "utf8",
    "xml2json",
    "__init__",
    "_private",
    "MAX_SIZE",
    "camelCase",
    "don't",
    "it's",
    "we'll",
    "I'VE",
    "THEY'RE",
    "can't",
    "o'clock",
    "naïve",
    "café",
    "Straße",
    "ﬁle",
    "e\u0301tude",
    "façade",
]
_SCRIPTS = (
    "Привет мир",
    "你好,世界。代码",
    "こんにちは",
    "안녕하세요",
    "مرحبا بالعالم",
    "שלום",
    "नमस्ते",
    "สวัสดี",
    "γειά σου",
    "ĐẶNG",
    "ⅷ ² ½ ٣ ৪",
    "𝒳𝓎 𐍈",
    "Ａ１",
)
_EMOJI = ("😀", "👩‍👩‍👧‍👦", "🇩🇪", "✅", "❤️", "👍🏽", "\u200d", "\ufeff", "\u00a0", "\u2028", "\u3000", "\u0085")
_SPACES = (
    " ",
    "  ",
    "   ",
    "    ",
    "\t",
    "\t\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " \n",
    "\n    ",
    "\n\t",
    "        ",
    " \t ",
)
_MARKS = (
    "() [] {} => -> :: == != <= >= += ** // /* */ <!-- --> && || ?? ?. ... ; : , . @ # $ % ^ & ~ ` ' \" \\ \\n | < >"
)
_SPECIALS = (
    "<|fim_middle|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fim_prefix>",
    "<s>",
    "</s>",
    "<|file_sep|>",
)


def _made(rng: random.Random) -> str:
    pieces = []
    for _ in range(rng.randrange(1, 24)):
        roll = rng.random()
        if roll < 0.30:
            pieces.append(rng.choice(_WORDS))
        elif roll < 0.42:
            pieces.append(str(rng.randrange(10 ** rng.randrange(1, 12))))
        elif roll < 0.60:
            pieces.append(rng.choice(_MARKS.split()))
        elif roll < 0.84:
            pieces.append(rng.choice(_SPACES) * rng.choice((1, 1, 1, 2, 7)))
        elif roll < 0.92:
            pieces.append(rng.choice(_SCRIPTS))
        elif roll < 0.97:
            pieces.append(rng.choice(_EMOJI))
        elif roll < 0.98:
            pieces.append(
                "".join(chr(rng.choice((rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x30000)))) for _ in range(4))
            )
        else:
            pieces.append(rng.choice(_SPECIALS))
        if rng.random() < 0.4:
            pieces.append(" ")
    return "".join(pieces)


def _real(rng: random.Random, count: int) -> list[str]:
    endings = (".py", ".c", ".h", ".ts", ".md", ".toml", ".json", ".yaml", "Makefile")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in listed if name.endswith(endings)]
    tasks = ROOT / "benchmarks" / "data" / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
    with gzip.open(tasks, "rt", encoding="utf-8") as lines:
        texts += [task["prompt"] + task["canonical_solution"] + task["suffix"] for task in map(json.loads, lines)]
    snippets = []
    while len(snippets) < count:
        text = rng.choice(texts)
        start = rng.randrange(max(1, len(text) - 20))
        snippets.append(text[start : start + rng.randrange(20, 240)])
    return snippets


def main() -> None:
    rng = random.Random(20260101)
    snippets = _real(rng, 900) + [_made(rng) for _ in range(1100)]
    record: dict[str, object] = {"snippets": snippets}
    for name in MODELS:
        model = Llama(str(store.require_source(store.resolve(name))), vocab_only=True, verbose=False)
        record[name] = [model.tokenize(text.encode(), add_bos=False, special=False) for text in snippets]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_bytes(lzma.compress(json.dumps(record, separators=(",", ":")).encode(), preset=9))
    print(f"{len(snippets)} snippets, {OUT.stat().st_size:,} bytes in {OUT}")


if __name__ == "__main__":
    main()
