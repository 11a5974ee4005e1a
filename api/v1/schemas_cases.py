"""JSON objects about cases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant

Reference = Annotated[str, Field(examples=["DEM-2026-0001"], description="Opaque, the administration's own.")]


class Sentence(Asked):
    """A sentence for people."""

    fr: str = Field(examples=["Votre demande est en cours d’examen."])
    en: str = Field("", examples=["Your request is being examined."])


class StepRequest(Asked):
    """A step of a case."""

    state: str = Field(examples=["instruction"], description="Code of the administration's own state.")
    words: Sentence = Field(description="The state in words.")
    held_by: Sentence | None = Field(None, description="Who holds the case now.")
    next_step: Sentence | None = Field(None, description="What comes next.")
    expected_end: Instant | None = Field(None, description="When it should end.")
    appointment_at: Instant | None = Field(
        None, description="An appointment of the holder, who is reminded the day before."
    )
    deadline_at: Instant | None = Field(
        None,
        description="Until when the holder has something to do; the holder is reminded three days before.",
    )


class CaseRequest(StepRequest):
    """A case that begins."""

    administration: str | None = Field(None, description="By default the caller's own.")
    holder: str = Field(examples=["camille"])
    reference: Reference
    type: str = Field(examples=["inscription-scolaire"])
    service: str = Field("", examples=["etat-civil"])
    title: Sentence


class LinkRequest(Asked):
    """A document that belongs to a case."""

    document: Identifier
    role: Literal["needed", "provided", "produced"]


class CaseReceipt(BaseModel):
    """What a write about a case answers."""

    id: str
    entry: int = Field(description="Number of the ledger entry.")
    self: str


class CaseStepAnswer(BaseModel):
    """A step that was taken."""

    state: str
    at: Instant
    words: Sentence


class CaseLinkAnswer(BaseModel):
    """A document of a case."""

    document: Identifier
    role: str
    at: Instant


class CaseAnswer(BaseModel):
    """A case: where it is, who holds it, what comes next."""

    id: str
    administration: str
    service: str
    reference: Reference
    type: str
    title: Sentence
    status: Literal["open", "closed"]
    state: str
    held_by: Sentence | None
    next_step: Sentence | None
    expected_end: Instant | None
    appointment_at: Instant | None = Field(description="The last appointment named.")
    deadline_at: Instant | None = Field(description="The last deadline named.")
    created_at: Instant
    steps: list[CaseStepAnswer]
    documents: list[CaseLinkAnswer]
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class CasePage(BaseModel):
    """Part of a list of cases."""

    items: list[CaseAnswer]
    next: str | None = Field(description="Cursor of the next page, or null.")
