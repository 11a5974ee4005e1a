"""Where holders want to be told, and of what. A contact is used only once its code came back."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from vault.access import Action
from vault.authorization.ties import Subject, Ties
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db import models
from vault.db.contacts import ContactRows
from vault.db.engine import Database
from vault.domain.actors import Actor
from vault.domain.contacts import Choices, Contact, ContactState, clean_address
from vault.domain.notices import ChannelName, Event
from vault.errors import Conflict, NotFound, Refused, Unavailable
from vault.ids import new_id
from vault.notices.deliveries import Deliveries, Mailing
from vault.records.book import RecordBook
from vault.records.changes import Change

MOST_CONTACTS = 6
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CODE_SIGNS = 10
_CODE_LIFE = timedelta(hours=24)
_MOST_TRIES = 10
# Codes that one safe may have sent within a day, whatever becomes of its contacts: nobody is to be pestered through us.
_MOST_CODES = 10
_LOOK_ALIKES = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})


class Contacts:
    """Contacts and choices of holders."""

    def __init__(
        self,
        database: Database,
        rows: ContactRows,
        deliveries: Deliveries,
        records: RecordBook,
        clock: Clock,
        channels: Collection[ChannelName],
        ties: Ties,
    ) -> None:
        """Take what it works with.

        Args:
            database: the database.
            rows: finds and writes.
            deliveries: takes codes out.
            records: contacts and choices have recovery records of their own.
            clock: the service's time.
            channels: those by which anything can leave.
            ties: decides who may.
        """
        self._database = database
        self._rows = rows
        self._deliveries = deliveries
        self._records = records
        self._clock = clock
        self._channels = frozenset(channels)
        self._ties = ties

    def of(self, actor: Actor, safe_id: str) -> list[Contact]:
        """Return the contacts of a safe. Raises NotFound."""
        self._demand(actor, safe_id)
        with self._database.reading() as connection:
            return self._rows.of_safe(connection, safe_id)

    def replace(self, actor: Actor, safe_id: str, wanted: Sequence[tuple[str, str]]) -> list[Contact]:
        """Make these the contacts of a safe; those that stay keep their state, the others are erased.

        Args:
            actor: who asks.
            safe_id: whose contacts.
            wanted: (channel, address) pairs.

        Raises:
            NotFound: no such safe, or not this caller's.
            Refused: ADDRESS_REFUSED, CHANNEL_UNAVAILABLE, CONTACTS_TOO_MANY, CODES_TOO_MANY.
        """
        self._demand(actor, safe_id)
        cleaned = [self._cleaned(channel, address) for channel, address in wanted]
        asked = {self._rows.address_index(safe_id, *pair): pair for pair in cleaned}
        if len(asked) > MOST_CONTACTS:
            raise Refused("CONTACTS_TOO_MANY", limit=MOST_CONTACTS)
        with self._database.writing() as connection:
            here = {
                self._rows.address_index(safe_id, each.channel, each.address): each.id
                for each in self._rows.of_safe(connection, safe_id)
            }
            added = {index: pair for index, pair in asked.items() if index not in here}
            self._demand_codes(connection, safe_id, len(added))
            gone = here.keys() - asked.keys()
            for index in gone:
                self._erase(connection, here[index])
            for channel, address in added.values():
                self._add(connection, safe_id, channel, address)
            left = self._rows.of_safe(connection, safe_id)
        if gone:
            self._database.scrub()
        return left

    def erase(self, actor: Actor, safe_id: str, contact_id: str) -> None:
        """Erase a contact: its row, its recovery record and what waits to be sent to it. Raises NotFound."""
        self._demand(actor, safe_id)
        with self._database.writing() as connection:
            self._own(connection, safe_id, contact_id)
            self._erase(connection, contact_id)
        self._database.scrub()

    def send_code(self, actor: Actor, safe_id: str, contact_id: str) -> None:
        """Send a new code to a contact that waits for one, or is in doubt; earlier codes count no longer.

        Raises:
            NotFound: no such contact.
            Conflict: STATE_CONFLICT, it is confirmed.
            Refused: CODES_TOO_MANY.
        """
        self._demand(actor, safe_id)
        with self._database.writing() as connection:
            contact = self._own(connection, safe_id, contact_id)
            if contact.state is ContactState.CONFIRMED:
                raise Conflict(
                    "STATE_CONFLICT", current=contact.state.value, wanted=ContactState.PENDING.value
                )
            self._demand_codes(connection, safe_id, 1)
            self._send_code(connection, safe_id, contact_id, contact.channel)

    def confirm(self, actor: Actor, safe_id: str, contact_id: str, code: str) -> Contact:
        """Use a contact from now on, whose code came back.

        Raises:
            NotFound: no such contact.
            Refused: CODE_REFUSED: another code, one that is too old, or tried too often; which, is not said.
        """
        self._demand(actor, safe_id)
        entered = code.lower().translate(_LOOK_ALIKES)
        now = rfc3339(self._clock.now())
        with self._database.writing() as connection:
            self._own(connection, safe_id, contact_id)
            pending = self._rows.pending_code(connection, contact_id)
            known = pending.code_ix if pending is not None else None
            fits = (
                pending is not None
                and known is not None
                and now < pending.until
                and pending.tries < _MOST_TRIES
                and hmac.compare_digest(known, self._rows.code_index(contact_id, entered))
            )
            if fits:
                values = {"state": ContactState.CONFIRMED.value, "confirmed_at": now, "bounces": 0}
                row = {**self._rows.row(connection, contact_id), **values}
                self._record("notice_contacts", contact_id, row)
                self._rows.change(connection, contact_id, row)
            elif pending is not None:
                self._rows.change(connection, contact_id, {"code_tries": pending.tries + 1})
        if not fits:
            raise Refused("CODE_REFUSED")
        with self._database.reading() as connection:
            return self._own(connection, safe_id, contact_id)

    def choices(self, actor: Actor, safe_id: str) -> Choices:
        """Return what a holder chose. Raises NotFound."""
        self._demand(actor, safe_id)
        with self._database.reading() as connection:
            return self._rows.choices(connection, safe_id)

    def choose(self, actor: Actor, safe_id: str, choices: Choices) -> Choices:
        """Keep a holder's choices. Raises NotFound."""
        self._demand(actor, safe_id)
        row = self._rows.choices_row(safe_id, choices, rfc3339(self._clock.now()))
        table = models.notice_choices
        with self._database.writing() as connection:
            self._record("notice_choices", choices_record(safe_id), row)
            connection.execute(delete(table).where(table.c.safe_id == safe_id))
            connection.execute(insert(table), row)
        return choices

    def forget(self, connection: Connection, safe_id: str) -> None:
        """Erase every contact and choice of a safe that is closed, within the caller's write transaction."""
        for contact_id in connection.scalars(
            select(models.notice_contacts.c.id).where(models.notice_contacts.c.safe_id == safe_id)
        ).all():
            self._erase(connection, contact_id)
        self._records.delete(choices_record(safe_id))
        for table in (models.notice_choices, models.digest_items, models.reminders):
            connection.execute(delete(table).where(table.c.safe_id == safe_id))

    def _cleaned(self, channel: str, address: str) -> tuple[ChannelName, str]:
        name = ChannelName(channel)
        if name not in self._channels:
            raise Unavailable("CHANNEL_UNAVAILABLE", channel=channel)
        cleaned = clean_address(name, address)
        if cleaned is None:
            raise Refused("ADDRESS_REFUSED", channel=channel)
        return name, cleaned

    def _demand(self, actor: Actor, safe_id: str) -> None:
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.CONTACTS, Subject(safe_id))

    def _own(self, connection: Connection, safe_id: str, contact_id: str) -> Contact:
        contact = self._rows.load(connection, contact_id)
        if contact is None or contact.safe_id != safe_id:
            raise NotFound("NOT_FOUND")
        return contact

    def _add(self, connection: Connection, safe_id: str, channel: ChannelName, address: str) -> None:
        contact_id = new_id("cnt")
        row = self._rows.new_row(contact_id, safe_id, channel, address, rfc3339(self._clock.now()))
        self._record("notice_contacts", contact_id, row)
        connection.execute(insert(models.notice_contacts), row)
        self._send_code(connection, safe_id, contact_id, channel)

    def _demand_codes(self, connection: Connection, safe_id: str, more: int) -> None:
        """Refuse codes beyond those of a day, before anything is changed. Raises Refused(CODES_TOO_MANY)."""
        since = rfc3339(self._clock.now() - _CODE_LIFE)
        if more and self._deliveries.codes_since(connection, safe_id, since) + more > _MOST_CODES:
            raise Refused("CODES_TOO_MANY")

    def _send_code(self, connection: Connection, safe_id: str, contact_id: str, channel: ChannelName) -> None:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_SIGNS))
        self._rows.keep_code(connection, contact_id, code, rfc3339(self._clock.now() + _CODE_LIFE))
        self._deliveries.add(connection, Mailing("code", Event.SERVICE, safe_id, contact_id, channel))

    def _erase(self, connection: Connection, contact_id: str) -> None:
        # The record first: after a crash in between, the contact is still there to be erased again.
        self._records.delete(contact_id)
        faults.point("contacts.forgotten")
        self._rows.drop(connection, contact_id)

    def _record(self, table: str, name: str, row: dict[str, object]) -> None:
        """Write the recovery record, durable before the transaction commits."""
        self._records.write(name, [Change(name, b"", b"", inserts=((table, row),)).encode()])
        faults.point("contacts.recorded")


def choices_record(safe_id: str) -> str:
    """Name of the recovery record of a safe's choices."""
    return safe_id.replace("safe_", "choices_", 1)
