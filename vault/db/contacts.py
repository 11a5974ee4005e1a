"""Reads and writes contacts of holders and their choices; addresses stand encrypted under a key of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, delete, select, update

from storage.errors import KeyRefused, ObjectDamaged
from vault.clock import parse_rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.repositories import PRIVATE_ROLE
from vault.domain.contacts import Choice, Choices, Contact, ContactState, When
from vault.domain.notices import ChannelName, Event
from vault.errors import LedgerError

_CODE_ROLE = "code"
_NO_CODE = {"code_ix": None, "code_sealed": None, "code_until": None, "code_tries": 0}


@dataclass(frozen=True, slots=True)
class PendingCode:
    """The code that waits to be entered.

    Attributes:
        code_ix: its keyed digest; None: no code counts.
        until: RFC 3339 time from which it counts no longer.
        tries: how often somebody entered another one.
    """

    code_ix: bytes | None
    until: str
    tries: int


@contextmanager
def _own_row(row_id: str) -> Iterator[None]:
    try:
        yield
    except (KeyRefused, ObjectDamaged, ValueError, KeyError, TypeError) as error:
        raise LedgerError("ROW_DAMAGED", f"{row_id}: its row does not open with its key") from error


class ContactRows:
    """Finds and writes contacts and choices."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def address_index(self, safe_id: str, channel: ChannelName, address: str) -> bytes:
        """Return the keyed digest that keeps an address from standing twice in a safe."""
        return self._keyring.index("contact-address", safe_id, channel.value, address.lower())

    def code_index(self, contact_id: str, code: str) -> bytes:
        """Return the keyed digest under which a code is kept."""
        return self._keyring.index("contact-code", contact_id, code)

    def of_safe(self, connection: Connection, safe_id: str) -> list[Contact]:
        """Return the contacts of a safe, oldest first. Raises LedgerError(ROW_DAMAGED)."""
        table = models.notice_contacts
        query = select(table).where(table.c.safe_id == safe_id).order_by(table.c.created_at, table.c.id)
        return [self._contact(row) for row in connection.execute(query).mappings()]

    def load(self, connection: Connection, contact_id: str) -> Contact | None:
        """Return a contact, or None. Raises LedgerError(ROW_DAMAGED)."""
        row = self._row(connection, contact_id)
        return None if row is None else self._contact(row)

    def reachable(self, connection: Connection, safe_id: str) -> list[tuple[str, ChannelName]]:
        """Return (identifier, channel) of the confirmed contacts of a safe."""
        table = models.notice_contacts
        query = select(table.c.id, table.c.channel).where(
            table.c.safe_id == safe_id, table.c.state == ContactState.CONFIRMED.value
        )
        return [(row.id, ChannelName(row.channel)) for row in connection.execute(query.order_by(table.c.id))]

    def new_row(
        self, contact_id: str, safe_id: str, channel: ChannelName, address: str, now: str
    ) -> dict[str, Any]:
        """Return the row of a contact that is not confirmed yet."""
        key = self._keyring.new_key(contact_id)
        return {
            "id": contact_id,
            "safe_id": safe_id,
            "channel": channel.value,
            "address_ix": self.address_index(safe_id, channel, address),
            "state": ContactState.PENDING.value,
            "bounces": 0,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(PRIVATE_ROLE, orjson.dumps({"address": address})),
            "created_at": now,
            "confirmed_at": None,
            **_NO_CODE,
        }

    def row(self, connection: Connection, contact_id: str) -> dict[str, Any]:
        """Return a contact's row as its recovery record keeps it: without its code."""
        found = self._row(connection, contact_id)
        return {**{str(name): value for name, value in (found or {}).items()}, **_NO_CODE}

    def keep_code(self, connection: Connection, contact_id: str, code: str, until: str) -> None:
        """Let this code, and no other, confirm a contact; encrypted until it has left, then as a digest alone."""
        row = self._row(connection, contact_id)
        if row is None:
            return
        key = self._keyring.open_key(contact_id, row["wrapped_key"])
        values = {
            "code_ix": self.code_index(contact_id, code),
            "code_sealed": key.seal(_CODE_ROLE, code.encode()),
            "code_until": until,
            "code_tries": 0,
        }
        self.change(connection, contact_id, values)

    def code_to_send(self, connection: Connection, contact_id: str) -> str | None:
        """Return the code that is still to leave, or None."""
        row = self._row(connection, contact_id)
        if row is None or row["code_sealed"] is None:
            return None
        with _own_row(contact_id):
            key = self._keyring.open_key(contact_id, row["wrapped_key"])
            return key.open(_CODE_ROLE, row["code_sealed"]).decode()

    def pending_code(self, connection: Connection, contact_id: str) -> PendingCode | None:
        """Return the code that waits for a contact, or None for no such contact."""
        row = self._row(connection, contact_id)
        return (
            None if row is None else PendingCode(row["code_ix"], row["code_until"] or "", row["code_tries"])
        )

    @staticmethod
    def change(connection: Connection, contact_id: str, values: Mapping[str, Any]) -> None:
        """Change columns of a contact."""
        table = models.notice_contacts
        connection.execute(update(table).where(table.c.id == contact_id).values(dict(values)))

    @staticmethod
    def drop(connection: Connection, contact_id: str) -> None:
        """Delete a contact with what waits to be sent to it."""
        deliveries, contacts = models.deliveries, models.notice_contacts
        connection.execute(
            delete(deliveries).where(deliveries.c.contact_id == contact_id, deliveries.c.ended_at.is_(None))
        )
        connection.execute(delete(contacts).where(contacts.c.id == contact_id))

    def choices(self, connection: Connection, safe_id: str) -> Choices:
        """Return what a holder chose, or the defaults. Raises LedgerError(ROW_DAMAGED)."""
        table = models.notice_choices
        row = connection.execute(select(table).where(table.c.safe_id == safe_id)).mappings().first()
        if row is None:
            return Choices()
        with _own_row(safe_id):
            key = self._keyring.open_key(choices_key_name(safe_id), row["wrapped_key"])
            raw = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))
        events = {
            Event(name): Choice(When(said["when"]), frozenset(map(ChannelName, said["channels"])))
            for name, said in raw["events"].items()
        }
        return Choices(raw["language"], events)

    def choices_row(self, safe_id: str, choices: Choices, now: str) -> dict[str, Any]:
        """Return the row that keeps choices."""
        key = self._keyring.new_key(choices_key_name(safe_id))
        events = {
            event.value: {"when": choice.when.value, "channels": sorted(choice.channels)}
            for event, choice in choices.events.items()
        }
        said = orjson.dumps({"language": choices.language, "events": events})
        return {
            "safe_id": safe_id,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(PRIVATE_ROLE, said),
            "changed_at": now,
        }

    @staticmethod
    def _row(connection: Connection, contact_id: str) -> RowMapping | None:
        table = models.notice_contacts
        return connection.execute(select(table).where(table.c.id == contact_id)).mappings().first()

    def _contact(self, row: RowMapping) -> Contact:
        with _own_row(row["id"]):
            key = self._keyring.open_key(row["id"], row["wrapped_key"])
            address = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))["address"]
        confirmed = row["confirmed_at"]
        return Contact(
            id=row["id"],
            safe_id=row["safe_id"],
            channel=ChannelName(row["channel"]),
            address=address,
            state=ContactState(row["state"]),
            bounces=row["bounces"],
            created_at=parse_rfc3339(row["created_at"]),
            confirmed_at=None if confirmed is None else parse_rfc3339(confirmed),
        )


def choices_key_name(safe_id: str) -> str:
    """Name that a key of choices is wrapped for: no safe's own key opens there."""
    return f"choices-{safe_id}"
