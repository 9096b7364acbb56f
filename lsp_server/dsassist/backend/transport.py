"""HTTP to one server: server-sent events in, our errors out.

Leaving an event stream early, by closing it or by cancelling the task that reads it, closes the connection. That is how
a server learns that nobody waits any more.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dsassist.errors import BackendBusy, BackendError, BackendLoading, BackendUnavailable

__all__ = ["Address", "Transport", "error_of"]

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. With ``socket`` the host of ``url`` is only what the Host header says."""

    url: str
    socket: Path | None = None
    token: str = ""

    def __str__(self) -> str:
        return str(self.socket or self.url)


class Transport:
    """A client of one server, made on first use, with keep-alive."""

    def __init__(self, address: Address, *, timeout: float = 30.0) -> None:
        self.address = address
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            url = httpx.URL(self.address.url)
            local = self.address.socket is not None or url.host in ("localhost", "127.0.0.1", "::1")
            headers = {"Authorization": f"Bearer {self.address.token}"} if self.address.token else {}
            self._client = httpx.AsyncClient(
                # a proxy of the environment is for the world outside
                transport=httpx.AsyncHTTPTransport(uds=str(self.address.socket)) if self.address.socket else None,
                trust_env=not local,
                base_url=self.address.url.rstrip("/") + "/",
                headers=headers,
                timeout=httpx.Timeout(self._timeout, connect=CONNECT_SECONDS),
            )
        return self._client

    async def get(self, path: str, *, timeout: float | None = None) -> tuple[int, Any]:
        """Status and parsed body (None when it is not JSON).

        Raises:
            BackendUnavailable: nothing listens, or it did not answer in time.
        """
        with self._translated():
            wait = httpx.Timeout(timeout) if timeout is not None else httpx.USE_CLIENT_DEFAULT
            response = await self._connected().get(path.lstrip("/"), timeout=wait)
            return response.status_code, _parsed(response.content)

    async def events(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """POST ``payload``; yield every event's object. A server that answers with one plain object yields that.

        Raises:
            BackendError: refused; its subclasses tell busy, loading and gone apart.
        """
        with self._translated():
            body = json.dumps(payload).encode()
            headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
            async with self._connected().stream("POST", path.lstrip("/"), content=body, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    retry = response.headers.get("retry-after", "")
                    raise error_of(self.address, response.status_code, _parsed(response.content), retry)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    await response.aread()
                    yield self._object(response.content)
                    return
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line[5:].strip()
                    if data == "[DONE]":
                        return
                    event = self._object(data.encode())
                    if "error" in event:
                        raise error_of(self.address, 500, event, "")
                    yield event

    def _object(self, data: bytes) -> Mapping[str, Any]:
        parsed = _parsed(data)
        if not isinstance(parsed, Mapping):
            raise BackendError(
                f"{self.address} answered with something that is not a JSON object.",
                remedy="Check backend.url and backend.kind.",
            )
        return parsed

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise BackendUnavailable(f"Nothing listens at {self.address}.", remedy="Start the server.") from error
        except httpx.TimeoutException as error:
            raise BackendUnavailable(
                f"{self.address} did not answer within {self._timeout:g} s.", remedy="Raise backend.timeoutSeconds."
            ) from error
        except (httpx.TransportError, httpx.StreamError) as error:
            raise BackendUnavailable(f"{self.address} went away in the middle of an answer.") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BackendError(
                f"{self.address} is not an address: {error}.",
                remedy="Correct backend.url (http://127.0.0.1:8080).",
            ) from error

    async def close(self) -> None:
        """Give up the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, UnicodeDecodeError):
        return None


def error_of(address: Address, status: int, body: Any, retry_after: str) -> BackendError:
    """The error an HTTP answer stands for. Reads ``{"error": {...}}``, ``{"error": "…"}`` and ``{"detail": …}``."""
    error = body.get("error", body) if isinstance(body, Mapping) else {}
    fields = error if isinstance(error, Mapping) else {"message": str(error)}
    said = str(fields.get("message") or fields.get("detail") or "").strip()
    remedy = str(fields.get("remedy") or "")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        try:
            seconds = float(retry_after)
        except ValueError:
            seconds = 1.0
        return BackendBusy(said or f"{address} has too much to do.", remedy=remedy, retry_after=seconds)
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        progress = fields.get("progress")
        return BackendLoading(
            said or f"{address} is loading its model.",
            remedy=remedy,
            progress=float(progress) if isinstance(progress, int | float) else 0.0,
        )
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return BackendError(
            said or f"{address} refused the key.",
            remedy=remedy or "Put the key into the variable that backend.apiKeyVariable names.",
        )
    if status == httpx.codes.NOT_FOUND:
        return BackendError(
            f"{address} has no such endpoint{f' ({said})' if said else ''}.",
            remedy="Check backend.url and backend.kind.",
        )
    return BackendError(f"{address} refused the request (HTTP {status}){f': {said}' if said else ''}.", remedy=remedy)
