"""The index through the language server, as an editor asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

FILES = {
    "a.py": 'class Greeter:\n    """Says hello."""\n\n    def greet(self, name):\n        return name\n\n\n'
    "class Loud(Greeter): ...\n",
    "b.py": "from a import Greeter\n\ndef main():\n    Greeter().greet(name='x')\n",
}


@pytest.fixture
async def project(tmp_path: Path, editor: Any) -> AsyncIterator[Any]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    await editor.start({"completion": {"enabled": False}, "navigation": {"codeLens": True}}, root=tmp_path.as_uri())
    editor.root = tmp_path
    for name, text in FILES.items():
        editor.client.text_document_did_open(
            types.DidOpenTextDocumentParams(types.TextDocumentItem((tmp_path / name).as_uri(), "python", 1, text))
        )
    await built(editor)
    yield editor


async def built(project: Any) -> None:
    """Return once the whole workspace is indexed: until then a rename is refused."""
    for _ in range(400):
        try:
            await project.client.text_document_rename_async(
                types.RenameParams(new_name="Host", **at(project, "a.py", 0, 6))
            )
        except JsonRpcException as error:
            if "still being built" not in str(error):
                raise
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("the index was never built")


def at(project: Any, name: str, line: int, character: int) -> dict[str, Any]:
    uri = (project.root / name).as_uri()
    return {"text_document": types.TextDocumentIdentifier(uri), "position": types.Position(line, character)}


async def references(project: Any, name: str, line: int, character: int) -> list[tuple[str, int]]:
    params = types.ReferenceParams(
        types.ReferenceContext(include_declaration=True), **at(project, name, line, character)
    )
    found = await project.client.text_document_references_async(params)
    return sorted((Path(item.uri).name, item.range.start.line) for item in found)


async def test_references_follow_the_buffers(project: Any) -> None:
    assert await references(project, "a.py", 0, 6) == [("a.py", 0), ("a.py", 7), ("b.py", 0), ("b.py", 3)]
    uri = (project.root / "b.py").as_uri()
    project.client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            types.VersionedTextDocumentIdentifier(2, uri),
            [types.TextDocumentContentChangeWholeDocument("import a\n\na.Greeter().greet(1)\n")],
        )
    )
    assert await references(project, "a.py", 3, 8) == [("a.py", 3), ("b.py", 2)]
    project.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    for _ in range(50):
        if await references(project, "a.py", 3, 8) == [("a.py", 3), ("b.py", 3)]:
            break
        await asyncio.sleep(0.02)
    assert await references(project, "a.py", 3, 8) == [("a.py", 3), ("b.py", 3)]


async def test_definitions_hover_and_highlights(project: Any) -> None:
    (place,) = await project.client.text_document_definition_async(types.DefinitionParams(**at(project, "b.py", 3, 16)))
    assert (Path(place.uri).name, place.range.start.line) == ("a.py", 3)
    hover = await project.client.text_document_hover_async(types.HoverParams(**at(project, "b.py", 0, 16)))
    assert "class Greeter" in hover.contents.value
    assert "Says hello." in hover.contents.value
    assert "2 files" in hover.contents.value
    items = await project.client.text_document_document_highlight_async(
        types.DocumentHighlightParams(**at(project, "b.py", 0, 16))
    )
    assert [item.range.start.line for item in items] == [0, 3]
    (kind,) = await project.client.text_document_implementation_async(
        types.ImplementationParams(**at(project, "a.py", 0, 6))
    )
    assert kind.range.start.line == 7


async def test_symbols_folding_and_lenses(project: Any) -> None:
    document = types.TextDocumentIdentifier((project.root / "a.py").as_uri())
    outline = await project.client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
    assert [(item.name, [child.name for child in item.children]) for item in outline] == [
        ("Greeter", ["greet"]),
        ("Loud", []),
    ]
    found = await project.client.workspace_symbol_async(types.WorkspaceSymbolParams("grtr"))
    assert [item.name for item in found] == ["Greeter"]
    folds = await project.client.text_document_folding_range_async(types.FoldingRangeParams(document))
    assert (0, 4) in {(fold.start_line, fold.end_line) for fold in folds}
    lenses = await project.client.text_document_code_lens_async(types.CodeLensParams(document))
    resolved = await project.client.code_lens_resolve_async(lenses[0])
    assert resolved.command.title == "3 references"
    (selection,) = await project.client.text_document_selection_range_async(
        types.SelectionRangeParams(document, [types.Position(4, 16)])
    )
    assert selection.parent is not None


async def test_hierarchies(project: Any) -> None:
    (item,) = await project.client.text_document_prepare_call_hierarchy_async(
        types.CallHierarchyPrepareParams(**at(project, "a.py", 3, 8))
    )
    (call,) = await project.client.call_hierarchy_incoming_calls_async(types.CallHierarchyIncomingCallsParams(item))
    assert call.from_.name == "main"
    (kind,) = await project.client.text_document_prepare_type_hierarchy_async(
        types.TypeHierarchyPrepareParams(**at(project, "a.py", 0, 6))
    )
    (below,) = await project.client.type_hierarchy_subtypes_async(types.TypeHierarchySubtypesParams(kind))
    assert below.name == "Loud"
    (above,) = await project.client.type_hierarchy_supertypes_async(types.TypeHierarchySupertypesParams(below))
    assert above.name == "Greeter"


async def test_the_graph_of_files(project: Any) -> None:
    uri = {name: (project.root / name).as_uri() for name in FILES}
    ask = project.client.protocol.send_request_async
    graph = await ask("dsassist/graph", {"uri": uri["a.py"]})
    assert graph.root == uri["a.py"]
    assert {node.path for node in graph.nodes} == {"a.py", "b.py"}
    assert [(edge.source, edge.target, edge.count) for edge in graph.edges] == [(uri["b.py"], uri["a.py"], 5)]
    assert graph.dropped == 0
    assert await ask("dsassist/graph", {"uri": "file:///nowhere/x.py"}) is None
    assert await ask("dsassist/graph", {"uri": (project.root / "ignored.bin").as_uri()}) is None
    with pytest.raises(JsonRpcException, match="GraphAround"):
        await ask("dsassist/graph", {"file": 1})


async def test_rename_edits_or_says_why_not(project: Any) -> None:
    edit = await project.client.text_document_rename_async(
        types.RenameParams(new_name="Host", **at(project, "a.py", 0, 6))
    )
    assert sum(len(changes) for changes in edit.changes.values()) == 4
    place = await project.client.text_document_prepare_rename_async(
        types.PrepareRenameParams(**at(project, "a.py", 0, 6))
    )
    assert place.start.character == 6
    with pytest.raises(JsonRpcException, match="already"):
        await project.client.text_document_rename_async(
            types.RenameParams(new_name="Loud", **at(project, "a.py", 0, 6))
        )


async def test_files_changed_outside_the_editor(project: Any) -> None:
    await references(project, "a.py", 0, 6)
    file = project.root / "c.py"
    file.write_text("from a import Greeter\n")
    change = types.FileEvent(file.as_uri(), types.FileChangeType.Created)
    project.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
    for _ in range(100):
        if ("c.py", 0) in await references(project, "a.py", 0, 6):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the new file was never seen")
