"""Writes the settings of ``dsassist/settings.py`` where people look for them.

    python tools/generate_settings.py            rewrites vscode-extension/package.json and docs/settings.md
    python tools/generate_settings.py --check    exits 1 and names the files that are out of date

The settings of the extension alone (``dsassist.extension.*``, ``dsassist.trace.*``) are written by hand in
package.json, in the first block of ``contributes.configuration``; the blocks after it are generated.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import sys
import typing
from pathlib import Path
from typing import Any, Literal

from dsassist import settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "vscode-extension" / "package.json"
PAGE = ROOT / "docs" / "settings.md"

MACHINE_ONLY = frozenset(
    {
        "backend.kind",
        "backend.url",
        "backend.apiKeyVariable",
        "engine.model",
        "testgen.python",
    }
)
"""What decides where code is sent or which program is run: ignored in a workspace that is not trusted."""


def docstrings(group: type) -> dict[str, str]:
    """The text under each field of a dataclass, on one line."""
    body = typing.cast(ast.ClassDef, ast.parse(inspect.getsource(group)).body[0]).body
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def groups() -> list[tuple[str, type]]:
    """The groups of settings by name, in the order of ``Settings``."""
    hints = typing.get_type_hints(settings.Settings)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(settings.Settings)]


def schema(hint: Any, default: Any) -> dict[str, Any]:
    """JSON schema of one value."""
    if typing.get_origin(hint) is Literal:
        return {"type": "string", "enum": list(typing.get_args(hint)), "default": default}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}, "default": list(default)}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": names[hint], "default": default}


def fields(group: type) -> list[tuple[str, dict[str, Any]]]:
    """Name on the wire and JSON schema with description of each setting of a group."""
    hints, texts = typing.get_type_hints(group), docstrings(group)
    rows = []
    for field in dataclasses.fields(group):
        entry = schema(hints[field.name], field.default)
        rows.append((settings.camel(field.name), {**entry, "markdownDescription": texts[field.name]}))
    return rows


def configuration() -> list[dict[str, Any]]:
    """The generated blocks of ``contributes.configuration``."""
    blocks = []
    for order, (name, group) in enumerate(groups(), start=1):
        properties = {}
        for number, (key, entry) in enumerate(fields(group)):
            dotted = f"{name}.{key}"
            scope = "machine-overridable" if dotted in MACHINE_ONLY else "window"
            properties[f"dsassist.{dotted}"] = {**entry, "scope": scope, "order": number}
        title = f"{name.capitalize()}: {(group.__doc__ or '').split('.')[0].strip()}"
        blocks.append({"title": title, "order": order, "properties": properties})
    return blocks


def package(text: str) -> str:
    """package.json with the generated blocks and the list of settings that need trust in place."""
    content = json.loads(text)
    by_hand = content["contributes"]["configuration"][0]
    content["contributes"]["configuration"] = [by_hand, *configuration()]
    own = sorted(key for key, entry in by_hand["properties"].items() if entry.get("scope", "").startswith("machine"))
    restricted = [*own, *(f"dsassist.{name}" for name in sorted(MACHINE_ONLY))]
    content["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] = restricted
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Every setting has one name everywhere. Three places are read, the later ones winning: `config.toml` in",
        "dsassist's configuration folder (`dsassist doctor` prints where that is), the editor's",
        "`initializationOptions`, and the editor's `dsassist` section. A value that cannot be used is reported once",
        "and its default stays.",
        "",
        "In VS Code write `dsassist.completion.maxTokens`; in `config.toml`:",
        "",
        "```toml",
        "[completion]",
        "max_tokens = 96        # maxTokens is read too",
        "```",
        "",
        "This page is generated from `lsp_server/dsassist/settings.py` by `python tools/generate_settings.py`.",
    ]
    for name, group in groups():
        lines += ["", f"## {name}", "", (group.__doc__ or "").strip(), ""]
        lines += ["| Setting | Default | Values | Meaning |", "|---|---|---|---|"]
        for key, entry in fields(group):
            values = ", ".join(f"`{item}`" for item in entry["enum"]) if "enum" in entry else entry["type"]
            if entry["type"] == "array":
                values = "list of texts"
            default = f"`{json.dumps(entry['default'])}`"
            lines.append(f"| `{name}.{key}` | {default} | {values} | {entry['markdownDescription']} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    wanted = {PACKAGE: package(PACKAGE.read_text(encoding="utf-8")), PAGE: page()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run python tools/generate_settings.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
