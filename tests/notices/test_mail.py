"""Mail in real conversations: a server of somebody else's making, and servers that behave as none should."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vault.domain.notices import (
    Bounced,
    ChannelDown,
    ChannelName,
    Deferred,
    Event,
    Letter,
    NotSent,
    Unsure,
    Words,
)
from vault.errors import SettingsRefused
from vault.notices.mail import MailChannel, MailConfig, compose
from vault.notices.texts import LANGUAGES, code_words, digest_words, news_words

TOKEN = "0123456789abcdefghjkmnpqrs"
LINK = "https://coffre.example/"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


def letter(**changes: Any) -> Letter:
    fields: dict[str, Any] = {
        "address": "camille@example.org",
        "words": news_words(ChannelName.MAIL, Event.DOCUMENT, "fr", LINK),
        "token": TOKEN,
        "message_id": "5f" * 16,
        "at": NOW,
        **changes,
    }
    return Letter(**fields)


def signed(subject: str, names: list[x509.GeneralName], issuer: Any = None) -> Any:
    """A certificate and its key; its own authority when nobody signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is None:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Server contexts: the right one, one of another name, one of another authority; and the anchors' file."""
    folder = tmp_path_factory.mktemp("tls")
    authority, other = signed("authority", []), signed("other authority", [])

    def context(names: list[x509.GeneralName], issuer: Any) -> ssl.SSLContext:
        certificate, key = signed("server", names, issuer)
        path = folder / f"{certificate.serial_number}.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + pem)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(path)
        return made

    here: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1"))]
    anchors = folder / "anchors.pem"
    anchors.write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    return {
        "anchors": anchors,
        "right": context(here, authority),
        "other name": context([x509.DNSName("mail.example")], authority),
        "other authority": context(here, other),
    }


