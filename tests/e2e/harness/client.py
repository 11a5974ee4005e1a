"""A client of the interface: one connection, every answer whole or none."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.harness.samples import ADMINISTRATION, AGENT, HOLDER, PURPOSE, Sample

# The server closes a connection that is idle for 15 s; a request may cross that on its way.
IDLE_SECONDS = 8.0


class Cut(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: header fields, names in lower case.
        body: octets.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """Speaks as one persona; for one thread."""

    def __init__(self, host: str, port: int, token: str, timeout: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._token = token
        self._used = 0.0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request and read the whole answer. Raises Cut."""
        fields = {"Authorization": f"Bearer {self._token}", "Probans-Purpose": PURPOSE, **(headers or {})}
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()
        try:
            self._connection.request(method, path, body, fields)
            answer = self._connection.getresponse()
            read = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Cut(type(error).__name__) from error
        self._used = time.monotonic()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)

    def stream(self, path: str, take: Callable[[bytes], object]) -> int:
        """Read an answer a mebibyte at a time; return its length. Raises Cut."""
        fields = {"Authorization": f"Bearer {self._token}", "Probans-Purpose": PURPOSE}
        length = 0
        try:
            self._connection.close()
            self._connection.request("GET", path, headers=fields)
            answer = self._connection.getresponse()
            assert answer.status == 200, answer.read()
            while chunk := answer.read(1 << 20):
                take(chunk)
                length += len(chunk)
        except (OSError, http.client.HTTPException) as error:
            raise Cut(type(error).__name__) from error
        return length

    def send(
        self, sample: Sample, content: Iterable[bytes] | None = None, length: int | None = None
    ) -> Reply:
        """Issue or submit a sample. Raises Cut."""
        said: dict[str, Any] = {"title": sample.title, "file_name": sample.file_name, "case": sample.case}
        if sample.is_act:
            said |= {"holder": HOLDER, "administration": ADMINISTRATION, "document_type": "attestation"}
            if sample.supersedes:
                said["supersedes"] = sample.supersedes
        headers = {"Probans-Document": encoded(said), "Idempotency-Key": sample.key}
        if length is not None:
            headers["Content-Length"] = str(length)
        path = "/v1/acts" if sample.is_act else "/v1/attachments"
        return self.ask("POST", path, sample.content() if content is None else content, headers)


def encoded(said: Mapping[str, Any]) -> str:
    """Write a description for its header."""
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


def agent(server: Any) -> Client:
    """Return a client for the agent of the administration."""
    return Client(server.host, server.port, server.tokens[AGENT])


def holder(server: Any) -> Client:
    """Return a client for the holder."""
    return Client(server.host, server.port, server.tokens[HOLDER])
