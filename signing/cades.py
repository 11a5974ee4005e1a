"""CAdES seals for everything that is not a PDF: a detached signature over an ASiC-E manifest of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from signing.asic import Reference, build_manifest, check_references, parse_manifest
from signing.base import KeyPurpose, Prepared, Revision, SealSource, TimestampVerifier, ValidationMaterial
from signing.cms import CmsDraft, CmsSigner
from signing.cms_read import parse_cms
from signing.errors import SignatureRefused
from signing.keys import SealKey
from signing.trust import TrustStore, refused
from signing.validate import Evidence, ValidatedSignature, validate_cms_signature

DOCUMENT_FOLDER = "document/"
SIGNATURE_NAME = "META-INF/signature001.p7s"
MANIFEST_NAME = "META-INF/ASiCManifest001.xml"

_SEALS = (KeyPurpose.ACT_SEAL, KeyPurpose.RECEPTION_SEAL, KeyPurpose.EVIDENCE_SEAL)


@dataclass(frozen=True, slots=True)
class _State:
    draft: CmsDraft
    manifest: bytes
    sha256: bytes
    size: int


class CadesSealer:
    """Makes CAdES-B-T seals (ETSI EN 319 122-1) with one held key; implements the `Sealer` port.

    The file itself is neither read nor changed: the manifest names its digest, known from the upload. The
    signing-time attribute is the service's own statement, which CAdES baseline demands.
    """

    def __init__(
        self, key: SealKey, *, folder: str = DOCUMENT_FOLDER, signature_name: str = SIGNATURE_NAME
    ) -> None:
        """Keep the key.

        Args:
            key: a seal key of any purpose but timestamp.
            folder: where the sealed file lies in the evidence bundle, with its final `/`.
            signature_name: member name of the signature in the bundle.

        Raises:
            KeyUnusable: the key is no seal key.
        """
        key.require_purpose(*_SEALS)
        self._key = key
        self._signer = CmsSigner(key)
        self._folder = folder
        self._signature_name = signature_name

    @property
    def purpose(self) -> KeyPurpose:
        """The key's purpose."""
        return self._key.purpose

    @property
    def certificate(self) -> x509.Certificate:
        """The seal certificate."""
        return self._key.certificate

    def prepare(
        self, source: SealSource, material: ValidationMaterial, token_size: int, at: datetime
    ) -> Prepared:
        """Sign a manifest that names one file; see `Sealer.prepare`.

        A CMS in a file of its own needs no reserve: `token_size` is not used.

        Raises:
            ContainerRefused: the file's name or media type may not stand in a container.
            KeyUnusable: the certificate is not valid at this time.
        """
        return self._prepare(self._manifest(source), material, at, source.sha256, source.size)

    def rehearse(self, source: SealSource, at: datetime) -> None:
        """Refuse now what `prepare` would refuse; the key is not asked. Raises as there."""
        self._key.require_valid_at(at)
        self._manifest(source)

    def _manifest(self, source: SealSource) -> bytes:
        reference = Reference(self._folder + source.name, source.media_type, source.sha256)
        return build_manifest(self._signature_name, [reference])

    def prepare_manifest(
        self, references: Sequence[Reference], material: ValidationMaterial, at: datetime
    ) -> Prepared:
        """Sign a manifest that names many files: the evidence seal over a whole bundle.

        Args:
            references: every file, with the name of its member.
            material: what to embed.
            at: the service's own statement of the time, UTC.

        Returns:
            As `prepare`; the revision's digest and size will be those of the manifest.

        Raises:
            ContainerRefused: a name or media type may not stand in a container.
            KeyUnusable: the key is not the evidence seal, or not valid at this time.
        """
        self._key.require_purpose(KeyPurpose.EVIDENCE_SEAL)
        manifest = build_manifest(self._signature_name, references)
        return self._prepare(manifest, material, at, hashlib.sha256(manifest).digest(), len(manifest))

    def complete(self, prepared: Prepared, token: bytes) -> Revision:
        """Put the timestamp in; see `Sealer.complete`.

        Raises:
            SignatureRefused: the token is not one DER value.
        """
        state = prepared.state
        if not isinstance(state, _State):
            raise TypeError("prepared by another sealer")
        return Revision(
            appended=b"",
            sha256=state.sha256,
            size=state.size,
            manifest=state.manifest,
            signature=state.draft.finish(token),
            certificate=self.certificate,
            token=token,
        )

    def _prepare(
        self, manifest: bytes, material: ValidationMaterial, at: datetime, sha256: bytes, size: int
    ) -> Prepared:
        self._key.require_valid_at(at)
        draft = self._signer.sign(
            hashlib.sha256(manifest).digest(),
            signing_time=at,
            certificates=material.certificates,
            crls=material.crls,
        )
        return Prepared(draft.imprint, _State(draft, manifest, sha256, size))


def validate_cades(
    signature: bytes,
    manifest: bytes,
    digests: Mapping[str, bytes],
    trust: TrustStore,
    timestamps: TimestampVerifier,
    *,
    purposes: AbstractSet[KeyPurpose],
    now: datetime,
    signature_name: str | None = None,
    whole: Collection[str] = (),
    evidence: Evidence | None = None,
    strict: bool = True,
) -> ValidatedSignature:
    """Validate a detached CAdES signature over a manifest, and the files that the manifest names.

    1. The manifest is well formed, ours in its one form.
    2. It names this signature.
    3. The CMS is well formed, ours in its one form, with the signing-time attribute that CAdES baseline
       demands (EN 319 122-1 section 6.3).
    4. The CMS verifies over the manifest, with role, timestamp and path (`validate_cms_signature`).
    5. Ours carries a timestamp.
    6. Each file that the manifest names is there and has its digest, and `whole` is covered
       (`check_references`).

    Args:
        signature: DER of the CMS.
        manifest: octets of the ASiCManifest.
        digests: member name → SHA-256 of each file found beside.
        trust: anchors of signers.
        timestamps: verifier of tokens.
        purposes: Probans purposes that are right here.
        now: time to validate at when there is no timestamp, UTC.
        signature_name: member name of the signature; None when it is not known.
        whole: members that the manifest must cover.
        evidence: further certificates and CRLs.
        strict: demand our own form of manifest, CMS and level; False for other software's.

    Raises:
        SignatureRefused: the code of the first step that failed.
    """
    # 1
    stated = parse_manifest(manifest, strict=strict)
    # 2
    if signature_name is not None and stated.signature_name != signature_name:
        raise SignatureRefused("FORMAT_FAILURE", "the manifest is that of another signature")
    # 3
    parsed = parse_cms(signature, strict=strict)
    if parsed.signing_time is None:
        raise SignatureRefused("FORMAT_FAILURE", "CAdES demands the signing-time attribute")
    # 4
    digest = hashlib.new(parsed.digest_algorithm, manifest, usedforsecurity=False).digest()
    result = validate_cms_signature(
        parsed, digest, trust, timestamps, evidence=evidence, purposes=purposes, now=now
    )
    # 5
    if strict and not result.timestamps:
        raise refused("NO_POE", "the seal carries no timestamp")
    # 6
    check_references(stated, digests, whole=whole)
    return result