class Inbox:
    """Keeps what aiosmtpd took, and answers as it is told."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.encrypted: list[bool] = []
        self.users: list[bytes] = []
        self.rcpt: list[str] = []
        self.data: list[str] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        answer = self.rcpt.pop(0) if self.rcpt else "250 OK"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer.startswith("2"):
            self.envelopes.append(envelope)
            self.encrypted.append(session.ssl is not None or server.tls_context is None)
        return answer

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.users.append(data.login)
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


Start = Callable[..., tuple[Inbox, int]]


@pytest.fixture
def smtp() -> Iterator[Start]:
    """Start aiosmtpd."""
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Inbox, int]:
        inbox, port = Inbox(), free_port()
        controller = Controller(
            inbox, hostname="127.0.0.1", port=port, authenticator=inbox.login, ready_timeout=20, **options
        )
        controller.start()
        running.append(controller)
        return inbox, port

    yield start
    for controller in running:
        controller.stop()


def config(port: int, anchors: Path | None, security: Any = "starttls", **more: Any) -> MailConfig:
    login = {"user": "probans", "password": PASSWORD} if security != "none" else {}
    return MailConfig(
        host="127.0.0.1", port=port, security=security, sender="coffre@safe.example", ca_file=anchors,
        bounces="retours@safe.example", **{"connect_s": 5.0, "exchange_s": 5.0, **login, **more},
    )  # fmt: skip


def test_a_whole_conversation_with_starttls_and_login(smtp: Start, tls: dict[str, Any]) -> None:
    inbox, port = smtp(tls_context=tls["right"], require_starttls=True, auth_required=True)
    channel = MailChannel(config(port, tls["anchors"]))
    for _ in range(3):
        channel.send(letter())
    channel.rest()
    assert inbox.encrypted == [True] * 3
    assert inbox.users == [b"probans"]  # one connection for all three
    envelope = inbox.envelopes[0]
    assert envelope.mail_from == f"retours+{TOKEN}@safe.example"
    assert envelope.rcpt_tos == ["camille@example.org"]
    message = message_from_bytes(envelope.content, policy=default)
    assert isinstance(message, EmailMessage)
    assert message["From"] == "coffre@safe.example"
    assert message["To"] == "camille@example.org"
    assert message["Subject"] == "Votre coffre-fort numérique / Your digital safe"
    assert message["Message-ID"] == f"<{'5f' * 16}@safe.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == NOW
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    } | ({"X-Peer", "X-MailFrom", "X-RcptTo"} & set(message.keys()))  # fmt: skip
    assert message.get_content_type() == "multipart/alternative"
    plain, html = message.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in (plain, html):
        assert "Un document est disponible" in part.get_content()
        assert "A document is available" in part.get_content()
        assert LINK in part.get_content()
    assert not any(part.is_attachment() for part in message.walk())
    assert max(map(len, envelope.content.splitlines())) <= 78
    assert envelope.content.isascii()


def test_encryption_from_the_first_octet(smtp: Start, tls: dict[str, Any]) -> None:
    inbox, port = smtp(ssl_context=tls["right"], auth_require_tls=False)
    channel = MailChannel(config(port, tls["anchors"], "tls"))
    channel.send(letter())
    channel.rest()
    assert len(inbox.envelopes) == 1


@pytest.mark.parametrize("wrong", ["other name", "other authority"])
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_wrong_certificate_gets_nothing(
    smtp: Start, tls: dict[str, Any], wrong: str, security: str
) -> None:
    options = {"tls_context": tls[wrong]} if security == "starttls" else {"ssl_context": tls[wrong]}
    inbox, port = smtp(**options)
    with pytest.raises(ChannelDown) as refused:
        MailChannel(config(port, tls["anchors"], security)).send(letter())
    assert refused.value.code == "MAIL_TLS_REFUSED"
    assert (inbox.envelopes, inbox.users) == ([], [])


def test_a_system_that_vouches_for_others_is_not_asked(smtp: Start, tls: dict[str, Any]) -> None:
    _, port = smtp(tls_context=tls["right"])
    with pytest.raises(ChannelDown, match="MAIL_TLS_REFUSED"):
        MailChannel(config(port, None)).send(letter())


def test_no_encryption_offered_no_mail(smtp: Start, tls: dict[str, Any]) -> None:
    inbox, port = smtp(auth_require_tls=False)
    with pytest.raises(ChannelDown) as refused:
        MailChannel(config(port, tls["anchors"])).send(letter())
    assert refused.value.code == "MAIL_TLS_MISSING"
    assert (inbox.envelopes, inbox.users) == ([], [])


def test_a_wrong_password_closes_the_way(smtp: Start, tls: dict[str, Any]) -> None:
    _, port = smtp(tls_context=tls["right"], require_starttls=True, auth_required=True)
    with pytest.raises(ChannelDown, match="MAIL_AUTH_REFUSED"):
        MailChannel(config(port, tls["anchors"], password="another")).send(letter())


@pytest.mark.parametrize("host", ["mail.example", "192.0.2.1", "127.0.0.1.example", ""])
def test_clear_text_stays_on_this_machine(host: str) -> None:
    with pytest.raises(SettingsRefused):
        MailChannel(MailConfig(host, 25, "none", "coffre@safe.example"))


def test_passwords_do_not_leave_in_clear() -> None:
    with pytest.raises(SettingsRefused):
        MailChannel(config(25, None, "none", user="probans", password=PASSWORD))
    assert PASSWORD not in repr(config(25, None))


@pytest.mark.parametrize(
    ("at", "answer", "kind", "code", "blames"),
    [
        ("rcpt", "450 4.2.0 greylisted", Deferred, "SMTP_450_4.2.0", None),
        ("rcpt", "550 5.1.1 no such user", Bounced, "SMTP_550_5.1.1", True),
        ("rcpt", "550 no such user camille@example.org", Bounced, "SMTP_550", True),
        ("rcpt", "554 5.7.1 relay access denied", Bounced, "SMTP_554_5.7.1", False),
        ("rcpt", "421 4.3.2 closing", ChannelDown, "SMTP_421_4.3.2", None),
        ("data", "452 4.3.1 full", Deferred, "SMTP_452_4.3.1", None),
        ("data", "554 5.6.0 content", Bounced, "SMTP_554_5.6.0", False),
        ("data", "552 5.2.2 mailbox full", Bounced, "SMTP_552_5.2.2", True),
    ],
)
def test_refusals_are_told_apart_and_the_next_letter_leaves(
    smtp: Start, at: str, answer: str, kind: type[NotSent], code: str, blames: bool | None
) -> None:
    inbox, port = smtp()
    getattr(inbox, at).append(answer)
    channel = MailChannel(config(port, None, "none"))
    with pytest.raises(kind) as refused:
        channel.send(letter())
    assert refused.value.code == code
    assert getattr(refused.value, "blames_address", None) is blames
    assert "camille" not in str(refused.value)
    channel.send(letter())
    channel.rest()
    assert len(inbox.envelopes) == 1


# Servers that no library would write


class Odd:
    """A server of a few lines: what it does with one connection is given as a function."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.over = threading.Event()
        self.connections = 0
        self._act = act
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with wire, suppress(OSError):
                self._act(wire)

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def talk(wire: socket.socket, *answers: bytes) -> Any:
    """Greet, then answer each command in turn; return the stream."""
    stream = wire.makefile("rb")
    wire.sendall(b"220 odd\r\n")
    for answer in answers:
        if not stream.readline():
            break
        wire.sendall(answer)
    return stream


