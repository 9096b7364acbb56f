"""Edits for clients that can do more and less."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types

from dsassist.server.edits import new_text


def client(able: types.WorkspaceEditClientCapabilities | None) -> types.ClientCapabilities:
    return types.ClientCapabilities(workspace=types.WorkspaceClientCapabilities(workspace_edit=able))


def test_the_newest_form(tmp_path: Path) -> None:
    able = types.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[types.ResourceOperationKind.Create],
        change_annotation_support=types.ChangeAnnotationsSupportOptions(),
    )
    edit = new_text(client(able), tmp_path / "t.py", "", "a = 1\n", "1 verified test")
    created, changed = edit.document_changes or ()
    assert isinstance(created, types.CreateFile)
    assert isinstance(changed, types.TextDocumentEdit)
    assert created.uri == changed.text_document.uri
    assert isinstance(changed.edits[0], types.AnnotatedTextEdit)
    (annotation,) = (edit.change_annotations or {}).values()
    assert annotation.needs_confirmation
    assert annotation.label == "1 verified test"


def test_a_file_that_is_there_is_not_created(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("a = 1\n")
    able = types.WorkspaceEditClientCapabilities(
        document_changes=True, resource_operations=[types.ResourceOperationKind.Create]
    )
    edit = new_text(client(able), tmp_path / "t.py", "a = 1\n", "a = 1\nb = 2\n", "")
    (changed,) = edit.document_changes or ()
    assert isinstance(changed, types.TextDocumentEdit)
    assert type(changed.edits[0]) is types.TextEdit
    assert changed.edits[0].range.end == types.Position(2, 0)
    assert edit.change_annotations is None


def test_a_client_without_document_changes(tmp_path: Path) -> None:
    for able in (None, types.WorkspaceEditClientCapabilities()):
        edit = new_text(client(able), tmp_path / "t.py", "", "a = 1\n", "")
        assert edit.document_changes is None
        assert [change.new_text for (change,) in (edit.changes or {}).values()] == ["a = 1\n"]
