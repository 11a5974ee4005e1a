"""The client of outside authorities, against real HTTP servers on the loopback that behave and misbehave."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from asn1crypto import tsp

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from timestamping import der
from timestamping.authority import EmbeddedAuthority
from timestamping.errors import AuthorityMisconfigured, AuthorityUnavailable, TimestampingError, TokenRefused
from timestamping.messages import Failure, granted, rejection
from timestamping.rfc3161 import MAX_BODY, HttpAuthority, HttpAuthorityConfig, new_session
from timestamping.verify import Rfc3161Verifier, unwrap_response

POLICY = "1.3.6.1.4.1.99999.1.1"
IMPRINT = hashlib.sha256(b"acte").digest()
REPLY = "application/timestamp-reply"


@dataclass
class SkewedClock:
    skew: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("pki"), datetime.now(UTC) - timedelta(days=1))


def authority_of(pki: DevPki, skew: timedelta = timedelta(), policy: str = POLICY) -> EmbeddedAuthority:
    key = pki.timestamp
    return EmbeddedAuthority(key, (key.certificate, *key.chain), policy, SkewedClock(skew))


@pytest.fixture(scope="module")
def authority(pki: DevPki) -> EmbeddedAuthority:
    return authority_of(pki)


@pytest.fixture(scope="module")
def verifier(pki: DevPki) -> Rfc3161Verifier:
    return Rfc3161Verifier(TrustStore(pki.roots(), require_revocation=False))


@dataclass
class Seen:
    """What reached a server, and how it answers."""

    answer: Callable[[bytes], bytes]
    status: int = 200
    media_type: str = REPLY
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    close_silently: bool = False
    chunked: bool = False
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(seen: Seen) -> Iterator[Seen]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            seen.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.requests.append(body)
            seen.asked.append(dict(self.headers))
            answer = seen.answer(body)
            time.sleep(seen.delay)
            self.send_response(seen.status)
            self.send_header("Content-Type", seen.media_type)
            for name, value in seen.headers.items():
                self.send_header(name, value)
            if seen.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (answer[:100], answer[100:]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
                return
            if "Content-Length" not in seen.headers:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            try:
                if seen.drip:
                    for octet in answer:
                        self.wfile.write(bytes((octet,)))
                        self.wfile.flush()
                        time.sleep(seen.drip)
                else:
                    self.wfile.write(answer)
            except OSError:
                self.close_connection = True
            if seen.close_silently:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_port}/tsa"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def asking(verifier: Rfc3161Verifier) -> Iterator[Callable[..., HttpAuthority]]:
    sessions: list[requests.Session] = []

    def ask(seen: Seen, *, skew: timedelta = timedelta(), **settings: object) -> HttpAuthority:
        sessions.append(new_session())
        config = HttpAuthorityConfig(seen.url, **{"timeout": 5.0, **settings})  # type: ignore[arg-type]
        return HttpAuthority(config, verifier, SkewedClock(skew), sessions[-1])

    yield ask
    for session in sessions:
        session.close()


Asking = Callable[..., HttpAuthority]


def failure_of(client: HttpAuthority, imprint: bytes = IMPRINT) -> str:
    with pytest.raises(TimestampingError) as failed:
        client.token(imprint)
    return failed.value.code


def test_a_token_is_asked_for_and_verified(
    authority: EmbeddedAuthority, verifier: Rfc3161Verifier, asking: Asking
) -> None:
    with serving(Seen(authority.respond)) as seen:
        client = asking(seen, policy=POLICY)
        token = client.token(IMPRINT)
        assert verifier.verify(token.der, IMPRINT).gen_time == token.gen_time
        assert not token.own_authority
        assert not client.own
        asked = tsp.TimeStampReq.load(seen.requests[0], strict=True)
        assert asked["message_imprint"]["hash_algorithm"]["algorithm"].native == "sha256"
        assert asked["message_imprint"]["hashed_message"].native == IMPRINT
        assert asked["req_policy"].native == POLICY
        assert asked["cert_req"].native is True
        assert seen.asked[0]["Content-Type"] == "application/timestamp-query"
        assert seen.asked[0]["Accept-Encoding"] == "identity"
        assert asking(seen, own=True).token(IMPRINT).own_authority


def test_nonces_differ_and_the_connection_stays_open(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond)) as seen:
        client = asking(seen)
        for _ in range(10):
            client.token(IMPRINT)
        assert seen.connections == 1
        nonces = {tsp.TimeStampReq.load(body)["nonce"].native for body in seen.requests}
        assert len(nonces) == 10
        assert max(nonces) > 2**48


def test_a_kept_connection_that_the_server_closed_is_opened_again(
    authority: EmbeddedAuthority, asking: Asking
) -> None:
    with serving(Seen(authority.respond, close_silently=True)) as seen:
        client = asking(seen)
        for _ in range(5):
            client.token(IMPRINT)
        assert seen.connections == 5


def test_several_threads_may_ask_at_once(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond)) as seen, ThreadPoolExecutor(8) as pool:
        client = asking(seen)
        imprints = [hashlib.sha256(bytes([n])).digest() for n in range(64)]
        tokens = list(pool.map(client.token, imprints))
        assert len({token.der for token in tokens}) == 64


def test_chunked_answers_are_read(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, chunked=True)) as seen:
        client = asking(seen)
        client.token(IMPRINT)
        client.token(IMPRINT)
        assert seen.connections == 1


def test_chain_and_size_are_learned_from_a_first_token(
    pki: DevPki, authority: EmbeddedAuthority, asking: Asking
) -> None:
    with serving(Seen(authority.respond)) as seen:
        client = asking(seen)
        size = client.expected_size
        assert len(seen.requests) == 1
        assert list(client.chain()) == list(authority.chain())
        assert pki.root not in client.chain()
        assert len(seen.requests) == 1
        longest = max(len(client.token(IMPRINT).der) for _ in range(16))
        assert client.expected_size == longest + 8
        assert abs(size - client.expected_size) < 16


def test_credentials_are_sent_when_configured(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond)) as seen:
        client = asking(seen, username="coffre", password="secret")
        client.token(IMPRINT)
        expected = "Basic " + base64.b64encode(b"coffre:secret").decode()
        assert seen.asked[0]["Authorization"] == expected
        assert "secret" not in repr(HttpAuthorityConfig(seen.url, password="secret"))
        asking(seen).token(IMPRINT)
        assert "Authorization" not in seen.asked[1]


def test_granted_with_modifications_is_accepted(authority: EmbeddedAuthority, asking: Asking) -> None:
    def answer(body: bytes) -> bytes:
        token = unwrap_response(authority.respond(body))
        return der.sequence(der.sequence(der.integer(1)), token)

    with serving(Seen(answer)) as seen:
        asking(seen, policy=POLICY).token(IMPRINT)


# Authorities that lie, fail or stall


def without(authority: EmbeddedAuthority, **changes: object) -> Callable[[bytes], bytes]:
    """Answers to another request than the one that came."""

    def answer(body: bytes) -> bytes:
        asked = tsp.TimeStampReq.load(body)
        fields = {
            "version": 1,
            "message_imprint": asked["message_imprint"],
            "nonce": asked["nonce"],
            "cert_req": True,
            **changes,
        }
        return authority.respond(tsp.TimeStampReq({k: v for k, v in fields.items() if v is not None}).dump())

    return answer


OTHER_IMPRINT = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}


def test_answers_to_another_question_are_refused(
    pki: DevPki, authority: EmbeddedAuthority, asking: Asking
) -> None:
    expected = {
        "TSA_NONCE": [without(authority, nonce=1), without(authority, nonce=None)],
        "HASH_FAILURE": [without(authority, message_imprint=OTHER_IMPRINT)],
        "NO_SIGNING_CERTIFICATE_FOUND": [without(authority, cert_req=False)],
        "TSA_POLICY": [without(authority_of(pki, policy="1.2.3.4"))],
        "TSA_CLOCK": [
            authority_of(pki, timedelta(minutes=6), "1.2.3").respond,
            authority_of(pki, -timedelta(minutes=6), "1.2.3").respond,
        ],
    }
    for code, answers in expected.items():
        for answer in answers:
            with serving(Seen(answer)) as seen:
                policy = POLICY if code == "TSA_POLICY" else None
                assert failure_of(asking(seen, policy=policy)) == code
    with serving(Seen(authority_of(pki, timedelta(minutes=4)).respond)) as seen:
        asking(seen).token(IMPRINT)
        assert failure_of(asking(seen, clock_tolerance=timedelta(minutes=3))) == "TSA_CLOCK"


def test_an_old_answer_replayed_is_refused(authority: EmbeddedAuthority, asking: Asking) -> None:
    kept: list[bytes] = []

    def answer(body: bytes) -> bytes:
        kept.append(authority.respond(body))
        return kept[0]

    with serving(Seen(answer)) as seen:
        client = asking(seen)
        client.token(IMPRINT)
        assert failure_of(client) == "TSA_NONCE"
        assert failure_of(client, bytes(32)) == "HASH_FAILURE"


def test_a_token_of_an_untrusted_authority_is_refused(
    tmp_path_factory: pytest.TempPathFactory, asking: Asking
) -> None:
    stranger = DevPki.open(tmp_path_factory.mktemp("stranger"), datetime.now(UTC))
    with serving(Seen(authority_of(stranger).respond)) as seen:
        assert failure_of(asking(seen)) == "NO_CERTIFICATE_CHAIN_FOUND"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (rejection(Failure.BAD_REQUEST, "no"), "TSA_STATUS"),
        (rejection(Failure.UNACCEPTED_POLICY, "no"), "TSA_STATUS"),
        (rejection(Failure.SYSTEM_FAILURE, "later"), "TSA_UNAVAILABLE"),
        (rejection(Failure.TIME_NOT_AVAILABLE, "later"), "TSA_UNAVAILABLE"),
        (der.sequence(der.sequence(der.integer(3))), "TSA_UNAVAILABLE"),
        (der.sequence(der.sequence(der.integer(5))), "TSA_STATUS"),
        (granted(der.sequence()), "FORMAT_FAILURE"),
        (granted(b""), "FORMAT_FAILURE"),
        (b"", "FORMAT_FAILURE"),
        (b"<html>", "FORMAT_FAILURE"),
        (b"\x30\x80" * 20_000, "FORMAT_FAILURE"),
        (bytes(MAX_BODY + 1), "FORMAT_FAILURE"),
        (bytes(8_000_000), "FORMAT_FAILURE"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} octets",
)
def test_other_answers_have_their_codes(body: bytes, code: str, asking: Asking) -> None:
    with serving(Seen(lambda _: body)) as seen:
        assert failure_of(asking(seen)) == code


@pytest.mark.parametrize("status", [204, 301, 400, 401, 404, 429, 500, 503])
def test_http_errors_mean_unavailable(status: int, authority: EmbeddedAuthority, asking: Asking) -> None:
    location = {"Location": "http://192.0.2.1/"} if status == 301 else {}
    answer: Callable[[bytes], bytes] = (lambda _: b"") if status == 204 else authority.respond
    with serving(Seen(answer, status=status, headers=location)) as seen:
        assert failure_of(asking(seen)) == "TSA_UNAVAILABLE"
        assert len(seen.requests) == 1


def test_the_media_type_is_checked(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, media_type="text/html")) as seen:
        assert failure_of(asking(seen)) == "FORMAT_FAILURE"
    with serving(Seen(authority.respond, media_type="Application/Timestamp-Reply; x=y")) as seen:
        asking(seen).token(IMPRINT)
    with serving(Seen(authority.respond, headers={"Content-Encoding": "gzip"})) as seen:
        assert failure_of(asking(seen)) == "FORMAT_FAILURE"


def test_a_server_that_says_nothing_is_given_up(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, delay=1.0)) as seen:
        begun = time.monotonic()
        assert failure_of(asking(seen, timeout=0.2)) == "TSA_UNAVAILABLE"
        assert time.monotonic() - begun < 0.9
        assert len(seen.requests) == 1, "a slow server is not asked twice"


def test_a_host_that_does_not_accept_is_tried_once(verifier: Rfc3161Verifier) -> None:
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Connections that nobody accepts fill the queue; the kernel then leaves the next one without answer.
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        client = HttpAuthority(HttpAuthorityConfig(url, timeout=0.5), verifier, SkewedClock())
        begun = time.monotonic()
        with pytest.raises(AuthorityUnavailable):
            client.token(IMPRINT)
        assert 0.4 < time.monotonic() - begun < 0.95


def test_a_huge_body_is_not_read_to_its_end(asking: Asking) -> None:
    with serving(Seen(lambda _: bytes(50_000_000))) as seen, pytest.raises(TokenRefused, match="longer than"):
        asking(seen).token(IMPRINT)


def test_a_server_that_drips_is_given_up(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, drip=0.01)) as seen:
        begun = time.monotonic()
        assert failure_of(asking(seen, timeout=0.3)) == "TSA_UNAVAILABLE"
        assert time.monotonic() - begun < 1.0


def test_a_server_whose_headers_drip_is_given_up(verifier: Rfc3161Verifier) -> None:
    """No wait is long, so that only a limit for the whole ends it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        stop = threading.Event()

        def drip() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        for octet in b"HTTP/1.1 200 OK\r\nX-Filler: " + b"a" * 2000:
                            if stop.is_set():
                                return
                            connection.sendall(bytes((octet,)))
                            time.sleep(0.02)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        client = HttpAuthority(HttpAuthorityConfig(url, timeout=0.4), verifier, SkewedClock())
        begun = time.monotonic()
        with pytest.raises(AuthorityUnavailable):
            client.token(IMPRINT)
        with pytest.raises(AuthorityUnavailable):
            client.token(IMPRINT, within=0.1)
        assert time.monotonic() - begun < 2.0
        stop.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_an_answer_cut_short_is_no_token(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, headers={"Content-Length": "9000"}, close_silently=True)) as seen:
        assert failure_of(asking(seen)) == "TSA_UNAVAILABLE"


