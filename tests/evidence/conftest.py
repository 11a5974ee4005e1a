"""A small safe held in memory: enough of one to make real evidence bundles fast, and to forge false ones."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from signing import profiles
from signing.asic import Reference
from signing.base import KeyPurpose, Revision, SealSource
from signing.cades import CadesSealer
from signing.cms import parse_cms
from signing.dev_pki import DevPki
from signing.keys import SealKey
from signing.pades import PadesSealer
from signing.revocation import RevocationSource
from signing.strict_zip import Member, StrictZip, generate
from signing.trust import TrustStore
from timestamping.authority import EmbeddedAuthority
from vault.clock import SystemClock, rfc3339
from vault.evidence import layout
from vault.evidence.build import (
    BundleParts,
    Original,
    StatusEntry,
    bundle_members,
    evidence_references,
    member_media_type,
    with_seal,
    write,
)
from vault.evidence.layout import Index
from vault.evidence.ledger_source import FolderLedger
from vault.ledger import entry as entries
from vault.ledger.events import Event
from vault.ledger.keys import LedgerKeys
from vault.ledger.opening import Opening
from vault.ledger.policy import Policy
from vault.ledger.receipt import format_receipt
from vault.ledger.tags import new_key, tag
from vault.ledger.tiles import changed_bundles, changed_tiles, encode_bundle
from vault.ledger.tree import inclusion_proof, leaf_hash, node_hash, root

ORIGIN = "safe.example/ledger/1"
XML = b'<?xml version="1.0"?>\n<declaration><nom>Zo\xc3\xa9</nom></declaration>\n'


class Log:
    """An append-only log in memory that publishes like a real one."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.keys = LedgerKeys.new(origin)
        self.entries: list[bytes] = []
        body = {"origin": origin, "generation": 1, "keys": {"ed25519": self.keys.vkeys[0]}}
        self._append(
            lambda seq, prev, time: entries.encode(
                entries.LogEntry(seq, prev, time, entries.LogEvent.OPENED, body)
            )
        )

    def append(self, mark: bytes, commitment: bytes, time: str | None = None) -> int:
        return self._append(
            lambda seq, prev, now: entries.encode_record(seq, prev, time or now, mark, commitment)
        )

    def _append(self, make: Callable[[int, bytes, str], bytes]) -> int:
        seq = len(self.entries)
        prev = leaf_hash(self.entries[-1]) if self.entries else bytes(32)
        self.entries.append(make(seq, prev, rfc3339(datetime.now(UTC))))
        return seq

    def tile(self, level: int, index: int, width: int) -> bytes:
        row = [leaf_hash(item) for item in self.entries]
        for _ in range(8 * level):
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        return b"".join(row[index * 256 : index * 256 + width])

    def checkpoint(self) -> bytes:
        size = len(self.entries)
        return self.keys.sign_checkpoint(size, root(self, size), datetime.now(UTC))

    def receipt(self, seq: int, note: bytes | None = None) -> bytes:
        return format_receipt(seq, inclusion_proof(self, seq, len(self.entries)), note or self.checkpoint())

    def policy(self) -> Policy:
        return Policy.from_vkeys("".join(f"{key}\n" for key in self.keys.vkeys))

    def publish(self, folder: Path) -> Path:
        size = len(self.entries)
        for item in changed_tiles(0, size):
            path = folder / item.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.tile(item.level, item.index, item.width))
        for item in changed_bundles(0, size):
            path = folder / item.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_bundle(self.entries[item.index * 256 : item.index * 256 + item.width]))
        (folder / "checkpoint").write_bytes(self.checkpoint())
        return folder


