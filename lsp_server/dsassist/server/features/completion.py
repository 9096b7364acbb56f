"""Suggestions: ``textDocument/inlineCompletion``, and ``textDocument/completion`` for editors without it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from lsprotocol import types

from dsassist.assist.accept import shipped
from dsassist.assist.changes import CHANGED_SHARE
from dsassist.assist.completion import Completer, Suggestion
from dsassist.assist.context import Gatherer, apart
from dsassist.assist.diagnostics import Diagnostic, Diagnostics
from dsassist.assist.recent import Recent
from dsassist.assist.site import Site
from dsassist.index import AtCursor, ContextPiece
from dsassist.server.app import Server
from dsassist.server.documents import Document
from dsassist.server.notebooks import cell_of, script_path
from dsassist.server.protocol import DIAGNOSTICS, DID_ACCEPT, DID_SHOW, WHY_NOTHING, Accepted, Said, Shown
from dsassist.server.worktrees import Worktrees
from dsassist.settings import Settings

__all__ = ["ACCEPTED", "register"]

ACCEPTED = "dsassist.accepted"
"""Command of every suggestion, run by the editor when all of it is taken. Its argument is the suggestion's id."""

KEPT = 200
"""Suggestions remembered for what the client tells of them later."""

LABEL_LENGTH = 60

MANUAL_SUGGESTIONS = 3
"""The most that are offered when asked by hand: editors go through them with a key of their own."""

WARM_CHARACTERS = 4000
"""Of a file that was just opened. Where the cursor will be nobody says."""


_POPUP_TRIGGERS = [".", "(", "[", " "]


