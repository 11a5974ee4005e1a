"""JSON objects about mandates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Instant

MandateId = Annotated[str, Field(examples=["mdt_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
MandateKind = Literal["proxy", "guardian", "representative"]
MandateScope = Literal["read", "deposit", "answer", "share"]
MandateState = Literal["to-come", "live", "expired", "revoked", "renounced"]


class MandateRequest(Asked):
    """A mandate that is about to be given."""

    holder: str | None = Field(
        None, description="For whom somebody will act; a holder leaves it out.", examples=["camille"]
    )
    mandatary: str = Field(description="Who will act: identifier of the person.", examples=["dominique"])
    kind: MandateKind = Field(
        "proxy", description="`proxy` is given by the holder, the others by an administration entitled to it."
    )
    scope: list[MandateScope] = Field(description="What the mandatary may do.", min_length=1, max_length=4)
    document_types: list[str] = Field(
        default_factory=list, description="Type codes it is limited to; empty: all.", max_length=20
    )
    basis: str = Field(
        description="What it rests on, in words.", examples=["Procuration du 3 mars 2026, signée en mairie"]
    )
    starts_at: Instant | None = Field(None, description="From when it counts; by default from now on.")
    ends_at: Instant = Field(description="Until when it counts.")


class EndRequest(Asked):
    """Why a mandate ends."""

    reason: str = Field("", description="In words, for the other party.")


class MandateReceipt(BaseModel):
    """Answer to a write; a repeated one gets the first answer again."""

    id: MandateId
    entry: int = Field(description="Number of the ledger entry.", examples=[42])
    self: str


class MandateAnswer(BaseModel):
    """A mandate: who acts for whom, for what, until when, and who said so."""

    id: MandateId
    safe: str = Field(description="The safe it is over.")
    holder: str
    holder_name: str = Field(description="For whoever acts for the holder; else empty.")
    mandatary: str
    kind: MandateKind
    administration: str | None = Field(description="Administration that gave it; null: the holder.")
    scope: list[MandateScope]
    document_types: list[str] = Field(description="Type codes it is limited to; empty: all.")
    basis: str
    starts_at: Instant
    ends_at: Instant
    state: MandateState
    ended_at: Instant | None = Field(description="When it was revoked or renounced.")
    created_at: Instant
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class MandatePage(BaseModel):
    """Part of a list of mandates."""

    items: list[MandateAnswer]
    next: str | None = Field(description="Cursor of the next page, or null.")
