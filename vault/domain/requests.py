"""What administrations ask holders for, and what holders answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vault.domain.actors import Assurance
from vault.domain.matters import Matter

OTHER_WAYS = ("counter", "paper")


class Answer(StrEnum):
    """How a holder answers."""

    ACCEPT = "accept"
    ATTEST = "attest"
    DECLINE = "decline"


@dataclass(frozen=True, slots=True)
class OtherWay:
    """How the holder may do the same without this request; always named.

    Attributes:
        way: one of OTHER_WAYS.
        fr: where and how, in French.
        en: the same in English.
    """

    way: str
    fr: str
    en: str

    @property
    def members(self) -> Mapping[str, str]:
        """As it is kept and sealed."""
        return {"way": self.way, "fr": self.fr, "en": self.en}


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What an administration asks for.

    Attributes:
        holder: identifier of the holder.
        purpose: code of the purpose.
        words: the purpose in words for the holder.
        legal_basis: what allows the administration to ask.
        case: reference of the case it is for, or "".
        document_types: types asked for; empty where an attribute is.
        attribute: code of the attribute asked for, or "".
        actions: words of `vault.access.CONSENT_SCOPES`; empty where an attribute is asked for.
        answer_by: until when the holder may answer, UTC.
        access_days: days for which access is wanted from the answer on; 0 where an attribute is asked for.
        otherwise: the other way.
        assurance: how surely the identity of who answers must be proven, or None.
        service: service of the administration that asks and alone may read, or "": any of its services.
    """

    holder: str
    purpose: str
    words: str
    legal_basis: str
    answer_by: datetime
    otherwise: OtherWay
    case: str = ""
    document_types: tuple[str, ...] = ()
    attribute: str = ""
    actions: tuple[str, ...] = ()
    access_days: int = 0
    assurance: Assurance | None = None
    service: str = ""


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """What a holder answers.

    Attributes:
        answer: how.
        documents: accepting: the documents given; attesting: the act it follows from, or none to let the safe choose.
        ends_at: accepting: an earlier end of access than was asked for, UTC; None: as asked.
        reason: declining: why, or "".
    """

    answer: Answer
    documents: tuple[str, ...] = ()
    ends_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request as one caller may see it.

    Attributes:
        request: the matter.
        state: what it is now: `expired` as soon as its time is over.
        administration_name: who asks, for people.
        consents: consents given in answer.
        statements: statements given in answer.
    """

    request: Matter
    state: str
    administration_name: str
    consents: tuple[Matter, ...] = ()
    statements: tuple[Matter, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document with which a request can be answered.

    Attributes:
        document_id: the document.
        document_type: its type.
        title: its title.
        issuer: name of the issuer; "" for what the holder deposited.
        created_at: when it came, UTC.
        value: for attributes, what would be attested; else "".
    """

    document_id: str
    document_type: str
    title: str
    issuer: str
    created_at: datetime
    value: str = ""