HELLO, OK, GO = b"250 odd\r\n", b"250 OK\r\n", b"354 go\r\n"


@pytest.fixture
def odd() -> Iterator[Callable[..., tuple[Odd, MailChannel]]]:
    running: list[Odd] = []

    def start(act: Callable[[socket.socket], None], **more: Any) -> tuple[Odd, MailChannel]:
        server = Odd(act)
        running.append(server)
        limits = {"connect_s": 1.0, "exchange_s": 1.0, **more}
        return server, MailChannel(config(server.port, None, "none", **limits))

    yield start
    for server in running:
        server.close()


def hangs(wire: socket.socket) -> None:
    time.sleep(4)


def test_a_server_that_hangs_ends_in_time(odd: Any) -> None:
    _, channel = odd(hangs)
    begun = time.monotonic()
    with pytest.raises(ChannelDown):
        channel.send(letter())
    assert time.monotonic() - begun < 3.5


def test_a_server_that_dribbles_ends_in_time(odd: Any) -> None:
    def dribble(wire: socket.socket) -> None:
        for _ in range(80):
            wire.sendall(b"2")
            time.sleep(0.05)

    _, channel = odd(dribble, connect_s=0.6)
    begun = time.monotonic()
    with pytest.raises(ChannelDown):
        channel.send(letter())
    assert time.monotonic() - begun < 3.5


def test_a_server_that_never_stops_talking_ends(odd: Any) -> None:
    def flood(wire: socket.socket) -> None:
        wire.sendall(b"220 odd\r\n")
        for _ in range(1000):
            wire.sendall(b"250-more of the same\r\n" * 100)

    _, channel = odd(flood, exchange_s=20.0)
    with pytest.raises(ChannelDown):
        channel.send(letter())


def test_a_server_that_hangs_after_the_last_octet_leaves_a_doubt(odd: Any) -> None:
    def silent(wire: socket.socket) -> None:
        stream = talk(wire, HELLO, OK, OK, GO)
        while stream.readline() not in {b".\r\n", b""}:
            pass
        time.sleep(2)

    _, channel = odd(silent)
    with pytest.raises(Unsure) as doubt:
        channel.send(letter())
    assert doubt.value.code == "MAIL_NO_ANSWER"


def test_a_server_that_drops_after_the_last_octet_leaves_a_doubt(odd: Any) -> None:
    def drop(wire: socket.socket) -> None:
        stream = talk(wire, HELLO, OK, OK, GO)
        while stream.readline() not in {b".\r\n", b""}:
            pass

    _, channel = odd(drop)
    with pytest.raises(Unsure):
        channel.send(letter())


def test_a_server_that_drops_in_the_middle_took_nothing(odd: Any) -> None:
    def drop(wire: socket.socket) -> None:
        talk(wire, HELLO, OK, OK, GO)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    _, channel = odd(drop, exchange_s=30.0)
    with pytest.raises(Deferred) as cut:
        channel._exchange(letter(), b"x\r\n" * 5_000_000)  # more than the buffers of both sides take
    assert cut.value.code == "MAIL_CUT"


@pytest.mark.parametrize("answers", [(HELLO,), (HELLO, OK), (HELLO, OK, OK)], ids=["mail", "rcpt", "data"])
def test_a_server_that_drops_before_took_nothing(odd: Any, answers: tuple[bytes, ...]) -> None:
    _, channel = odd(lambda wire: talk(wire, *answers))
    with pytest.raises((Deferred, ChannelDown)):
        channel.send(letter())


