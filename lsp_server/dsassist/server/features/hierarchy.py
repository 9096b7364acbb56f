"""Call hierarchy, type hierarchy, and renames."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidRequest

from dsassist.index import Call, Kind, SymbolInfo, Target
from dsassist.server.app import Server
from dsassist.server.features.navigation import to_range
from dsassist.server.features.symbols import SYMBOL_KINDS
from dsassist.server.indexes import Folder

__all__ = ["register"]

_CALLABLE = (
    Kind.FUNCTION,
    Kind.METHOD,
    Kind.CONSTRUCTOR,
    Kind.PROPERTY,
    Kind.CLASS,
    Kind.MACRO,
    Kind.MODULE,
    Kind.STRUCT,
)
_TYPES = (Kind.CLASS, Kind.INTERFACE, Kind.ENUM, Kind.STRUCT, Kind.TRAIT)


def register(server: Server) -> None:
    """Attach the handlers."""

    @server.feature(types.TEXT_DOCUMENT_PREPARE_CALL_HIERARCHY)
    async def prepare_calls(params: types.CallHierarchyPrepareParams) -> list[types.CallHierarchyItem] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.references else None
        if found is None:
            return None
        folder, path = found
        infos = await folder.ask(folder.index.symbols_at, path, params.position.line, params.position.character)
        return [_call_item(folder, info) for info in infos if info.kind in _CALLABLE]

    @server.feature(types.CALL_HIERARCHY_INCOMING_CALLS)
    async def incoming(params: types.CallHierarchyIncomingCallsParams) -> list[types.CallHierarchyIncomingCall] | None:
        held = await _target(server, params.item.uri, params.item.data)
        if held is None:
            return None
        folder, target = held
        calls: tuple[Call, ...] = await folder.ask(folder.index.callers, [target])
        return [
            types.CallHierarchyIncomingCall(_call_item(folder, call.symbol), [to_range(site) for site in call.sites])
            for call in calls
        ]

    @server.feature(types.CALL_HIERARCHY_OUTGOING_CALLS)
    async def outgoing(params: types.CallHierarchyOutgoingCallsParams) -> list[types.CallHierarchyOutgoingCall] | None:
        held = await _target(server, params.item.uri, params.item.data)
        if held is None:
            return None
        folder, target = held
        calls: tuple[Call, ...] = await folder.ask(folder.index.callees, target)
        return [
            types.CallHierarchyOutgoingCall(_call_item(folder, call.symbol), [to_range(site) for site in call.sites])
            for call in calls
        ]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_TYPE_HIERARCHY)
    async def prepare_types(params: types.TypeHierarchyPrepareParams) -> list[types.TypeHierarchyItem] | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.references else None
        if found is None:
            return None
        folder, path = found
        infos = await folder.ask(folder.index.symbols_at, path, params.position.line, params.position.character)
        return [_type_item(folder, info) for info in infos if info.kind in _TYPES]

    @server.feature(types.TYPE_HIERARCHY_SUPERTYPES)
    async def supertypes(params: types.TypeHierarchySupertypesParams) -> list[types.TypeHierarchyItem] | None:
        held = await _target(server, params.item.uri, params.item.data)
        if held is None:
            return None
        folder, target = held
        return await _type_items(folder, await folder.ask(folder.index.supertypes, target))

    @server.feature(types.TYPE_HIERARCHY_SUBTYPES)
    async def subtypes(params: types.TypeHierarchySubtypesParams) -> list[types.TypeHierarchyItem] | None:
        held = await _target(server, params.item.uri, params.item.data)
        if held is None:
            return None
        folder, target = held
        return await _type_items(folder, await folder.ask(folder.index.subtypes, target))

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    async def prepare_rename(params: types.PrepareRenameParams) -> types.Range | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.rename else None
        if found is None:
            return None
        folder, path = found
        place, reason = await folder.ask(
            folder.index.prepare_rename, path, params.position.line, params.position.character
        )
        if place is None:
            raise JsonRpcInvalidRequest(reason)
        return to_range(place)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    async def rename(params: types.RenameParams) -> types.WorkspaceEdit | None:
        found = await server.indexes.find(params.text_document.uri) if server.settings.navigation.rename else None
        if found is None:
            return None
        folder, path = found
        at = params.position
        await folder.settled()
        plan = await folder.ask(folder.index.rename, path, at.line, at.character, params.new_name)
        if plan.refused:
            raise JsonRpcInvalidRequest(plan.refused)
        changes: dict[str, list[types.TextEdit]] = {}
        for place in plan.edits:
            changes.setdefault((folder.root / place.path).as_uri(), []).append(
                types.TextEdit(to_range(place), params.new_name)
            )
        return types.WorkspaceEdit(changes=changes)


def _data(info: SymbolInfo) -> dict[str, str]:
    return {"path": info.location.path, "name": info.qualified_name}


def _call_item(folder: Folder, info: SymbolInfo) -> types.CallHierarchyItem:
    uri = (folder.root / info.location.path).as_uri()
    return types.CallHierarchyItem(
        info.name,
        SYMBOL_KINDS[info.kind],
        uri,
        to_range(info.extent),
        to_range(info.location),
        detail=info.container or info.location.path,
        data=_data(info),
    )


def _type_item(folder: Folder, info: SymbolInfo) -> types.TypeHierarchyItem:
    uri = (folder.root / info.location.path).as_uri()
    return types.TypeHierarchyItem(
        info.name,
        SYMBOL_KINDS[info.kind],
        uri,
        to_range(info.extent),
        to_range(info.location),
        detail=info.location.path,
        data=_data(info),
    )


async def _type_items(folder: Folder, targets: tuple[Target, ...]) -> list[types.TypeHierarchyItem]:
    infos = [await folder.ask(folder.index.symbol, target) for target in targets]
    return [_type_item(folder, info) for info in infos if info is not None]


async def _target(server: Server, uri: str, data: Any) -> tuple[Folder, Target] | None:
    """What an item that we gave out stands for."""
    found = await server.indexes.find(uri)
    if found is None or not isinstance(data, dict):
        return None
    return found[0], (str(data.get("path", "")), str(data.get("name", "")))
