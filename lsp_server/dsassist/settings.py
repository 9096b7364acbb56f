"""Every setting, with its default, in one place.

The same tree is read from three sources, later ones winning: ``config.toml`` in the user's configuration folder,
the editor's ``initializationOptions``, and its ``workspace/configuration`` under ``dsassist``. Names on the wire are
camelCase (``maxTokens``); TOML takes either spelling. A bad value is never fatal: it becomes a ``Problem``
and the default stays.

The docstring under a field is its description in the VS Code settings page and in ``docs/settings.md``.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from dsassist.errors import SettingsError

__all__ = [
    "BackendSettings",
    "CompletionSettings",
    "ContextSettings",
    "EngineSettings",
    "IndexSettings",
    "NavigationSettings",
    "Problem",
    "Settings",
    "TestgenSettings",
    "camel",
    "load",
    "read_file",
]


_Group = TypeVar("_Group")


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Where the model runs."""

    kind: Literal["local", "openai", "llamacpp", "deepseek"] = "local"
    """`local` starts and shares dsassist's own engine. `openai` is any server with `/v1/completions` and `suffix`
    (vLLM, SGLang, Ollama), `llamacpp` is llama.cpp's `/infill`, `deepseek` is DeepSeek's fill-in-the-middle
    endpoint."""

    url: str = ""
    """Base address of a foreign server, such as `http://127.0.0.1:8080`. Not used by `local`."""

    model: str = ""
    """Model name sent to a foreign server."""

    api_key_variable: str = ""
    """Name of the environment variable that holds the key of a foreign server. The key itself is never stored."""

    fim_template: str = ""
    """For an `openai` server that refuses `suffix` (vLLM does): the model's own template, with `{prefix}` and
    `{suffix}`. Qwen2.5-Coder's is `<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>`."""

    timeout_seconds: float = 30.0
    """How long to wait for an answer before giving up."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine on this machine."""

    model: str = "qwen2.5-coder-0.5b"
    """A name from `dsassist model list`, or the path of a GGUF file or a Hugging Face folder."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs. `auto` takes a CUDA GPU where PyTorch sees one, else the CPU."""

    threads: int = 0
    """CPU threads the model uses; 0 is one a physical core."""

    cache_megabytes: int = 384
    """Memory for what the model has read (its KV cache). More holds longer and more contexts at once."""

    cache_type: Literal["float", "int8"] = "float"
    """How keys and values are kept. `int8` holds 3.6 times as many tokens in the same memory and reads long contexts
    quicker with each token; answers differ a little."""

    reuse_suffix: bool = True
    """While you type, take over what the model has read of the text behind the cursor instead of reading it anew with
    every key. Suggestions come sooner and can differ in rare cases from those of the whole text read anew."""

    idle_minutes: float = 15.0
    """The engine leaves after so many minutes without a request. 0 keeps it for ever."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What the model reads around the cursor."""

    max_tokens: int = 2048
    """The most tokens of prompt. The text nearest the cursor is kept. From 8192 on, a third goes to other files, which
    all documents share and the engine reads once; 16384 tokens of the 0.5B take 410 MB of cache, or 113 in `int8`."""

    cross_file: bool = True
    """Let the model read definitions and usages from other files of the workspace."""

    git_diff: bool = True
    """Let the model read what was changed in other files since the last commit, where the code at the cursor speaks of
    it. Asks `git`, where there is one, after files are saved and while nothing is typed."""

    diagnostics: bool = True
    """Let the model read errors and warnings near the cursor, where the editor tells them (VS Code does)."""


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    """Suggestions while typing."""

    enabled: bool = True
    """Suggest while typing. Manual triggers always work."""

    max_tokens: int = 64
    """The most tokens of one suggestion."""

    debounce_ms: int = -1
    """Milliseconds of quiet before a suggestion is computed; -1 adapts to the typing."""

    minimum_acceptance: float = -1.0
    """The chance of being accepted, from 0 to 1, below which a suggestion is not shown while typing; -1 takes what came
    with dsassist's accept model, 0 shows everything that passes the filters."""

    languages_off: tuple[str, ...] = ()
    """Language identifiers in which nothing is suggested, such as `markdown`."""

    popup: bool = False
    """Also offer the suggestion in the ordinary completion list, for editors without inline suggestions."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The index of the workspace."""

    enabled: bool = True
    """Index the workspace, for references, renames and cross-file context."""

    exclude: tuple[str, ...] = ()
    """More paths to leave out, as in a `.gitignore`. Ignored files, virtual environments and `node_modules`
    always are."""

    max_files: int = 50_000
    """The most files to index. A notice says when the cap is reached."""

    max_file_kilobytes: int = 1024
    """Larger files are left out."""


