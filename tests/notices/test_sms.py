"""Text messages through a gateway of a few lines."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vault.backends.notices import channels_of, secret_of
from vault.domain.notices import Bounced, ChannelDown, ChannelName, Deferred, Event, Letter, NotSent, Unsure
from vault.errors import SettingsRefused
from vault.notices.log import LogChannel
from vault.notices.sms import SmsChannel, SmsConfig
from vault.notices.texts import news_words
from vault.settings import Settings

SECRET = "a secret of the gateway".replace(" ", "-")
LETTER = Letter(
    "+33612345678",
    news_words(ChannelName.SMS, Event.DOCUMENT, "fr", "https://coffre.example/"),
    "0" * 26,
    "ab" * 16,
    datetime(2026, 3, 2, tzinfo=UTC),
)


class Gateway:
    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.status = 202
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.drop = False
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.asked.append((dict(self.headers), json.loads(body)))
                time.sleep(gateway.delay)
                if gateway.drop:
                    self.close_connection = True
                    return
                self.send_response(gateway.status)
                for name, value in gateway.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/send"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


def channel(url: str, **more: Any) -> SmsChannel:
    return SmsChannel(SmsConfig(url, SECRET, **{"sender": "COFFRE", "exchange_s": 2.0, **more}))


def test_a_message_is_one_object(gateway: Gateway) -> None:
    channel(gateway.url).send(LETTER)
    ((headers, body),) = gateway.asked
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Idempotency-Key"] == "ab" * 16
    assert body == {
        "to": "+33612345678",
        "text": "Un document est disponible dans votre coffre-fort numérique. https://coffre.example/",
        "sender": "COFFRE",
        "reference": "0" * 26,
    }


@pytest.mark.parametrize(
    ("status", "kind", "blames"),
    [(422, Bounced, True), (400, Bounced, False), (413, Bounced, False), (429, Deferred, None),
     (401, ChannelDown, None), (404, ChannelDown, None), (500, ChannelDown, None), (503, ChannelDown, None),
     (302, ChannelDown, None)],
)  # fmt: skip
def test_answers_are_told_apart(
    gateway: Gateway, status: int, kind: type[NotSent], blames: bool | None
) -> None:
    gateway.status = status
    with pytest.raises(kind) as refused:
        channel(gateway.url).send(LETTER)
    assert refused.value.code == f"HTTP_{status}"
    assert getattr(refused.value, "blames_address", None) is blames


def test_the_secret_goes_nowhere_else(gateway: Gateway) -> None:
    other = Gateway()
    gateway.status, gateway.headers = 307, {"Location": other.url}
    with pytest.raises(ChannelDown):
        channel(gateway.url).send(LETTER)
    assert other.asked == []
    other.close()
    assert SECRET not in repr(SmsConfig("http://127.0.0.1/", SECRET))


def test_silence_and_a_cut_leave_a_doubt_in_time(gateway: Gateway) -> None:
    gateway.drop = True
    with pytest.raises(Unsure):
        channel(gateway.url).send(LETTER)
    gateway.delay = 3.0
    begun = time.monotonic()
    with pytest.raises(Unsure):
        channel(gateway.url, exchange_s=0.5).send(LETTER)
    assert time.monotonic() - begun < 2.5


def test_nobody_there_is_no_way() -> None:
    with socket.socket() as free:  # bound and not listening: nobody else takes the port meanwhile
        free.bind(("127.0.0.1", 0))
        _refused_at(f"http://127.0.0.1:{free.getsockname()[1]}/")


def _refused_at(url: str) -> None:
    with pytest.raises(ChannelDown, match="SMS_UNREACHABLE"):
        channel(url).send(LETTER)


@pytest.mark.parametrize(
    ("url", "secret"),
    [("http://sms.example/", SECRET), ("ftp://127.0.0.1/", SECRET), ("https://", SECRET), ("", SECRET),
     ("https://user:pass@sms.example/", SECRET), ("https://[::1/", SECRET), ("https://sms.example/", "short"),
     ("https://sms.example/", SECRET + "\r\nX: y"), ("https://sms.example/", "")],
)  # fmt: skip
def test_what_would_leak_is_refused(url: str, secret: str) -> None:
    with pytest.raises(SettingsRefused):
        SmsChannel(SmsConfig(url, secret))


def test_no_number_no_message(gateway: Gateway) -> None:
    for address in ("0612345678", "+33612345678\r\nX: y", "+0", "camille@example.org", ""):
        with pytest.raises(Bounced):
            channel(gateway.url).send(
                Letter(address, LETTER.words, LETTER.token, LETTER.message_id, LETTER.at)
            )
    assert gateway.asked == []


# Settings


def test_development_writes_to_the_log(tmp_path: Path) -> None:
    found = channels_of(Settings(data=tmp_path))
    assert found.logged
    assert all(isinstance(each, LogChannel) for each in found.by_name.values())
    assert set(found.by_name) == set(ChannelName)


def test_production_has_the_ways_that_are_set_alone(tmp_path: Path) -> None:
    assert channels_of(Settings(data=tmp_path, environment="production")).by_name == {}
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    named = Settings(
        data=tmp_path, environment="production", sms_url="https://sms.example/", sms_secret_file=secret,
        address="https://coffre.example", notice_hook_secret_file=secret,
    )  # fmt: skip
    found = channels_of(named)
    assert set(found.by_name) == {ChannelName.SMS}
    assert found.hook_secret == SECRET
    assert not found.logged


def test_links_need_an_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="PROBANS_ADDRESS"):
        channels_of(
            Settings(data=tmp_path, mail_host="127.0.0.1", mail_from="a@b.example", mail_security="none")
        )


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"\xff\xfe", b"a\0b"])
def test_a_secrets_file_holds_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SettingsRefused):
        secret_of(path)
    with pytest.raises(SettingsRefused):
        secret_of(tmp_path / "absent")
    with pytest.raises(SettingsRefused):
        secret_of(None)


def test_the_log_gets_no_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "probans.notices")
    LogChannel(ChannelName.SMS).send(LETTER)
    assert "Un document est disponible" in caplog.text
    assert "+33612345678" not in caplog.text
