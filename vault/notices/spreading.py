"""Who is told of a notice, by what way and when: by the choices of the holder, on the database alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from vault.clock import Clock, rfc3339
from vault.db import models
from vault.db.bulk import rows_of
from vault.db.contacts import ContactRows
from vault.db.driver import driver_of
from vault.domain.contacts import ContactState, When
from vault.domain.documents import Kind
from vault.domain.notices import SILENT, ChannelName, Event, Notice
from vault.notices import reminders
from vault.notices.deliveries import Deliveries, Mailing

_BATCH = 100
_ADDRESSED = "SELECT id, safe_id, kind FROM documents WHERE id IN "
_REACHED = (
    f"SELECT safe_id FROM notice_contacts WHERE state = '{ContactState.CONFIRMED.value}' AND safe_id IN "  # noqa: S608
)


class Spreader:
    """`vault.outbox.Spreading` over contacts and choices."""

    def __init__(self, rows: ContactRows, deliveries: Deliveries, clock: Clock, digest_hour: int) -> None:
        """Take what it works with.

        Args:
            rows: contacts and choices.
            deliveries: takes what is to leave.
            clock: the service's time.
            digest_hour: hour of the day, UTC, from which daily messages leave.
        """
        self._rows = rows
        self._deliveries = deliveries
        self._clock = clock
        self._digest_hour = digest_hour

    def spread(self, connection: Connection, outbox_id: int, notice: Notice) -> None:
        """See `vault.outbox.Spreading`. Nobody is told of what is not there yet, or of their own attachments."""
        safe_id = _addressees(connection, {outbox_id: notice}).get(outbox_id)
        if safe_id is None:
            return
        # First: most holders have none.
        contacts = self._rows.reachable(connection, safe_id)
        if not contacts:
            return
        event = notice.event
        choice = self._rows.choices(connection, safe_id).of(event)
        if choice.when is When.NEVER:
            return
        reachable = [(contact_id, channel) for contact_id, channel in contacts if channel in choice.channels]
        if choice.when is When.DAILY:
            now = rfc3339(self._clock.now())
            for channel in sorted({channel for _, channel in reachable}):
                item = {"safe_id": safe_id, "channel": channel.value, "event": event.value, "created_at": now}
                connection.execute(insert(models.digest_items), item)
            return
        for contact_id, channel in reachable:
            if not self._deliveries.is_said_already(connection, contact_id, event):
                self._deliveries.add(
                    connection, Mailing("notice", event, safe_id, contact_id, channel, outbox_id)
                )

    def concerned(self, connection: Connection, notices: Mapping[int, Notice]) -> Set[int]:
        """See `vault.outbox.Spreading`."""
        safes = _addressees(connection, notices)
        known = sorted(set(safes.values()))
        reached = (
            {safe_id for (safe_id,) in rows_of(driver_of(connection), _REACHED, known)} if known else set()
        )
        return {number for number, safe_id in safes.items() if safe_id in reached}

    def has_due(self, connection: Connection) -> bool:
        """See `vault.outbox.Spreading`."""
        table = models.digest_items
        query = select(table.c.id).where(table.c.created_at < rfc3339(self._last_digest())).limit(1)
        return connection.execute(query).first() is not None or reminders.has_due(connection, self._clock)

    def tick(self, connection: Connection) -> None:
        """See `vault.outbox.Spreading`."""
        reminders.release(connection, self._clock)
        table, before = models.digest_items, rfc3339(self._last_digest())
        query = select(table.c.safe_id, table.c.channel).where(table.c.created_at < before).distinct()
        for safe_id, channel in connection.execute(query.limit(_BATCH)).all():
            self._digest(connection, safe_id, ChannelName(channel), before)

    def _digest(self, connection: Connection, safe_id: str, channel: ChannelName, before: str) -> None:
        table = models.digest_items
        mine = (table.c.safe_id == safe_id, table.c.channel == channel.value, table.c.created_at < before)
        counts = Counter(Event(name) for name in connection.scalars(select(table.c.event).where(*mine)))
        connection.execute(delete(table).where(*mine))
        for contact_id, way in self._rows.reachable(connection, safe_id):
            if way is channel:
                self._deliveries.add(
                    connection,
                    Mailing("digest", Event.SERVICE, safe_id, contact_id, channel, counts=counts),
                )

    def _last_digest(self) -> datetime:
        """Return the newest time at which daily messages left: what came later waits for the next."""
        now = self._clock.now()
        today = now.replace(hour=self._digest_hour, minute=0, second=0, microsecond=0)
        return today if today <= now else today - timedelta(days=1)


def _addressees(connection: Connection, notices: Mapping[int, Notice]) -> dict[int, str]:
    """Return, by number of the notice, the safes whose holders are told; whoever deposits knows."""
    loud = {number: notice for number, notice in notices.items() if notice.topic not in SILENT}
    asked = [each.document_id for each in loud.values() if each.safe_id is None and each.document_id]
    rows = rows_of(driver_of(connection), _ADDRESSED, asked) if asked else []
    documents = {document_id: (safe_id, kind) for document_id, safe_id, kind in rows}
    found: dict[int, str] = {}
    for number, notice in loud.items():
        safe_id, kind = documents.get(notice.document_id, (None, ""))
        if notice.safe_id is not None:
            found[number] = notice.safe_id
        elif safe_id and not (kind == Kind.ATTACHMENT.value and notice.topic == "document.published"):
            found[number] = safe_id
    return found