@dataclass(frozen=True, slots=True)
class NavigationSettings:
    """Language features from the index. Switch one off where another extension already serves it."""

    references: bool = True
    """Answer find-references, definitions, implementations, highlights and the call and type hierarchies."""

    rename: bool = True
    """Answer rename."""

    hover: bool = True
    """Show signatures, documentation and usage on hover."""

    symbols: bool = True
    """Answer document and workspace symbols, folding and selection ranges."""

    code_lens: bool = False
    """Show "N references" above definitions."""


@dataclass(frozen=True, slots=True)
class TestgenSettings:
    """Generated unit tests."""

    __test__ = False

    enabled: bool = True
    """Offer to generate tests. Runs your code in a sandbox, in trusted workspaces only, after asking once."""

    python: str = ""
    """The interpreter that runs the project's tests; empty finds the project's own."""

    seconds: float = 60.0
    """Time budget for one function."""

    model: bool = False
    """Ask the model for more inputs where rules leave lines unreached or planted bugs unnoticed. Takes longer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The root of the tree."""

    backend: BackendSettings = field(default_factory=BackendSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    context: ContextSettings = field(default_factory=ContextSettings)
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    navigation: NavigationSettings = field(default_factory=NavigationSettings)
    testgen: TestgenSettings = field(default_factory=TestgenSettings)


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that was not used. ``name`` is dotted (``completion.maxTokens``)."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def camel(name: str) -> str:
    """``max_tokens`` → ``maxTokens``."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), name).replace("-", "_")


def load(*sources: Mapping[str, Any] | None, base: Settings | None = None) -> tuple[Settings, list[Problem]]:
    """Merge ``sources`` over ``base``, later ones winning. Never raises on a value: see the module's docstring."""
    settings = base or Settings()
    problems: list[Problem] = []
    for source in sources:
        if source:
            settings = _merge(settings, source, "", problems)
    return settings, problems


def read_file(path: Path) -> Mapping[str, Any]:
    """The mapping in a TOML file, empty when there is none.

    Raises:
        SettingsError: it is there but is not TOML, or cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = "Correct the line or move the file away."
        raise SettingsError(f"{path} is not valid TOML: {error}.", remedy=remedy) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error


def _merge(target: _Group, source: Mapping[str, Any], prefix: str, problems: list[Problem]) -> _Group:
    hints = typing.get_type_hints(type(target))
    changes: dict[str, Any] = {}
    for key, value in source.items():
        name, dotted = _snake(str(key)), f"{prefix}{key}"
        if name not in hints:
            problems.append(Problem(dotted, "no such setting; it is ignored"))
            continue
        current = getattr(target, name)
        if dataclasses.is_dataclass(current):
            if isinstance(value, Mapping):
                changes[name] = _merge(current, value, f"{dotted}.", problems)
            elif value is not None:
                problems.append(Problem(dotted, f"expected a group of settings, not {value!r}; it is ignored"))
            continue
        try:
            changes[name] = _coerce(value, hints[name])
        except ValueError as error:
            problems.append(Problem(dotted, f"{error}; {current!r} is used"))
    return dataclasses.replace(target, **changes) if changes else target  # type: ignore[type-var]


def _coerce(value: Any, hint: Any) -> Any:
    """``value`` as ``hint``, or ValueError with what was expected."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(map(str, allowed))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"expected a list of texts, not {value!r}")
        return tuple(value)
    if isinstance(hint, types.UnionType):  # pragma: no cover - no such field today
        raise TypeError(f"unsupported setting type {hint}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise ValueError(f"expected {names[hint]}, not {value!r}")
    return value
