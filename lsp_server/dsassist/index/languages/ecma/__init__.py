"""TypeScript, TSX, JavaScript and JSX: one walk, three grammars."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.ecma.walk import EcmaWalk

__all__ = ["Ecma"]

_GRAMMARS = {
    "typescript": tree_sitter.Language(tree_sitter_typescript.language_typescript()),
    "tsx": tree_sitter.Language(tree_sitter_typescript.language_tsx()),
    "javascript": tree_sitter.Language(tree_sitter_javascript.language()),
}
_BUILTINS = frozenset(
    """Array ArrayBuffer AsyncIterable BigInt Boolean Buffer DataView Date Error EvalError Float32Array Float64Array
    Function
    Infinity Int16Array Int32Array Int8Array Intl Iterable Iterator JSON Map Math NaN Number Object Partial Pick Omit
    Promise
    PromiseLike Proxy RangeError Readonly ReadonlyArray ReadonlyMap ReadonlySet Record ReferenceError Reflect RegExp
    Required
    Set String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array URL URLSearchParams WeakMap
    WeakRef
    WeakSet arguments clearInterval clearTimeout console decodeURIComponent document encodeURIComponent eval exports
    fetch
    global globalThis isFinite isNaN localStorage module navigator parseFloat parseInt process queueMicrotask require
    setImmediate setInterval setTimeout structuredClone undefined window Exclude Extract NonNullable ReturnType
    Parameters
    InstanceType Awaited Element HTMLElement Event Node Response Request Headers AbortController AbortSignal TextEncoder
    TextDecoder Uppercase Lowercase Capitalize ThisType ConstructorParameters NodeJS JSX __dirname __filename""".split()
)
_ENDINGS = ("", ".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
_SOURCE_OF = {
    ".js": (".ts", ".tsx", ".d.ts"),
    ".jsx": (".tsx",),
    ".mjs": (".mts", ".d.mts"),
    ".cjs": (".cts", ".d.cts"),
}


class Ecma:
    """TypeScript and JavaScript: they import each other, so they are one language here."""

    name = "typescript"
    extensions = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
    class_names_nest = False
    wide_references = True

    def version(self) -> str:
        """See ``Language``."""
        return "/".join(f"{item.abi_version}.{item.node_kind_count}" for item in _GRAMMARS.values())

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        ending = path[path.rfind(".") :].lower()
        return make_parser(
            _GRAMMARS[
                "tsx" if ending == ".tsx" else "typescript" if ending in (".ts", ".mts", ".cts") else "javascript"
            ]
        )

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        builder = Builder(self.name, source)
        builder.errors = count_errors(tree.root_node)
        EcmaWalk(builder, path[path.rfind(".") :].lower() in (".ts", ".tsx", ".mts", ".cts")).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. Relative paths, ``paths`` and ``baseUrl`` of tsconfig.json, packages of the workspace."""
        module = entry.module
        folder = path.rpartition("/")[0]
        if module.startswith("."):
            found = _file(_join(folder, module), files)
            return Found(files=(found,)) if found else Found()
        for config_folder, config in _configurations(folder, files):
            for candidate in _mapped(module, config_folder, config):
                found = _file(candidate, files)
                if found:
                    return Found(files=(found,))
        found = _package(module, files)
        return Found(files=(found,)) if found else Found(external=module)

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``. A module without a default export is its own default (CommonJS)."""
        return entry.module if entry.name in ("default", "=") else None

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return ()

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


def _join(folder: str, relative: str) -> str:
    parts = folder.split("/") if folder else []
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return "//outside"
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _file(base: str, files: FileSet) -> str:
    """The file that a path without its ending means."""
    dot = base.rfind(".")
    for ending in _SOURCE_OF.get(base[dot:], ()) if dot > base.rfind("/") else ():
        if files.has(base[:dot] + ending):
            return base[:dot] + ending
    for ending in _ENDINGS:
        if files.has(base + ending):
            return base + ending
    for ending in _ENDINGS[1:]:
        index = f"{base}/index{ending}" if base else f"index{ending}"
        if files.has(index):
            return index
    return ""


@functools.lru_cache(maxsize=256)
def _read(text: str) -> dict[str, Any]:
    """JSON with comments and trailing commas, as tsconfig.json is."""
    bare = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda match: match.group(1) or "", text, flags=re.S)
    try:
        value = json.loads(re.sub(r",(\s*[}\]])", r"\1", bare))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _configurations(folder: str, files: FileSet) -> list[tuple[str, dict[str, Any]]]:
    """The compiler options that hold in a folder, the nearest first; one step of ``extends`` is followed."""
    found = []
    while True:
        for name in ("tsconfig.json", "jsconfig.json"):
            path = f"{folder}/{name}" if folder else name
            text = files.text(path)
            if text is not None:
                config = _read(text)
                options = config.get("compilerOptions")
                options = options if isinstance(options, dict) else {}
                if (
                    "paths" not in options
                    and isinstance(config.get("extends"), str)
                    and config["extends"].startswith(".")
                ):
                    above = _join(folder, config["extends"])
                    inherited = files.text(above) or files.text(f"{above}.json")
                    if inherited is not None:
                        base = _read(inherited).get("compilerOptions")
                        if isinstance(base, dict):
                            found.append((above.rpartition("/")[0], base))
                found.append((folder, options))
        if not folder:
            return found
        folder = folder.rpartition("/")[0]


def _mapped(module: str, folder: str, options: dict[str, Any]) -> list[str]:
    base = _join(folder, options["baseUrl"]) if isinstance(options.get("baseUrl"), str) else folder
    out = []
    paths = options.get("paths")
    for pattern, targets in sorted(paths.items(), key=lambda item: -len(item[0])) if isinstance(paths, dict) else ():
        head, star, tail = pattern.partition("*")
        if (star and module.startswith(head) and module.endswith(tail)) or pattern == module:
            middle = module[len(head) : len(module) - len(tail)] if star else ""
            for target in targets if isinstance(targets, list) else ():
                if isinstance(target, str):
                    out.append(_join(base, target.replace("*", middle)))
    if isinstance(options.get("baseUrl"), str):
        out.append(_join(base, module))
    return out


def _package(module: str, files: FileSet) -> str:
    """A package of the workspace itself, by the name in its package.json."""
    for folder in files.folders_with("package.json"):
        text = files.text(f"{folder}/package.json" if folder else "package.json")
        config = _read(text or "")
        name = config.get("name")
        if not isinstance(name, str) or not name or not (module == name or module.startswith(f"{name}/")):
            continue
        inner = module[len(name) :].lstrip("/")
        for candidate in _exported(config, inner):
            found = _file(_join(folder, candidate), files)
            if found:
                return found
        for place in (f"src/{inner}", inner) if inner else ("src/index", "index", "src", "lib/index"):
            found = _file(_join(folder, place), files)
            if found:
                return found
    return ""


def _exported(config: dict[str, Any], inner: str) -> list[str]:
    """Paths that package.json gives for an entry point."""
    exports = config.get("exports")
    out: list[str] = []
    key = f"./{inner}" if inner else "."
    if isinstance(exports, dict) and any(item.startswith(".") for item in exports):
        if key in exports:
            out += _leaves(exports[key])
        for pattern, value in exports.items():
            head, star, tail = pattern.partition("*")
            if star and key.startswith(head) and key.endswith(tail):
                out += [leaf.replace("*", key[len(head) : len(key) - len(tail)]) for leaf in _leaves(value)]
    elif not inner:
        out += _leaves(exports)
    if not inner:
        out += [
            config[field]
            for field in ("source", "types", "typings", "module", "main")
            if isinstance(config.get(field), str)
        ]
    return out


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        order = ("source", "types", "import", "module", "default", "require", "node")
        keys = [key for key in order if key in value] + [key for key in value if key not in order]
        return [leaf for key in keys for leaf in _leaves(value[key])]
    return []
