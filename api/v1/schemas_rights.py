"""What routes about rights take and give: exports of everything, rectification notes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.v1.schemas import Identifier, Instant, NoteAnswer


class NoteRequest(BaseModel):
    """What is wrong, in the holder's words."""

    model_config = ConfigDict(extra="forbid", strict=True)

    words: str = Field(max_length=2000, examples=["Cette adresse est fausse : j’ai déménagé le 1er mars."])


class NoteReply(BaseModel):
    """What is found about a note."""

    model_config = ConfigDict(extra="forbid", strict=True)

    finding: str = Field(
        max_length=64,
        description="`corrected`: it is put right, by a new act or otherwise; `kept`: it stays as it is.",
        examples=["corrected"],
    )
    words: str = Field(max_length=2000, description="For the holder.")


class NotePage(BaseModel):
    """Part of a list of notes, newest first."""

    items: list[NoteAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class RightsReceipt(BaseModel):
    """What a write about a right answers."""

    id: Identifier
    entry: int = Field(description="Number of the ledger entry.")
    self: str


class ExportAnswer(BaseModel):
    """How far a copy of everything is."""

    id: Identifier
    safe: str
    state: Literal["asked", "running", "delivered", "ended"] = Field(
        description="`running`: an archive is leaving, or broke off; it may be asked for again. `ended`: no more."
    )
    created_at: Instant
    ends_at: Instant
    documents: int | None = Field(description="In the safe when the newest archive began; null before.")
    done: int = Field(description="Of them, how many have left.")
    missing: int = Field(description="Files that the store could not give.")
    archive: str
