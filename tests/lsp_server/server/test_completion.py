"""Suggestions through a real language server process."""

from __future__ import annotations

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException


def ask(editor, uri, line, character, identity):
    """Send a request whose answer nobody reads, by an id that can be cancelled."""
    where = types.InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
        types.TextDocumentIdentifier(uri),
        types.Position(line, character),
    )
    editor.client.protocol.send_request(types.TEXT_DOCUMENT_INLINE_COMPLETION, where, msg_id=identity)


async def test_a_suggestion_at_the_cursor(ready, engine):
    engine.answer("return a", " + b\n")
    uri = ready.open("def add(a, b):\n    \n")
    answer = await ready.inline(uri, 1, 4)
    [item] = answer.items
    assert item.insert_text == "return a + b"
    assert item.range.start == item.range.end == types.Position(1, 4)
    assert item.command.command == "dsassist.accepted"
    [request] = engine.completions
    assert request["prompt"].endswith("def add(a, b):\n    ")
    assert request["suffix"] == "\n"


async def test_what_was_typed_of_a_suggestion_needs_no_model(ready, engine):
    engine.answer("return a + b")
    uri = ready.open("def add(a, b):\n    \n")
    assert await ready.texts(uri, 1, 4) == ["return a + b"]
    for count, key in enumerate("retu"):
        ready.edit(uri, (1, 4 + count), (1, 4 + count), key)
        assert await ready.texts(uri, 1, 5 + count) == ["return a + b"[count + 1 :]]
    assert len(engine.completions) == 1


async def test_typing_along_keeps_the_generation_that_is_under_way(ready, engine, until):
    engine.answer(*"return a + b", pause=0.03)
    uri = ready.open("def add(a, b):\n    \n")
    ask(ready, uri, 1, 4, "7")
    await until(lambda: engine.pieces_sent >= 2)
    ready.client.cancel_request(types.CancelParams("7"))
    ready.edit(uri, (1, 4), (1, 4), "r")
    assert await ready.texts(uri, 1, 5) == ["eturn a + b"]
    assert len(engine.completions) == 1
    assert engine.dropped == 0


async def test_typing_something_else_stops_the_model(ready, engine, until):
    engine.answer(*("x" * 200), pause=0.02)
    engine.answer("ass Q:")
    uri = ready.open("a = 1\n\n")
    first = asyncio.ensure_future(ready.inline(uri, 1, 0))
    await until(lambda: engine.pieces_sent >= 1)
    ready.edit(uri, (1, 0), (1, 0), "cl")
    assert await ready.texts(uri, 1, 2) == ["ass Q:"]
    await until(lambda: engine.dropped == 1)
    assert list((await first).items) == []


async def test_cancel_request_stops_the_model(ready, engine, until):
    engine.answer(*("x" * 500), pause=0.02)
    uri = ready.open("a = 1\n\n")
    ask(ready, uri, 1, 0, "42")
    await until(lambda: engine.pieces_sent >= 2)
    ready.client.cancel_request(types.CancelParams("42"))
    await until(lambda: engine.dropped == 1)
    assert engine.pieces_sent < 100


async def test_the_popups_item_is_completed_and_its_range_replaced(ready, engine):
    engine.answer("(path)")
    uri = ready.open("x = os.rem\npath = 1\n")
    selected = types.SelectedCompletionInfo(types.Range(types.Position(0, 7), types.Position(0, 10)), "remove")
    answer = await ready.inline(uri, 0, 10, selected=selected)
    [item] = answer.items
    assert item.insert_text == "remove(path)"
    assert item.range == selected.range
    assert engine.completions[0]["prompt"].endswith("x = os.remove")


async def test_editors_without_inline_completion_get_an_ordinary_item(editor, engine):
    options = {"backend": {"kind": "openai", "url": engine.url}, "completion": {"debounceMs": 0}}
    await editor.start(options, text_document=types.TextDocumentClientCapabilities())
    engine.answer("urn a + b")
    uri = editor.open("def add(a, b):\n    ret\n")
    answer = await editor.client.text_document_completion_async(
        types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(1, 7))
    )
    [item] = answer.items
    assert item.label == item.filter_text == item.text_edit.new_text == "return a + b"
    assert item.text_edit.range == types.Range(types.Position(1, 4), types.Position(1, 7))


