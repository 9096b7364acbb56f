"""Python."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence

from tree_sitter import Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.python.calls import CallWalk
from dsassist.index.languages.python.known import GRAMMAR
from dsassist.index.languages.python.walk import PythonWalk

__all__ = ["Python"]

_BUILTINS = frozenset(dir(builtins)) | {"__file__", "__name__", "__path__", "__class__", "reveal_type", "WindowsError"}


class Python:
    """The Python language."""

    name = "python"
    extensions = (".py", ".pyi", ".pyw")
    class_names_nest = False
    wide_references = False

    def version(self) -> str:
        """See ``Language``."""
        return f"{GRAMMAR.abi_version}.{GRAMMAR.node_kind_count}.1"

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        return make_parser(GRAMMAR)

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        return self.extract_part(source, tree, {})

    def extract_part(self, source: bytes, tree: Tree, earlier: Mapping[bytes, int]) -> Facts:
        """See ``ReadsParts``."""
        builder = Builder(self.name, source)
        builder.earlier = earlier
        root = tree.root_node
        builder.errors = count_errors(root)
        PythonWalk(builder).module(root)
        return builder.finish()

    def declares_outside(self, text: bytes) -> bool:
        """See ``ReadsParts``."""
        return b"global " in text

    def extract_calls(self, source: bytes, tree: Tree) -> Facts:
        """Facts with every call and its arguments; see ``CallWalk``."""
        builder = Builder(self.name, source)
        CallWalk(builder).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. The workspace, its ``src``, then the folders above the file, as an interpreter would."""
        parts = entry.module.split(".") if entry.module else []
        folder = path.rpartition("/")[0]
        if entry.level:
            for _ in range(entry.level - 1):
                folder = folder.rpartition("/")[0]
            return _under(folder, parts, files) or Found()
        if not parts:
            return Found()
        roots = ["", "src"]
        above = folder
        chain = []
        while above:
            # A package is not a root for absolute imports; a folder of scripts is.
            if not files.has(f"{above}/__init__.py"):
                chain.append(above)
            above = above.rpartition("/")[0]
        roots += [f"{item}/src" for item in reversed(chain)] + list(reversed(chain))
        fallback = None
        for root in roots:
            found = _under(root, parts, files)
            if found is None:
                continue
            if found.files:
                return found
            fallback = fallback or found
        return fallback or Found(external=entry.module)

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return f"{entry.module}.{entry.name}" if entry.module else entry.name

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return ()

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


def _under(root: str, parts: list[str], files: FileSet) -> Found | None:
    """``parts`` as a module below ``root``: a package, a module, or a namespace package."""
    base = "/".join([root, *parts] if root else parts)
    for candidate in (f"{base}/__init__.py", f"{base}.py", f"{base}/__init__.pyi", f"{base}.pyi"):
        if candidate.strip("/") and files.has(candidate.lstrip("/")):
            return Found(files=(candidate.lstrip("/"),), folder=base if "/__init__." in candidate else None)
    if base and parts and files.is_folder(base):
        return Found(folder=base)
    return Found(folder=base) if not parts and files.is_folder(base) else None