def test_a_closed_port_and_an_unknown_host_mean_unavailable(verifier: Rfc3161Verifier) -> None:
    with serving(Seen(lambda _: b"")) as seen:
        pass
    for url in (seen.url, "http://tsa.invalid/"):
        client = HttpAuthority(HttpAuthorityConfig(url, timeout=2.0), verifier, SkewedClock())
        with pytest.raises(AuthorityUnavailable):
            client.token(IMPRINT)
        with pytest.raises(AuthorityUnavailable):
            assert client.expected_size
        with pytest.raises(AuthorityUnavailable):
            client.chain()


def test_it_recovers_when_the_authority_does(authority: EmbeddedAuthority, asking: Asking) -> None:
    with serving(Seen(authority.respond, status=503)) as seen:
        client = asking(seen)
        assert failure_of(client) == "TSA_UNAVAILABLE"
        seen.status = 200
        assert client.token(IMPRINT).der


def test_no_cookie_is_kept_and_the_environment_is_not_read(
    authority: EmbeddedAuthority, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9/")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9/")
    with serving(Seen(authority.respond, headers={"Set-Cookie": "track=1"})) as seen:
        client = asking(seen)
        client.token(IMPRINT)
        client.token(IMPRINT)
        assert "Cookie" not in seen.asked[1]