@dataclass
class Doc:
    """A document of the small safe, with all that proves it."""

    name: str
    media_type: str
    content: bytes
    revision: Revision
    status_key: bytes = field(default_factory=new_key)
    events: list[tuple[int, Opening]] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Safe:
    """Issues, deposits, supersedes and revokes, then bundles."""

    def __init__(self, folder: Path, pki: DevPki | None = None, log: Log | None = None) -> None:
        now = datetime.now(UTC)
        self.pki = pki or DevPki.open(folder / "pki", now)
        self.log = log or Log()
        key = self.pki.timestamp
        self.authority = EmbeddedAuthority(key, self._chain(key), "2.25.1", SystemClock())
        self.revocation = RevocationSource(self.pki.crls, self.pki.roots())
        self.act_key = self.pki.act_seal("mairie", "Mairie de Rennes")

    @staticmethod
    def _chain(key: SealKey) -> tuple[x509.Certificate, ...]:
        chain = tuple(key.chain)
        return chain if chain and chain[0] == key.certificate else (key.certificate, *chain)

    def material(self, key: SealKey) -> Any:
        return self.revocation.material([self._chain(key), self.authority.chain()], datetime.now(UTC))

    def pades(self, content: bytes, key: SealKey | None = None, **options: Any) -> Revision:
        key = key or self.act_key
        with pikepdf.open(io.BytesIO(content)) as pdf:
            source = SealSource(
                stream=io.BytesIO(content),
                path=Path("/dev/null"),
                size=len(content),
                sha256=hashlib.sha256(content).digest(),
                hash_state=hashlib.sha256(content),
                pdf=pdf,
            )
            sealer = PadesSealer(key)
            reserve = self.authority.expected_size
            while True:
                prepared = sealer.prepare(source, self.material(key), reserve, datetime.now(UTC))
                token = self.authority.token(prepared.imprint)
                try:
                    return sealer.complete(prepared, token.der)
                except Exception as error:
                    reserve = error.needed  # type: ignore[attr-defined]

    def cades(self, name: str, media_type: str, content: bytes, key: SealKey | None = None) -> Revision:
        return self.cades_digest(name, media_type, len(content), hashlib.sha256(content).digest(), key)

    def cades_digest(
        self, name: str, media_type: str, size: int, sha256: bytes, key: SealKey | None = None
    ) -> Revision:
        key = key or self.pki.reception_seal
        sealer = CadesSealer(key)
        source = SealSource(
            stream=io.BytesIO(),
            path=Path("/dev/null"),
            size=size,
            sha256=sha256,
            name=name,
            media_type=media_type,
        )
        prepared = sealer.prepare(source, self.material(key), self.authority.expected_size, datetime.now(UTC))
        return sealer.complete(prepared, self.authority.token(prepared.imprint).der)

    def record(
        self, doc: Doc, event: Event, more: Mapping[str, Any], recorded: str | None = None, **why: str
    ) -> int:
        """Write a status entry about a document."""
        document = {"event": event.value, "document_id": "doc_1", "sha256": doc.sha256, **more}
        parties = {"holder": "per_1", "actor": "agt_1", "mandate": ""}
        common = {"purpose": "", "case": "", "consent": "", "title": "Titre", "file_name": doc.name}
        opening = Opening.new(document, parties, {**common, **why})
        seq = self.log.append(tag(doc.status_key, len(doc.events)), opening.commitment(), recorded)
        doc.events.append((seq, opening))
        return seq

    def description(self, doc: Doc) -> dict[str, Any]:
        return {
            "size": len(doc.content),
            "media_type": doc.media_type,
            "document_type": "acte",
            "issuer": "adm_1",
        }

    def parts(self, doc: Doc) -> dict[str, str]:
        revision = doc.revision
        committed = {
            "signature": hashlib.sha256(revision.signature).hexdigest(),
            "token": hashlib.sha256(revision.token).hexdigest(),
            "seal_certificate": revision.certificate.fingerprint(SHA256()).hex(),
        }
        if revision.manifest:
            committed["manifest"] = hashlib.sha256(revision.manifest).hexdigest()
        return committed

    def issue(self, text: str = "acte", name: str = "acte.pdf") -> Doc:
        content = small_pdf(text)
        revision = self.pades(content)
        doc = Doc(name, "application/pdf", content + revision.appended, revision)
        self.record(doc, Event.ISSUED, {**self.description(doc), "parts": self.parts(doc)})
        return doc

    def deposit(
        self,
        content: bytes = XML,
        name: str = "déclaration été.xml",
        key: SealKey | None = None,
        recorded: str | None = None,
        media_type: str = "application/xml",
    ) -> Doc:
        revision = self.cades(name, media_type, content, key)
        doc = Doc(name, media_type, content, revision)
        self.record(
            doc, Event.DEPOSITED, {**self.description(doc), "parts": self.parts(doc)}, recorded=recorded
        )
        return doc

    def deposit_streamed(self, name: str, size: int, digest: Any) -> Doc:
        """Deposit a document that nobody holds in memory."""
        media_type = "application/octet-stream"
        revision = self.cades_digest(name, media_type, size, digest.digest())
        doc = Doc(name, media_type, b"", revision)
        more = {**self.description(doc), "size": size, "sha256": digest.hexdigest()}
        self.record(doc, Event.DEPOSITED, {**more, "parts": self.parts(doc)})
        return doc

    def supersede(self, doc: Doc, by: Doc) -> int:
        return self.record(doc, Event.SUPERSEDED, {"superseded_by_sha256": by.sha256})

    def revoke(self, doc: Doc) -> int:
        return self.record(doc, Event.REVOKED, {}, reason="error")

    def bundle_parts(self, doc: Doc, reveal: frozenset[str] = frozenset({"document"})) -> BundleParts:
        certificates, crls = inside(doc.revision, self.material(self.act_key))
        note = self.log.checkpoint()
        return BundleParts(
            original=Original(
                doc.name, doc.media_type, len(doc.content), doc.sha256, lambda: iter((doc.content,))
            ),
            entries=tuple(
                StatusEntry(self.log.entries[seq], opening.to_json(reveal), self.log.receipt(seq, note))
                for seq, opening in doc.events
            ),
            certificates=certificates,
            crls=crls,
            origin=self.log.keys.origin,
            status_key=doc.status_key,
            manifest=doc.revision.manifest,
            signature=doc.revision.signature if doc.revision.manifest else b"",
        )

    def seal(self, references: Sequence[Reference], key: SealKey | None = None) -> Revision:
        """Make an evidence seal."""
        key = key or self.pki.evidence_seal
        sealer = CadesSealer(key, signature_name=layout.EVIDENCE_SIGNATURE)
        prepared = sealer.prepare_manifest(references, self.material(key), datetime.now(UTC))
        return sealer.complete(prepared, self.authority.token(prepared.imprint).der)

    def bundle(
        self, doc: Doc, *, sealed: bool = True, reveal: frozenset[str] = frozenset({"document"})
    ) -> bytes:
        parts = self.bundle_parts(doc, reveal)
        if not sealed:
            return b"".join(write(bundle_members(parts)))
        material = self.material(self.pki.evidence_seal)
        parts = parts.with_material(
            [item.public_bytes(Encoding.DER) for item in material.certificates], material.crls
        )
        members = bundle_members(parts)
        revision = self.seal(evidence_references(members))
        return b"".join(write(with_seal(members, revision.manifest, revision.signature)))

    def another_evidence_seal(self) -> SealKey:
        """Make the evidence seal of another service under the same authority."""
        return self._another(KeyPurpose.EVIDENCE_SEAL)

    def another_reception_seal(self) -> SealKey:
        """Make the reception seal of another service under the same authority."""
        return self._another(KeyPurpose.RECEPTION_SEAL)

    def _another(self, purpose: KeyPurpose) -> SealKey:
        private = profiles.new_key("p256")
        name = profiles.subject("autre coffre", "Autre service", "other")
        # Not younger than the authority's CRL, which could not name it then.
        certificate = profiles.leaf_certificate(self.pki._authority, private, name, purpose, self.pki._now)
        return SealKey.from_private_key(private, certificate, [self.pki.authority], purpose)

    @staticmethod
    def sha256(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    @staticmethod
    def as_members(material: Any) -> dict[str, bytes]:
        """Name certificates and CRLs as a bundle does."""
        ders = [item.public_bytes(Encoding.DER) for item in material.certificates]
        named = {layout.certificate_member(der): der for der in ders}
        return named | {layout.revocation_member(der): der for der in material.crls}

    @staticmethod
    def references(files: Mapping[str, bytes]) -> list[Reference]:
        """List what an evidence seal over these members must name."""
        media_type = Index.parse(files[layout.INDEX]).media_type
        return [
            Reference(
                name,
                media_type if layout.role_of(name) == "document" else member_media_type(name),
                hashlib.sha256(files[name]).digest(),
            )
            for name in sorted(files, key=layout.rank)
            if name not in {layout.EVIDENCE_MANIFEST, layout.EVIDENCE_SIGNATURE}
        ]

    def trust(self) -> TrustStore:
        return TrustStore(self.pki.roots())


def inside(revision: Revision, material: Any) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """List the certificates and CRLs of a seal, its token and (PAdES) its validation material."""
    parsed = parse_cms(revision.signature, strict=True)
    found = [item.public_bytes(Encoding.DER) for item in parsed.certificates]
    token = cms.ContentInfo.load(revision.token)["content"]
    found += [item.chosen.dump() for item in token["certificates"]]
    crls = list(parsed.crls)
    if not revision.manifest:
        found += [item.public_bytes(Encoding.DER) for item in material.certificates]
        crls += list(material.crls)
    return tuple(dict.fromkeys(found)), tuple(dict.fromkeys(crls))


def small_pdf(text: str) -> bytes:
    """Make a PDF of one page."""
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(200, 200))
    pdf.docinfo["/Title"] = text
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def read_members(bundle: bytes) -> dict[str, bytes]:
    """Read a container's members, `mimetype` left out."""
    container = StrictZip.open(io.BytesIO(bundle))
    return {name: container.read(name, 1 << 30) for name in container.names if name != "mimetype"}


