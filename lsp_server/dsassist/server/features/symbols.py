"""What there is: outlines, workspace symbols, hover, code lenses, folding and selection ranges."""

from __future__ import annotations

import json

from lsprotocol import types

from dsassist.index import Kind, Location, SymbolInfo
from dsassist.server.app import Server
from dsassist.server.features.navigation import to_location, to_range
from dsassist.server.indexes import Folder
from dsassist.server.wire import Ready, range_text

__all__ = ["SYMBOL_KINDS", "register"]

SYMBOL_KINDS = {
    Kind.MODULE: types.SymbolKind.Module,
    Kind.NAMESPACE: types.SymbolKind.Namespace,
    Kind.CLASS: types.SymbolKind.Class,
    Kind.INTERFACE: types.SymbolKind.Interface,
    Kind.ENUM: types.SymbolKind.Enum,
    Kind.TYPE: types.SymbolKind.Class,
    Kind.FUNCTION: types.SymbolKind.Function,
    Kind.METHOD: types.SymbolKind.Method,
    Kind.PROPERTY: types.SymbolKind.Property,
    Kind.FIELD: types.SymbolKind.Field,
    Kind.VARIABLE: types.SymbolKind.Variable,
    Kind.CONSTANT: types.SymbolKind.Constant,
    Kind.PARAMETER: types.SymbolKind.Variable,
    Kind.ENUM_MEMBER: types.SymbolKind.EnumMember,
    Kind.IMPORT: types.SymbolKind.Module,
    Kind.MACRO: types.SymbolKind.Constant,
    Kind.STRUCT: types.SymbolKind.Struct,
    Kind.TRAIT: types.SymbolKind.Interface,
    Kind.TYPE_PARAMETER: types.SymbolKind.TypeParameter,
    Kind.LABEL: types.SymbolKind.Key,
    Kind.CONSTRUCTOR: types.SymbolKind.Constructor,
}
_FENCES = {
    "typescript": "typescript",
    "python": "python",
    "go": "go",
    "rust": "rust",
    "java": "java",
    "c": "c",
    "cpp": "cpp",
}


def register(server: Server) -> None:
    """Attach the handlers."""

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def document_symbols(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.symbols else None
        if found is None:
            return None
        folder, path = found
        return _tree(await folder.ask(folder.index.document_symbols, path))

    @server.feature(types.WORKSPACE_SYMBOL)
    async def workspace_symbols(params: types.WorkspaceSymbolParams) -> Ready | None:
        if not server.settings.navigation.symbols:
            return None
        found = [await folder.ask(_search, folder, params.query) for folder in await server.indexes.all()]
        return Ready(f"[{', '.join(text for text in found if text)}]")

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.hover else None
        if found is None:
            return None
        folder, path = found
        return await folder.ask(_hover, folder, path, params.position)

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=True))
    async def code_lens(params: types.CodeLensParams) -> list[types.CodeLens] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.code_lens else None
        if found is None:
            return None
        folder, path = found
        symbols = await folder.ask(folder.index.document_symbols, path)
        wanted = (
            Kind.CLASS,
            Kind.INTERFACE,
            Kind.ENUM,
            Kind.STRUCT,
            Kind.TRAIT,
            Kind.FUNCTION,
            Kind.METHOD,
            Kind.CONSTRUCTOR,
        )
        return [
            types.CodeLens(to_range(info.location), data={"uri": params.text_document.uri, "name": info.qualified_name})
            for info in symbols
            if info.kind in wanted
        ]

    @server.feature(types.CODE_LENS_RESOLVE)
    async def resolve_lens(lens: types.CodeLens) -> types.CodeLens:
        data = lens.data if isinstance(lens.data, dict) else {}
        found = await server.indexes.find(str(data.get("uri", "")))
        if found is None:
            return lens
        folder, path = found
        target = (path, str(data.get("name", "")))
        answer = await folder.ask(lambda: folder.index.references_to([target], include_possible=False))
        places = [item.location for item in answer.references if not item.is_definition]
        uris: dict[str, str] = {}
        title = "1 reference" if len(places) == 1 else f"{len(places)} references"
        position = {"line": lens.range.start.line, "character": lens.range.start.character}
        locations = [_plain(to_location(folder, place, uris)) for place in places]
        lens.command = types.Command(
            title, "editor.action.showReferences", arguments=[data["uri"], position, locations]
        )
        return lens

    @server.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
    async def folding(params: types.FoldingRangeParams) -> list[types.FoldingRange] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.symbols else None
        if found is None:
            return None
        folder, path = found
        folds = await folder.ask(folder.index.folds, path)
        kinds = {"comment": types.FoldingRangeKind.Comment, "imports": types.FoldingRangeKind.Imports}
        return [types.FoldingRange(fold.first, fold.last, kind=kinds.get(fold.kind)) for fold in folds]

    @server.feature(types.TEXT_DOCUMENT_SELECTION_RANGE)
    async def selection(params: types.SelectionRangeParams) -> list[types.SelectionRange] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.symbols else None
        if found is None:
            return None
        folder, path = found
        out = []
        for at in params.positions:
            ranges = await folder.ask(folder.index.selections, path, at.line, at.character)
            chain: types.SelectionRange | None = None
            for place in reversed(ranges):
                chain = types.SelectionRange(to_range(place), parent=chain)
            out.append(chain or types.SelectionRange(types.Range(at, at)))
        return out


