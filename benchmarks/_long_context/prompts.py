"""Long prompts of real packages, and what is asked about them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from _common import source_files
from torch import Tensor

from dsassist_model.tokenizer import Tokenizer
from dsassist_model.transformer import Segment

__all__ = ["SEGMENT", "Gap", "gaps", "probes", "prompt", "segments"]

SEGMENT = 2048
"""Tokens of a pass, as the engine reads a long prompt."""


def prompt(tokenizer: Tokenizer, folder: Path, length: int, seed: int) -> list[int]:
    """``length`` tokens: the files of one package after another, each under its name, in an order drawn by ``seed``."""
    tokens: list[int] = []
    for path in _files(folder, seed):
        text = path.read_text(encoding="utf-8", errors="replace")
        tokens += tokenizer.encode(f"# {path.relative_to(folder)}\n{text}\n")
        if len(tokens) >= length:
            return tokens[:length]
    raise SystemExit(f"{folder} has only {len(tokens)} tokens of source; {length} are asked for.")


def _files(folder: Path, seed: int) -> list[Path]:
    rng = random.Random(seed)
    packages: dict[Path, list[Path]] = {}
    for path in source_files(folder, rng):
        packages.setdefault(folder / path.relative_to(folder).parts[0], []).append(path)
    return [path for package in rng.sample(sorted(packages), len(packages)) for path in packages[package]]


def segments(tokens: list[int], pages: Tensor, size: int, *, every: bool, past: int = 0) -> list[Segment]:
    """The prompt in pieces; ``every`` asks for the hidden state of each token."""
    found = []
    for at in range(0, len(tokens), size):
        piece = tokens[at : at + size]
        end = past + at + len(piece)
        outputs = len(piece) if every else 1
        found.append(Segment(piece, past + at, pages[: -(-end // 64)], outputs=outputs, last=end == past + len(tokens)))
    return found


def probes(tokenizer: Tokenizer, tokens: list[int]) -> list[range]:
    """Tokens, but the first, of identifiers whose last occurrence is more than a quarter of the prompt back."""
    ends, text, far = [], "", len(tokens) // 4
    pieces = [tokenizer.decode([t]) for t in tokens]
    for piece in pieces:
        text += piece
        ends.append(len(text))
    last: dict[str, int] = {}
    found, token = [], 0
    for match in re.finditer(r"[A-Za-z_][A-Za-z0-9_]{5,}", text):
        while ends[token] <= match.start():
            token += 1
        stop = token
        while ends[stop] < match.end():
            stop += 1
        before = last.get(match.group())
        last[match.group()] = token
        if before is not None and token - before > far and stop > token and ends[stop] == match.end():
            found.append(range(token + 1, stop + 1))
    return found


@dataclass(frozen=True, slots=True)
class Gap:
    """The rest of a line that is to be filled in, and what is read for it: tokens that follow a repository's."""

    tokens: list[int]
    answer: str


def gaps(tokenizer: Tokenizer, folder: Path, seed: int, used: list[int], count: int) -> list[Gap]:
    """``count`` rests of lines of files that come after those of the prompt ``used``, in fill-in-the-middle format."""
    fim = tokenizer.special.fim
    assert fim.prefix is not None and fim.suffix is not None and fim.middle is not None and fim.file_sep is not None
    rng, read, found = random.Random(seed + 1), 0, list[Gap]()
    for path in _files(folder, seed):
        text = path.read_text(encoding="utf-8", errors="replace")
        before, read = read, read + len(tokenizer.encode(f"# {path.relative_to(folder)}\n{text}\n"))
        if before < len(used):
            continue
        lines = text.splitlines(keepends=True)
        places = [i for i, line in enumerate(lines) if len(line.strip()) >= 16 and not line.strip().startswith("#")]
        for i in rng.sample(places, min(2, len(places))):
            column = rng.randint(len(lines[i]) - len(lines[i].lstrip()) + 3, len(lines[i].rstrip()) - 8)
            head = "".join(lines[max(0, i - 30) : i]) + lines[i][:column]
            tail = "".join(lines[i + 1 : i + 11])
            frame = [fim.file_sep, *tokenizer.encode(f"{path.relative_to(folder)}\n"), fim.prefix]
            tokens = [*frame, *tokenizer.encode(head), fim.suffix, *tokenizer.encode("\n" + tail), fim.middle]
            found.append(Gap(tokens, lines[i][column:].rstrip()))
            if len(found) == count:
                return found
    return found
