"""CAdES seals for everything that is not a PDF: a detached signature over an ASiC-E manifest of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from signing.asic import Reference, build_manifest
from signing.base import KeyPurpose, Prepared, Revision, SealSource, ValidationMaterial
from signing.cms import CmsDraft, CmsSigner
from signing.keys import SealKey

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
        reference = Reference(self._folder + source.name, source.media_type, source.sha256)
        manifest = build_manifest(self._signature_name, [reference])
        return self._prepare(manifest, material, at, source.sha256, source.size)

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
