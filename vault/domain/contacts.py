"""Contacts of holders, and what they chose to be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vault.domain.notices import ChannelName, Event

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_NUMBER_SIGNS = str.maketrans("", "", " .-()\u00a0\u202f")


class ContactState(StrEnum):
    """Only a confirmed contact is used."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a holder wants to be told.

    Attributes:
        id: `cnt_…`.
        safe_id: whose.
        channel: by what way.
        address: mail address or number; personal data, never logged.
        state: whether it is used.
        bounces: lasting refusals since it was confirmed.
        created_at, confirmed_at: UTC.
    """

    id: str
    safe_id: str
    channel: ChannelName
    address: str = field(repr=False)
    state: ContactState
    bounces: int
    created_at: datetime
    confirmed_at: datetime | None


class When(StrEnum):
    """How soon somebody is told."""

    NOW = "now"
    DAILY = "daily"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen for one event.

    Attributes:
        when: how soon.
        channels: by what ways, of those for which there is a confirmed contact.
    """

    when: When = When.NOW
    channels: frozenset[ChannelName] = frozenset(ChannelName)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a holder chose.

    Attributes:
        language: `fr` or `en`, said first in mails, alone in text messages.
        events: by event; what is not there is as in `DEFAULTS`.
    """

    language: str = "fr"
    events: Mapping[Event, Choice] = field(default_factory=dict)

    def of(self, event: Event) -> Choice:
        """Return the choice for an event."""
        return self.events.get(event, DEFAULTS[event])


# Shares are opened and refused by others, as often as they like: once a day is enough until somebody asks for more.
DEFAULTS: Mapping[Event, Choice] = {
    event: Choice(When.DAILY if event is Event.SHARING else When.NOW) for event in Event
}


def clean_address(channel: ChannelName, text: str) -> str | None:
    """Return an address in the one form in which it is kept, or None when it is none.

    Mail: a dot-atom of RFC 5322 in ASCII, `@`, and a domain of at least two labels, in lower case, in its ASCII form
    (IDNA). Text messages: E.164 with its plus sign.

    Args:
        channel: by what way it is reached.
        text: as somebody typed it.
    """
    text = text.strip()
    if channel is ChannelName.SMS:
        number = text.translate(_NUMBER_SIGNS)
        return number if _NUMBER.fullmatch(number) else None
    local, at, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower() if not domain.isascii() else domain.lower()
    except UnicodeError:
        return None
    labels = domain.split(".")
    sound = (
        bool(at)
        and len(local) <= 64
        and _LOCAL.fullmatch(local) is not None
        and len(labels) >= 2
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
        and len(local) + 1 + len(domain) <= 254
    )
    return f"{local}@{domain}" if sound else None
