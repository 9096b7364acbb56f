"""Workspace edits in the form that a client understands."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pygls.uris import from_fs_path

__all__ = ["new_text"]


def new_text(client: types.ClientCapabilities, path: Path, before: str, after: str, label: str) -> types.WorkspaceEdit:
    """Makes ``after`` of the file's text ``before``, and the file where there is none. Clients that can ask the user
    first, with ``label``, are told to."""
    able = client.workspace.workspace_edit if client.workspace is not None else None
    uri = from_fs_path(str(path)) or path.as_uri()
    whole = types.Range(types.Position(0, 0), types.Position(len(before.splitlines()) + 1, 0))
    if able is None or not able.document_changes:
        return types.WorkspaceEdit(changes={uri: [types.TextEdit(whole, after)]})
    mark = "new" if able.change_annotation_support is not None else None
    changes: list[types.CreateFile | types.TextDocumentEdit] = []
    if types.ResourceOperationKind.Create in (able.resource_operations or ()) and not before and not path.exists():
        changes.append(
            types.CreateFile(uri, options=types.CreateFileOptions(ignore_if_exists=True), annotation_id=mark)
        )
    edit = types.TextEdit(whole, after) if mark is None else types.AnnotatedTextEdit(mark, whole, after)
    changes.append(types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(uri, None), [edit]))
    annotations = {mark: types.ChangeAnnotation(label, needs_confirmation=True)} if mark is not None else None
    return types.WorkspaceEdit(document_changes=changes, change_annotations=annotations)
