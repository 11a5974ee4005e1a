"""The JSON objects of the interface; what comes in is checked strictly, unknown members are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(examples=["doc_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
Instant = Annotated[str, Field(examples=["2026-01-15T09:00:00.000Z"], description="RFC 3339, UTC.")]
Sha256 = Annotated[
    str,
    Field(
        pattern="^[0-9a-fA-F]{64}$",
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ),
]


class Asked(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AttachmentDescription(Asked):
    """What is said of a file that a holder submits."""

    holder: str | None = Field(None, description="Holder whose safe receives it; by default the caller.")
    title: str | None = Field(
        None, description="Title for people; by default the file's name.", examples=["Photo"]
    )
    file_name: str | None = Field(
        None, description="Name of the file; by default the one the form gives.", examples=["photo.jpg"]
    )
    document_type: str = Field("", description="Type code.", examples=["photo-identite"])
    case: str = Field(
        "", description="Opaque reference of the request it belongs to.", examples=["DEM-2026-0001"]
    )
    language: str = Field("", description="BCP 47 tag of the content.", examples=["fr"])


class ActDescription(AttachmentDescription):
    """What is said of a file that an administration issues."""

    administration: str | None = Field(
        None, description="Issuing administration; by default the caller's own.", examples=["mairie-specimen"]
    )
    holder: str = Field(description="Holder whose safe receives it.", examples=["camille"])
    supersedes: Identifier | None = Field(None, description="Act that this one replaces.")
    attributes: dict[str, str] = Field(
        default_factory=dict,
        description="What the issuer states beside the act, by code (`GET /v1/attributes`).",
        examples=[{"of-age": "yes"}],
        max_length=20,
    )


class RevocationRequest(Asked):
    """Why an act is revoked."""

    reason: Literal["error", "fraud", "court-order", "other"]


class TokenRequest(BaseModel):
    """A form that asks for an access token (RFC 6749 section 4.4.2, RFC 7523 section 2.2, RFC 8705 section 2)."""

    grant_type: Literal["client_credentials"]
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] | None = None
    client_assertion: str | None = Field(None, description="JWT signed with the system's own key.")
    client_id: str | None = Field(None, description="Needed with a client certificate.", examples=["sys_…"])
    scope: str | None = Field(
        None, description="Scopes separated by spaces; by default all.", examples=["acts:issue"]
    )


class TokenAnswer(BaseModel):
    """An access token (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds.", examples=[600])
    scope: str


class TokenProblem(BaseModel):
    """Why there is no token (RFC 6749 section 5.2)."""

    error: Literal["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"]
    error_description: str


class AgentRequest(Asked):
    """An agent whose pseudonym is asked for."""

    agent: str = Field(
        description="Identifier that the administration gave the agent, as in the header Probans-Agent.",
        examples=["a.martin"],
    )


class PseudonymAnswer(BaseModel):
    """How the access journal names an agent."""

    pseudonym: str = Field(examples=["agt_3f6k9t0w2m4r8s1v5x7y9z0a1b"])


class ReceiptsRequest(Asked):
    """Documents whose receipts are asked for at once."""

    documents: Annotated[list[Identifier], Field(min_length=1, max_length=100, description="Each once.")]
    every_entry: bool = Field(
        False, description="Receipts of every status entry of a document, not of its newest alone."
    )


class ReceiptLine(BaseModel):
    """One line of the answer: a receipt, or why there is none."""

    document: Identifier
    entry: int | None = Field(description="Number of the ledger entry; null where the document is refused.")
    receipt: str | None = Field(description="The receipt (C2SP tlog-proof); null where it is refused.")
    code: str | None = Field(
        description="`NOT_FOUND` or `DOCUMENT_DESTROYED`, as the request for this one alone answers; else null."
    )


class TagKeysAnswer(BaseModel):
    """The keys with which a holder finds the entries about a document in the public ledger."""

    ledger: str = Field(description="Where the ledger is published.", examples=["/ledger/"])
    status_key: str = Field(
        description="K_status, hexadecimal: finds entries about the document itself. It is in every evidence bundle.",
        examples=["5a" * 32],
    )
    access_key: str = Field(
        description="K_access, hexadecimal: finds entries about reads and refused reads. The holder alone gets it.",
        examples=["c3" * 32],
    )
    watch: str = Field(
        description="The command that follows both; `LEDGER` stands for the ledger's address, and `ledger.vkeys` has "
        "the `vkeys` of `GET /v1/trust`, one a line."
    )


class HashRequest(Asked):
    """A digest to look up; in the body, so that it stands in no log of addresses."""

    sha256: Sha256


class Links(BaseModel):
    """Where the parts of a document are."""

    self: str
    original: str
    evidence: str
    receipt: str


class Receipt(BaseModel):
    """Answer to a write; a repeated request gets the first answer again."""

    id: Identifier
    entry: int = Field(description="Number of the ledger entry of this event.", examples=[42])
    reception: Literal["received"] = "received"
    sealing: Literal["sealed", "waiting"]
    status: Literal["valid", "revoked"]
    links: Links


class Administration(BaseModel):
    """An issuer."""

    id: str = Field(examples=["mairie-specimen"])
    name: str | None


class Finding(BaseModel):
    """Something whoever opens the file should know."""

    code: str
    title: str
    action: str


class NoteFinding(BaseModel):
    """An answer to a note."""

    finding: Literal["corrected", "kept"]
    words: str
    by: str = Field(description="Quality of who answered.", examples=["agent"])
    at: Instant


class NoteAnswer(BaseModel):
    """A rectification note."""

    id: Identifier
    state: Literal["open", "answered", "withdrawn"]
    safe: str
    administration: str | None = Field(description="Which is to answer; null: the data-protection officer.")
    document: str | None
    line: int | None = Field(description="Entry of the line of the access journal it is about, if it is one.")
    created_at: Instant
    words: str
    answer: NoteFinding | None
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class DocumentDescription(BaseModel):
    """A document, as far as the caller may see it."""

    id: Identifier
    kind: Literal["act", "attachment"]
    safe: str | None
    administration: Administration | None
    document_type: str
    media_type: str
    size: int
    sha256: str | None = Field(
        description="Of the original; null while sealing waits or for evidence-only callers."
    )
    reception: str
    sealing: str
    scan: str
    status: str
    scan_reason: Literal["engine-down", "too-large", "too-complex", "unreadable"] | None = Field(
        description="Why the antivirus has not judged it, while `scan` is `pending`."
    )
    published: bool = Field(description="Whether the original may be downloaded now, by this caller.")
    withheld: str | None = Field(description="Code of why it may not, such as SCAN_PENDING.")
    created_at: Instant
    retain_until: Instant
    supersedes: str | None
    superseded_by: str | None
    entry: int
    sealing_entry: int | None
    ledger_size: int | None = Field(description="Entries under the newest published checkpoint.")
    title: str | None
    file_name: str | None
    holder: str | None
    case: str | None
    language: str | None
    attributes: dict[str, str] | None = Field(description="What the issuer stated beside the act.")
    labels: list[str] | None = Field(description="The holder's own; empty for others.")
    findings: list[Finding]
    notes: list[NoteAnswer] | None = Field(
        description="Rectification notes beside it, oldest first; null in lists and for evidence-only callers."
    )
    links: Links


class DocumentPage(BaseModel):
    """Part of a list, newest first."""

    items: list[DocumentDescription]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class LookupAnswer(BaseModel):
    """What is known of a digest. "unknown" does not mean forged."""

    value: Literal["valid", "superseded", "revoked", "unknown"]
    issued_at: str | None
    issuer: str | None


class TrustAnswer(BaseModel):
    """What a verifier needs besides the file."""

    origin: str = Field(description="Name of the ledger.")
    ledger: str = Field(description="Where it is published.", examples=["/ledger/"])
    roots_pem: str = Field(description="Certificate roots of seals and timestamps.")
    vkeys: list[str] = Field(description="The ledger's verifier keys (C2SP signed-note).")
    policy: str = Field(description="The ledger's policy (C2SP tlog-policy).")


class VerdictAnswer(BaseModel):
    """The object that `probans verify --json` prints."""

    verdict: Literal["PASSED", "FAILED", "INDETERMINATE"]
    reasons: list[dict[str, str]] = Field(description="Why not PASSED: `code` and `message`.")
    signatures: list[dict[str, Any]] = Field(
        description="Each signature, seal, timestamp or evidence record: verdict, proven level, signer, proven time, "
        "changes after it. Members are listed in the format's description."
    )
    ledger: dict[str, Any] | None = Field(description="What the ledger proves; null in other makers' files.")
    status: dict[str, Any] | None = Field(description="Whether a document of a safe is in force.")
    checks: list[dict[str, str]] = Field(description="Everything that was looked at.")


class ProblemBody(BaseModel):
    """Error (RFC 9457) with a stable code."""

    type: str = Field(examples=["/erreurs#TOO_LARGE"])
    title: str
    status: int
    code: str = Field(examples=["TOO_LARGE"])
    action: str = Field(description="What to do.")
    title_fr: str
    action_fr: str
    title_en: str
    action_en: str
    detail: str | None = None
    params: dict[str, Any] | None = None
    request_id: str | None = None
