"""The database of one workspace: facts and links as blobs, names and dependencies as tables.

SQLite in WAL mode, every change in one transaction, so that a process killed at any moment leaves a database that is
behind, never one that is wrong. A database that SQLite or we cannot read is moved aside and built anew.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from dsassist.errors import IndexingError
from dsassist.index.facts import SCHEMA
from dsassist.index.hashing import blake2b
from dsassist.index.languages import GRAMMARS

__all__ = ["Row", "Store", "dependency_key", "version"]

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, mtime INTEGER NOT NULL, size INTEGER NOT NULL,
                    hash BLOB NOT NULL, lines INTEGER NOT NULL, linked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX unlinked ON files(id) WHERE linked = 0;
CREATE TABLE facts (id INTEGER PRIMARY KEY, occurrences BLOB NOT NULL, meaning BLOB NOT NULL);
CREATE TABLE links (id INTEGER PRIMARY KEY, links BLOB NOT NULL, dependencies BLOB NOT NULL);
CREATE TABLE names (name TEXT PRIMARY KEY, files BLOB NOT NULL, definitions BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dependencies (dependency INTEGER NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (dependency, file)) WITHOUT
ROWID;
"""


_MOST_ANSWERS = 2_000
"""Rows of queries that are kept."""


class Row(NamedTuple):
    """A stored file."""

    id: int
    path: str
    mtime: int
    size: int
    hash: bytes
    lines: int
    linked: bool


@functools.cache
def version() -> str:
    """Of everything that decides what is stored: our schema and rules, the grammars, and Python's ``marshal``."""
    from dsassist.index.languages import all_languages

    rules = blake2b(digest_size=6)
    for file in _rules():
        rules.update(Path(file).read_bytes())
    parts = [f"schema {SCHEMA}", f"rules {rules.hexdigest()}", f"python {sys.version_info[0]}.{sys.version_info[1]}"]
    parts += [f"{language.name} {language.version()}" for language in all_languages()]
    return ", ".join(parts)


def _rules() -> list[str]:
    """The files that say what is stored, in a fixed order."""
    return sorted(
        f"{folder}/{file}"
        for folder, _, files in os.walk(Path(__file__).parent)
        for file in files
        if file.endswith(".py")
    )


@functools.cache
def stamp() -> str:
    """Of the same things as ``version``, by the times and sizes of their files: it differs whenever that does, and is
    known without loading a grammar."""
    mark = blake2b(sys.version.encode(), digest_size=12)
    for name in GRAMMARS:
        found = PathFinder.find_spec(name)
        for folder in (found.submodule_search_locations or ()) if found is not None else ():
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda item: item.name):
                    if entry.name.endswith((".so", ".pyd", ".py")):
                        status = entry.stat()
                        mark.update(f"{entry.path} {status.st_size} {status.st_mtime_ns}\n".encode())
    for file in _rules():
        status = Path(file).stat()
        mark.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return mark.hexdigest()


