"""Assembles an evidence bundle from stored parts, without key, database or service.

The document is streamed: memory stays flat whatever its size. The evidence seal is made by the caller:

    members = bundle_members(parts)
    prepared = sealer.prepare_manifest(evidence_references(members), material, now)
    revision = sealer.complete(prepared, token)
    chunks = write(with_seal(members, revision.manifest, revision.signature))
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from signing.asic import Reference
from signing.errors import ContainerRefused
from signing.strict_zip import Member, container_size, generate, name_problem
from vault.evidence import layout
from vault.evidence.errors import EvidenceRefused
from vault.evidence.layout import Index, Listed
from vault.evidence.texts import CADES, PADES, texts
from vault.ledger.entry import decode

_MEDIA_TYPES = {
    "entry": "application/json",
    "opening": "application/json",
    "receipt": "text/plain",
    "anchor": "text/plain",
    "anchor-token": "application/vnd.etsi.timestamp-token",
    "certificate": "application/pkix-cert",
    "revocation": "application/pkix-crl",
    "instructions": "text/plain",
    "seal-manifest": "application/xml",
    "seal": "application/pkcs7-signature",
}


@dataclass(frozen=True, slots=True)
class Original:
    """The document, read from wherever it is stored.

    Attributes:
        name: file name, the one in the seal's manifest if there is one.
        media_type: type of the content, without parameters.
        size: octets.
        sha256: hex digest.
        open: starts a new pass over the octets.
        crc32: CRC-32 if it is known; None costs one more pass.
    """

    name: str
    media_type: str
    size: int
    sha256: str
    open: Callable[[], Iterator[bytes]] = field(repr=False)
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """One entry of the document's status chain.

    Attributes:
        entry: exact octets of the ledger entry.
        opening: the opening as JSON, with the parts that this reader may see.
        receipt: tlog-proof of the entry.
    """

    entry: bytes
    opening: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class BundleParts:
    """Everything a bundle is made of.

    Attributes:
        original: the document.
        entries: every status entry known, in the order of the ledger.
        certificates: DER of every certificate inside the document's seal, its timestamp and (PDF) its
            validation material; nothing else. With an evidence seal, also those inside that seal.
        crls: DER of every CRL inside them, likewise.
        origin: name of the log.
        status_key: K_status, 32 octets.
        manifest: ASiCManifest of the seal beside the document; b"" when the document carries its seal.
        signature: CAdES seal over that manifest; b"" when the document carries its seal.
        anchor: anchor and its timestamp token, when there are.
    """

    original: Original
    entries: tuple[StatusEntry, ...]
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    origin: str
    status_key: bytes = field(repr=False)
    manifest: bytes = b""
    signature: bytes = b""
    anchor: tuple[bytes, bytes] | None = None

    def with_material(self, certificates: Iterable[bytes], crls: Iterable[bytes]) -> BundleParts:
        """Add what the evidence seal will hold: its certificates (the timestamp's too) and CRLs, DER."""
        return replace(
            self,
            certificates=tuple(dict.fromkeys((*self.certificates, *certificates))),
            crls=tuple(dict.fromkeys((*self.crls, *crls))),
        )


@dataclass(frozen=True, slots=True)
class BundleMember:
    """A member ready to be written.

    Attributes:
        name: path in the container.
        media_type: its type, for the evidence seal's manifest.
        sha256: digest, 32 octets.
        size: octets.
        crc32: CRC-32, or None when the content must be read to know it.
        open: starts a new pass over the content.
    """

    name: str
    media_type: str
    sha256: bytes
    size: int
    crc32: int | None
    open: Callable[[], Iterator[bytes]] = field(repr=False)

    @classmethod
    def of_bytes(cls, name: str, media_type: str, content: bytes) -> BundleMember:
        """Make a member of octets held in memory."""
        digest = hashlib.sha256(content).digest()
        return cls(name, media_type, digest, len(content), zlib.crc32(content), lambda: iter((content,)))


def bundle_members(parts: BundleParts) -> tuple[BundleMember, ...]:
    """Return the members of a bundle without evidence seal, in the order of the format.

    Raises:
        EvidenceRefused: PARTS_INVALID when the parts cannot make a bundle.
        vault.errors.LedgerError: ENTRY_INVALID.
    """
    original = parts.original
    if not parts.entries or bool(parts.manifest) != bool(parts.signature):
        raise EvidenceRefused("PARTS_INVALID", "a bundle needs entries, and a manifest with its signature")
    if name_problem(original.name) is not None or "/" in original.name:
        raise EvidenceRefused("PARTS_INVALID", "the document's name may not stand in a container")
    kind = CADES if parts.manifest else PADES
    document = BundleMember(
        name=layout.DOCUMENT_FOLDER + original.name,
        media_type=original.media_type,
        sha256=bytes.fromhex(original.sha256),
        size=original.size,
        crc32=original.crc32,
        open=original.open,
    )
    listed = sorted([document, *_small(parts, kind)], key=lambda member: layout.rank(member.name))
    index = Index(
        kind=kind,
        name=original.name,
        media_type=original.media_type,
        sha256=original.sha256,
        size=original.size,
        origin=parts.origin,
        status_key=parts.status_key.hex(),
        members=tuple(
            Listed(member.name, layout.role_of(member.name) or "", member.sha256.hex(), member.size)
            for member in listed
        ),
    )
    listed.append(BundleMember.of_bytes(layout.INDEX, member_media_type(layout.INDEX), index.encode()))
    return tuple(sorted(listed, key=lambda member: layout.rank(member.name)))


def evidence_references(members: Iterable[BundleMember]) -> tuple[Reference, ...]:
    """Return what the evidence seal's manifest must name: every member that `bundle_members` gave."""
    return tuple(Reference(member.name, member.media_type, member.sha256) for member in members)


def with_seal(members: Sequence[BundleMember], manifest: bytes, signature: bytes) -> tuple[BundleMember, ...]:
    """Add the evidence seal: the ASiCManifest over every other member, and the CAdES signature over it."""
    return (
        *members,
        BundleMember.of_bytes(layout.EVIDENCE_MANIFEST, "application/xml", manifest),
        BundleMember.of_bytes(layout.EVIDENCE_SIGNATURE, "application/pkcs7-signature", signature),
    )


def write(members: Iterable[BundleMember]) -> Iterator[bytes]:
    """Write the container, a chunk at a time.

    Raises:
        signing.errors.ContainerRefused: a name may not be in a container; while iterating, when the
            document's content is not the announced one: what came out must then be dropped.
    """
    return generate(_zip_members(members))


def written_size(members: Iterable[BundleMember]) -> int:
    """Octets that `write` will give; no content is read."""
    return container_size(
        [Member(member.name, member.size, member.crc32 or 0, member.open) for member in members]
    )


def member_media_type(name: str) -> str:
    """Return the type that the evidence seal's manifest states for a member other than the document."""
    return "application/json" if name == layout.INDEX else _MEDIA_TYPES[layout.role_of(name) or ""]


def _small(parts: BundleParts, kind: str) -> Iterator[BundleMember]:
    contents: dict[str, bytes] = {}
    for status in parts.entries:
        seq = decode(status.entry).seq
        contents[layout.entry_member(seq, "json")] = status.entry
        contents[layout.entry_member(seq, "opening.json")] = status.opening
        contents[layout.entry_member(seq, "tlog-proof")] = status.receipt
    if parts.anchor is not None:
        contents[layout.ANCHOR], contents[layout.ANCHOR_TOKEN] = parts.anchor
    contents.update((layout.certificate_member(der), der) for der in parts.certificates)
    contents.update((layout.revocation_member(der), der) for der in parts.crls)
    contents.update(texts(kind))
    if kind == CADES:
        contents[layout.SEAL_MANIFEST] = parts.manifest
        contents[layout.SEAL_SIGNATURE] = parts.signature
    for name, content in contents.items():
        yield BundleMember.of_bytes(name, member_media_type(name), content)


def _zip_members(members: Iterable[BundleMember]) -> list[Member]:
    return [
        Member(
            member.name,
            member.size,
            _crc32(member) if member.crc32 is None else member.crc32,
            member.open,
        )
        for member in members
    ]


def _crc32(member: BundleMember) -> int:
    """Read a member once for its CRC, and make sure on the way that it is the announced one."""
    crc, size, state = 0, 0, hashlib.sha256()
    for chunk in member.open():
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
        state.update(chunk)
    if size != member.size or state.digest() != member.sha256:
        raise ContainerRefused("the document is not the one announced")
    return crc
