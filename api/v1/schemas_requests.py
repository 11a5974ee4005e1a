"""JSON objects of "tell us once": requests, answers, consents, statements, attributes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant

Code = Annotated[str, Field(examples=["acte-de-naissance"])]
RequestId = Annotated[str, Field(examples=["req_3f6k9t0w2m4r8s1v5x7y9z0a1b"])]
ConsentAction = Literal["describe", "read", "evidence"]
RequestState = Literal["open", "accepted", "declined", "cancelled", "expired"]


class OtherWayBody(Asked):
    """The other way: how the holder may do the same without this request."""

    way: Literal["counter", "paper"]
    fr: str = Field(examples=["Au guichet de l’état civil, rez-de-chaussée, de 9 h à 16 h."])
    en: str = Field(examples=["At the civil-status counter, ground floor, 9 am to 4 pm."])


class MakeRequest(Asked):
    """What an administration asks a holder for: types of documents, or one attribute."""

    administration: str | None = Field(None, description="By default the caller's own.")
    service: str = Field(
        "", description="Service that asks and alone may read; by default the caller's.", examples=["paie"]
    )
    holder: str = Field(description="Holder that is asked.", examples=["camille"])
    purpose: str = Field(description="Code of the purpose.", examples=["instruction-dossier"])
    words: str = Field(
        description="The purpose in words for the holder.", examples=["Pour établir votre contrat."]
    )
    legal_basis: str = Field(description="What allows to ask.", examples=["Code du travail, article 12"])
    case: str = Field("", description="Reference of the case it is for.", examples=["DEM-2026-0001"])
    document_types: list[Code] = Field(
        default_factory=list, description="Types asked for; empty where an attribute is.", max_length=10
    )
    attribute: str = Field(
        "",
        description="Code of the attribute asked for (`GET /v1/attributes`).",
        examples=["nationality-proven"],
    )
    actions: list[ConsentAction] = Field(
        default_factory=list,
        description="What access is wanted for; `evidence` is the bundle, which holds the original.",
        max_length=3,
    )
    access_days: int = Field(0, description="Days for which access is wanted.", examples=[30])
    answer_by: Instant = Field(description="Until when the holder may answer.")
    assurance: Literal["", "low", "substantial", "high"] = Field(
        "", description="How surely the identity of who answers must be proven (eIDAS)."
    )
    otherwise: OtherWayBody


class AnswerRequest(Asked):
    """A holder's answer."""

    answer: Literal["accept", "attest", "decline"]
    documents: list[Identifier] = Field(
        default_factory=list,
        description="To accept: documents of one's own safe, of the types asked for. To attest: the act it follows "
        "from, or none to let the safe choose.",
        max_length=20,
    )
    ends_at: Instant | None = Field(None, description="To accept: an earlier end of access than asked for.")
    reason: str = Field("", description="To decline: why, if one wants to say.")


class ReasonRequest(Asked):
    """Why something is taken back, if one wants to say."""

    reason: str = Field("", examples=["Ma demande est terminée."])


class StepReceipt(BaseModel):
    """Answer to a write; a repeated one gets the first answer again."""

    id: str = Field(examples=["req_3f6k9t0w2m4r8s1v5x7y9z0a1b"])
    entry: int = Field(description="Number of the ledger entry.", examples=[42])
    self: str = Field(examples=["/v1/requests/req_3f6k9t0w2m4r8s1v5x7y9z0a1b"])


class Organisation(BaseModel):
    """An administration by identifier and name."""

    id: str = Field(examples=["employeur-specimen"])
    name: str


class OtherWayAnswer(BaseModel):
    """The other way."""

    way: str
    fr: str
    en: str


class RequestAnswer(BaseModel):
    """A request."""

    id: RequestId
    state: RequestState = Field(description="What it is now: the clock ends it by itself.")
    administration: Organisation
    service: str
    holder: str
    purpose: str
    words: str
    legal_basis: str
    case: str
    document_types: list[str]
    attribute: str
    actions: list[str]
    access_days: int
    answer_by: Instant
    assurance: str
    otherwise: OtherWayAnswer
    made_at: Instant
    answered_at: str | None
    reason: str | None = Field(description="Why it was declined, if the holder said.")
    missing_types: list[str] = Field(description="Types asked for of which no document was given.")
    consents: list[str] = Field(description="Consents given in answer.")
    statements: list[str] = Field(description="Statements given in answer.")
    entry: int


