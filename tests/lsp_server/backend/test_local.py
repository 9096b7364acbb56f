"""Starting and sharing the engine of this machine, with a small process in its place."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from dsassist.backend.local import LocalBackend
from dsassist.backend.types import CompletionRequest
from dsassist.errors import BackendUnavailable, NoModel
from dsassist.settings import Settings
from dsassist_model import store
from dsassist_model.paths import engine_files

FAKE = """
import http.server, json, os, socketserver, sys, fcntl
sock, lock = sys.argv[1:3]
held = open(lock, "w")
try:
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(0)
with open(lock + ".lives", "a") as lives:
    lives.write("x")
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return "unix"
    def log_message(self, *a): pass
    def send(self, value):
        data = json.dumps(value).encode()
        self.send_response(200); self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def do_GET(self): self.send({"status": "ready", "model": "fake", "pid": os.getpid()})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["prompt"] == "die": os._exit(9)
        self.send({"choices": [{"index": 0, "text": str(os.getpid()), "finish_reason": "stop"}]})
if os.path.exists(sock): os.unlink(sock)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
Server(sock, Handler).serve_forever()
"""


@pytest.fixture
def fake(home, tmp_path):
    """Makes backends whose engine is the small process; ends those that it started."""
    files = engine_files(Settings().engine.model, Settings().engine.device)
    command = [sys.executable, "-I", "-c", FAKE, str(files.socket), str(files.lock)]
    yield lambda: LocalBackend(Settings(), command=command)
    pid = _pid(files)
    if pid:
        os.kill(pid, signal.SIGKILL)


def _pid(files):
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(files.socket))) as client:
            return client.get("http://x/health").json()["pid"]
    except httpx.TransportError:
        return None


async def test_two_clients_at_once_start_one_engine(fake, home):
    backends = [fake() for _ in range(3)]
    answers = await asyncio.gather(*(b.complete(CompletionRequest("x")) for b in backends))
    assert len({answer[0].text for answer in answers}) == 1
    assert next(home.glob("run/*.lives")).read_text() == "x"
    assert (await backends[0].status()).state == "ready"
    for backend in backends:
        await backend.close()


async def test_an_engine_that_died_is_started_anew(fake):
    backend = fake()
    first = (await backend.complete(CompletionRequest("x")))[0].text
    os.kill(int(first), signal.SIGKILL)
    second = (await backend.complete(CompletionRequest("x")))[0].text
    assert second != first
    with pytest.raises(BackendUnavailable):
        await backend.complete(CompletionRequest("die"))
    assert (await backend.complete(CompletionRequest("x")))[0].text
    await backend.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: m is not on this machine.\n  → Run: dsassist model pull m\n", NoModel),
        ("error: no space\n", BackendUnavailable),
        ("Segmentation fault\n", BackendUnavailable),
    ],
)
async def test_an_engine_that_cannot_start_says_why(home, said, kind):
    command = [sys.executable, "-I", "-c", f"import sys; sys.stderr.write({said!r}); sys.exit(3)"]
    backend = LocalBackend(Settings(), command=command)
    with pytest.raises(kind) as caught:
        await backend.complete(CompletionRequest("x"))
    assert caught.value.remedy
    await backend.close()


async def test_without_a_model_the_state_says_what_to_run(home):
    status = await LocalBackend(Settings()).status()
    assert status.state == "no_model"
    assert "dsassist model pull qwen2.5-coder-0.5b" in status.remedy


async def test_a_download_under_way_is_loading_with_its_share(home):
    place = store.resolve(Settings().engine.model)
    place.source.parent.mkdir(parents=True)
    part = place.source.with_name(f"{place.source.name}.hub.part")
    with part.open("wb") as file:
        file.truncate(place.entry.bytes // 4)
    backend = LocalBackend(Settings())
    with store.lock(place):
        status = await backend.status()
    assert (status.state, round(status.progress, 2)) == ("loading", 0.25)
    assert "Downloading" in status.message
    # what a killed download left is none under way
    assert (await backend.status()).state == "no_model"


async def test_our_own_fields_go_under_one_key(home, new_engine):
    files = engine_files(Settings().engine.model, Settings().engine.device)
    engine = await new_engine().listen(files.socket)
    backend = LocalBackend(Settings())
    await backend.complete(CompletionRequest("p", suffix="s", path="a.py", session="me", drafts=("d",)))
    await backend.warm_up(CompletionRequest("p", max_tokens=9))
    await backend.close()
    await engine.close()
    first, second = engine.requests
    assert first["dsassist"] == {"path": "a.py", "session": "me", "drafts": ["d"], "priority": "interactive"}
    assert (first["prompt"], first["suffix"]) == ("p", "s")
    assert second["max_tokens"] == 0
