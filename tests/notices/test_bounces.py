"""What comes back: reports of mail servers, however hostile, under a token and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from vault.db import models
from vault.errors import Refused
from vault.notices.bounces import Bounces, Report, read_report
from vault.notices.mail import verp

TOKEN = "0123456789abcdefghjkmnpqrs"
TO = f"retours+{TOKEN}@safe.example"


def dsn(to: str = TO, action: str = "failed", status: str = "5.1.1", boundary: str = "b1") -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: {to}\r\nSubject: Undelivered\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain\r\n\r\nI am sorry.\r\n\r\n"
        f"--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; camille@example.org\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 no such user\r\n\r\n"
        f"--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
        f"From: coffre@safe.example\r\nTo: camille@example.org\r\n\r\nbody\r\n--{boundary}--\r\n"
    ).encode()


def test_a_report_is_read() -> None:
    assert read_report(dsn()) == Report(TOKEN, "5.1.1", final=True)
    assert read_report(dsn(action="delayed", status="4.4.1")) == Report(TOKEN, "4.4.1", final=False)
    assert read_report(dsn(action="FAILED", status="nonsense")) == Report(TOKEN, "", final=True)


def test_the_mail_servers_word_on_the_recipient_comes_first() -> None:
    other = "z" * 26
    assert read_report(dsn(), f"retours+{other}@safe.example").token == other
    assert read_report(dsn(to="retours@safe.example"), TO.upper()).token == TOKEN
    assert verp("retours@safe.example", TOKEN) == TO


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"Subject: hello\r\n\r\nhello",
        dsn(to="retours@safe.example"),
        dsn(to=f"retours+{'u' * 26}@safe.example"),  # u is no sign of ours
        dsn(action=""),
        dsn().replace(b"multipart/report", b"multipart/mixed"),
        dsn().replace(b"message/delivery-status", b"text/plain"),
        dsn().replace(b"Action:", b"X-Action:"),
        dsn()[:200],
        b"To: " + TO.encode() + b"\r\nContent-Type: multipart/report\r\n\r\nno boundary",
        b"To: "
        + TO.encode()
        + b"\r\nContent-Type: multipart/report; boundary=\xff\xfe\r\n\r\n--\xff\xfe\r\n",
        b"Content-Type: multipart/report; boundary=a\r\n" * 3000,
        b"".join(
            b'Content-Type: multipart/report; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3000)
        ),
        b"To: "
        + TO.encode()
        + b"\r\nContent-Type: multipart/report; boundary=a\r\n\r\n"
        + b"--a\r\n\r\n" * 30_000,
        b"A" * 300_000,
        b": \r\n" * 60_000,
        b"To: =?utf-8?q?" + b"=ff" * 50_000 + b"?=\r\n\r\n",
    ],
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="REPORT_INVALID"):
        read_report(data)


def test_a_report_hidden_in_what_was_returned_does_not_count() -> None:
    inner = dsn(boundary="b2")
    head = f"To: {TO}\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\n"
    with pytest.raises(Refused):
        read_report(head.encode() + inner + b"\r\n--b1--\r\n")


@given(st.binary(max_size=2000), st.integers(0, len(dsn())), st.integers(0, 40))
def test_hostile_reports_end_in_one_error(noise: bytes, at: int, cut: int) -> None:
    whole = dsn()
    for data in (noise, whole[:at] + noise + whole[at + cut :]):
        try:
            report = read_report(data)
        except Refused:
            continue
        assert len(report.token) == 26
        assert len(report.status) <= 9


def sent(world: Any) -> tuple[str, Bounces]:
    """A letter that left, and what notes its bounce."""
    world.confirmed(("mail", "camille@example.org"))
    world.announce("document.published")
    world.courier.deliver_waiting()
    world.mail_postman.send_due()
    return world.mail.letters[0].token, Bounces(world.database, world.keyring, world.clock, 1)


def test_a_bounce_is_noted_once_and_puts_the_contact_in_doubt(world: Any) -> None:
    token, bounces = sent(world)
    assert bounces.note(Report(token.upper(), "5.1.1", final=True))
    assert not bounces.note(Report(token, "5.1.1", final=True))
    (contact,) = world.contacts.of(world.holder, world.holder.safe_id)
    assert (contact.state, contact.bounces) == ("doubtful", 1)
    assert world.ended() == [("bounced", "REPORT_5.1.1")]


@pytest.mark.parametrize(
    ("status", "counts"), [("5.1.1", 1), ("5.2.2", 1), ("", 1), ("5.7.1", 0), ("4.4.7", 0)]
)
def test_only_what_is_the_addresses_fault_counts(world: Any, status: str, counts: int) -> None:
    token, bounces = sent(world)
    bounces.note(Report(token, status, final=True))
    assert world.contacts.of(world.holder, world.holder.safe_id)[0].bounces == counts


def test_what_is_late_changes_nothing(world: Any) -> None:
    token, bounces = sent(world)
    assert not bounces.note(Report(token, "4.4.1", final=False))
    assert world.ended() == [("sent", "SENT")]


@pytest.mark.parametrize("token", ["", "0" * 26, "x", "dlv_" + "a" * 26, "%", "' OR 1=1 --", "\0" * 26])
def test_without_the_token_nothing_changes(world: Any, token: str) -> None:
    _, bounces = sent(world)
    assert not bounces.note(Report(token, "5.1.1", final=True))
    assert world.ended() == [("sent", "SENT")]


def test_the_token_is_not_in_the_database(world: Any) -> None:
    token, _ = sent(world)
    with world.database.reading() as connection:
        for row in connection.execute(select(models.deliveries)):
            assert all(token not in str(value) for value in row)


def test_a_bounce_after_the_contact_is_gone_is_no_error(world: Any) -> None:
    token, bounces = sent(world)
    world.contacts.replace(world.holder, world.holder.safe_id, [])
    assert bounces.note(Report(token, "5.1.1", final=True))
