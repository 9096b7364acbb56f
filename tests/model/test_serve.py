"""The HTTP contract, on a real application around a tiny model; and the process, with a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsassist_model.engine import Engine
from dsassist_model.errors import BadModelFile
from dsassist_model.paths import engine_files
from dsassist_model.serve.app import create_app
from dsassist_model.serve.pressure import available_share
from dsassist_model.serve.state import EngineOptions, EngineState


@pytest.fixture
def state(engines: Any) -> EngineState:
    state = EngineState(EngineOptions("tiny"))
    state.engine, state.status = engines.make(), "ready"
    return state


@pytest.fixture
async def client(state: EngineState) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def complete(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = await client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_completion_tells_text_usage_and_where_time_went(client: httpx.AsyncClient) -> None:
    body = await complete(client, prompt="def f(", suffix=")", max_tokens=8, logprobs=1, dsassist={"session": "a"})
    (choice,) = body["choices"]
    assert choice["finish_reason"] in ("length", "stop")
    assert len(choice["logprobs"]["token_logprobs"]) == body["usage"]["completion_tokens"] <= 8
    told = body["dsassist"]
    assert told["truncated"] is None
    assert told["prompt_tokens_reused"] == 0
    assert told["prompt_tokens_cached"] + told["prompt_tokens_computed"] == body["usage"]["prompt_tokens"]
    assert {"queue_ms", "prefill_ms", "decode_ms", "decode_steps", "drafted", "accepted"} <= told.keys()


async def test_a_stream_says_the_same_in_pieces(client: httpx.AsyncClient) -> None:
    whole = await complete(client, prompt="x = ", max_tokens=9)
    answer = await client.post("/v1/completions", json={"prompt": "x = ", "max_tokens": 9, "stream": True})
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    assert "".join(e["choices"][0]["text"] for e in events) == whole["choices"][0]["text"]
    assert events[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert "dsassist" in events[-1]


async def test_several_answers_share_the_reading(client: httpx.AsyncClient, state: EngineState) -> None:
    body = await complete(client, prompt="abc " * 40, n=3, temperature=1.0, seed=1, max_tokens=6)
    assert [c["index"] for c in body["choices"]] == [0, 1, 2]
    assert len({c["text"] for c in body["choices"]}) > 1
    assert body["dsassist"]["prompt_tokens_computed"] == 1


async def test_a_warm_up_is_a_completion_of_nothing(client: httpx.AsyncClient) -> None:
    assert (await complete(client, prompt="abc " * 20, max_tokens=0))["choices"][0]["text"] == ""
    assert (await complete(client, prompt="abc " * 20, max_tokens=1))["dsassist"]["prompt_tokens_computed"] == 1


async def test_a_prompt_longer_than_asked_for_is_cut_and_said(client: httpx.AsyncClient) -> None:
    body = await complete(client, prompt="abc " * 900, max_tokens=2, dsassist={"max_prompt_tokens": 64})
    assert body["usage"]["prompt_tokens"] <= 64
    assert body["dsassist"]["truncated"]["prompt"] > 500
    assert (await complete(client, prompt="y" * 90_000, max_tokens=2))["dsassist"]["truncated"]["prompt"] > 10_000


async def test_chat(client: httpx.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    answer = (await client.post("/v1/chat/completions", json=body)).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("not json", "not JSON"),
        ("[]", "must hold objects"),
        ("{}", "prompt must be a text"),
        ('{"prompt": 5}', "prompt must be a text, not int"),
        ('{"prompt": "a", "max_tokens": -1}', "max_tokens must be a whole number from 0"),
        ('{"prompt": "a", "max_tokens": 1.5}', "max_tokens must be a whole number"),
        ('{"prompt": "a", "temperature": "hot"}', "temperature must be a number"),
        ('{"prompt": "a", "temperature": NaN}', "temperature must be a number"),
        ('{"prompt": "a", "n": 99}', "n must be a whole number from 1 to 16"),
        ('{"prompt": "a", "stop": [1]}', "stop must be a text or a list"),
        ('{"prompt": "a", "stream": "yes"}', "stream must be true or false"),
        ('{"prompt": "a", "dsassist": 3}', "dsassist must hold objects"),
        ('{"prompt": "a", "dsassist": {"priority": "now"}}', "interactive or background"),
        ('{"prompt": "a", "dsassist": {"context": ["x"]}}', "context must hold objects"),
        ('{"prompt": ""}', "empty"),
        ("[" * 100_000, "not JSON"),
    ],
)
async def test_a_bad_request_is_named(client: httpx.AsyncClient, body: str, says: str) -> None:
    answer = await client.post("/v1/completions", content=body.encode())
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


async def test_a_request_of_ten_megabytes_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/completions", content=json.dumps({"prompt": "x" * 10_000_000}).encode())
    assert answer.status_code == 413


async def test_while_loading_and_after_a_failure(client: httpx.AsyncClient, state: EngineState) -> None:
    engine, state.engine, state.status, state.progress = state.engine, None, "loading", 0.25
    answer = await client.post("/v1/completions", json={"prompt": "a"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["error"]["progress"] == 0.25
    assert (await client.get("/health")).json()["status"] == "loading"
    state.status, state.error = "error", BadModelFile("The file is damaged.", remedy="Pull it again.")
    health = (await client.get("/health")).json()
    assert (health["status"], health["remedy"]) == ("error", "Pull it again.")
    assert (await client.post("/v1/completions", json={"prompt": "a"})).status_code == 500
    state.engine, state.error = engine, None


async def test_health_models_and_metrics(client: httpx.AsyncClient) -> None:
    await complete(client, prompt="abc", max_tokens=3)
    health = (await client.get("/health")).json()
    assert (health["status"], health["pid"]) == ("ready", os.getpid())
    assert (await client.get("/v1/models")).json()["data"][0]["id"] == "tiny"
    metrics = (await client.get("/metrics")).text
    assert "dsassist_requests_total 1\n" in metrics
    assert (await client.get("/nothing")).json()["error"]["message"] == "There is no GET /nothing."


async def test_other_hosts_and_wrong_tokens_are_refused(state: EngineState) -> None:
    app = create_app(state, hosts=frozenset({"127.0.0.1:99"}), token="secret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:99") as client:
        good = {"Authorization": "Bearer secret"}
        assert (await client.get("/health")).status_code == 401
        assert (await client.get("/health", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await client.get("/health", headers={**good, "Host": "evil.example"})).status_code == 403
        assert (await client.get("/health", headers=good)).status_code == 200


class Process:
    """``dsassist serve`` as editors start it."""

    def __init__(self, model: Path, home: Path, *options: str) -> None:
        self.files = engine_files(str(model), "cpu")
        self.arguments = [sys.executable, "-I", "-m", "dsassist", "serve", "--model", str(model), "--device", "cpu"]
        self.process = subprocess.Popen(
            [*self.arguments, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def client(self) -> httpx.Client:
        if self.files.address.exists():
            said = json.loads(self.files.address.read_text())
            headers = {"Authorization": f"Bearer {said['token']}"}
            return httpx.Client(base_url=said["url"], headers=headers, timeout=60, trust_env=False)
        transport = httpx.HTTPTransport(uds=str(self.files.socket))
        return httpx.Client(transport=transport, base_url="http://localhost", timeout=60)

    def wait_ready(self) -> httpx.Client:
        """A new client, once the engine is ready, which takes long on a machine that does much else."""
        for _ in range(2400):
            if self.process.poll() is not None:
                pytest.fail(f"the engine ended: {self.process.stdout.read()}")  # type: ignore[union-attr]
            if self.files.socket.exists() or self.files.address.exists():
                with self.client() as client:
                    if client.get("/health").json()["status"] == "ready":
                        return self.client()
            time.sleep(0.05)
        pytest.fail("the engine did not become ready")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def test_the_process_shares_one_engine_and_leaves_no_files(engines: Any, home: Path) -> None:
    first = Process(engines.path, home)
    try:
        with first.wait_ready() as client:
            assert stat.S_IMODE(first.files.socket.stat().st_mode) == 0o600
            assert stat.S_IMODE(first.files.socket.parent.stat().st_mode) == 0o700
            second = subprocess.run(first.arguments, capture_output=True, text=True, timeout=60, check=False)
            assert second.returncode == 3
            assert "runs already" in second.stderr
            body = {"prompt": "abc", "max_tokens": 200, "stream": True}
            with client.stream("POST", "/v1/completions", json=body) as answer:
                next(answer.iter_lines())
        with first.client() as client:
            for _ in range(200):  # the closed stream stops the model
                if "requests_cancelled_total 1" in (metrics := client.get("/metrics").text):
                    break
                time.sleep(0.02)
            assert "dsassist_requests_cancelled_total 1" in metrics or "dsassist_generated_tokens_total 200" in metrics
    finally:
        first.end()
    assert not first.files.socket.exists()


def test_a_killed_engine_is_replaced_and_an_idle_one_leaves(engines: Any, home: Path) -> None:
    first = Process(engines.path, home)
    first.wait_ready().close()
    first.process.kill()
    first.process.communicate()
    assert first.files.socket.exists()
    second = Process(engines.path, home, "--idle-minutes", "0.002")
    output, _ = second.process.communicate(timeout=120)
    assert second.process.returncode == 0, output
    assert not second.files.socket.exists()


def test_tcp_has_a_token(engines: Any, home: Path) -> None:
    server = Process(engines.path, home, "--tcp")
    try:
        with server.wait_ready() as client:
            assert stat.S_IMODE(server.files.address.stat().st_mode) == 0o600
            assert httpx.get(f"{client.base_url}/health", trust_env=False).status_code == 401
            assert client.post("/v1/completions", json={"prompt": "abc", "max_tokens": 2}).status_code == 200
    finally:
        server.end()
    assert not server.files.address.exists()


def test_a_missing_model_ends_the_process_with_a_remedy(home: Path) -> None:
    arguments = [sys.executable, "-I", "-m", "dsassist", "serve", "--model", "qwen2.5-coder-1.5b"]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert "model pull" in ended.stderr


async def test_short_memory_cuts_the_cache_and_is_told(
    client: httpx.AsyncClient, state: EngineState, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, left = state.engine, 0.5
    assert engine is not None
    monkeypatch.setattr("dsassist_model.serve.state.available_share", lambda: left)
    state.look_at_memory()
    assert (await client.get("/health")).json()["message"] == ""
    whole, left = engine.cache.limit, 0.01
    for _ in range(12):
        state.look_at_memory()
    await complete(client, prompt="x = ", max_tokens=2)
    assert engine.cache.limit * 64 == 1024
    assert "cut from" in (await client.get("/health")).json()["message"]
    left = 0.5
    for _ in range(400):
        state.look_at_memory()
    await complete(client, prompt="x = ", max_tokens=2)
    assert engine.cache.limit == whole
    assert (await client.get("/health")).json()["message"] == ""


def test_how_much_memory_is_left(tmp_path: Path) -> None:
    assert available_share(tmp_path, tmp_path) == 1.0
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    assert available_share(tmp_path, tmp_path) == 0.4
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("950\n")
    (tmp_path / "memory.stat").write_text("anon 700\ninactive_file 50\n")
    assert available_share(tmp_path, tmp_path) == pytest.approx(0.1)
    (tmp_path / "memory.max").write_text("max\n")
    assert available_share(tmp_path, tmp_path) == 0.4


async def test_a_client_that_leaves_before_the_first_token(state: EngineState) -> None:
    """The model stops although nothing was ever sent."""
    engine = state.engine
    assert isinstance(engine, Engine)
    app, sent = create_app(state), []
    body = json.dumps({"prompt": "abc " * 90, "max_tokens": 400}).encode()
    inbox = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        await asyncio.sleep(0)
        return inbox.pop(0) if inbox else await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "raw_path": b"", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost")], "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http"}
    await app(scope, receive, send)
    for _ in range(200):
        if engine.load == (0, 0):
            break
        await asyncio.sleep(0.02)
    assert engine.counters.cancelled == 1
    assert engine.counters.generated < 400
