"""JSON objects about the access journal, reports, and services."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.v1.schemas import Asked, Identifier, Instant


class ReportRequest(Asked):
    """What is asked about a line, answered to a report, or said of the answer."""

    words: str = Field(
        description="At most 2000 characters.",
        examples=["Je n’ai fait aucune demande à ce service ce jour-là."],
    )


class Named(BaseModel):
    """An administration or service."""

    id: str
    name: str


class Who(BaseModel):
    """Who acted: an organisation and its service by name, an agent by the pseudonym that the organisation resolves."""

    role: str = Field(
        description="`holder`, `mandatary`, `agent`, `system`, `auditor`, `operator`, `officer`, `bearer`; empty "
        "where an older entry does not say.",
        examples=["agent"],
    )
    label: str = Field(
        description="In words.", examples=["Mairie de Valombre (spécimen), État civil, un agent"]
    )
    you: bool = Field(description="Whether it was the caller.")
    organisation: Named | None
    service: Named | None
    agent: str | None = Field(description="Pseudonym of the agent, or identifier of the software.")


class Why(BaseModel):
    """The purpose that was named."""

    code: str = Field(examples=["instruction-dossier"])
    label: str = Field(description="In words.", examples=["Instruction d’un dossier"])
    words: str = Field(description="What was said besides, or empty.")


class JournalLine(BaseModel):
    """One line of the access journal: one entry of the ledger."""

    entry: int = Field(description="Number of the ledger entry.", examples=[42])
    time: Instant
    event: str = Field(examples=["document.read"])
    what: str = Field(description="The event in words.", examples=["Consultation"])
    granted: bool = Field(description="False for a refused try.")
    state: Literal["open", "erased", "damaged"] = Field(
        description="`erased`: the document was destroyed and with it what this line said; `damaged`: it cannot be "
        "opened, which an audit finds too."
    )
    who: Who
    action: str = Field(
        description="`describe`, `read`, `evidence`, `receipt`, `keys`, `journal`, or empty.",
        examples=["read"],
    )
    purpose: Why | None
    document: str | None
    title: str | None = Field(description="Of the document; null where there is none, or not for the caller.")
    matter: str | None = Field(
        description="Mandate, request, consent, share, case, report… that it is about."
    )
    case: str | None
    consent: str | None
    mandate: str | None
    share: str | None
    recipient: str | None = Field(description="Label of the share.")
    requisition: str | None
    proof: str = Field(description="Where its proof is.", examples=["/v1/journal/42/proof"])


class JournalPage(BaseModel):
    """Part of a journal, newest first."""

    items: list[JournalLine]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class Exchange(BaseModel):
    """One step of a report."""

    verb: Literal["opened", "taken", "answered", "reopened", "closed"]
    at: Instant
    by: str = Field(description="Quality of who took it.", examples=["officer"])
    words: str


class ReportAnswer(BaseModel):
    """A report about one line."""

    id: str
    state: Literal["open", "in-hand", "answered", "closed"]
    safe: str
    created_at: Instant
    line: JournalLine
    exchanges: list[Exchange]
    entry: int = Field(description="Ledger entry that began it.")
    last_entry: int = Field(description="Its newest ledger entry.")


class ReportPage(BaseModel):
    """Part of a list of reports, newest first."""

    items: list[ReportAnswer]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class ReportReceipt(BaseModel):
    """What a write about a report answers."""

    id: Identifier
    entry: int = Field(description="Number of the ledger entry.")
    self: str


class PurposeAnswer(BaseModel):
    """A purpose that a service may name."""

    code: str
    fr: str
    en: str


class ServiceAnswer(BaseModel):
    """A service of an administration, with what it may name as its purpose."""

    service: str = Field(description="Its code; empty: the administration as a whole.")
    name_fr: str
    name_en: str
    purposes: list[PurposeAnswer]


class ServiceList(BaseModel):
    """The services of an administration; empty where it has registered none and names purposes freely."""

    items: list[ServiceAnswer]