async def test_editors_with_inline_completion_get_none_twice(ready, engine):
    uri = ready.open("def add(a, b):\n    ret\n")
    answer = await ready.client.text_document_completion_async(
        types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(1, 7))
    )
    assert answer is None
    assert engine.completions == []


@pytest.mark.parametrize(
    ("encoding", "character"),
    [
        (types.PositionEncodingKind.Utf8, 12),
        (types.PositionEncodingKind.Utf16, 10),
        (types.PositionEncodingKind.Utf32, 9),
    ],
)
async def test_emoji_before_the_cursor(editor, engine, encoding, character):
    options = {"backend": {"kind": "openai", "url": engine.url}, "completion": {"debounceMs": 0}}
    await editor.start(options, encodings=[encoding])
    assert editor.result.capabilities.position_encoding == encoding
    engine.answer("y")
    uri = editor.open("x = '🐍' + \ny = 1\n")
    width = {types.PositionEncodingKind.Utf8: 4, types.PositionEncodingKind.Utf16: 2}.get(encoding, 1)
    editor.edit(uri, (0, 5), (0, 5 + width), "🐢")
    assert await editor.texts(uri, 0, character) == ["y"]
    assert engine.completions[0]["prompt"] == "x = '🐢' +"


async def test_crlf_tabs_and_lone_surrogates(ready, engine):
    engine.answer("\treturn 1\n\treturn 2")
    uri = ready.open("# \ud83d\r\ndef f():\r\n\tif x:\r\n\t\t\r\n")
    texts = await ready.texts(uri, 3, 2, manual=True)
    assert "\r\n" in texts[0] or "\n" not in texts[0]
    request = engine.completions[0]
    assert "\r" not in request["prompt"]
    assert "\ufffd" in request["prompt"]


async def test_several_suggestions_when_asked_by_hand(ready, engine):
    engine.answer("return a + b", greedy=True)
    engine.answer("return b + a", greedy=False)
    engine.answer("return a + b", greedy=False)
    uri = ready.open("def add(a, b):\n    \n")
    assert await ready.texts(uri, 1, 4, manual=True) == ["return a + b", "return b + a"]
    greedy, *sampled = sorted(engine.completions, key=lambda request: request["temperature"])
    assert greedy["temperature"] == 0
    assert [request["temperature"] > 0 for request in sampled] == [True, True]
    assert len({request["seed"] for request in sampled}) == 2
    assert await ready.why() == "none"


async def test_a_slow_second_suggestion_does_not_keep_the_first(ready, engine, until):
    engine.answer("return a + b", greedy=True)
    engine.answer(*"return b + a", pause=30, greedy=False)
    engine.answer("oops", status=500, body={"error": {"message": "broken"}}, greedy=False)
    uri = ready.open("def add(a, b):\n    \n")
    assert await ready.texts(uri, 1, 4, manual=True) == ["return a + b"]
    await until(lambda: engine.dropped == 1)


async def test_positions_outside_the_document_are_clamped(ready, engine):
    uri = ready.open("a = 1\n")
    for line, character in ((0, 999), (999, 0), (999, 999)):
        engine.answer("b")
        await ready.texts(uri, line, character, manual=True)
    assert all(request["prompt"] in ("a = 1", "a = 1\n") for request in engine.completions)


async def test_a_file_of_one_huge_line(ready, engine):
    text = "x = [" + "1, " * 1_600_000
    uri = ready.open(text)
    engine.answer("2]")
    assert await ready.texts(uri, 0, len(text)) == ["2]"]
    assert len(engine.completions[0]["prompt"]) < 20_000
    ready.edit(uri, (0, len(text)), (0, len(text)), "2")
    assert await ready.texts(uri, 0, len(text) + 1) == ["]"]


async def test_an_engine_that_dies_in_the_middle_of_an_answer(ready, engine, until):
    engine.answer("a", "b", "c", die_after=1)
    uri = ready.open("x = \n")
    assert await ready.texts(uri, 0, 4) == []
    assert await ready.why() == "error"
    engine.answer("1")
    assert await ready.texts(uri, 0, 4) == ["1"]


