"""Documents, their stored parts, and what callers give and get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vault.domain.states import Reception, Scan, Sealing, Status


class Kind(StrEnum):
    """Issued by an administration, or submitted by a holder."""

    ACT = "act"
    ATTACHMENT = "attachment"


class ObjectRole(StrEnum):
    """What a stored object is for its document; also part of its encryption's associated data."""

    RECEIVED = "received"
    ORIGINAL = "original"
    MANIFEST = "manifest"
    SIGNATURE = "signature"
    MATERIAL = "material"
    EVIDENCE_SEAL = "evidence-seal"


@dataclass(frozen=True, slots=True)
class Part:
    """One stored object of a document.

    Attributes:
        role: what it is.
        address: hex SHA-256 of the stored (encrypted) octets.
        stored_size: encrypted octets.
        size: plain octets.
        sha256: hex digest of the plain octets.
    """

    role: ObjectRole
    address: str
    stored_size: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Private:
    """The part of a document's description that is personal or secret; encrypted under the document's key.

    Attributes:
        title: title shown to the holder.
        file_name: name of the original.
        holder: identifier of the holder.
        actor: who issued or submitted it.
        case: opaque reference of the request it belongs to, or "".
        language: BCP 47 tag of the content, or "".
        status_key: hex K_status, 32 octets: tags of status entries.
        access_key: hex K_access, 32 octets: tags of access entries.
        findings: what inspection reported, as {"code", "detail", "params"} mappings.
        attributes: what the issuer stated beside the act, by code of `vault.matters.attributes`.
        mandate: the mandate under which it was submitted, or "".
    """

    title: str
    file_name: str
    holder: str
    actor: str
    case: str
    language: str
    status_key: str
    access_key: str
    findings: tuple[Mapping[str, object], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    mandate: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the database holds it, its private part opened.

    Attributes:
        id: `doc_…`.
        kind: act or attachment.
        safe_id: the safe it lies in.
        issuer_id: the administration that issued it; None for attachments.
        document_type: type code such as `acte-de-naissance`, or "".
        media_type: of the original.
        size: octets of the original (of the received file while sealing waits).
        reception, sealing, scan, status: the four axes.
        created_at: the service's statement of reception, UTC.
        retain_until: nothing is deleted before, UTC.
        superseded_by: document that replaces it, if any.
        supersedes: document it replaces, if any.
        first_seq: entry of its reception.
        issued_seq: entry of its sealing; None while sealing waits.
        next_status: counter of the next status tag.
        next_access: counter of the next access tag.
        parts: stored objects by role.
        private: personal part.
        scan_reason: why no antivirus judged it yet, while its scan is pending.
        scan_found: what the antivirus calls what it found in it.
    """

    id: str
    kind: Kind
    safe_id: str
    issuer_id: str | None
    document_type: str
    media_type: str
    size: int
    reception: Reception
    sealing: Sealing
    scan: Scan
    status: Status
    created_at: datetime
    retain_until: datetime
    superseded_by: str | None
    supersedes: str | None
    first_seq: int
    issued_seq: int | None
    next_status: int
    next_access: int
    parts: Mapping[ObjectRole, Part] = field(default_factory=dict)
    private: Private | None = None
    scan_reason: str = ""
    scan_found: str = ""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """What a caller says about a file it brings.

    Attributes:
        holder: identifier of the holder whose safe receives it.
        title: title for people.
        file_name: name of the file, as sent.
        document_type: type code, or "".
        case: opaque reference of the portal's request, or "".
        language: BCP 47 tag, or "".
        declared_type: Content-Type the caller declared, or None.
        supersedes: id of the act this one replaces, or None.
        attributes: what the issuer states beside the act, by code of `vault.matters.attributes`.
        retention_days: days before which nothing is deleted, at least the service's own; 0: those.
    """

    holder: str
    title: str
    file_name: str
    document_type: str = ""
    case: str = ""
    language: str = ""
    declared_type: str | None = None
    supersedes: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    retention_days: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write answers, first time and on each retry alike.

    Attributes:
        document_id: `doc_…`.
        status_code: 201 sealed, 202 received and waiting for its timestamp.
        seq: ledger entry number of the event.
        replayed: True when an earlier answer is given again.
    """

    document_id: str
    status_code: int
    seq: int
    replayed: bool = False
