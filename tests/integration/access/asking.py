"""One request as one caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
from fastapi import FastAPI

from api.browser import session_cookie
from api.web.rendering import FORM_COOKIE, FORM_FIELD
from api.web.share_page import share_cookie
from vault.service import Vault

FORM_TOKEN = "f" * 43


class Asker(Protocol):
    """Whoever has headers that say who asks."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def token(self) -> str: ...

    @property
    def session(self) -> str: ...


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
        page: it is asked by a browser, with the cookie of a `person`'s session or of an opened `share`; "": it is not.
        file: octets of a file that the form brings, or None.
    """

    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    page: str = ""
    file: bytes | None = None


class Client:
    """Asks an application without a socket, all in one event loop: thousands of requests are made here."""

    def __init__(self, app: FastAPI, vault: Vault) -> None:
        self._vault = vault
        self._loop = asyncio.new_event_loop()
        # The development identities answer this machine alone.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask; cookies are those of the request alone."""
        self._client.cookies.clear()
        return self._loop.run_until_complete(self._client.request(method, path, **more))

    def cookies(self, caller: Asker, page: str) -> tuple[str, str]:
        """Return the cookies of somebody's browser, and the token of its forms."""
        settings, sessions = self._vault.settings, self._vault.people.login.sessions
        named = {FORM_COOKIE: FORM_TOKEN}
        token = FORM_TOKEN
        if page == "share":
            named[share_cookie(settings)] = caller.token
        elif caller.session:
            named[session_cookie(settings)] = caller.session
            token = sessions.form_token(caller.session)
        return "; ".join(f"{name}={value}" for name, value in named.items() if value), token

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
    token = ""
    if ask.page:
        headers["Cookie"], token = client.cookies(caller, ask.page)
    else:
        headers.update(caller.headers)
    if ask.form is not None and ask.file is not None:
        fields = {**ask.form, "key": key, FORM_FIELD: token}
        file = {"file": ("piece.txt", ask.file)}
        return client.request(ask.method, ask.path, data=fields, files=file, headers=headers)
    if ask.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode({**ask.form, "key": key, FORM_FIELD: token}, doseq=True).encode()
        return client.request(ask.method, ask.path, content=content, headers=headers)
    return client.request(ask.method, ask.path, json=ask.json, content=ask.content, headers=headers)
