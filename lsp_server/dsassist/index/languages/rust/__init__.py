"""Rust. A file is a module; ``impl`` blocks give methods to types written elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tree_sitter
import tree_sitter_rust
from tree_sitter import Parser, Tree

from dsassist.index.builder import Builder
from dsassist.index.facts import OF_CLASS, Facts, Import
from dsassist.index.languages.base import FileSet, Found, count_errors, make_parser
from dsassist.index.languages.rust.walk import RustWalk

__all__ = ["Rust"]

_GRAMMAR = tree_sitter.Language(tree_sitter_rust.language())
_BUILTINS = frozenset(
    """Some None Ok Err Option Result Vec String Box Rc Arc Iterator IntoIterator Clone Copy Debug Default Drop Eq Fn
    FnMut FnOnce
    From Into Ord PartialEq PartialOrd Send Sync Sized ToString ToOwned AsRef AsMut bool char f32 f64 i8 i16 i32 i64
    i128 isize
    str u8 u16 u32 u64 u128 usize println print eprintln eprint format vec panic assert assert_eq assert_ne
    debug_assert todo
    unimplemented unreachable write writeln matches dbg include_str std core alloc self super crate Hash Display
    TryFrom TryInto
    Extend DoubleEndedIterator ExactSizeIterator""".split()
)


class Rust:
    """The Rust language."""

    name = "rust"
    extensions = (".rs",)
    class_names_nest = False
    wide_references = False

    def version(self) -> str:
        """See ``Language``."""
        return f"{_GRAMMAR.abi_version}.{_GRAMMAR.node_kind_count}"

    def parser(self, path: str) -> Parser:
        """See ``Language``."""
        return make_parser(_GRAMMAR)

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """See ``Language``."""
        builder = Builder(self.name, source)
        builder.errors = count_errors(tree.root_node)
        RustWalk(builder).module(tree.root_node)
        return builder.finish()

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """See ``Language``. ``crate``, ``self``, ``super``, sibling modules, and crates of the workspace."""
        parts = [part for part in entry.module.split("::") if part]
        if entry.level == OF_CLASS:
            parts.pop()
            if not parts:
                return Found(files=(path,))
        if not parts:
            return Found()
        here = _folder_of_children(path)
        head = parts[0]
        if head == "crate":
            return _walk_down(_crate_root(path, files), parts[1:], files)
        if head == "self":
            return _walk_down(here, parts[1:], files, path)
        if head == "super":
            count = len(parts) - len(parts[next((i for i, part in enumerate(parts) if part != "super"), len(parts)) :])
            folder = here
            for _ in range(count):
                folder = folder.rpartition("/")[0]
            return _walk_down(folder, parts[count:], files)
        for folder in files.folders_with("Cargo.toml"):
            text = files.text(f"{folder}/Cargo.toml" if folder else "Cargo.toml") or ""
            match = re.search(r'^\s*name\s*=\s*"([^"]+)"', text, re.M)
            if match is not None and match.group(1).replace("-", "_") == head:
                return _walk_down(f"{folder}/src" if folder else "src", parts[1:], files)
        inner = _walk_down(here, parts, files, path)
        return inner if inner.files else Found(external=".".join(parts))

    def submodule(self, entry: Import) -> str | None:
        """See ``Language``."""
        return f"{entry.module}::{entry.name}" if entry.module else entry.name

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """See ``Language``."""
        return ()

    def builtin(self, name: str) -> bool:
        """See ``Language``."""
        return name in _BUILTINS


def _folder_of_children(path: str) -> str:
    """Where the modules that a file declares are."""
    folder, _, name = path.rpartition("/")
    if name in ("mod.rs", "lib.rs", "main.rs"):
        return folder
    stem = name.removesuffix(".rs")
    return f"{folder}/{stem}" if folder else stem


def _crate_root(path: str, files: FileSet) -> str:
    folder = path.rpartition("/")[0]
    while True:
        for name in ("lib.rs", "main.rs"):
            if files.has(f"{folder}/{name}" if folder else name):
                return folder
        if not folder:
            return path.rpartition("/")[0]
        folder = folder.rpartition("/")[0]


def _own_file(folder: str, files: FileSet) -> str:
    candidates = [f"{folder}/{name}" if folder else name for name in ("lib.rs", "mod.rs", "main.rs")]
    return next((item for item in (*candidates, f"{folder}.rs") if item.lstrip("/") and files.has(item)), "")


def _walk_down(folder: str, parts: Sequence[str], files: FileSet, start: str = "") -> Found:
    """The file of a module path below a folder."""
    for part in parts:
        folder = f"{folder}/{part}" if folder else part
        if not (files.has(f"{folder}.rs") or files.has(f"{folder}/mod.rs")):
            return Found()
    if not parts and start:
        return Found(files=(start,))
    found = next((item for item in (f"{folder}.rs", f"{folder}/mod.rs") if parts and files.has(item)), "") or _own_file(
        folder, files
    )
    return Found(files=(found,)) if found else Found()
