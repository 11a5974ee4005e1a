"""JSON objects about safes and their closure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Instant

SafeId = Annotated[str, Field(examples=["safe_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
ClosureId = Annotated[str, Field(examples=["cls_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
SafeKind = Literal["person", "company"]
ClosureKind = Literal["wish", "death", "dissolution"]
ClosureState = Literal["asked", "notice", "closed", "cancelled"]


class SafeRequest(Asked):
    """A safe that is about to be opened."""

    holder: str = Field(description="Identifier of the holder.", examples=["camille"])
    name: str = Field(description="Name of the holder.", examples=["Camille Exemple"])
    kind: SafeKind = "person"
    register_name: str = Field(
        "", alias="register", description="Register that a company stands in.", examples=["RCI"]
    )
    number: str = Field("", description="Its number there.", examples=["99P01234"])


class SafeOpened(BaseModel):
    """A safe that is open now, or was already."""

    id: SafeId
    self: str


class ClosureRequest(Asked):
    """A closure that is about to be asked for."""

    holder: str | None = Field(None, description="Whose safe; a holder leaves it out.", examples=["camille"])
    kind: ClosureKind = Field(
        "wish", description="`wish` is the holder's, the others are told by an administration entitled to it."
    )
    basis: str = Field(
        "", description="What a death or dissolution rests on.", examples=["Acte de décès 2026/12"]
    )


class CancellationRequest(Asked):
    """Why a closure is cancelled."""

    reason: str = Field("", description="In words.")


class ClosureReceipt(BaseModel):
    """Answer to a write; a repeated one gets the first answer again."""

    id: ClosureId
    entry: int = Field(description="Number of the ledger entry.", examples=[42])
    self: str


class ClosureAnswer(BaseModel):
    """A closure: of which safe, why, and how far it is."""

    id: ClosureId
    safe: SafeId
    holder: str
    kind: ClosureKind
    administration: str | None = Field(description="Administration that told of it; null: the holder.")
    basis: str
    state: ClosureState
    asked_at: Instant
    notice_at: Instant | None = Field(description="When it was confirmed.")
    closes_at: Instant | None = Field(description="When the safe is closed, or was.")
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class ClosurePage(BaseModel):
    """Part of a list of closures."""

    items: list[ClosureAnswer]
    next: str | None = Field(description="Cursor of the next page, or null.")


class DocumentCounts(BaseModel):
    """How many documents a safe holds."""

    total: int
    octets: int = Field(description="Of the originals.")
    types: dict[str, int] = Field(description="By type code; the empty one: without type.")
    years: dict[str, int] = Field(description="By year of reception.")
    statuses: dict[str, int]


class SafeAnswer(BaseModel):
    """A safe as its holder sees it."""

    id: SafeId
    kind: SafeKind
    holder: str
    name: str
    register_name: str = Field(serialization_alias="register", description="Register of a company, or empty.")
    number: str = Field(description="Its number there, or empty.")
    opened_at: Instant
    documents: DocumentCounts
    closures: list[ClosureAnswer] = Field(description="Asked for, under notice or carried out.")
