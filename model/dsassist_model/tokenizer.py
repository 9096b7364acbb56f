"""Text to token ids and back. A user's text never becomes a special token, whatever it spells. No torch."""

from __future__ import annotations

import codecs
import datetime
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, decoders
from tokenizers import Tokenizer as RustTokenizer

from dsassist_model.config import SpecialTokens
from dsassist_model.errors import BadModelFile, EngineError

__all__ = ["StreamDecoder", "Tokenizer"]


class Tokenizer:
    """The tokenizer of one model. Safe to share between threads."""

    def __init__(self, rust: RustTokenizer, special: SpecialTokens) -> None:
        self.special = special
        """Ends of generation, fill-in-the-middle tokens, chat template."""
        self._rust = rust
        self._rust.encode_special_tokens = True
        added: dict[int, AddedToken] = rust.get_added_tokens_decoder()
        self._controls = {i: token.content for i, token in added.items() if token.special}
        self._plain_added = {i: token.content for i, token in added.items() if not token.special}
        self._byte_level = isinstance(rust.decoder, decoders.ByteLevel)
        if not self._byte_level and not isinstance(rust.decoder, decoders.Sequence):
            raise BadModelFile(
                f"The tokenizer decodes by {type(rust.decoder).__name__}.",
                remedy="Byte-level BPE and SentencePiece with byte fallback are supported.",
            )
        self._bytes: dict[int, bytes] = {}

    @classmethod
    def from_json(cls, text: str, special: SpecialTokens) -> Tokenizer:
        """From the text of a ``tokenizer.json``.

        Raises:
            BadModelFile: the ``tokenizers`` library does not accept it.
        """
        try:
            rust = RustTokenizer.from_str(text)
        # The library raises bare Exception from Rust; there is no narrower class to name.
        except Exception as error:
            raise BadModelFile(
                f"The tokenizer is damaged: {error}.", remedy="Pull or convert the model again."
            ) from error
        return cls(rust, special)

    @classmethod
    def from_file(cls, path: Path, special: SpecialTokens) -> Tokenizer:
        """From a ``tokenizer.json``.

        Raises:
            BadModelFile: it cannot be read, or is not one.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadModelFile(f"{path} cannot be read: {error}.", remedy="Pull or convert the model again.") from error
        return cls.from_json(text, special)

    @property
    def size(self) -> int:
        """Number of tokens, special ones included."""
        return int(self._rust.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without any special token. A lone surrogate becomes U+FFFD."""
        try:
            text.encode()
        except UnicodeEncodeError:
            text = _without_lone_surrogates(text)
        ids: list[int] = self._rust.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``. Special tokens have none; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for tokens that come one by one."""
        return StreamDecoder(self)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token: empty for special tokens and for ids that the vocabulary does not have."""
        found = self._bytes.get(token)
        if found is None:
            found = self._bytes[token] = self.spelled(token)
        return found

    def token_of(self, text: bytes) -> int | None:
        """The id of the token that is spelled by exactly these bytes, None where there is none."""
        if self._byte_level:
            return self.token_id("".join(_CHARACTERS[byte] for byte in text))
        try:
            return self.token_id(text.decode().replace(" ", "▁"))
        except UnicodeDecodeError:
            return None

    def token_id(self, spelling: str) -> int | None:
        """The id of a token by its exact spelling in the vocabulary, special ones included."""
        found: int | None = self._rust.token_to_id(spelling)
        return found

    def chat(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> list[int]:
        """Token ids of a conversation by the model's own template.

        ``messages`` are OpenAI's: ``{"role", "content"}``. Only the template can produce special tokens:
        a message that spells one is text.

        Raises:
            EngineError: the model has no template, or the template refuses the messages.
        """
        if not self.special.chat_template:
            raise EngineError("This model has no chat template.", remedy="Use /v1/completions with it.")
        # A mark inside every special spelling that a message holds keeps it from being one; it is taken out below.
        mark = f"\uf8ff{secrets.token_hex(8)}\uf8ff"
        shielded = [_map_texts(dict(message), lambda text: self._shield(text, mark)) for message in messages]
        try:
            rendered = self._template.render(
                messages=shielded,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                bos_token=self._controls.get(-1 if self.special.bos is None else self.special.bos, ""),
                eos_token=self._controls.get(self.special.eos[-1], "") if self.special.eos else "",
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise EngineError(
                f"The model's chat template refuses the messages: {error}",
                remedy='Each message needs a "role" and a text "content".',
            ) from error
        ids: list[int] = []
        for piece in self._control_pattern.split(rendered) if self._controls else [rendered]:
            control = self._control_ids.get(piece)
            if control is not None:
                ids.append(control)
            elif piece:
                ids += self.encode(piece.replace(mark, ""))
        return ids

    @cached_property
    def _template(self) -> jinja2.Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().astimezone().strftime(form)
        try:
            return environment.from_string(self.special.chat_template or "")
        except jinja2.TemplateError as error:
            raise EngineError(f"The model's chat template is damaged: {error}") from error

    @cached_property
    def _control_ids(self) -> dict[str, int]:
        return {spelling: i for i, spelling in self._controls.items()}

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._control_ids, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def _shield(self, text: str, mark: str) -> str:
        if not self._controls:
            return text
        return self._control_pattern.sub(lambda match: match.group()[:1] + mark + match.group()[1:], text)

    def spelled(self, token: int) -> bytes:
        """As ``token_bytes``, worked out anew: for who asks for every token once."""
        if token in self._controls:
            return b""
        if token in self._plain_added:
            return self._plain_added[token].encode()
        spelling = self._rust.id_to_token(token)
        if spelling is None:
            return b""
        if self._byte_level:
            return b"".join(_BYTES.get(character) or character.encode() for character in spelling)
        if re.fullmatch(r"<0x[0-9A-F]{2}>", spelling):
            return bytes.fromhex(spelling[3:5])
        return str(spelling).replace("▁", " ").encode()


class StreamDecoder:
    """Gives the text of tokens as they come, holding back the bytes of a character until it is whole."""

    __slots__ = ("_decoder", "_tokenizer")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The characters that ``token`` completes, perhaps none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What is left at the end: U+FFFD for a character that was never completed, else nothing."""
        return self._decoder.decode(b"", True)


def _byte_alphabet() -> dict[str, bytes]:
    # GPT-2's bytes_to_unicode: printable Latin-1 stands for itself, the other bytes follow from U+0100 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): bytes([byte]) for byte in printable}
    return table | {chr(0x100 + i): bytes([byte]) for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
_CHARACTERS = {spelled[0]: character for character, spelled in _BYTES.items()}


def _without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _map_texts(value: Any, change: Any) -> Any:
    """``value`` with ``change`` applied to every text in it; OpenAI's list of text parts becomes one text."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if value and all(isinstance(part, Mapping) and part.get("type") == "text" for part in value):
            return change("".join(str(part.get("text", "")) for part in value))
        return [_map_texts(item, change) for item in value]
    return value


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