def pack_members(files: Mapping[str, bytes]) -> bytes:
    """Write members into a container, in the order of the format."""
    ordered = sorted(files, key=layout.rank)
    return b"".join(generate([Member.of_bytes(name, files[name]) for name in ordered]))


@pytest.fixture(scope="session")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Safe:
    """One safe for the whole session, with a few entries around."""
    made = Safe(tmp_path_factory.mktemp("safe"))
    for _ in range(5):
        made.log.append(new_key(), new_key())
    return made


@pytest.fixture(scope="session")
def members_of() -> Callable[[bytes], dict[str, bytes]]:
    """Reads a container's members."""
    return read_members


@pytest.fixture(scope="session")
def pack() -> Callable[[Mapping[str, bytes]], bytes]:
    """Writes members into a container."""
    return pack_members


@pytest.fixture(scope="session")
def new_log() -> Callable[..., Log]:
    """Makes a log with keys of its own."""
    return Log


@pytest.fixture(scope="session")
def new_safe() -> Callable[[DevPki, Log], Safe]:
    """Makes a safe with this PKI on this log."""
    return lambda pki, log: Safe(Path(), pki, log)


@pytest.fixture(scope="session")
def ledger() -> Callable[[Path], FolderLedger]:
    """Opens a published ledger."""
    return FolderLedger