@pytest.mark.parametrize(
    "greeting", [b"554 no\r\n", b"421 later\r\n", b"\xff\xfe\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
)
def test_what_is_no_mail_server_is_no_way(odd: Any, greeting: bytes) -> None:
    def greet(wire: socket.socket) -> None:
        wire.sendall(greeting)
        wire.recv(1000)

    _, channel = odd(greet)
    with pytest.raises(ChannelDown):
        channel.send(letter())


def test_a_sender_that_is_refused_is_the_services_fault(odd: Any) -> None:
    _, channel = odd(lambda wire: talk(wire, HELLO, b"550 5.7.1 you may not\r\n"))
    with pytest.raises(ChannelDown, match=r"SMTP_550_5\.7\.1"):
        channel.send(letter())


def test_a_kept_connection_that_died_is_opened_again(odd: Any) -> None:
    def one(wire: socket.socket) -> None:
        stream = talk(wire, HELLO, OK, OK, GO)
        while stream.readline() not in {b".\r\n", b""}:
            pass
        wire.sendall(OK)

    server, channel = odd(one)
    channel.send(letter())
    channel.send(letter())
    assert server.connections == 2


def test_nobody_there_is_no_way() -> None:
    with pytest.raises(ChannelDown, match="MAIL_UNREACHABLE"):
        MailChannel(config(free_port(), None, "none")).send(letter())


# What is written


@pytest.mark.parametrize("field", ["address", "token", "message_id", "subject"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x0b", "\u2028", "\x7f"])
def test_no_field_ends_a_header(field: str, end: str) -> None:
    bad = f"a{end}Bcc: eve@example.org"
    made = letter(words=Words(bad, "t", "<p>t</p>")) if field == "subject" else letter(**{field: bad})
    with pytest.raises(Bounced) as refused:
        compose(made, "coffre@safe.example")
    assert refused.value.code == "MAIL_HEADER_REFUSED"
    assert "eve" not in str(refused.value)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_no_sender_ends_a_header(end: str) -> None:
    with pytest.raises(Bounced):
        compose(letter(), f"coffre@safe.example{end}Bcc: eve@example.org")
    for name in ("sender", "bounces", "host", "user", "password"):
        fields = {
            "host": "127.0.0.1",
            "port": 25,
            "security": "starttls",
            "sender": "a@b.example",
            name: f"a@b.c{end}x",
        }
        with pytest.raises(SettingsRefused):
            MailChannel(MailConfig(**fields))


@pytest.mark.parametrize(
    "address",
    ["a@b.example, eve@example.org", "<a@b.example>", "a b@c.example", '"a b"@c.example', "a@b.example>", "@b.example",
     "a@", "é@b.example", "a@b.example NOTIFY=NEVER", ""],
)  # fmt: skip
def test_what_is_no_address_gets_no_letter(address: str) -> None:
    with pytest.raises(Bounced):
        compose(letter(address=address), "coffre@safe.example")


def test_lines_that_begin_with_a_point_arrive_whole(smtp: Start) -> None:
    inbox, port = smtp()
    channel = MailChannel(config(port, None, "none"))
    channel.send(letter(words=Words("s", "one\n.\n..two\n.three\n", "<p>.</p>")))
    channel.rest()
    message = message_from_bytes(inbox.envelopes[0].content, policy=default)
    assert next(message.iter_parts()).get_content().splitlines() == ["one", ".", "..two", ".three"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", list(Event))
def test_every_word_is_there_in_both_languages(language: str, event: Event) -> None:
    other = "en" if language == "fr" else "fr"
    for words in (
        news_words(ChannelName.MAIL, event, language, LINK),
        digest_words(ChannelName.MAIL, {event: 2, Event.SERVICE: 1}, language, LINK),
        code_words(ChannelName.MAIL, "ABCDE-12345", language, LINK),
    ):
        assert words.html.index(f'lang="{language}">\n<p>') < words.html.index(f'lang="{other}">\n<p>')
        assert words.html.count(f'<a href="{LINK}">{LINK}</a>') == 2
        assert LINK in words.text
        assert "<" not in words.text
        assert "http" not in words.html.replace(LINK, "")  # nothing is fetched, nobody is followed
        assert "<img" not in words.html
    short = news_words(ChannelName.SMS, event, language, LINK)
    assert len(short.text) <= 160
    assert (short.subject, short.html) == ("", "")


def test_a_link_is_text_in_html() -> None:
    words = news_words(ChannelName.MAIL, Event.DOCUMENT, "fr", 'https://x.example/"><script>')
    assert "<script>" not in words.html
