"""Notifications, put together: contacts, the courier that hands on, a postman for each channel, bounces."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vault.authorization.ties import Ties
from vault.composition.parts import Parts
from vault.db.contacts import ContactRows
from vault.db.matters import MatterRows
from vault.domain.notices import Channel, ChannelName
from vault.notices.bounces import Bounces
from vault.notices.contacts import Contacts
from vault.notices.deliveries import Deliveries
from vault.notices.postman import Postman
from vault.notices.spreading import Spreader
from vault.outbox import LogNotifier, OutboxCourier
from vault.tasks.runner import Task


@dataclass(frozen=True, slots=True)
class Channels:
    """The ways out that the settings name.

    Attributes:
        by_name: the channels.
        hook_secret: what gateways that report bounces must show; "" when none may.
        logged: nothing is set: what happens is written to the log.
    """

    by_name: Mapping[ChannelName, Channel]
    hook_secret: str = field(default="", repr=False)
    logged: bool = False


@dataclass(frozen=True, slots=True)
class Notifying:
    """What the running safe offers about notifications.

    Attributes:
        contacts: where holders want to be told.
        courier: hands on what waits in the outbox.
        postmen: send.
        bounces: notes what comes back.
        hook_secret: see `Channels`.
    """

    contacts: Contacts
    courier: OutboxCourier
    postmen: Sequence[Postman]
    bounces: Bounces
    hook_secret: str = field(repr=False)

    @property
    def tasks(self) -> Sequence[Task]:
        """What is to run in the background."""
        return [self.courier.task, *(postman.task for postman in self.postmen)]

    def knows_secret(self, shown: str) -> bool:
        """Tell, in constant time, whether a gateway's secret is the one; never when none is set."""
        known = self.hook_secret.encode()
        return bool(known) and hmac.compare_digest(known, shown.encode(errors="replace"))


def open_notifying(parts: Parts, channels: Channels) -> Notifying:
    """Put notifications together.

    Args:
        parts: the backends.
        channels: the ways out.
    """
    settings, database, clock = parts.settings, parts.database, parts.clock
    rows, deliveries = ContactRows(parts.keyring), Deliveries(parts.keyring, clock)
    postmen = [
        Postman(
            database,
            rows,
            deliveries,
            channel,
            name,
            clock,
            link=settings.address or "http://127.0.0.1/",
            doubt_after=settings.notice_doubt_after,
        )
        for name, channel in channels.by_name.items()
    ]
    return Notifying(
        contacts=Contacts(
            database,
            rows,
            deliveries,
            parts.records,
            clock,
            channels.by_name.keys(),
            Ties(MatterRows(parts.keyring), clock),
        ),
        courier=OutboxCourier(
            database,
            Spreader(rows, deliveries, clock, settings.notice_digest_hour),
            clock,
            LogNotifier() if channels.logged else None,
        ),
        postmen=postmen,
        bounces=Bounces(database, parts.keyring, clock, settings.notice_doubt_after),
        hook_secret=channels.hook_secret,
    )
