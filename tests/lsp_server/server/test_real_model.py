"""The whole road with the real model, and with a real engine of others."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from dsassist.backend import create
from dsassist.backend.types import CompletionRequest
from dsassist.settings import BackendSettings, Settings
from dsassist_model import store


@pytest.fixture
def real_home(monkeypatch):
    """The user's own cache, where the model lies."""
    monkeypatch.delenv("DSASSIST_HOME", raising=False)
    if not store.resolve(Settings().engine.model).pulled:
        pytest.skip("the default model is not pulled (make model)")


@pytest.mark.model
async def test_a_keystroke_becomes_a_completion(editor, real_home, until):
    await editor.start()
    uri = editor.open("def add(a, b):\n    return a + b\n\n\ndef multiply(a, b):\n    \n", uri="file:///w/real.py")
    await until(lambda: "ready" in editor.statuses, seconds=120)
    answer = await asyncio.wait_for(editor.inline(uri, 5, 4), 120)
    assert [item.insert_text for item in answer.items] == ["return a * b"]
    editor.edit(uri, (5, 4), (5, 4), "ret")
    answer = await asyncio.wait_for(editor.inline(uri, 5, 7), 5)
    assert [item.insert_text for item in answer.items] == ["urn a * b"]


@pytest.mark.slow
async def test_llama_cpp_as_the_engine(real_home):
    pytest.importorskip("llama_cpp")
    place = store.resolve("smollm2-135m")
    if not place.pulled:
        pytest.skip("the small model is not pulled (dsassist model pull smollm2-135m)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(place.source), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        backend = create(Settings(backend=BackendSettings(kind="openai", url=f"http://127.0.0.1:{port}")))
        try:
            async with asyncio.timeout(120):
                while (await backend.status()).state != "ready":
                    await asyncio.sleep(0.5)
            [answer] = await backend.complete(CompletionRequest("One, two, three, four,", max_tokens=4))
            assert "five" in answer.text
            assert answer.finish_reason == "length"
            async for piece in backend.stream(CompletionRequest("a", max_tokens=500)):
                assert piece.text is not None
                break
            # the server serves the next one at once: it noticed that nobody reads the last
            [answer] = await asyncio.wait_for(backend.complete(CompletionRequest("One, two,", max_tokens=2)), 60)
            assert answer.text
        finally:
            await backend.close()
            process.terminate()
