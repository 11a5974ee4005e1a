"""The registry of events: for each its chain, who may write it, its opening's schema and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from vault.domain.actors import Role
from vault.domain.matters import EVENTS
from vault.domain.states import Status
from vault.errors import LedgerError
from vault.ledger.canonical import check_value, is_hex32


class Chain(StrEnum):
    """Which of a document's two tag keys links the entry: everybody's or the holder's."""

    STATUS = "status"
    ACCESS = "access"


class Event(StrEnum):
    """Everything that can happen to a document."""

    RECEIVED = "document.received"
    ISSUED = "document.issued"
    DEPOSITED = "document.deposited"
    SUPERSEDED = "document.superseded"
    REVOKED = "document.revoked"
    DESTROYED = "document.destroyed"
    READ = "document.read"
    READ_REFUSED = "document.read-refused"


_ABOUT = frozenset({"event", "document_id"})
_IDENTITY = _ABOUT | {"sha256"}
_ACCESS = frozenset({"sha256", "action"})
_DESCRIPTION = frozenset({"size", "media_type", "document_type", "issuer"})
_PARTIES = frozenset({"holder", "actor", "mandate"})
# Who acts for whom: stated where the actor is not a holder.
_PARTIES_OPTIONAL = frozenset({"role", "organisation", "service"})
_CONTEXT = frozenset({"purpose", "case", "consent", "title", "file_name"})
_SEAL_PARTS = frozenset({"signature", "token", "seal_certificate"})
_DIGESTS = frozenset({"sha256", "superseded_by_sha256"})
# What a read rests on beside a consent or a mandate, and what was said of its purpose in free words.
_CITED = frozenset({"share", "requisition", "words"})
_MATTER = frozenset({"event", "matter_id"})
_MATTER_OPTIONAL = frozenset({"document_id", "parent_id", "sha256", "starts_at", "ends_at", "details"})
# A person named besides the holder, and an order's particulars: private like the rest of the context.
_MATTER_CONTEXT_OPTIONAL = frozenset({"reason", "words", "person", "authority", "reference"})


@dataclass(frozen=True, slots=True)
class EventSpec:
    """What the registry says about one event.

    Attributes:
        event: its name.
        chain: status or access.
        writers: in what quality somebody may cause it.
        document: members its document part must have.
        document_optional: members it may have besides.
        context: members its context part must have beyond the common ones.
        context_optional: members it may have besides.
        status: the status the document has afterwards; None when unchanged.
    """

    event: Event
    chain: Chain
    writers: frozenset[Role]
    document: frozenset[str]
    document_optional: frozenset[str] = frozenset()
    context: frozenset[str] = frozenset()
    context_optional: frozenset[str] = frozenset()
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class MatterEventSpec:
    """What the registry says about one event of a matter; its transitions stand in `vault.domain.matters`.

    Attributes:
        event: `kind.verb`.
        writers: in what quality somebody may cause it.
    """

    event: str
    writers: frozenset[Role]


_ANYBODY = frozenset(Role)
_REGISTRY = {
    spec.event: spec
    for spec in (
        EventSpec(
            Event.RECEIVED,
            Chain.STATUS,
            frozenset({Role.AGENT, Role.HOLDER}),
            _IDENTITY | _DESCRIPTION,
        ),
        EventSpec(
            Event.ISSUED,
            Chain.STATUS,
            frozenset({Role.AGENT, Role.OPERATOR}),
            _IDENTITY | _DESCRIPTION | {"parts"},
            status=Status.VALID,
        ),
        EventSpec(
            Event.DEPOSITED,
            Chain.STATUS,
            frozenset({Role.HOLDER, Role.OPERATOR}),
            _IDENTITY | _DESCRIPTION | {"parts"},
            status=Status.VALID,
        ),
        EventSpec(
            Event.SUPERSEDED,
            Chain.STATUS,
            frozenset({Role.AGENT}),
            _IDENTITY | {"superseded_by_sha256"},
            _DESCRIPTION,
            status=Status.SUPERSEDED,
        ),
        EventSpec(
            Event.REVOKED,
            Chain.STATUS,
            frozenset({Role.AGENT}),
            _IDENTITY,
            _DESCRIPTION,
            context=frozenset({"reason"}),
            status=Status.REVOKED,
        ),
        EventSpec(
            Event.DESTROYED,
            Chain.STATUS,
            frozenset({Role.HOLDER, Role.OPERATOR}),
            _IDENTITY,
            _DESCRIPTION,
            context_optional=frozenset({"reason"}),
            status=Status.DESTROYED,
        ),
        EventSpec(Event.READ, Chain.ACCESS, _ANYBODY, _ABOUT, _ACCESS, context_optional=_CITED),
        EventSpec(
            Event.READ_REFUSED,
            Chain.ACCESS,
            _ANYBODY,
            _ABOUT,
            _ACCESS,
            context_optional=_CITED | {"reason"},
        ),
    )
}


