"""Where things are: references, definitions, declarations, types, implementations, highlights. And the index's
upkeep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lsprotocol import types

from dsassist.index import Index, Location, SymbolInfo
from dsassist.server.app import Server
from dsassist.server.documents import Document
from dsassist.server.indexes import Folder, Indexes
from dsassist.server.wire import Question, references_text
from dsassist.settings import Settings

__all__ = ["register", "to_location", "to_range"]


def to_range(place: Location) -> types.Range:
    """For the client; the index already counts in its unit."""
    return types.Range(types.Position(place.line, place.column), types.Position(place.end_line, place.end_column))


def to_location(folder: Folder, place: Location, uris: dict[str, str] | None = None) -> types.Location:
    """For the client. ``uris`` keeps the addresses of files that come up again."""
    if uris is None:
        return types.Location((folder.root / place.path).as_uri(), to_range(place))
    uri = uris.get(place.path)
    if uri is None:
        uri = uris[place.path] = (folder.root / place.path).as_uri()
    return types.Location(uri, to_range(place))


def _places(
    server: Server, question: Callable[[Index, str, int, int], Sequence[SymbolInfo | Location]]
) -> Callable[[types.TextDocumentPositionParams], Awaitable[list[types.Location] | None]]:
    """The handler of a request that has a position and is answered with places."""

    async def handler(params: types.TextDocumentPositionParams) -> list[types.Location] | None:
        found = await _enabled(server, params.text_document.uri)
        if found is None:
            return None
        folder, path = found
        answers = await folder.ask(question, folder.index, path, params.position.line, params.position.character)
        places = (answer.location if isinstance(answer, SymbolInfo) else answer for answer in answers)
        return [to_location(folder, place) for place in places]

    return handler


def register(server: Server) -> None:
    """Attach the handlers, and keep ``server.indexes``."""
    indexes = server.indexes = Indexes(server)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    async def references(params: types.ReferenceParams) -> list[types.Location] | None:
        found = await _enabled(server, params.text_document.uri)
        if found is None:
            return None
        folder, path = found
        at = params.position
        answer = await folder.references(path, at.line, at.character)
        if answer.pending:
            server.tell_once(f"Still indexing: {answer.pending} files are not seen yet.", types.MessageType.Info)
        uris: dict[str, str] = {}
        declared = params.context.include_declaration
        return [
            to_location(folder, item.location, uris) for item in answer.references if declared or not item.is_definition
        ]

    def quick_references(question: Question) -> str | None:
        found = indexes.folder_of(question.uri) if server.settings.navigation.references else None
        if found is None or not found[0].is_current:
            return None
        folder, path = found
        answer = folder.index.references_at_hand(path, question.line, question.character)
        if answer is None or answer.pending:
            return None
        return references_text(answer.references, question.declared, folder.addresses)

    server.protocol.quick_references = quick_references

    # Four questions about the name at a position, whose answers are places.
    for method, question in (
        (types.TEXT_DOCUMENT_DEFINITION, Index.definitions),
        (types.TEXT_DOCUMENT_DECLARATION, Index.declarations),
        (types.TEXT_DOCUMENT_TYPE_DEFINITION, Index.type_definitions),
        (types.TEXT_DOCUMENT_IMPLEMENTATION, Index.implementations),
    ):
        server.feature(method)(_places(server, question))

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    async def highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        document = server.documents.document(params.text_document.uri)
        if document is not None:  # editors ask this wherever the cursor comes to rest
            server.emit(server.events.rested, document, params.position)
        found = await _enabled(server, params.text_document.uri)
        if found is None:
            return None
        folder, path = found
        items = await folder.ask(folder.index.highlights, path, params.position.line, params.position.character)
        write, read = types.DocumentHighlightKind.Write, types.DocumentHighlightKind.Read
        return [types.DocumentHighlight(to_range(item.location), write if item.is_write else read) for item in items]

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(params: types.DidChangeWatchedFilesParams) -> None:
        indexes.touched([change.uri for change in params.changes])

    def changed(document: Document, _: object) -> None:
        indexes.opened(document)

    def saved(document: Document) -> None:
        indexes.touched([document.uri])

    async def folders(added: list[str], removed: list[str]) -> None:
        for uri in removed:
            file = server.documents.any_document(uri).file
            if file is not None:
                await indexes.remove(file)
        for uri in added:
            file = server.documents.any_document(uri).file
            if file is not None:
                await indexes.add(file)

    async def settings(old: Settings, new: Settings) -> None:
        if old.index != new.index and indexes.folders:
            await indexes.settings_changed()

    server.events.initialized.append(indexes.start)
    server.events.opened.append(indexes.opened)
    server.events.changed.append(changed)
    server.events.saved.append(saved)
    server.events.closed.append(indexes.closed)
    server.events.folders.append(folders)
    server.events.settings.append(settings)
    server.events.shutdown.append(indexes.close)


async def _enabled(server: Server, uri: str) -> tuple[Folder, str] | None:
    return await server.indexes.find(uri) if server.settings.navigation.references else None
