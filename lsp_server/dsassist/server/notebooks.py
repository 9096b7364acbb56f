"""A notebook's cells as one document, in the order they stand, for whoever completes in one of them.

Cells are parted by the marks that scripts use for them (``# %%``), which models have read in many files. Text cells
become comments. What is not in the language of the cell (shell commands, magics) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from lsprotocol import types

from dsassist.server.documents import Document, DocumentStore

__all__ = ["Cell", "cell_of", "script_path"]

_ENDINGS = {"python": ".py", "javascript": ".js", "typescript": ".ts", "rust": ".rs", "go": ".go", "java": ".java",
            "cpp": ".cpp", "c": ".c"}  # fmt: skip
MOST_CHARACTERS = 40_000
"""Of the cells on each side. Prompts take less."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands around a cell in its notebook."""

    before: str
    after: str
    notebook: str
    """The notebook's uri."""
    ending: str
    """Of a file in the cell's language, with its dot; empty for a language that has none here."""


def cell_of(documents: DocumentStore, document: Document) -> Cell | None:
    """The surroundings of a document that is a notebook's cell, None for any other."""
    notebook = documents.get_notebook_document(cell_uri=document.uri)
    if notebook is None:
        return None
    place = next((n for n, cell in enumerate(notebook.cells) if cell.document == document.uri), -1)
    if place < 0:
        return None
    comment = "#" if document.language_id in ("python", "r", "julia", "shellscript") else "//"
    above = [_text(documents, cell, comment) for cell in notebook.cells[:place]]
    below = [_text(documents, cell, comment) for cell in notebook.cells[place + 1 :]]
    mark = f"{comment} %%\n"
    before = "".join(text + "\n\n" for text in above)[-MOST_CHARACTERS:] + mark
    after = "".join("\n\n" + text for text in below)[:MOST_CHARACTERS]
    return Cell(before, after, notebook.uri, _ENDINGS.get(document.language_id or "", ""))


def _text(documents: DocumentStore, cell: types.NotebookCell, comment: str) -> str:
    document = documents.document(cell.document)
    text = document.source.replace("\r\n", "\n").rstrip() if document is not None else ""
    if cell.kind == types.NotebookCellKind.Code:
        return f"{comment} %%\n{text}"
    return "\n".join([f"{comment} %% [markdown]", *(f"{comment} {line}".rstrip() for line in text.split("\n"))])


def script_path(path: str, ending: str) -> str:
    """The path under which a notebook's cells are completed: a script beside it."""
    return str(PurePosixPath(path).with_suffix(ending)) if ending else path
