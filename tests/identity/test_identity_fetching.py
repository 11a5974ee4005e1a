"""What a provider sends over the wire cannot hold us, lead us elsewhere, or fill our memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.errors import IdentityError, ProviderMisconfigured, ProviderUnavailable
from identity.fetching import MAX_ANSWER, Answer, HttpFetcher, check_address, finite
from tests.services.answering import Serve, answering
from tests.services.certificates import local_tls

LIMIT = 0.6


@pytest.fixture
def serve() -> Iterator[Serve]:
    with answering() as do:
        yield do


def ok(body: bytes, *headers: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 200 OK\r\n" + length + b"".join(each + b"\r\n" for each in headers) + b"\r\n" + body


def test_an_answer(serve: Callable[..., str]) -> None:
    url = serve(ok(b'{"a":1}', b"Content-Type: Application/JSON; charset=utf-8"))
    answer = HttpFetcher(5).get(f"{url}/x?y=1")
    assert (answer.status, answer.media_type, answer.json()) == (200, "application/json", {"a": 1})
    assert "a" not in repr(answer.body) or "body" not in repr(answer)


def test_a_redirect_is_not_followed(serve: Callable[..., str]) -> None:
    other = serve(ok(b'{"secret":1}'))
    url = serve(b"HTTP/1.1 302 Found\r\nLocation: " + other.encode() + b"\r\nContent-Length: 0\r\n\r\n")
    assert HttpFetcher(5).get(url).status == 302


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "nothing": [],
    "status line": [b"H"] * 100,
    "headers": [HEAD, *[b"X"] * 100],
    "body": [HEAD + b"Content-Length: 200\r\n\r\n", *[b"x"] * 100],
    "body without length": [HEAD + b"Connection: close\r\n\r\n", *[b"x"] * 100],
    "chunk size": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"0"] * 100],
}


@pytest.mark.parametrize("pieces", DRIPS.values(), ids=DRIPS.keys())
def test_octets_that_drip_cost_one_time_limit(serve: Callable[..., str], pieces: list[bytes]) -> None:
    url = serve(*(pieces or [b""] * 100), pause=0.1)
    begun = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(LIMIT).get(url)
    assert time.monotonic() - begun < LIMIT + 1.0


def test_a_handshake_that_never_ends_costs_one_time_limit(serve: Callable[..., str]) -> None:
    url = serve(*[b"\x16"] * 100, pause=0.1).replace("http:", "https:")
    begun = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(LIMIT).get(url)
    assert time.monotonic() - begun < LIMIT + 1.0


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * (MAX_ANSWER + 1)),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 10,
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ],
)
def test_answers_out_of_all_bounds(serve: Callable[..., str], answer: bytes) -> None:
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(5).get(serve(answer))


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ProviderUnavailable) as caught:
        HttpFetcher(5).post(f"http://127.0.0.1:{port}/token?x=1", {"code": "a secret code"})
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_certificates_count(serve: Callable[..., str], tmp_path: Path) -> None:
    pem, context = local_tls(tmp_path)
    url = serve(ok(b"{}"), tls=context)
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(5).get(url)
    assert HttpFetcher(5, pem).get(url).json() == {}
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(5, pem).get(url.replace("127.0.0.1", "localhost")), "the name counts too"
    for wrong in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(ProviderMisconfigured):
            HttpFetcher(5, wrong)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "https:///path",
        "https://user@id.example/",
        "https://id.example/#x",
        "https://id.example/ x",
        "https://id.example\\@evil.example/",
        "https://id.exàmple/",
        "https://id.example:x/",
        "https://id.example:0/",
        "https://[::1/",
        "id.example",
        "",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the kinds of the library)
        check_address(url)
    with pytest.raises(ProviderUnavailable):
        HttpFetcher(1).get(url)


def test_addresses_that_are_ones() -> None:
    for url in ("https://id.example", "http://127.0.0.1:8000/x", "http://localhost/", "http://[::1]:80/"):
        assert check_address(url).geturl() == url


@given(st.binary(max_size=200))
def test_any_body_is_an_object_or_a_value_error(body: bytes) -> None:
    try:
        assert isinstance(Answer(200, "", body).json(), dict)
    except ValueError:
        return


def test_numbers() -> None:
    assert finite(3) == 3.0
    for value in (True, None, "3", 10**400, float("inf"), float("nan")):
        assert finite(value) is None


def test_every_error_has_a_code() -> None:
    assert issubclass(ProviderUnavailable, IdentityError)
    assert ProviderUnavailable("x").code == "IDENTITY_UNAVAILABLE"
