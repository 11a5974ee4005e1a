"""Bounces: what becomes known after a letter left. They come back under its token, and never under an address.

Two ways lead here: the mail server pipes reports (RFC 3464) to `probans notices bounce`, and gateways post to an
address with a secret. Whoever knows no token of 128 random-looking bits can change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser

from sqlalchemy import Connection, select, update

from vault.clock import Clock, rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.engine import Database
from vault.domain.contacts import ContactState
from vault.errors import Refused
from vault.notices.deliveries import DeliveryState

LONGEST_REPORT = 256 * 1024
_TOKEN = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_TAGGED = re.compile(r"\+([0-9a-hjkmnp-tv-z]{26})@", re.IGNORECASE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_ADDRESS_AT_FAULT = re.compile(r"5\.[12]\.|5\.0\.0")
_RECIPIENTS = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
_MOST_PARTS = 64


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        token: of which letter.
        status: enhanced status code (RFC 3463), or "".
        final: it will never arrive; False: it is late, or it arrived.
    """

    token: str
    status: str
    final: bool


def read_report(data: bytes, recipient: str = "") -> Report:
    """Read a delivery status notification (RFC 3464), however hostile.

    Args:
        data: the message; what is beyond 256 KiB is not looked at.
        recipient: the address it was delivered to, where the mail server tells; else its headers are searched.

    Raises:
        Refused: REPORT_INVALID, it is none, or carries no token.
    """
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(data[:LONGEST_REPORT])
        token = _token(recipient, message)
        blocks = [block for part in _status_parts(message) for block in _blocks(part)]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, AssertionError):
        raise Refused("REPORT_INVALID") from None
    actions = [(action, block) for block in blocks if (action := _field(block, "Action").lower())]
    if token is None or not actions:
        raise Refused("REPORT_INVALID")
    action, block = next((pair for pair in actions if pair[0] == "failed"), actions[0])
    found = _STATUS.match(_field(block, "Status"))
    return Report(token, found[0] if found else "", action == "failed")


class Bounces:
    """Notes reports with their deliveries and contacts."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock, doubt_after: int) -> None:
        """Take what it works with.

        Args:
            database: holds the deliveries.
            keyring: finds them by token.
            clock: the service's time.
            doubt_after: lasting refusals after which a contact is in doubt.
        """
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._doubt_after = doubt_after

    def note(self, report: Report) -> bool:
        """Note a report; the same one twice counts once. Return whether it changed anything.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        token = report.token.lower()
        if not report.final or not _TOKEN.fullmatch(token):
            return False
        table = models.deliveries
        mine = table.c.token_ix == self._keyring.index("bounce", token)
        with self._database.writing() as connection:
            row = connection.execute(select(table.c.state, table.c.contact_id).where(mine)).first()
            if row is None or row.state == DeliveryState.BOUNCED.value:
                return False
            values = {
                "state": DeliveryState.BOUNCED.value,
                "next_try_at": None,
                "ended_at": rfc3339(self._clock.now()),
                "last_code": f"REPORT_{report.status}" if _STATUS.fullmatch(report.status) else "REPORT",
            }
            connection.execute(update(table).where(mine).values(values))
            if not report.status or _ADDRESS_AT_FAULT.match(report.status):
                note_bounce(connection, row.contact_id, self._doubt_after)
        return True


def note_bounce(connection: Connection, contact_id: str, doubt_after: int) -> None:
    """Count a lasting refusal of an address; after so many the contact is in doubt: not used until confirmed again."""
    table = models.notice_contacts
    row = connection.execute(select(table.c.bounces, table.c.state).where(table.c.id == contact_id)).first()
    if row is None:
        return
    values: dict[str, object] = {"bounces": row.bounces + 1}
    if row.bounces + 1 >= doubt_after and row.state == ContactState.CONFIRMED.value:
        values["state"] = ContactState.DOUBTFUL.value
    connection.execute(update(table).where(table.c.id == contact_id).values(values))


def _token(recipient: str, message: Message) -> str | None:
    """Return the token of the address a report came to."""
    for text in (recipient, *(str(value) for name in _RECIPIENTS for value in message.get_all(name, []))):
        if found := _TAGGED.search(text[:4096]):
            return found[1].lower()
    return None


def _status_parts(message: Message) -> Iterator[Message]:
    """Yield the machine-readable parts of a report, the one inside a returned message left out."""
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        return
    content = message.get_payload()
    for part in content[:_MOST_PARTS] if isinstance(content, list) else ():
        if isinstance(part, Message) and part.get_content_type() == "message/delivery-status":
            yield part


def _blocks(part: Message) -> Iterator[Message]:
    """Yield the blocks of fields of a status part: of the message, then of each recipient."""
    content = part.get_payload()
    if isinstance(content, list):
        yield from (block for block in content[:_MOST_PARTS] if isinstance(block, Message))


def _field(block: Message, name: str) -> str:
    return str(block.get(name, "")).strip()[:256]
