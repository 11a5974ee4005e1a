"""What a notice is, and what takes it out of the service.

A notice says that something happened and where to look: never what, to whom, or by whom. The words are in
`vault.notices.texts`, the channels in `vault.notices.mail` and `vault.notices.sms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import orjson

from vault.errors import VaultError


class ChannelName(StrEnum):
    """By what way somebody is told."""

    MAIL = "mail"
    SMS = "sms"


class Event(StrEnum):
    """What holders choose by: a few kinds of news, each for many topics."""

    DOCUMENT = "document"
    REQUEST = "request"
    CASE = "case"
    REMINDER = "reminder"
    SHARING = "sharing"
    ACCESS = "access"
    SERVICE = "service"


_EVENTS: Mapping[str, Event] = {
    "document": Event.DOCUMENT,
    "request": Event.REQUEST,
    "case": Event.CASE,
    "reminder": Event.REMINDER,
    "share": Event.SHARING,
    "consent": Event.SHARING,
    "statement": Event.SHARING,
    "mandate": Event.SHARING,
    "report": Event.ACCESS,
    "requisition": Event.ACCESS,
    "access": Event.ACCESS,
}
# Nothing for the holder to see yet: `document.published` follows once the seal is there.
SILENT = frozenset({"document.received"})


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened.

    Attributes:
        topic: such as `document.published`; the part before the point decides the event.
        document_id: the document it is about, if it is one.
        matter_id: the matter it is about, if it is one.
        safe_id: whose holder is told; None: the safe the document lies in.
    """

    topic: str
    document_id: str | None = None
    matter_id: str | None = None
    safe_id: str | None = None

    @property
    def event(self) -> Event:
        """What holders choose by."""
        return _EVENTS.get(self.topic.partition(".")[0], Event.SERVICE)

    @property
    def subject_id(self) -> str:
        """Identifier of the document or matter."""
        return self.document_id or self.matter_id or ""


def payload(notice: Notice) -> str:
    """Write what the outbox keeps of a notice beside its topic: identifiers only."""
    members = {"document": notice.document_id, "matter": notice.matter_id, "safe": notice.safe_id}
    return orjson.dumps({name: value for name, value in members.items() if value is not None}).decode()


def read_payload(topic: str, text: str) -> Notice:
    """Read what `payload` wrote; the older form has the member `document` alone.

    Raises:
        ValueError: it is not that.
    """
    members: Any = orjson.loads(text)
    if not isinstance(members, dict) or not members.keys() <= {"document", "matter", "safe"}:
        raise ValueError("unknown members")
    if not all(isinstance(value, str) and value for value in members.values()):
        raise ValueError("identifiers are texts")
    document, matter, safe = (members.get(name) for name in ("document", "matter", "safe"))
    if (document is None) == (matter is None) or (document is None and safe is None):
        raise ValueError("one document, or one matter with its safe")
    return Notice(topic, document, matter, safe)


@dataclass(frozen=True, slots=True)
class Words:
    """What a person reads.

    Attributes:
        subject: of a mail, one line.
        text: plain text.
        html: the same for mail programs; "" for text messages.
    """

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to one contact.

    Attributes:
        address: where to; personal data, never logged.
        words: what it says.
        token: opaque, under which a bounce comes back: 26 characters of Crockford base 32.
        message_id: opaque, the same at each attempt, so that who gets it twice can tell.
        at: when, UTC.
    """

    address: str = field(repr=False)
    words: Words
    token: str
    message_id: str
    at: datetime


class Channel(Protocol):
    """Takes letters out of the service, one at a time."""

    def send(self, letter: Letter) -> None:
        """Send, or raise; returns once the next station has taken it over.

        Raises:
            ChannelDown, Deferred, Unsure, Bounced: and nothing else, however hostile the other side is.
        """
        ...

    def rest(self) -> None:
        """Let go of what is kept open between letters."""
        ...

    @property
    def longest_s(self) -> float:
        """Seconds that `send` takes at most."""
        ...


class NotSent(VaultError):
    """A letter did not leave, or nobody knows; the code is kept with the delivery.

    What the other side said is in none of them: it may quote an address.
    """


class ChannelDown(NotSent):
    """The way is closed, for every letter: no connection, no trust, no admission. Not this letter's fault."""


class Deferred(NotSent):
    """This letter was not taken now; a later attempt may succeed."""


class Unsure(NotSent):
    """The connection was lost when all had been said: taken or not, nobody knows."""


class Bounced(NotSent):
    """Refused for good.

    Attributes:
        blames_address: the address is at fault, not what was said or who said it.
    """

    def __init__(self, code: str, *, blames_address: bool) -> None:
        super().__init__(code)
        self.blames_address = blames_address
