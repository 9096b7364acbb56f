"""Completion in a notebook's cells, through a real language server process."""

from __future__ import annotations

import json

import pytest
from lsprotocol import types

CODE, MARKUP = types.NotebookCellKind.Code, types.NotebookCellKind.Markup
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": ["import math\n", "radius = 2.0"]},
        {"cell_type": "markdown", "source": ["# Areas\n", "of circles"]},
        {"cell_type": "code", "source": ["area = \n"]},
        {"cell_type": "code", "source": ["print(area)"]},
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def notebook(ready, tmp_path):
    """An .ipynb file, opened as editors open one: a document a cell. Gives the cells' uris."""
    file = tmp_path / "areas.ipynb"
    file.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    uris = [f"vscode-notebook-cell:{file}#C{number}" for number in range(len(cells))]
    kinds = [CODE if cell["cell_type"] == "code" else MARKUP for cell in cells]
    ready.client.notebook_document_did_open(
        types.DidOpenNotebookDocumentParams(
            types.NotebookDocument(
                file.as_uri(),
                "jupyter-notebook",
                1,
                [types.NotebookCell(k, u) for k, u in zip(kinds, uris, strict=True)],
            ),
            [
                types.TextDocumentItem(u, "python" if k is CODE else "markdown", 1, "".join(cell["source"]))
                for u, k, cell in zip(uris, kinds, cells, strict=True)
            ],
        )
    )
    return file, uris


def edit_cell(editor, file, uri, place, text):
    change = types.TextDocumentContentChangePartial(types.Range(place, place), text)
    content = types.NotebookDocumentCellContentChanges(
        types.VersionedTextDocumentIdentifier(version=2, uri=uri), [change]
    )
    editor.client.notebook_document_did_change(
        types.DidChangeNotebookDocumentParams(
            types.VersionedNotebookDocumentIdentifier(2, file.as_uri()),
            types.NotebookDocumentChangeEvent(cells=types.NotebookDocumentCellChanges(text_content=[content])),
        )
    )


async def test_the_cells_around_are_the_prompt(ready, engine, notebook):
    _, uris = notebook
    engine.answer("math.pi * radius**2")
    assert await ready.texts(uris[2], 0, 7) == ["math.pi * radius**2"]
    [request] = engine.completions
    assert request["prompt"].endswith(
        "# %%\nimport math\nradius = 2.0\n\n# %% [markdown]\n# # Areas\n# of circles\n\n# %%\narea = "
    )
    assert request["suffix"] == "\n\n\n# %%\nprint(area)"


async def test_what_is_typed_in_a_cell_counts(ready, engine, notebook):
    file, uris = notebook
    edit_cell(ready, file, uris[2], types.Position(0, 7), "2 * ")
    engine.answer("radius")
    assert await ready.texts(uris[2], 0, 11) == ["radius"]
    assert engine.completions[0]["prompt"].endswith("area = 2 * ")


async def test_a_suggestion_ends_where_the_next_cell_begins(ready, engine, notebook):
    file, uris = notebook
    edit_cell(ready, file, uris[0], types.Position(1, 12), "\n")
    engine.answer("side = 3.0\n\n# %%\nprint(side)\n")
    assert await ready.texts(uris[0], 2, 0) == ["side = 3.0"]


async def test_a_cell_that_was_taken_out_is_not_completed(ready, engine, notebook):
    file, uris = notebook
    gone = types.NotebookDocumentCellChangeStructure(
        types.NotebookCellArrayChange(2, 1, []), did_close=[types.TextDocumentIdentifier(uris[2])]
    )
    ready.client.notebook_document_did_change(
        types.DidChangeNotebookDocumentParams(
            types.VersionedNotebookDocumentIdentifier(3, file.as_uri()),
            types.NotebookDocumentChangeEvent(cells=types.NotebookDocumentCellChanges(structure=gone)),
        )
    )
    assert await ready.inline(uris[2], 0, 7) is None
    assert engine.completions == []