class RequestPage(BaseModel):
    """Part of a list, newest first."""

    items: list[RequestAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class CandidateAnswer(BaseModel):
    """A document with which the request can be answered."""

    document: Identifier
    document_type: str
    title: str
    issuer: str = Field(description="Name of the issuer; empty for what the holder deposited.")
    created_at: Instant
    value: str = Field(description="For attributes, what would be attested.")


class CandidatesAnswer(BaseModel):
    """What the holder could answer with now, newest first."""

    items: list[CandidateAnswer]


class ConsentDocument(BaseModel):
    """What a consent opens."""

    id: Identifier
    kind: str
    type: str
    issuer: Organisation
    sha256: str


class ConsentAnswer(BaseModel):
    """A consent: to one administration, for one document and purpose, until a day."""

    id: str = Field(examples=["csn_3f6k9t0w2m4r8s1v5x7y9z0a1b"])
    state: Literal["live", "ended", "withdrawn"]
    request: RequestId
    holder: str
    administration: Organisation
    service: str = Field(description="The only service that may read; empty: any of the administration.")
    document: ConsentDocument
    purpose: str
    words: str
    legal_basis: str
    case: str
    actions: list[str]
    otherwise: OtherWayAnswer
    given_at: Instant
    ends_at: Instant
    by: str = Field(description="In what quality it was given: `holder` or `mandatary`.")
    mandate: str
    assurance: str = Field(description="How surely the identity of who gave it was proven; empty: not known.")
    sha256: str = Field(description="Of the sealed statement; the ledger's entry commits to it.")
    withdrawn_at: str | None
    reason: str | None = Field(description="Why it was withdrawn, if the holder said.")
    entry: int
    last_entry: int
    paper: str = Field(description="Where the sealed consent is.")
    withdrawal_paper: str | None = Field(description="Where the sealed withdrawal is.")


class ConsentPage(BaseModel):
    """Part of a list, newest first."""

    items: list[ConsentAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class AttributeName(BaseModel):
    """An attribute by code and name."""

    code: str
    fr: str
    en: str


class StatementDocument(BaseModel):
    """What is said of the act that a statement follows from."""

    type: str
    issuer: Organisation
    salted_sha256: str = Field(description="Tells nothing without the salt.")


class StatementAnswer(BaseModel):
    """A sealed statement of one attribute."""

    id: str = Field(examples=["stm_3f6k9t0w2m4r8s1v5x7y9z0a1b"])
    request: RequestId
    holder: str
    administration: Organisation
    service: str
    attribute: AttributeName
    value: str
    rule: str = Field(description="How the value follows: `in-force`, `issued-on`, `issued-by`, `stated`.")
    document: StatementDocument
    purpose: str
    words: str
    legal_basis: str
    case: str
    as_of: Instant
    by: str
    mandate: str
    assurance: str
    sha256: str = Field(description="Of the sealed statement; the ledger's entry commits to it.")
    source: str | None = Field(description="The act it follows from; for the holder alone.")
    salt: str | None = Field(description="Shows which act it is; for the holder alone, to give or keep.")
    entry: int
    paper: str = Field(description="Where the sealed statement is.")


class StatementPage(BaseModel):
    """Part of a list, newest first."""

    items: list[StatementAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class AttributeAnswer(BaseModel):
    """An attribute that can be asked for in place of a document."""

    code: str
    fr: str
    en: str
    document_types: list[str] = Field(description="An act of any of these types carries it.")
    rule: str
    issuers: list[str] = Field(description="Administrations entitled; empty: every one of this safe.")
    values: list[str] = Field(description="The only values there are; empty: any.")


class AttributesAnswer(BaseModel):
    """Everything that can be attested."""

    items: list[AttributeAnswer]