async def test_why_nothing_names_the_reason(ready, engine):
    uri = ready.open("value = 1\nx = \n")
    assert await ready.texts(uri, 0, 3) == []
    assert await ready.why() == "inside_word"
    engine.answer("   ")
    assert await ready.texts(uri, 1, 4) == []
    assert await ready.why() == "nothing_to_add"
    await ready.client.protocol.send_request_async("dsassist/pause", {"paused": True})
    assert await ready.texts(uri, 1, 4) == []
    assert await ready.why() == "paused"


async def test_opening_a_file_warms_the_engine_up(editor, home, new_engine, until):
    from dsassist_model.paths import engine_files

    local = await new_engine().listen(engine_files("qwen2.5-coder-0.5b", "auto").socket)
    try:
        await editor.start()
        editor.open("def f():\n    pass\n")
        await until(lambda: local.requests)
        assert local.requests[0]["max_tokens"] == 0
        assert local.requests[0]["prompt"] == "def f():\n    pass\n"
        local.answer("1")
        uri = editor.open("x = \n", uri="file:///w/b.py")
        assert await editor.texts(uri, 0, 4) == ["1"]
    finally:
        await local.close()


async def test_a_file_that_is_deleted_while_open(ready, engine, tmp_path):
    file = tmp_path / "gone.py"
    file.write_text("x = \n")
    uri = ready.open("x = \n", uri=file.as_uri())
    file.unlink()
    engine.answer("1")
    assert await ready.texts(uri, 0, 4) == ["1"]


async def test_a_document_that_was_never_opened_and_nonsense_parameters(ready, engine):
    assert await ready.inline("file:///nowhere.py", 0, 0) is None
    ready.edit("file:///nowhere.py", (0, 0), (0, 0), "x")
    with pytest.raises(JsonRpcException):
        await ready.client.protocol.send_request_async("dsassist/pause", {"paws": 4})
    engine.answer("1")
    uri = ready.open("x = \n")
    assert await ready.texts(uri, 0, 4) == ["1"]


async def test_the_popup_is_offered_to_clients_with_inline_suggestions_only_when_wanted(editor, engine, until):
    offered: list[str] = []

    @editor.client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(params: types.RegistrationParams) -> None:
        offered.extend(item.method for item in params.registrations)

    @editor.client.feature(types.CLIENT_UNREGISTER_CAPABILITY)
    def unregister(params: types.UnregistrationParams) -> None:
        for item in params.unregisterations:
            offered.remove(item.method)

    able = types.TextDocumentClientCapabilities(
        inline_completion=types.InlineCompletionClientCapabilities(),
        completion=types.CompletionClientCapabilities(dynamic_registration=True),
    )
    backend = {"kind": "openai", "url": engine.url}
    await editor.start(text_document=able, configuration={"backend": backend})
    assert editor.result.capabilities.completion_provider is None
    assert editor.result.capabilities.inline_completion_provider is not None
    for wanted in (True, False):
        editor.configuration = {"backend": backend, "completion": {"popup": wanted}}
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        await until(lambda wanted=wanted: (types.TEXT_DOCUMENT_COMPLETION in offered) is wanted)


async def test_what_comes_next_is_read_while_the_cursor_rests(editor, home, new_engine, until):
    from dsassist_model.paths import engine_files

    local = await new_engine().listen(engine_files("qwen2.5-coder-0.5b", "auto").socket)
    try:
        await editor.start()
        uri = editor.open("def add(a, b):\n    \n")
        await until(lambda: local.requests)
        local.answer("return a + b")
        assert await editor.texts(uri, 1, 4) == ["return a + b"]
        await until(lambda: len(local.requests) >= 4)
        read = [(r["prompt"], "reuse_suffix" in r["dsassist"]) for r in local.requests if not r["max_tokens"]]
        assert read[1:] == [("def add(a, b):\n    ", False), ("def add(a, b):\n    return a + b", True)]
        where = types.DocumentHighlightParams(types.TextDocumentIdentifier(uri), types.Position(0, 14))
        await editor.client.text_document_document_highlight_async(where)
        await until(lambda: len(local.requests) >= 5)
        assert local.requests[-1]["prompt"] == "def add(a, b):"
        assert await editor.why() == "none"
    finally:
        await local.close()
