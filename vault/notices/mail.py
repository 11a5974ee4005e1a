"""Mail over SMTP (RFC 5321), encrypted, with the server's certificate checked, and limited in time as a whole."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import BinaryIO, Literal

from plumbing.addresses import is_loopback
from plumbing.once import tls_trusting
from vault.domain.notices import Bounced, ChannelDown, Deferred, Letter, NotSent, Unsure
from vault.errors import SettingsRefused

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
# RFC 3463: class, subject, detail.
_ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})(?!\S)")
_ADDRESS_AT_FAULT = re.compile(r"5\.[12]\.")
_LONGEST_ANSWER = 1 << 16
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)


@dataclass(frozen=True, slots=True)
class MailConfig:
    """How mail leaves.

    Attributes:
        host, port: the submission server.
        security: `starttls` (demanded, never just tried), `tls` (from the first octet), or `none`: to this machine
            itself only.
        sender: address in From.
        bounces: address to which bounces go, the token put in before its `@`; the sender's when "".
        user, password: for AUTH; none when user is "".
        ca_file: PEM anchors that vouch for the server; the system's when None.
        connect_s: seconds to connect, encryption included.
        exchange_s: seconds for one message as a whole, connecting included.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    bounces: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    connect_s: float = 10.0
    exchange_s: float = 60.0


class MailChannel:
    """`vault.domain.notices.Channel` over one SMTP connection, kept between letters; for one thread."""

    def __init__(self, config: MailConfig) -> None:
        """Take the configuration.

        Raises:
            SettingsRefused: clear text to another machine, an address that is none, or anchors that cannot be read.
        """
        if config.security == "none" and not (is_loopback(config.host) and not config.user):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "mail in clear text goes to this machine alone, without AUTH"
            )
        for address in (config.sender, config.bounces or config.sender):
            if not _ADDRESS.fullmatch(address):
                raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_MAIL_FROM or _BOUNCES is no address")
        if any(_CONTROL.search(text) for text in (config.host, config.user, config.password)):
            raise SettingsRefused("SETTINGS_REFUSED", "a control character in the settings of mail")
        self._config = config
        self._context = _tls(config.ca_file)
        self._connection: _Connection | None = None

    @property
    def longest_s(self) -> float:
        """See `Channel`; a kept connection that turns out dead is opened again once."""
        return 2 * self._config.exchange_s

    def send(self, letter: Letter) -> None:
        """See `Channel`."""
        data = compose(letter, self._config.sender)
        kept = self._connection is not None
        try:
            self._exchange(letter, data)
        except _Stale:
            if not kept:
                raise ChannelDown("MAIL_UNREACHABLE") from None
            try:
                self._exchange(letter, data)
            except _Stale:
                raise ChannelDown("MAIL_UNREACHABLE") from None

    def rest(self) -> None:
        """See `Channel`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, smtplib.SMTPException), connection.limited(self._config.connect_s):
                connection.quit()
            connection.drop()

    def _exchange(self, letter: Letter, data: bytes) -> None:
        sound = False
        deadline = time.monotonic() + self._config.exchange_s
        try:
            if self._connection is None:
                self._connection = self._opened(deadline)
            with self._connection.limited(deadline - time.monotonic()):
                self._converse(self._connection, letter, data)
            sound = True
        except (Deferred, Bounced) as refused:
            sound = refused.code != "MAIL_CUT"  # the server answered: the connection is in order
            raise
        finally:
            if not sound and self._connection is not None:
                self._connection.drop()
                self._connection = None

    def _opened(self, deadline: float) -> _Connection:
        """Connect, encrypt, log in. Raises ChannelDown."""
        config = self._config
        connection = _Connection(config, self._context)
        try:
            with connection.limited(min(config.connect_s * 2, deadline - time.monotonic())):
                connection.greet()
        except ChannelDown:
            connection.drop()
            raise
        except ssl.SSLError as error:
            connection.drop()
            raise ChannelDown("MAIL_TLS_REFUSED") from error
        except smtplib.SMTPNotSupportedError as error:
            connection.drop()
            raise ChannelDown(
                "MAIL_TLS_MISSING" if not connection.encrypted else "MAIL_AUTH_REFUSED"
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            connection.drop()
            raise ChannelDown("MAIL_AUTH_REFUSED") from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            connection.drop()
            raise ChannelDown("MAIL_UNREACHABLE") from error
        return connection

    def _converse(self, connection: _Connection, letter: Letter, data: bytes) -> None:
        """Hand one message over (RFC 5321 section 3.3).

        Steps:
            1. MAIL FROM with the bounce token. What is refused here, the service is, not the letter.
            2. RCPT TO: a lasting refusal is the address's.
            3. DATA; until its last octet is written nothing was taken, afterwards only the answer tells.
        """
        # 1
        try:
            code, said = connection.mail(verp(self._config.bounces or self._config.sender, letter.token))
        except (smtplib.SMTPServerDisconnected, OSError):
            raise _Stale("MAIL_UNREACHABLE") from None
        if code != 250:
            raise ChannelDown(_code(code, said))
        try:
            # 2
            code, said = connection.rcpt(letter.address)
            if code not in {250, 251}:
                raise _refusal(connection, code, said, rcpt=True)
            # 3
            connection.putcmd("data")
            code, said = connection.getreply()
            if code != 354:
                raise _refusal(connection, code, said)
            connection.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Deferred("MAIL_CUT") from error
        try:
            code, said = connection.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise Unsure("MAIL_NO_ANSWER") from error
        if code != 250:
            raise _refusal(connection, code, said)


class _Stale(NotSent):
    """The connection was dead before anything was said on it."""


class _Connection(smtplib.SMTP):
    """smtplib's connection, with a certificate demanded and one limit for everything that it waits for."""

    def __init__(self, config: MailConfig, context: ssl.SSLContext) -> None:
        super().__init__(local_hostname=config.sender.rpartition("@")[2], timeout=config.connect_s)
        self._config = config
        self._context = context
        self._host = config.host  # the name that the certificate must have
        self._wire: socket.socket | None = None
        self._over = False
        self.encrypted = False

    def greet(self) -> None:
        """Connect, encrypt and log in."""
        config = self._config
        code, said = self.connect(config.host, config.port)
        if code != 220:
            raise ChannelDown(_code(code, said))
        if config.security == "starttls":
            self.starttls(context=self._context)
            self.encrypted = True
        self.ehlo_or_helo_if_needed()
        if config.user:
            self.login(config.user, config.password)
        if self.sock is not None:
            # From here on, the limit of the whole counts.
            self.sock.settimeout(config.exchange_s)

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer, up to a length that no answer has."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock.makefile("rb"))
        if isinstance(self.file, _Answers):
            self.file.left = _LONGEST_ANSWER
        return super().getreply()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the block takes longer, however slowly octets come."""
        timer = threading.Timer(max(seconds, 0.0), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def drop(self) -> None:
        """Close without a word."""
        with suppress(OSError):
            self.close()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _cut(self) -> None:
        self._over = True
        if (wire := self._wire) is not None:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect within one limit for all addresses of the name."""
        deadline = time.monotonic() + timeout
        failure: OSError = ConnectionError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            left = deadline - time.monotonic()
            if left <= 0 or self._over:
                break
            raw = socket.socket(family, kind, protocol)
            try:
                raw.settimeout(left)
                raw.connect(address)
                # Its own descriptor of the same connection: encryption takes the first one away.
                self._wire = raw.dup()
                if self._config.security == "tls":
                    wrapped = self._context.wrap_socket(raw, server_hostname=host)
                    self.encrypted = True
                    return wrapped
            except OSError as error:
                failure = error
                raw.close()
                if isinstance(error, ssl.SSLError):
                    raise
            else:
                return raw
        raise failure


