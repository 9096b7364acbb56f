"""Every kind of server through the one interface, against the mock engine."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from dsassist.backend import create
from dsassist.backend.types import CompletionRequest, ContextFile
from dsassist.errors import BackendBusy, BackendError, BackendLoading, BackendUnavailable
from dsassist.settings import BackendSettings, Settings


def backend_of(kind, url, **options):
    return create(Settings(backend=BackendSettings(kind=kind, url=url, **options)))


REQUEST = CompletionRequest(
    prompt="def f(", suffix="):\n", max_tokens=5, stop=("\n",), path="a.py", context=(ContextFile("b.py", "X = 1\n"),)
)


@pytest.mark.parametrize("kind", ["openai", "llamacpp", "deepseek"])
async def test_pieces_join_and_the_last_says_why_it_ended(engine, kind):
    engine.answer("x, ", "y", finish="length")
    engine.answer("x, ", "y")
    backend = backend_of(kind, engine.url)
    pieces = [piece async for piece in backend.stream(REQUEST)]
    assert "".join(piece.text for piece in pieces) == "x, y"
    assert [piece.finish_reason for piece in pieces] == [None, "length"]
    [whole] = await backend.complete(REQUEST)
    assert (whole.text, whole.finish_reason) == ("x, y", "stop")
    await backend.close()


async def test_what_each_kind_sends(engine, monkeypatch):
    monkeypatch.setenv("A_KEY", "secret")
    for kind in ("openai", "llamacpp", "deepseek"):
        backend = backend_of(kind, engine.url, model="m", api_key_variable="A_KEY")
        await backend.complete(REQUEST)
        await backend.close()
    openai, llamacpp, deepseek = engine.requests
    assert engine.paths == ["POST /v1/completions", "POST /infill", "POST /completions"]
    assert engine.tokens == ["Bearer secret"] * 3
    assert openai["prompt"] == "# b.py\nX = 1\n\n# a.py\ndef f("
    assert (openai["suffix"], openai["max_tokens"], openai["stop"], openai["model"]) == ("):\n", 5, ["\n"], "m")
    assert (llamacpp["input_prefix"], llamacpp["input_suffix"], llamacpp["n_predict"]) == ("def f(", "):\n", 5)
    assert llamacpp["input_extra"] == [{"filename": "b.py", "text": "X = 1\n"}]
    assert deepseek["suffix"] == "):\n"
    assert not any("dsassist" in request for request in engine.requests)


async def test_a_template_takes_the_place_of_suffix_and_is_filled_once(engine):
    backend = backend_of("openai", engine.url, fim_template="<P>{prefix}<S>{suffix}<M>")
    await backend.complete(CompletionRequest(prompt="a{suffix}", suffix="b{prefix}"))
    await backend.close()
    assert engine.requests[0]["prompt"] == "<P>a{suffix}<S>b{prefix}<M>"
    assert "suffix" not in engine.requests[0]


async def test_deepseek_gets_no_more_tokens_than_it_allows_and_no_seed(engine):
    backend = backend_of("deepseek", engine.url)
    await backend.complete(CompletionRequest(prompt="a", suffix="b", max_tokens=99_999, seed=1))
    await backend.close()
    assert engine.requests[0]["max_tokens"] == 4096
    assert "seed" not in engine.requests[0]


async def test_deepseek_without_a_key_says_which_variable(monkeypatch):
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    status = await backend_of("deepseek", "").status()
    assert status.state == "error"
    assert "DEEPSEEK_API_KEY" in status.message


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "words"),
    [
        (429, {"error": {"message": "full"}}, {"Retry-After": "2.5"}, BackendBusy, "full"),
        (503, {"error": {"message": "loading", "progress": 0.5}}, {}, BackendLoading, "loading"),
        (401, {"error": "no"}, {}, BackendError, "apiKeyVariable"),
        (404, {"detail": "Not Found"}, {}, BackendError, "backend.kind"),
        (
            400,
            {"error": {"message": "suffix is not supported", "remedy": "use a template"}},
            {},
            BackendError,
            "template",
        ),
        (500, {}, {}, BackendError, "HTTP 500"),
    ],
)
async def test_refusals_become_our_errors(engine, status, body, headers, kind, words):
    engine.answer(status=status, body=body, headers=headers)
    backend = backend_of("openai", engine.url)
    with pytest.raises(kind) as caught:
        await backend.complete(REQUEST)
    await backend.close()
    assert words in str(caught.value)
    if kind is BackendBusy:
        assert caught.value.retry_after == 2.5
    if kind is BackendLoading:
        assert caught.value.progress == 0.5


async def test_nobody_listens_and_nonsense_addresses():
    backend = backend_of("openai", "http://127.0.0.1:9")
    with pytest.raises(BackendUnavailable, match="Nothing listens"):
        await backend.complete(REQUEST)
    assert (await backend.status()).state == "stopped"
    await backend.close()
    for url in ("localhost:80:80", "ftp://x", ""):
        backend = backend_of("openai", url)
        with pytest.raises(BackendError):
            await backend.complete(REQUEST)
        assert (await backend.status()).state in ("error", "stopped")
        await backend.close()


async def test_an_engine_that_dies_in_the_middle_is_unavailable(engine):
    engine.answer("a", "b", die_after=1)
    backend = backend_of("openai", engine.url)
    with pytest.raises(BackendUnavailable, match="middle"):
        await backend.complete(REQUEST)
    engine.answer("ok")
    assert (await backend.complete(REQUEST))[0].text == "ok"
    await backend.close()


async def test_closing_the_stream_stops_the_model(engine):
    engine.answer(*"abcdefghij", pause=0.02)
    backend = backend_of("openai", engine.url)
    async with aclosing(backend.stream(REQUEST)) as pieces:
        async for _ in pieces:
            break
    await _until(lambda: engine.dropped == 1)
    assert engine.pieces_sent < 5
    await backend.close()


async def test_cancelling_the_task_stops_the_model(engine):
    engine.answer(*"abcdefghij", pause=0.02)
    backend = backend_of("openai", engine.url)
    task = asyncio.create_task(backend.complete(REQUEST))
    await _until(lambda: engine.pieces_sent >= 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: engine.dropped == 1)
    await backend.close()


async def test_an_answer_that_is_not_json(engine):
    engine.health = {}
    backend = backend_of("openai", engine.url + "/v1")  # a common slip: then the path is /v1/v1/completions
    engine.answer(status=404, body={"detail": "Not Found"})
    with pytest.raises(BackendError, match=r"backend\.url"):
        await backend.complete(REQUEST)
    await backend.close()


async def _until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
