"""One request as one caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
from fastapi import FastAPI

from api.web.rendering import FORM_COOKIE, FORM_FIELD, PERSONA_COOKIE
from api.web.share_page import share_cookie
from vault.settings import Settings

FORM_TOKEN = "f" * 43


class Asker(Protocol):
    """Whoever has headers that say who asks."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def token(self) -> str: ...


@dataclass(frozen=True)
class Ask:
    """A request without who asks it.

    Attributes:
        method: of HTTP.
        path: with the query.
        json: body as JSON, or None.
        content: body as octets, or None.
        headers: more headers.
        form: fields of a form, or None; the form's token is added.
        page: it is asked by a browser, with the cookie of a made-up `person` or of an opened `share`; "": it is not.
    """

    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    page: str = ""


class Client:
    """Asks an application without a socket, all in one event loop: thousands of requests are made here."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.cookies = {"person": PERSONA_COOKIE, "share": share_cookie(settings)}
        self._loop = asyncio.new_event_loop()
        # The development identities answer this machine alone.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask; cookies are those of the request alone."""
        self._client.cookies.clear()
        return self._loop.run_until_complete(self._client.request(method, path, **more))

    def close(self) -> None:
        """Let go of the loop and its threads."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def send(client: Client, caller: Asker, ask: Ask, key: str) -> httpx.Response:
    """Send it; every write has a key that was never used."""
    headers = {**ask.headers}
    if ask.method not in {"GET", "HEAD"}:
        headers["Idempotency-Key"] = key
    if ask.page:
        cookies = {client.cookies[ask.page]: caller.token, FORM_COOKIE: FORM_TOKEN}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items() if value)
    else:
        headers.update(caller.headers)
    if ask.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode({**ask.form, FORM_FIELD: FORM_TOKEN}).encode()
        return client.request(ask.method, ask.path, content=content, headers=headers)
    return client.request(ask.method, ask.path, json=ask.json, content=ask.content, headers=headers)
