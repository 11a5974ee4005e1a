"""JSON objects about notifications."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant

ChannelCode = Literal["mail", "sms"]
EventCode = Literal["document", "request", "case", "reminder", "sharing", "access", "service"]


class WantedContact(Asked):
    """Where a holder wants to be told."""

    channel: ChannelCode
    address: str = Field(max_length=320, description="Mail address, or number with its country code.")


class ContactsRequest(Asked):
    """All contacts of a safe; those that are left out are erased."""

    contacts: Annotated[list[WantedContact], Field(max_length=32)]


class CodeRequest(Asked):
    """The code that a contact got."""

    code: str = Field(max_length=32, examples=["7K2MW-9QX4T"])


class ChoiceBody(Asked):
    """What is chosen for one kind of news."""

    when: Literal["now", "daily", "never"]
    channels: Annotated[
        list[ChannelCode], Field(max_length=2, description="Of those with a confirmed contact.")
    ]


class PreferencesRequest(Asked):
    """What a holder wants to be told; what is left out is as by default."""

    language: Literal["fr", "en"] = Field(description="Said first in mails, alone in text messages.")
    events: dict[EventCode, ChoiceBody] = Field(default_factory=dict)


class BounceRequest(Asked):
    """What a gateway learnt about a message after it took it over."""

    reference: str = Field(max_length=64, description="The `reference` that came with the message.")
    status: str = Field("", max_length=32, description="RFC 3463 code, such as `5.1.1`, where there is one.")
    final: bool = Field(True, description="It will never arrive; false: it is late.")


class ContactAnswer(BaseModel):
    """A contact."""

    id: Identifier
    channel: ChannelCode
    address: str = Field(examples=["camille@example.org"])
    state: Literal["pending", "confirmed", "doubtful"] = Field(
        description="Only a confirmed one is used; one in doubt sent too much back and must be confirmed again."
    )
    bounces: int = Field(description="Lasting refusals since it was confirmed.")
    created_at: Instant
    confirmed_at: Instant | None


class ContactsAnswer(BaseModel):
    """All contacts of a safe."""

    contacts: list[ContactAnswer]


class PreferencesAnswer(BaseModel):
    """What a holder chose, the defaults filled in."""

    language: Literal["fr", "en"]
    events: dict[EventCode, ChoiceBody]
