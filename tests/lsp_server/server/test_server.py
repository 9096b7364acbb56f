"""Start, settings, status."""

from __future__ import annotations

import subprocess
import sys

from dsassist_model.paths import engine_files


def test_the_server_imports_no_torch():
    code = "import dsassist.server.app, dsassist.server.features, sys; dsassist.server.app.create_server();"
    code += "print([m for m in ('torch', 'numpy', 'tokenizers', 'dsassist_kernels') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_bad_settings_are_told_once_and_defaults_used(editor, engine, until):
    options = {"backend": {"kind": "openai", "url": engine.url}, "completion": {"maxTokens": "many"}, "nonsense": 1}
    await editor.start(options, configuration={"completion": {"enabled": "yes"}})
    await until(lambda: len(editor.messages) >= 3)
    assert [m for m in editor.messages if "completion.maxTokens" in m and "64 is used" in m]
    assert [m for m in editor.messages if "nonsense" in m]
    assert [m for m in editor.messages if "completion.enabled" in m and "True is used" in m]
    engine.answer("1")
    uri = editor.open("x = \n")
    assert await editor.texts(uri, 0, 4) == ["1"]
    assert engine.completions[0]["max_tokens"] == 64
    assert len(editor.messages) == 3


async def test_settings_can_change(editor, engine, until):
    from lsprotocol import types

    await editor.start({"backend": {"kind": "openai", "url": engine.url}})
    uri = editor.open("x = \n")
    pushed = {"dsassist": {"completion": {"enabled": False}}}
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(pushed))
    assert await editor.texts(uri, 0, 4) == []
    assert await editor.why() == "off"


async def test_with_no_model_it_stays_up_and_says_what_to_run(editor, until):
    await editor.start()
    await until(lambda: "no_model" in editor.statuses)
    await until(lambda: editor.messages)
    assert "dsassist model pull" in editor.messages[0]
    uri = editor.open("x = \n")
    assert await editor.texts(uri, 0, 4) == []
    assert await editor.why() in ("no_model", "error")


async def test_an_engine_that_loads_is_shown_with_progress(editor, home, new_engine, until):
    local = await new_engine().listen(engine_files("qwen2.5-coder-0.5b", "auto").socket)
    local.health = {"status": "loading", "model": "m", "progress": 0.5}
    try:
        await editor.start()
        await until(lambda: "report" in editor.progress)
        local.health = {"status": "ready", "model": "m"}
        await until(lambda: editor.progress[-1] == "end")
        assert editor.statuses == ["loading", "ready"]
    finally:
        await local.close()


async def test_pause_is_a_state(ready, until):
    answer = await ready.client.protocol.send_request_async("dsassist/pause", {"paused": True})
    assert answer.state == "paused"
    await until(lambda: "paused" in ready.statuses)
    answer = await ready.client.protocol.send_request_async("dsassist/status", None)
    assert answer.state == "paused"