def _search(folder: Folder, query: str) -> str:
    """Symbols by name, as JSON without the brackets around them: types for each would take longer than the search."""
    out = []
    for target, info in folder.index.symbols(query):
        place = f'{{"uri": {folder.addresses[info.location.path]}, "range": {range_text(info.location)}}}'
        container = info.container or target[0].rpartition(".")[0].replace("/", ".")
        out.append(
            f'{{"location": {place}, "name": {json.dumps(info.name)}, "kind": {SYMBOL_KINDS[info.kind].value}, '
            f'"containerName": {json.dumps(container)}}}'
        )
    return ", ".join(out)


def _plain(location: types.Location) -> dict[str, object]:
    start, end = location.range.start, location.range.end
    return {
        "uri": location.uri,
        "range": {
            "start": {"line": start.line, "character": start.character},
            "end": {"line": end.line, "character": end.character},
        },
    }


def _tree(symbols: tuple[SymbolInfo, ...]) -> list[types.DocumentSymbol]:
    """Nested by extent. Clients refuse a name outside its extent, so an extent always covers its name."""
    top: list[types.DocumentSymbol] = []
    stack: list[tuple[Location, types.DocumentSymbol]] = []
    for info in symbols:
        place, extent = info.location, info.extent
        if (place.line, place.column) < (extent.line, extent.column) or (place.end_line, place.end_column) > (
            extent.end_line,
            extent.end_column,
        ):
            extent = place
        item = types.DocumentSymbol(info.name, SYMBOL_KINDS[info.kind], to_range(extent), to_range(place), children=[])
        while stack and (stack[-1][0].end_line, stack[-1][0].end_column) < (extent.end_line, extent.end_column):
            stack.pop()
        holder = stack[-1][1].children if stack else None
        (top if holder is None else holder).append(item)  # type: ignore[attr-defined]
        stack.append((extent, item))
    return top


def _hover(folder: Folder, path: str, at: types.Position) -> types.Hover | None:
    index = folder.index
    targets, level, _ = index.targets_at(path, at.line, at.character)
    parts = []
    for target in targets[:3]:
        info = index.symbol(target)
        if info is None:
            continue
        if not target[0]:
            parts.append(f"`{target[1]}` (outside the workspace)")
            continue
        language = index.facts_for(target[0]).language if not target[0].endswith("/") else ""
        head = info.signature or f"{info.kind.label} {info.name}"
        lines = [f"```{_FENCES.get(language, '')}\n{head}\n```"]
        if info.documentation:
            lines.append(info.documentation)
        answer = index.references_to([target], include_possible=False)
        uses = [item.location.path for item in answer.references if not item.is_definition]
        files = len(set(uses))
        used = f"{len(uses)} references in {files} file{'s' if files != 1 else ''}" if uses else "no references"
        parts.append("\n\n".join([*lines, f"*{info.kind.label} in `{target[0]}`, {used}; resolved: {level.label}*"]))
    if not parts:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, "\n\n---\n\n".join(parts)))