@pytest.mark.parametrize(
    "config",
    [
        HttpAuthorityConfig("ftp://tsa.example/"),
        HttpAuthorityConfig("tsa.example"),
        HttpAuthorityConfig("http://"),
        HttpAuthorityConfig("http://[::1/"),
        HttpAuthorityConfig("http://tsa.example/", username="coffre", password="secret"),
        HttpAuthorityConfig("https://tsa.example/", policy="not an identifier"),
        HttpAuthorityConfig("https://coffre:secret@tsa.example/"),
        HttpAuthorityConfig("http://tsa.example/", bearer="secret"),
        HttpAuthorityConfig("https://tsa.example/", bearer="two words"),
        HttpAuthorityConfig("https://tsa.example/", bearer="secret", username="coffre"),
    ],
    ids=lambda config: config.url,
)
def test_settings_that_cannot_work_are_refused_at_start(
    config: HttpAuthorityConfig, verifier: Rfc3161Verifier
) -> None:
    with pytest.raises(AuthorityMisconfigured):
        HttpAuthority(config, verifier, SkewedClock())


def test_an_imprint_of_another_length_is_not_sent(verifier: Rfc3161Verifier) -> None:
    client = HttpAuthority(HttpAuthorityConfig("http://tsa.invalid/"), verifier, SkewedClock())
    with pytest.raises(TokenRefused) as refused:
        client.token(bytes(20))
    assert refused.value.code == "HASH_FAILURE"
