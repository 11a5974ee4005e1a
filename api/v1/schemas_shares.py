"""JSON objects about shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant

ShareIdentifier = Annotated[str, Field(examples=["shr_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
Purpose = Annotated[
    str,
    Field(
        examples=["housing"],
        description="Code of what it is for; `housing`, `credit`, `employment`, `insurance`, `studies` and `other` "
        "have words of their own.",
    ),
]
Recipient = Annotated[
    str, Field(examples=["Agence SPÉCIMEN"], description="For whom, in words; stands in every marked copy.")
]
Code = Annotated[
    str,
    Field(
        max_length=128,
        examples=["0000-0000-0000-0000-0000"],
        description="Case, blanks and hyphens do not count; O, I, L and U are read as 0, 1, 1 and V.",
    ),
]


class ShareRequest(Asked):
    """A share that is to be made."""

    documents: Annotated[list[Identifier], Field(min_length=1, max_length=10, description="Each once.")]
    purpose: Purpose
    words: str = Field(
        "", examples=["Dossier de location, rue Basse"], description="What it is for, in words."
    )
    recipient: Recipient
    ends_at: Instant
    views: int = Field(description="How many times it may be opened, 1 to 50.", examples=[3])
    form: Literal["watermark", "original"] = Field(
        description="What is given: a marked copy, or the original."
    )
    evidence: bool = Field(
        False, description="Whether the evidence bundle may be had too; with `original` only, which it holds."
    )


class OpeningRequest(Asked):
    """A code and the second secret."""

    code: Code
    secret: Code


class SlipRequest(Asked):
    """The code of a share, which the service does not keep."""

    code: Code


class ShareReceipt(BaseModel):
    """Answer to a write; code and secret are in the first answer to the making of a share, and nowhere else."""

    id: ShareIdentifier
    entry: int = Field(description="Number of the ledger entry.")
    self: str
    code: str | None = Field(
        None, description="The share code, in groups.", examples=["0000-0000-0000-0000-0000"]
    )
    secret: str | None = Field(
        None, description="The second secret, to be told another way than the code.", examples=["0000-0000"]
    )
    page: str | None = Field(
        None, description="Where both are typed.", examples=["https://coffre.example/partage"]
    )


class ShareAnswer(BaseModel):
    """A share as who made it sees it."""

    id: ShareIdentifier
    documents: list[Identifier]
    purpose: Purpose
    words: str
    recipient: Recipient
    ends_at: Instant
    gives: list[Literal["watermark", "original", "evidence"]]
    views: int
    views_used: int
    last_opened_at: Instant | None
    refused: int = Field(description="Openings that were refused.")
    status: Literal["live", "exhausted", "ended", "withdrawn"]
    created_at: Instant
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class SharePage(BaseModel):
    """Part of a list of shares."""

    items: list[ShareAnswer]
    next: str | None = Field(description="Cursor of the next page, or null.")


class SharedLinks(BaseModel):
    """Where the parts of a shared document are; null for what the share does not give."""

    self: str
    copy_: str | None = Field(alias="copy")
    original: str | None
    evidence: str | None
    verification: str


class SharedDocument(BaseModel):
    """What is certified of a document, now."""

    id: Identifier
    document_type: str
    title: str
    issuer: str = Field(description="Name of the administration; empty for what the holder deposited.")
    issued_at: Instant
    status: Literal["valid", "superseded", "revoked", "destroyed"]
    in_force: bool = Field(description="Whether it is given out.")
    withheld: str | None = Field(
        description="Code of why its content does not leave now all the same, such as SCAN_PENDING."
    )
    media_type: str
    size: int
    links: SharedLinks


class SharedAnswer(BaseModel):
    """What the bearer of an opened share sees."""

    share: ShareIdentifier
    holder: str = Field(description="Name of who shared.")
    recipient: Recipient
    purpose: Purpose
    words: str
    ends_at: Instant
    gives: list[Literal["watermark", "original", "evidence"]]
    documents: list[SharedDocument]


class OpeningAnswer(SharedAnswer):
    """An opened share: one view is used up."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_at: Instant
