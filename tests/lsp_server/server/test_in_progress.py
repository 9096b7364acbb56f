"""The change in progress and what other tools say, from a real workspace to the prompt."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

from lsprotocol import types

BEFORE = "def price(item):\n    return item.cents\n"
AFTER = "def price(item, voucher=None):\n    return item.cents - discounts(voucher)\n"
OPEN = "from shop import price\n\nvoucher = find()\nitem = pick()\n\n"


def git(root: Any, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


async def started(editor: Any, engine: Any, root: Any, **context: Any) -> str:
    options = {
        "backend": {"kind": "openai", "url": engine.url},
        "completion": {"debounceMs": 0},
        "index": {"enabled": False},
        "context": context,
    }
    await editor.start(options, root=root.as_uri())
    return editor.open(OPEN, uri=(root / "main.py").as_uri())


def prompt_of(engine: Any) -> str:
    return str(engine.completions[-1]["prompt"])


async def asked(editor: Any, engine: Any, uri: str, line: int = 5) -> str:
    """The prompt of a suggestion at the beginning of a line, which is new each time."""
    engine.answer("total = 1")
    await editor.texts(uri, line, 0, manual=True)
    return prompt_of(engine)


async def test_what_is_not_committed_is_read_where_the_cursor_speaks_of_it(editor, engine, tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "shop.py").write_text(BEFORE)
    git(tmp_path, "add", "shop.py")
    git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "x")
    (tmp_path / "shop.py").write_text(AFTER)
    uri = await started(editor, engine, tmp_path)
    number = 0
    async with asyncio.timeout(20):
        while "discounts(voucher)" not in await asked(editor, engine, uri):
            await asyncio.sleep(0.2)
            # what was chosen holds while the cursor stays: another file, then
            number += 1
            uri = editor.open(OPEN, uri=(tmp_path / f"main{number}.py").as_uri())
    assert prompt_of(engine).index("discounts(voucher)") < prompt_of(engine).index("from shop import price")


async def test_a_folder_without_git_is_completed(editor, engine, tmp_path):
    uri = await started(editor, engine, tmp_path)
    await asyncio.sleep(0.8)
    assert (await asked(editor, engine, uri)).endswith(OPEN)
    assert editor.messages == []


async def test_what_other_tools_say_stands_above_the_line_unless_it_is_switched_off(editor, engine, tmp_path):
    uri = await started(editor, engine, tmp_path)
    said = {"uri": uri, "diagnostics": [{"line": 2, "message": '"find" is not defined'}]}
    editor.client.protocol.notify("dsassist/diagnostics", said)
    assert (await asked(editor, engine, uri)).endswith('\n# error: "find" is not defined\n')
    # about a document that is not open: nobody keeps it, and nothing happens
    editor.client.protocol.notify("dsassist/diagnostics", {**said, "uri": "file:///nowhere.py"})
    options = {"context": {"diagnostics": False}}
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"dsassist": options}))
    engine.answer("y")
    editor.edit(uri, (5, 0), (5, 0), "\n\n\n\n\n\n\n\n\n")
    await editor.texts(uri, 14, 0, manual=True)
    assert "# error" not in prompt_of(engine)