def spec(name: str) -> EventSpec:
    """Return what the registry says about an event. Raises LedgerError(OPENING_INVALID) for no event."""
    try:
        return _REGISTRY[Event(name)]
    except ValueError as error:
        raise LedgerError("OPENING_INVALID", "unknown event") from error


def matter_spec(name: str) -> MatterEventSpec:
    """Return what the registry says about an event of a matter. Raises LedgerError(OPENING_INVALID) for no event."""
    if name not in EVENTS:
        raise LedgerError("OPENING_INVALID", "unknown event")
    return MatterEventSpec(name, EVENTS[name][1].writers)


def may_write(name: str, role: Role) -> bool:
    """Tell whether somebody in that quality may cause the event."""
    return role in (matter_spec(name) if name in EVENTS else spec(name)).writers


class OpeningParts(Protocol):
    """The parts of an opening, whole (`Opening`) or as somebody was given it (`RevealedOpening`)."""

    @property
    def document(self) -> Mapping[str, Any] | None:
        """What the event is about."""
        ...

    @property
    def parties(self) -> Mapping[str, Any] | None:
        """Who."""
        ...

    @property
    def context(self) -> Mapping[str, Any] | None:
        """Why, and what it is called."""
        ...


def check_opening(opening: OpeningParts) -> EventSpec:
    """Check an opening against the schema of its event; hidden parties and context are passed over.

    Raises:
        LedgerError: OPENING_INVALID with the part and the members that are wrong, or when the document part
            is hidden.
    """
    document = opening.document
    if document is None:
        raise LedgerError("OPENING_INVALID", "the document part is hidden", part="document")
    name = document.get("event")
    found = spec(name if isinstance(name, str) else "")
    _members("document", document, found.document, found.document_optional)
    _document(document)
    if opening.parties is not None:
        _members("parties", opening.parties, _PARTIES, _PARTIES_OPTIONAL)
    if opening.context is not None:
        _members("context", opening.context, _CONTEXT | found.context, found.context_optional)
    return found


def check_matter_opening(opening: OpeningParts) -> MatterEventSpec:
    """Check an opening of a matter's entry; hidden parties and context are passed over.

    Raises:
        LedgerError: OPENING_INVALID with the part and the members that are wrong, or when the document part
            is hidden.
    """
    document = opening.document
    if document is None:
        raise LedgerError("OPENING_INVALID", "the document part is hidden", part="document")
    found = matter_spec(str(document.get("event")))
    _members("document", document, _MATTER, _MATTER_OPTIONAL)
    if not all(is_hex32(document[name]) for name in _DIGESTS & set(document)):
        raise LedgerError("OPENING_INVALID", "document: a digest is not SHA-256 in hex", part="document")
    if opening.parties is not None:
        _members("parties", opening.parties, _PARTIES, _PARTIES_OPTIONAL)
    if opening.context is not None:
        _members("context", opening.context, _CONTEXT, _MATTER_CONTEXT_OPTIONAL)
    return found


def _members(part: str, value: Mapping[str, Any], required: frozenset[str], optional: frozenset[str]) -> None:
    names = set(value)
    if not required <= names or not names <= required | optional:
        raise LedgerError(
            "OPENING_INVALID",
            f"{part}: members are not those of the event",
            part=part,
            missing=sorted(required - names),
            unknown=sorted(str(name) for name in names - required - optional),
        )
    try:
        check_value(value)
    except ValueError as error:
        raise LedgerError("OPENING_INVALID", f"{part}: {error}", part=part) from error


def _document(value: Mapping[str, Any]) -> None:
    sealed = value.get("parts", {})
    if "parts" in value and (
        not isinstance(sealed, Mapping) or set(sealed) not in (_SEAL_PARTS, _SEAL_PARTS | {"manifest"})
    ):
        raise LedgerError("OPENING_INVALID", "document: parts are not those of a seal", part="document")
    digests = [value[name] for name in _DIGESTS & set(value)] + list(sealed.values())
    if not all(is_hex32(digest) for digest in digests):
        raise LedgerError("OPENING_INVALID", "document: a digest is not SHA-256 in hex", part="document")
    size = value.get("size", 0)
    if type(size) is not int or size < 0:
        raise LedgerError("OPENING_INVALID", "document: size is not a natural number", part="document")