class Shelf:
    """Suggestions given lately, by id, and how many were shown and taken."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, str] = OrderedDict()
        self.shown = 0
        self.accepted = 0

    def give(self, suggestion: Suggestion) -> None:
        """Remember one."""
        self._given[suggestion.id] = suggestion.text
        while len(self._given) > KEPT:
            self._given.popitem(last=False)

    def show(self, identity: str) -> None:
        """One became visible. Unknown ids are of an earlier life of the server and do not count."""
        self.shown += identity in self._given

    def accept(self, identity: str) -> None:
        """One was taken."""
        self.accepted += self._given.pop(identity, None) is not None


def register(server: Server) -> None:
    """Both ways to ask, warm-up on open, and the messages about what became of a suggestion."""
    shelf = Shelf()
    state = _State(server)

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline(params: types.InlineCompletionParams) -> types.InlineCompletionList | None:
        document = server.documents.document(params.text_document.uri)
        if document is None:
            return None
        manual = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        popup = params.context.selected_completion_info
        text, offset, head = document.source, document.map.offset(params.position), ""
        replaced = types.Range(start=params.position, end=params.position)
        if popup is not None:
            # the popup's item is part of what is completed, and the suggestion takes the place of what it replaces
            start, end = document.map.span(popup.range)
            text, offset, head = text[:start] + popup.text + text[end:], start + len(popup.text), popup.text
            replaced = popup.range
        suggestions = await state.suggest(document, text, offset, manual)
        items = []
        for suggestion in suggestions:
            shelf.give(suggestion)
            command = types.Command(title="Accepted", command=ACCEPTED, arguments=[suggestion.id])
            items.append(
                types.InlineCompletionItem(insert_text=head + suggestion.text, range=replaced, command=command)
            )
        return types.InlineCompletionList(items=items)

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=_POPUP_TRIGGERS))
    async def popup(params: types.CompletionParams) -> types.CompletionList | None:
        document = server.documents.document(params.text_document.uri)
        if document is None or not (server.settings.completion.popup or not _has_inline(server)):
            return None
        offset = document.map.offset(params.position)
        suggestions = await state.suggest(document, document.source, offset, manual=False)
        for suggestion in suggestions:
            shelf.give(suggestion)
        items = [_popup_item(document, offset, suggestion) for suggestion in suggestions]
        return types.CompletionList(is_incomplete=True, items=items)

    @server.feature(WHY_NOTHING)
    async def why_nothing(_: Any) -> dict[str, Any]:
        outcome = state.completer.outcome
        return {"reason": outcome.reason, "message": outcome.message, "suppressed": outcome.suppressed}

    @server.feature(DIAGNOSTICS)
    def diagnostics(params: Said) -> None:
        document = server.documents.document(params.uri)
        # a notebook's cells have lines of their own, and are completed as one
        if document is not None and cell_of(server.documents, document) is None:
            said = (Diagnostic(one.line, one.message, one.warning) for one in params.diagnostics)
            state.diagnostics.note(document.uri, said)

    @server.feature(DID_SHOW)
    def did_show(params: Shown) -> None:
        shelf.show(params.id)

    @server.feature(DID_ACCEPT)
    def did_accept(params: Accepted) -> None:
        shelf.accept(params.id)

    @server.command(ACCEPTED)
    def accepted(identity: str) -> None:
        shelf.accept(identity)

    async def opened(document: Document) -> None:
        if server.settings.completion.enabled and document.language_id not in server.settings.completion.languages_off:
            # every place in this text shares its beginning with what the model reads now
            head = document.source[:WARM_CHARACTERS]
            await state.completer.warm_up(state.site(document, head, len(head), manual=False))

    def rested(document: Document, position: types.Position) -> None:
        state.completer.rest(state.site(document, document.source, document.map.offset(position), manual=False))

    _offer_popup_where_wanted(server)
    server.events.rested.append(rested)
    server.events.opened.append(opened)
    server.events.changed.append(state.edited)
    server.events.closed.append(state.closed)
    server.events.settings.append(state.renew)
    server.events.shutdown.append(state.close)


def _offer_popup_where_wanted(server: Server) -> None:
    """Clients with inline suggestions get the popup's on request only: being asked there, with every space, costs the
    editor time and gives it nothing."""
    features = server.protocol.fm.features
    handler = features[types.TEXT_DOCUMENT_COMPLETION]
    held_back = offered = False

    def initialize(params: types.InitializeParams) -> None:
        nonlocal held_back
        able = params.capabilities.text_document
        if able is None or able.inline_completion is None or able.completion is None:
            return
        if able.completion.dynamic_registration:
            held_back = True
            del features[types.TEXT_DOCUMENT_COMPLETION]

    async def offer(*_: Settings) -> None:
        nonlocal offered
        if not held_back:
            return
        features[types.TEXT_DOCUMENT_COMPLETION] = handler
        wanted = server.settings.completion.popup
        if wanted == offered:
            return
        offered = wanted
        name, method = "dsassist-popup", types.TEXT_DOCUMENT_COMPLETION
        if wanted:
            options = types.CompletionRegistrationOptions(trigger_characters=_POPUP_TRIGGERS)
            registration = types.Registration(id=name, method=method, register_options=options)
            await server.client_register_capability_async(types.RegistrationParams(registrations=[registration]))
        else:
            gone = types.Unregistration(id=name, method=method)
            await server.client_unregister_capability_async(types.UnregistrationParams(unregisterations=[gone]))

    server.events.initialize.append(initialize)
    server.events.initialized.append(offer)
    server.events.settings.append(offer)


class _State:
    """The completer of the server's present settings."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.recent = Recent()
        self.diagnostics = Diagnostics()
        self.worktrees = Worktrees(server)
        self.gatherer = Gatherer(
            self._pieces, self._known, tokens=lambda: server.settings.context.max_tokens, told=self._told
        )
        self.completer = self._completer(server.settings)

    def _completer(self, settings: Settings) -> Completer:
        return Completer(
            self._server.backend,
            settings,
            self.gatherer,
            session=self._server.session,
            lacks=self._lacks,
            accept=shipped(),
        )

    async def _lacks(self, site: Site, receiver: str, member: str) -> bool:
        """Whether the index knows that a variable in reach of the cursor has no such member."""
        found = self._server.indexes.folder_of(site.document)
        if found is None:
            return False
        folder, path = found
        return await folder.ask(folder.index.lacks_member, path, site.line, receiver, member)

    async def _pieces(self, site: Site, budget: int) -> Sequence[ContextPiece]:
        """What the index would have the model read, what was changed since the last commit, and places edited lately in
        other files; the last two share their room."""
        room = int(budget * CHANGED_SHARE)
        changed = self.worktrees.pieces(site, room)
        recent = self.recent.pieces(site, self._text_of, room - sum(len(piece.text) for piece in changed))
        late = apart([*changed, *recent])
        found = self._server.indexes.folder_of(site.document)
        if found is None:
            return late
        folder, path = found
        left = budget - sum(len(piece.text) for piece in late)
        pieces = await folder.ask(folder.index.pieces_for, path, site.line, site.prefix, site.suffix, left)
        return apart([*pieces, *late])

    def _told(self, site: Site) -> tuple[str, ...]:
        return self.diagnostics.near(site) if self._server.settings.context.diagnostics else ()

    def _text_of(self, uri: str) -> str | None:
        document = self._server.documents.document(uri)
        return document.source if document is not None else None

    def edited(self, document: Document, changes: Sequence[Any]) -> None:
        """Remember where."""
        places = [change.range.start.line for change in changes if getattr(change, "range", None) is not None]
        if places:
            self.recent.note(document.uri, self._placed(document.file, document)[1], places[-1])
        for change in changes:
            if (where := getattr(change, "range", None)) is not None:
                lines = change.text.count("\n") + 1
                self.diagnostics.edited(document.uri, where.start.line, where.end.line, lines)

    def closed(self, uri: str) -> None:
        """Forget what was known of a document."""
        self.gatherer.forget(uri)
        self.recent.forget(uri)
        self.diagnostics.forget(uri)

    async def _known(self, site: Site) -> AtCursor:
        """What the index knows at the cursor."""
        found = self._server.indexes.folder_of(site.document)
        if found is None:
            return AtCursor()
        folder, path = found
        if not folder.scanned.is_set():
            return AtCursor()
        # the text at the cursor comes with the question, so the index need not have read this very key
        return await asyncio.to_thread(folder.index.at_cursor, path, site.line, site.prefix)

    def renew(self, old: Settings, new: Settings) -> None:
        """The next request is completed under the new settings."""
        self.completer.settings = new
        if (old.backend, old.engine) != (new.backend, new.engine):
            before, self.completer = self.completer, self._completer(new)
            self._server.background(before.close())

    async def close(self) -> None:
        self.worktrees.close()
        await self.completer.close()

    def _placed(self, file: Path | None, document: Document) -> tuple[Path | None, str]:
        """The workspace folder that a file is in, and its path there; the bare name outside of one."""
        root = self._server.documents.root_of(file) if file else None
        return root, file.relative_to(root).as_posix() if file and root else PurePath(document.path).name

    def site(self, document: Document, text: str, offset: int, manual: bool) -> Site:
        """A cursor in a document. A notebook's cell is completed as a part of the whole notebook."""
        cell = cell_of(self._server.documents, document)
        file = self._server.documents.any_document(cell.notebook).file if cell else document.file
        root, path = self._placed(file, document)
        if cell is not None:
            text, offset = cell.before + text + cell.after, offset + len(cell.before)
            path = script_path(path, cell.ending)
        return Site.at(
            text,
            offset,
            document=document.uri,
            path=path,
            language=document.language_id or "",
            repository=root.name if root else "",
            manual=manual,
        )

    async def suggest(self, document: Document, text: str, offset: int, manual: bool) -> list[Suggestion]:
        self.completer.paused = self._server.monitor.paused
        site = self.site(document, text, offset, manual)
        wanted = self.completer
        suggestions = await (wanted.candidates(site, MANUAL_SUGGESTIONS) if manual else wanted.suggest(site))
        if not suggestions and self.completer.outcome.reason in ("loading", "no_model", "error"):
            self._server.monitor.look()
        return suggestions


def _has_inline(server: Server) -> bool:
    text_document = server.client_capabilities.text_document
    return text_document is not None and text_document.inline_completion is not None


def _popup_item(document: Document, offset: int, suggestion: Suggestion) -> types.CompletionItem:
    """An item that replaces the word at the cursor: editors show only items whose filter text begins with that word."""
    site = Site.at(document.source, offset)
    word = site.word_before
    new = word + suggestion.text
    first = new.strip().splitlines()[0]
    return types.CompletionItem(
        label=first if len(first) <= LABEL_LENGTH else first[: LABEL_LENGTH - 1] + "…",
        kind=types.CompletionItemKind.Text,
        detail="dsassist",
        documentation=types.MarkupContent(
            kind=types.MarkupKind.Markdown, value=f"```{document.language_id or ''}\n{new}\n```"
        ),
        filter_text=new,
        # before every letter; Emacs reads no JSON with a NUL in it
        sort_text=" ",
        text_edit=types.TextEdit(range=document.map.range(offset - len(word), offset), new_text=new),
        command=types.Command(title="Accepted", command=ACCEPTED, arguments=[suggestion.id]),
    )
