"""What lies where in an evidence bundle, and evidence.json, its index.

Nothing in evidence.json is taken on trust: `index_bytes` writes it from the other members, and verification
writes it again and compares, so that it has exactly one form for given members.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from vault.evidence.errors import EvidenceRefused
from vault.evidence.texts import CADES, PADES
from vault.ledger import canonical

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
FORMAT = "probans/evidence/v1"

MIMETYPE_MEMBER = "mimetype"
DOCUMENT_FOLDER = "document/"
ENTRIES_FOLDER = "ledger/entries/"
ANCHOR = "ledger/anchor"
ANCHOR_TOKEN = "ledger/anchor.tst"  # noqa: S105 - a member's name
CERTIFICATES_FOLDER = "certificates/"
REVOCATION_FOLDER = "revocation/"
INDEX = "evidence.json"
LISEZMOI = "LISEZMOI.txt"
README = "README.txt"
SEAL_MANIFEST = "META-INF/ASiCManifest001.xml"
SEAL_SIGNATURE = "META-INF/signature001.p7s"
EVIDENCE_MANIFEST = "META-INF/ASiCManifest002.xml"
EVIDENCE_SIGNATURE = "META-INF/signature002.p7s"

MAX_ENTRIES = 1024
MAX_MATERIAL = 256

PROVES = {
    "document": "the original, octet for octet",
    "entry": "a line of the public ledger about the document",
    "opening": "what the entry commits to",
    "receipt": "the entry's place in the ledger, under a signed checkpoint",
    "anchor": "a checkpoint to be dated by an outside authority",
    "anchor-token": "the outside date of the anchor (RFC 3161)",
    "certificate": "a certificate found in the seal or its timestamp",
    "revocation": "a revocation list found in the seal",
    "instructions": "how to check everything by hand",
    "seal-manifest": "what the seal beside the document covers",
    "seal": "who sealed the document, and when (CAdES with an RFC 3161 timestamp)",
}

_ENTRY = re.compile(r"ledger/entries/(0|[1-9][0-9]{0,15})\.(json|opening\.json|tlog-proof)")
_CERTIFICATE = re.compile(r"certificates/[0-9a-f]{16}\.crt")
_REVOCATION = re.compile(r"revocation/[0-9a-f]{16}\.crl")
_FIXED = {
    ANCHOR: "anchor",
    ANCHOR_TOKEN: "anchor-token",
    LISEZMOI: "instructions",
    README: "instructions",
    SEAL_MANIFEST: "seal-manifest",
    SEAL_SIGNATURE: "seal",
}
_ENTRY_ROLES = {"json": "entry", "opening.json": "opening", "tlog-proof": "receipt"}
# Members that evidence.json does not list: what names the container, itself, and the seal over everything.
UNLISTED = frozenset({MIMETYPE_MEMBER, INDEX, EVIDENCE_MANIFEST, EVIDENCE_SIGNATURE})

# Largest size in octets of a member by role; the document alone is read in pieces.
LIMITS = {
    "entry": 65_535,
    "opening": 65_535,
    "receipt": 65_535,
    "anchor": 65_535,
    "anchor-token": 65_535,
    "certificate": 65_535,
    "revocation": 16 << 20,
    "instructions": 1 << 20,
    "seal-manifest": 1 << 20,
    "seal": 32 << 20,
}
INDEX_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of evidence.json about a member."""

    name: str
    role: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Index:
    """evidence.json.

    Attributes:
        kind: `pades` (the document is a PDF that carries its seal) or `cades` (the seal lies beside it).
        name: name of the document, without folder.
        media_type: of the document.
        sha256: hex digest of the document.
        size: octets of the document.
        origin: name of the log.
        status_key: hex K_status.
        members: every member but those in `UNLISTED`, in the order of the container.
    """

    kind: str
    name: str
    media_type: str
    sha256: str
    size: int
    origin: str
    status_key: str
    members: tuple[Listed, ...]

    def encode(self) -> bytes:
        """Write evidence.json (canonical JSON, RFC 8785). Raises ValueError for text that is not Unicode."""
        return canonical.canonical(
            {
                "document": {
                    "media_type": self.media_type,
                    "name": self.name,
                    "sha256": self.sha256,
                    "size": self.size,
                },
                "format": FORMAT,
                "kind": self.kind,
                "members": [
                    {"name": item.name, "role": item.role, "sha256": item.sha256, "size": item.size}
                    for item in self.members
                ],
                "origin": self.origin,
                "proves": PROVES,
                "status_key": self.status_key,
            },
            lists=True,
        )

    @classmethod
    def parse(cls, data: bytes) -> Index:
        """Read evidence.json, strictly: only octets that `encode` could have written.

        Raises:
            EvidenceRefused: INDEX_FILE_MISMATCH with what is wrong.
        """
        try:
            value = canonical.parse(data, limit=INDEX_LIMIT, lists=True)
            index = cls._read(value)
            again = index.encode()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise EvidenceRefused("INDEX_FILE_MISMATCH", f"unreadable: {error}") from error
        if again != data:
            raise EvidenceRefused("INDEX_FILE_MISMATCH", "other members, format or version")
        return index

    @classmethod
    def _read(cls, value: Mapping[str, Any]) -> Index:
        document = value["document"]
        members = tuple(
            Listed(item["name"], item["role"], item["sha256"], item["size"]) for item in value["members"]
        )
        texts = [document["name"], document["media_type"], value["origin"]]
        if value["kind"] not in {PADES, CADES} or not all(isinstance(text, str) for text in texts):
            raise ValueError("a value is not of its kind")
        for digest in (document["sha256"], value["status_key"], *(item.sha256 for item in members)):
            if not canonical.is_hex32(digest):
                raise ValueError("a digest is not 32 octets in lower-case hexadecimal")
        for size in (document["size"], *(item.size for item in members)):
            if type(size) is not int or size < 0:
                raise ValueError("a size is not a natural number")
        return cls(
            kind=value["kind"],
            name=document["name"],
            media_type=document["media_type"],
            sha256=document["sha256"],
            size=document["size"],
            origin=value["origin"],
            status_key=value["status_key"],
            members=members,
        )


