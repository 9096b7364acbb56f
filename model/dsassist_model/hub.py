"""Downloads one file from Hugging Face or a mirror of it, continuing where an earlier try stopped. No torch.

Environment: ``HF_ENDPOINT`` (a mirror's address), ``HF_TOKEN``, and the proxy variables that httpx reads.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from dsassist_model.catalog import CatalogModel
from dsassist_model.errors import PullError

__all__ = ["download"]

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_BREAKS = 5
"""Broken connections in a row, without a byte between them, before giving up."""


def download(entry: CatalogModel, partial: Path, done: Callable[[int], None]) -> None:
    """Bring ``partial`` to the full size of the model's file. ``done`` gets the bytes that are there.

    Raises:
        PullError: the host cannot be reached, refuses, or has a file of another size. What arrived is kept.
        OSError: the disk.
    """
    base = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    url = f"{base}/{entry.hub}/resolve/main/{entry.file}"
    token = os.environ.get("HF_TOKEN", "").strip()
    headers = {"User-Agent": "dsassist", "Accept-Encoding": "identity"}
    if token:  # httpx does not send it on to another host after a redirect
        headers["Authorization"] = f"Bearer {token}"
    breaks = 0
    try:
        client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True, headers=headers)
    except (ValueError, ImportError) as error:  # a proxy variable that httpx cannot use
        raise PullError(f"the proxy settings cannot be used: {error}.") from error
    with client:
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            if before == entry.bytes:
                return
            try:
                _stream(client, url, entry, partial, done)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
                raise PullError(f"{_host(base)} cannot be reached ({error or type(error).__name__}).") from error
            except (httpx.TransportError, httpx.TooManyRedirects) as error:
                after = partial.stat().st_size if partial.exists() else 0
                breaks = 1 if after > before else breaks + 1
                if breaks >= _BREAKS:
                    raise PullError(
                        f"{_host(base)} breaks the connection ({error or type(error).__name__})."
                    ) from error
                time.sleep(0.2 * 2**breaks)


def _stream(client: httpx.Client, url: str, entry: CatalogModel, partial: Path, done: Callable[[int], None]) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have > entry.bytes:
        partial.unlink()
        have = 0
    with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
        if response.status_code == 206:
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not match or int(match[1]) != have:
                partial.unlink(missing_ok=True)
                raise httpx.RemoteProtocolError("it answers with another range than asked for")
            size = entry.bytes if match[2] == "*" else int(match[2])
        elif response.status_code == 200:
            have = 0  # the server does not continue files
            size = int(response.headers.get("Content-Length") or entry.bytes)
        elif response.status_code == 416:
            partial.unlink(missing_ok=True)
            raise httpx.RemoteProtocolError("it refuses to continue the file")
        elif response.status_code in (429, 500, 502, 503, 504):
            raise httpx.RemoteProtocolError(f"it answers {response.status_code}")
        else:
            raise PullError(_refusal(response))
        if size != entry.bytes:
            raise PullError(f"{_host(url)} has a file of {size:,} bytes, not {entry.bytes:,}.")
        with partial.open("r+b" if have else "wb") as file:
            file.seek(have)
            # as the bytes come: a block that waits to be filled would be lost when the connection breaks
            for block in response.iter_raw():
                if have + len(block) > entry.bytes:
                    raise PullError(f"{_host(url)} sends more than {entry.bytes:,} bytes.")
                file.write(block)
                have += len(block)
                done(have)
    if have < entry.bytes:
        raise httpx.RemoteProtocolError(f"the answer ended at byte {have:,} of {entry.bytes:,}")


def _refusal(response: httpx.Response) -> str:
    host, status = response.url.host, response.status_code
    if status in (401, 403):
        return f"{host} refuses access ({status}); is HF_TOKEN right?"
    if status == 404:
        return f"{host} does not have {response.url.path} (404)."
    return f"{host} answers {status} {response.reason_phrase}."


def _host(url: str) -> str:
    return httpx.URL(url).host or url