class _Answers:
    """What smtplib reads from, without an end to the lines of one answer otherwise."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = _LONGEST_ANSWER

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("an answer without end")
        return line

    def close(self) -> None:
        self._file.close()


def compose(letter: Letter, sender: str) -> bytes:
    """Write a message (RFC 5322, MIME): plain text and HTML, in seven bits, lines ended by CRLF.

    Raises:
        Bounced: MAIL_HEADER_REFUSED when a value would end a header line or is no address.
    """
    for value in (letter.words.subject, letter.message_id, letter.token, letter.address, sender):
        if not value or _CONTROL.search(value):
            raise Bounced("MAIL_HEADER_REFUSED", blames_address=False)
    if not _ADDRESS.fullmatch(letter.address):
        raise Bounced("MAIL_HEADER_REFUSED", blames_address=True)
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = letter.address
    message["Subject"] = letter.words.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.message_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers a machine
    message.set_content(letter.words.text, cte="quoted-printable")
    message.add_alternative(letter.words.html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def verp(address: str, token: str) -> str:
    """Return the envelope sender under which the bounce of one message comes back."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{token}@{domain}"


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = tls_trusting(ca_file)
    except OSError as error:
        raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_MAIL_CA cannot be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _code(code: int, said: bytes) -> str:
    """Return what is kept of an answer: its numbers (RFC 5321, RFC 3463), never its words, which quote addresses."""
    found = _ENHANCED.match(said)
    return f"SMTP_{code}" + (f"_{found[1].decode()}" if found else "")


def _refusal(connection: _Connection, code: int, said: bytes, *, rcpt: bool = False) -> NotSent:
    """Return what an answer means for the letter; the connection is ready for the next one."""
    kept = _code(code, said)
    if code == 421 or not 400 <= code < 600:
        return ChannelDown(kept)
    with suppress(smtplib.SMTPException, OSError):
        connection.rset()
    if code < 500:
        return Deferred(kept)
    status = kept.partition("_")[2].partition("_")[2]
    blames = bool(_ADDRESS_AT_FAULT.match(status)) if status else rcpt
    return Bounced(kept, blames_address=blames)