def entry_member(seq: int, suffix: str) -> str:
    """Return the name of an entry's file; suffix `json`, `opening.json` or `tlog-proof`."""
    return f"{ENTRIES_FOLDER}{seq}.{suffix}"


def certificate_member(der: bytes) -> str:
    """Return the name of a certificate: the first 16 hex digits of the SHA-256 of its DER."""
    return f"{CERTIFICATES_FOLDER}{sha256(der).hexdigest()[:16]}.crt"


def revocation_member(der: bytes) -> str:
    """Return the name of a CRL: the first 16 hex digits of the SHA-256 of its DER."""
    return f"{REVOCATION_FOLDER}{sha256(der).hexdigest()[:16]}.crl"


def role_of(name: str) -> str | None:
    """Say what a member is by its name; None for a name that no bundle has, or an unlisted one."""
    if name in _FIXED:
        return _FIXED[name]
    if match := _ENTRY.fullmatch(name):
        return _ENTRY_ROLES[match[2]]
    if _CERTIFICATE.fullmatch(name):
        return "certificate"
    if _REVOCATION.fullmatch(name):
        return "revocation"
    if (
        name.startswith(DOCUMENT_FOLDER)
        and "/" not in name[len(DOCUMENT_FOLDER) :]
        and name != DOCUMENT_FOLDER
    ):
        return "document"
    return None


def sequence_numbers(names: Iterable[str]) -> list[int]:
    """Return the entry numbers for which any file is there, in order."""
    return sorted({int(match[1]) for name in names if (match := _ENTRY.fullmatch(name))})


def rank(name: str) -> tuple[int, int, int, str]:
    """Return the sort key of a member in the one order that the format allows; unknown names come first."""
    first = {
        MIMETYPE_MEMBER: 0,
        ANCHOR: 3,
        ANCHOR_TOKEN: 4,
        INDEX: 7,
        LISEZMOI: 8,
        README: 9,
        SEAL_MANIFEST: 10,
        SEAL_SIGNATURE: 11,
        EVIDENCE_MANIFEST: 12,
        EVIDENCE_SIGNATURE: 13,
    }.get(name)
    if first is not None:
        return first, 0, 0, name
    if match := _ENTRY.fullmatch(name):
        return 2, int(match[1]), list(_ENTRY_ROLES).index(match[2]), name
    folder = {"document": 1, "certificate": 5, "revocation": 6}.get(role_of(name) or "", -1)
    return folder, 0, 0, name