def dependency_key(name: str) -> int:
    """A number for a path, or for a looked-up module name (``?name``)."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")


class Store:
    """The open database. Not safe for several threads at once; its owner has a lock."""

    def __init__(self, path: Path, root: str) -> None:
        self.path = path
        self.notice = ""
        """What a person should know about how it was opened."""
        self._answers: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.db = self._open(root)
        except (sqlite3.DatabaseError, IndexingError) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise IndexingError(f"The index {path} is locked by another program.") from error
            self._set_aside(str(error))
            self.db = self._open(root)

    def _open(self, root: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=20, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -8000")
            db.execute("PRAGMA temp_store = MEMORY")
            with _transaction(db):
                made = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
                stored = dict(db.execute("SELECT key, value FROM meta")) if made else {}
                mark = f"{stamp()} of {stored.get('version')}"
                known = stored.get("stamp") == mark or stored.get("version") == version()
                if not known or stored.get("root") != root:
                    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                        db.execute(f'DROP TABLE "{name}"')
                    for statement in _TABLES.split(";"):
                        if statement.strip():
                            db.execute(statement)
                    db.executemany("INSERT INTO meta VALUES (?, ?)", [("version", version()), ("root", root)])
                    if stored:
                        self.notice = "The index was made by another version; it is built anew."
                if not known or stored.get("stamp") != mark:
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('stamp', ?)", (f"{stamp()} of {version()}",))
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, reason: str) -> None:
        """Keep the unreadable files for whoever wants to look, one generation of them."""
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{self.path}.broken{suffix}")
        self.notice = f"The index could not be read ({reason}); it was set aside and is built anew."

    def reopen_after(self, error: Exception, root: str) -> None:
        """Go on with an empty database after damage was met in the middle of work."""
        with suppress(sqlite3.Error):
            self.db.close()
        self._set_aside(str(error))
        self.forget()
        self.db = self._open(root)

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database, as far as nobody reads it."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def transaction(self) -> _Transaction:
        """All or nothing, and nobody else writes meanwhile."""
        self.forget()
        return _transaction(self.db)

    def forget(self) -> None:
        """The database has changed, or will: answers that were kept are void."""
        self._answers.clear()

    def _ask(self, question: str, *values: int) -> list[tuple[Any, ...]]:
        """The rows of a query that is asked again and again, kept until something is written."""
        if self.db.in_transaction:
            return self.db.execute(question, values).fetchall()
        key = (question, *values)
        found = self._answers.get(key)
        if found is None:
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.clear()
            found = self._answers[key] = self.db.execute(question, values).fetchall()
        return found

    def data_version(self) -> int:
        """Changes when another connection has changed the database."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    # Meta and files

    def meta(self, key: str) -> str:
        """A stored setting, empty where there is none."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def set_meta(self, key: str, value: str) -> None:
        """Store a setting."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def rows(self) -> dict[str, Row]:
        """Every stored file by path."""
        query = self.db.execute("SELECT id, path, mtime, size, hash, lines, linked FROM files")
        return {row[1]: Row(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6])) for row in query}

    def put_file(self, path: str, mtime: int, size: int, digest: bytes, lines: int) -> int:
        """Insert or update a file as not linked; its id."""
        self.db.execute(
            "INSERT INTO files (path, mtime, size, hash, lines, linked) VALUES (?, ?, ?, ?, ?, 0) "
            "ON CONFLICT(path) DO UPDATE SET mtime = excluded.mtime, size = excluded.size, hash = excluded.hash, "
            "lines = excluded.lines, linked = 0",
            (path, mtime, size, digest, lines),
        )
        return int(self.db.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()[0])

    def touch(self, file: int, mtime: int, size: int) -> None:
        """The same bytes with another time."""
        self.db.execute("UPDATE files SET mtime = ?, size = ? WHERE id = ?", (mtime, size, file))

    def delete_file(self, file: int) -> None:
        """Remove a file, its facts and links. Its names are removed by ``change_names``."""
        self.drop_links(file)
        self.db.execute("DELETE FROM facts WHERE id = ?", (file,))
        self.db.execute("DELETE FROM files WHERE id = ?", (file,))

    # Facts

    def put_facts(self, file: int, occurrences: bytes, meaning: bytes) -> None:
        """Store both blobs."""
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (file, occurrences, meaning))

    def facts(self, file: int) -> tuple[bytes, bytes] | None:
        """Both blobs."""
        row: tuple[bytes, bytes] | None = self.db.execute(
            "SELECT occurrences, meaning FROM facts WHERE id = ?", (file,)
        ).fetchone()
        return row

    # Links

    def put_links(self, file: int, links: bytes, dependencies: Sequence[int]) -> None:
        """Store a file's links and what they were read from."""
        self.drop_links(file)
        wanted = array("q", sorted(set(dependencies)))
        self.db.execute("INSERT INTO links VALUES (?, ?, ?)", (file, links, wanted.tobytes()))
        self.db.executemany("INSERT OR IGNORE INTO dependencies VALUES (?, ?)", [(key, file) for key in wanted])
        self.db.execute("UPDATE files SET linked = 1 WHERE id = ?", (file,))

    def drop_links(self, file: int) -> None:
        """Forget a file's links."""
        row = self.db.execute("SELECT dependencies FROM links WHERE id = ?", (file,)).fetchone()
        if row is not None:
            keys = array("q")
            keys.frombytes(row[0])
            self.db.executemany(
                "DELETE FROM dependencies WHERE dependency = ? AND file = ?", [(key, file) for key in keys]
            )
            self.db.execute("DELETE FROM links WHERE id = ?", (file,))

    def occurrences_and_links(self, file: int) -> tuple[bytes, bytes | None] | None:
        """What a query reads of a file; no links where they are to be made again."""
        row: tuple[bytes, bytes | None] | None = self.db.execute(
            "SELECT facts.occurrences, links.links FROM facts JOIN files USING (id) "
            "LEFT JOIN links ON links.id = facts.id AND files.linked WHERE facts.id = ?",
            (file,),
        ).fetchone()
        return row

    def dependents(self, names: Iterable[str]) -> set[int]:
        """Files whose links were read from any of these."""
        found: set[int] = set()
        for name in names:
            found.update(
                row[0] for row in self._ask("SELECT file FROM dependencies WHERE dependency = ?", dependency_key(name))
            )
        return found

    def unlink(self, files: Iterable[int]) -> None:
        """Mark links as to be made again."""
        self.db.executemany("UPDATE files SET linked = 0 WHERE id = ?", [(file,) for file in files])

    def unlinked(self) -> list[tuple[int, str]]:
        """Files whose links are to be made, by path."""
        return self._ask("SELECT id, path FROM files WHERE linked = 0 ORDER BY path")

    # Names

    def first_names(self, used: dict[str, list[int]], defined: dict[str, list[int]]) -> bool:
        """As ``change_names`` twice, where there are none yet, so that nothing has to be looked up. False, with nothing
        done, where there are some."""
        if self.db.execute("SELECT 1 FROM names LIMIT 1").fetchone() is not None:
            return False
        rows = []
        for name in sorted(used.keys() | defined.keys()):
            files, definitions = array("I", sorted(used.get(name, ()))), array("I", sorted(defined.get(name, ())))
            rows.append((name, files.tobytes(), definitions.tobytes()))
        self.db.executemany("INSERT INTO names VALUES (?, ?, ?)", rows)
        return True

    def change_names(self, added: dict[str, list[int]], removed: dict[str, list[int]], defined: bool) -> None:
        """Add and remove files under names: of definitions, or of any use."""
        column = "definitions" if defined else "files"
        changes: list[tuple[bytes, str]] = []
        fresh: list[tuple[str, bytes, bytes]] = []
        select = f"SELECT {column} FROM names WHERE name = ?"
        for name in added.keys() | removed.keys():
            row = self.db.execute(select, (name,)).fetchone()
            ids = array("I")
            if row is not None:
                ids.frombytes(row[0])
            wanted = (set(ids) - set(removed.get(name, ()))) | set(added.get(name, ()))
            blob = array("I", sorted(wanted)).tobytes()
            if row is not None:
                changes.append((blob, name))
            else:
                fresh.append((name, b"" if defined else blob, blob if defined else b""))
        self.db.executemany(f"UPDATE names SET {column} = ? WHERE name = ?", changes)
        self.db.executemany("INSERT INTO names VALUES (?, ?, ?)", sorted(fresh))
        if removed:
            self.db.executemany(
                "DELETE FROM names WHERE name = ? AND files = x'' AND definitions = x''", [(name,) for name in removed]
            )

    def files_with(self, name: str, defined: bool = False) -> array[int]:
        """Files that use a name in a way that others may see, or that define it."""
        row = self.db.execute("SELECT files, definitions FROM names WHERE name = ?", (name,)).fetchone()
        ids = array("I")
        if row is not None:
            ids.frombytes(row[1 if defined else 0])
        return ids

    def files_with_each(self, names: Sequence[str]) -> list[tuple[str, array[int]]]:
        """Files that use each of a few hundred names, by name, where any does: one question instead of many."""
        marks = ", ".join("?" * len(names))
        asked = f"SELECT name, files FROM names WHERE name IN ({marks}) ORDER BY name"
        found: list[tuple[str, array[int]]] = []
        for name, files in self.db.execute(asked, tuple(names)):
            ids = array("I")
            ids.frombytes(files)
            found.append((name, ids))
        return found

    def defined_names(self) -> list[str]:
        """All names that some file defines."""
        return [row[0] for row in self.db.execute("SELECT name FROM names WHERE definitions != x''")]


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            self.db.execute("COMMIT")
        else:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")


def _transaction(db: sqlite3.Connection) -> _Transaction:
    return _Transaction(db)
