"""Open documents, kept in step with the editor by incremental changes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument, Workspace

from dsassist.server.convert import Encoding, TextMap, join_surrogates

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Document", "DocumentStore"]

logger = logging.getLogger(__name__)


class Document(TextDocument):
    """One document. ``source`` is its text; ``map`` converts positions of exactly that text.

    Replaces pygls's own: that one splits lines at form feeds and other characters that LSP does not count as line ends,
    and walks a line character by character in Python.
    """

    encoding: Encoding
    _map: TextMap | None

    def __init__(
        self,
        uri: str,
        source: str | None,
        version: int | None,
        language_id: str | None,
        encoding: Encoding,
    ) -> None:
        super().__init__(uri, source=source, version=version, language_id=language_id)
        self.encoding = encoding
        self._map = None
        self._source = join_surrogates(source) if source is not None else None

    @property
    def file(self) -> Path | None:
        """Where the document is on disk, None for one that was never saved."""
        path = to_fs_path(self.uri) if self.uri.startswith("file:") else None
        return Path(path) if path else None

    @property
    def source(self) -> str:
        """The text as the editor shows it; of a closed document, what is on disk, empty if nothing is."""
        if self._source is None:
            self._source = _read(self.file)
        return self._source

    @property
    def map(self) -> TextMap:
        """Positions of the text as it is now. Keep it for as long as the offsets computed with it are used."""
        if self._map is None or self._map.text is not self.source:
            self._map = TextMap(self.source, self.encoding)
        return self._map

    @property
    def lines(self) -> Sequence[str]:
        """Lines with their ends."""
        starts, text = self.map.line_starts, self.source
        return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        """Apply one change; a range outside the text is clamped."""
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = self.map.span(change.range)
            text = self.source[:start] + change.text + self.source[end:]
        else:
            text = change.text
        self._source = join_surrogates(text)
        self._map = None

    def offset_at_position(self, client_position: types.Position) -> int:
        """Code-point offset of a client's position, clamped."""
        return self.map.offset(client_position)


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""  # deleted meanwhile: an empty document, not a failed request


class DocumentStore(Workspace):
    """pygls's workspace, holding our documents. Notebook cells are documents too."""

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> Document:
        encoding = str(getattr(self.position_encoding, "value", self.position_encoding) or "utf-16")
        return Document(doc_uri, source, version, language_id, encoding)  # type: ignore[arg-type]

    def document(self, uri: str) -> Document | None:
        """The open document, or None."""
        found = self._text_documents.get(unquote(uri))
        return found if isinstance(found, Document) else None

    def any_document(self, uri: str) -> Document:
        """The open document, or one that reads the file on disk."""
        return self.document(uri) or self._create_text_document(uri)

    @property
    def open_documents(self) -> list[Document]:
        """Every open document, notebook cells included."""
        return [document for document in self._text_documents.values() if isinstance(document, Document)]

    @property
    def roots(self) -> list[Path]:
        """Folders of the workspace on disk; the root the client named when it sent no list."""
        uris = [folder.uri for folder in self.folders.values()] or ([self.root_uri] if self.root_uri else [])
        paths = (to_fs_path(uri) for uri in uris if uri.startswith("file:"))
        return [Path(path) for path in paths if path]

    def root_of(self, file: Path) -> Path | None:
        """The innermost workspace folder that holds ``file``."""
        holders = [root for root in self.roots if file.is_relative_to(root)]
        return max(holders, key=lambda root: len(root.parts), default=None)

    def update_text_document(
        self, text_doc: types.VersionedTextDocumentIdentifier, change: types.TextDocumentContentChangeEvent
    ) -> None:
        """Apply a change. One for a document that was never opened is logged and left."""
        if self.document(text_doc.uri) is None:
            logger.warning("change of a document that is not open: %s", text_doc.uri)
            return
        super().update_text_document(text_doc, change)
