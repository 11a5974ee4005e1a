"""OpenID providers of another maker (oidc-provider, npm), for tests: started on loopback, and a person's browser."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from joserfc import jwk

JUDGES = Path(__file__).resolve().parents[2] / ".cache" / "judges"
_OWN = JUDGES / "node-toolchain" / "bin" / "node"
NODE = _OWN if _OWN.exists() else Path("node")
SECRET = "a secret of the tests & of nobody else+/="
ACR = ("weak", "usual", "strong")


def key_set(name: str, kind: str = "EC", size: Any = "P-256") -> dict[str, Any]:
    """A JWK set with one new private key."""
    return {"keys": [{**jwk.generate_key(kind, size, {"kid": name}).as_dict(private=True), "use": "sig"}]}


def client(back: str, client_id: str = "probans-test", **more: Any) -> dict[str, Any]:
    """Metadata of a client that comes back to an address, and after a logout to the first page of its origin."""
    parts = urlsplit(back)
    return {
        "client_id": client_id,
        "client_secret": SECRET,
        "redirect_uris": [back],
        "post_logout_redirect_uris": [f"{parts.scheme}://{parts.netloc}/"],
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "ES256",
        **more,
    }


class Service:
    """A running provider.

    Args:
        clients: who may ask it.
        keys: its key sets, one for each rotation.
        port: where it listens; 0: any.
    """

    def __init__(
        self,
        clients: Sequence[Mapping[str, Any]],
        keys: Sequence[Mapping[str, Any]] = (),
        port: int = 0,
        **more: Any,
    ) -> None:
        config = {
            "clients": clients,
            "jwks": list(keys) or [key_set("first")],
            "acrValues": ACR,
            "port": port,
            **more,
        }
        self._process = subprocess.Popen(
            [str(NODE), "provider.js", json.dumps(config)],
            cwd=JUDGES / "oidc-provider",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        watchdog = threading.Timer(60, self._process.kill)
        watchdog.start()
        try:
            self.issuer = self._process.stdout.readline().strip()
        finally:
            watchdog.cancel()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", self.issuer), "it did not start"

    @property
    def port(self) -> int:
        return int(self.issuer.rpartition(":")[2])

    def rotate(self) -> None:
        requests.post(f"{self.issuer}/rotate", timeout=10).raise_for_status()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass
class Browser:
    """A person's browser: keeps cookies, answers the provider's questions, stops where our own pages begin.

    Attributes:
        login: as whom the person answers.
        acr: how well the provider then says it knows them.
        prompts: what the person was asked, in order.
    """

    login: str = "camille"
    acr: str = "usual"
    abort: bool = False
    prompts: list[dict[str, Any]] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    def go(self, url: str, ours: str) -> dict[str, str]:
        """Follow the provider's pages; return the parameters with which it comes to an address of ours."""
        for _ in range(12):
            if url.startswith(ours):
                return dict(parse_qsl(urlsplit(url).query))
            answer = self.session.get(url, allow_redirects=False, timeout=10)
            if "/interaction/" in url:
                asked = answer.json()
                self.prompts.append(asked)
                said = {"abort": True} if self.abort else {"login": self.login, "acr": self.acr}
                answer = self.session.post(url, json=said, allow_redirects=False, timeout=10)
            assert answer.is_redirect, (url, answer.status_code, answer.text[:500])
            url = urljoin(url, answer.headers["Location"])
        raise AssertionError(f"the provider leads in circles: {url}")

    def log_out(self, url: str) -> str:
        """Confirm the provider's logout; return where it leads."""
        page = self.session.get(url, timeout=10)
        action = re.search(r'action="([^"]+)"', page.text)
        token = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action is not None, page.text[:500]
        assert token is not None
        said = {"xsrf": token[1], "logout": "yes"}
        answer = self.session.post(action[1], said, allow_redirects=False, timeout=10)
        return answer.headers["Location"]


class BackChannel:
    """Where a provider sends its logout messages: the tests take their tokens from it."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.came = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.tokens.append(dict(parse_qsl(body))["logout_token"])
                self.send_response(200)
                self.end_headers()
                outer.came.set()

            def log_message(self, *args: object) -> None:
                del args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/retrait"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self.server.shutdown()
        self.server.server_close()
