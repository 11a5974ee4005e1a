"""JSON objects about legal requisitions."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant


class RequisitionRequest(Asked):
    """An order of a court or authority."""

    holder: str = Field(description="Whose safe.", examples=["camille"])
    document: Identifier | None = Field(None, description="The one document; by default all of the safe.")
    auditor: str = Field(description="Identifier of the person who may read.", examples=["auditeur"])
    authority: str = Field(examples=["Tribunal de Valombre"])
    reference: str = Field(examples=["CR-2026-114"])
    words: str = Field(description="What for.")
    ends_at: Instant


class RequisitionReceipt(BaseModel):
    """What a write about a requisition answers."""

    id: str
    entry: int = Field(description="Number of the ledger entry.")
    self: str


class RequisitionAnswer(BaseModel):
    """A requisition."""

    id: str
    state: str = Field(description="`live` or `ended`; a live one ends by itself at `ends_at`.")
    holder: str
    document: Identifier | None
    auditor: str
    authority: str
    reference: str
    words: str
    recorded_at: Instant
    ends_at: Instant | None
    entry: int
    last_entry: int


class RequisitionPage(BaseModel):
    """Part of a list of requisitions."""

    items: list[RequisitionAnswer]
    next: str | None = Field(description="Cursor of the next page, or null.")
