"""PAdES-B-T certification seals (ETSI EN 319 142-1), the `Sealer` of PDF acts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from signing.base import KeyPurpose, Prepared, Revision, SealSource, ValidationMaterial
from signing.cms import CmsDraft, CmsSigner
from signing.errors import ReserveExceeded
from signing.keys import SealKey
from signing.revision import MaterialObjects, RevisionDraft, draft_revision, hash_source

# The strict form of our own acts: more zero octets after the CMS are refused by verification.
MAX_PADDING = 16
_REHEARSED_RESERVE = 8192


@dataclass(frozen=True, slots=True)
class _Pending:
    """What `complete` needs: the drafts and the hash state after the input and the head of the revision."""

    cms: CmsDraft
    revision: RevisionDraft
    state: hashlib._Hash = field(repr=False)
    size: int


class PadesSealer:
    """Seals PDFs, acts unless told otherwise, with a held key: certification signature, no change allowed (DocMDP P=1).

    Level B-T: the signature timestamp is inside; the DSS dictionary of the same revision has the validation
    material. The CMS holds the seal certificate and its issuers, no signing-time (EN 319 142-1 section 6.3).
    """

    def __init__(self, key: SealKey, *, purpose: KeyPurpose = KeyPurpose.ACT_SEAL) -> None:
        """Take the key. Raises KeyUnusable when its purpose is another one."""
        key.require_purpose(purpose)
        self._key = key
        self._signer = CmsSigner(key)
        self._objects = MaterialObjects.of(ValidationMaterial((), ()))
        # The certificate reads them anew each time.
        self._validity = key.certificate.not_valid_before_utc, key.certificate.not_valid_after_utc

    @property
    def purpose(self) -> KeyPurpose:
        """What its key is for."""
        return self._key.purpose

    @property
    def certificate(self) -> x509.Certificate:
        """The seal certificate."""
        return self._key.certificate

    def prepare(
        self, source: SealSource, material: ValidationMaterial, token_size: int, at: datetime
    ) -> Prepared:
        """Write the revision around the gap, hash what it leaves out, and sign.

        The input is read once only when `source.hash_state` is missing, else not at all beyond its structure.

        Args:
            source: the PDF.
            material: for the DSS dictionary.
            token_size: octets to reserve for the token.
            at: value of /M, UTC.

        Raises:
            PdfRefused: the PDF cannot take a seal.
            KeyUnusable: the certificate is not valid at `at`.
        """
        if not self._validity[0] <= at <= self._validity[1]:
            self._key.require_valid_at(at)
        reserve = self._signer.max_size(self._key.chain, (), token_size, None)
        # The source of material answers with the same object for as long as its lists are fresh.
        objects = self._objects
        if objects.material is not material:
            objects = self._objects = MaterialObjects.of(material)
        revision = draft_revision(source, objects, reserve, at)
        # One pass: the input's digest, the covered digest and the sealed file's part here from one state.
        state = hash_source(source)
        state.update(revision.head)
        covered = state.copy()
        covered.update(revision.tail)
        cms = self._signer.sign(covered.digest(), signing_time=None, certificates=self._key.chain, crls=())
        return Prepared(imprint=cms.imprint, state=_Pending(cms, revision, state, source.size))

    def rehearse(self, source: SealSource, at: datetime) -> None:
        """Refuse now what `prepare` would refuse; the key is not asked. Raises as there."""
        self._key.require_valid_at(at)
        draft_revision(source, MaterialObjects.of(ValidationMaterial((), ())), _REHEARSED_RESERVE, at)
        hash_source(source)

    def complete(self, prepared: Prepared, token: bytes) -> Revision:
        """Put the token in.

        Raises:
            ReserveExceeded: the CMS does not fit, or leaves more than 16 octets: prepare again.
            SignatureRefused: the token is not a DER element.
        """
        pending = prepared.state
        if not isinstance(pending, _Pending):
            raise TypeError("prepared by another sealer")
        cms = pending.cms.finish(token)
        if not 0 <= pending.revision.reserve - len(cms) <= MAX_PADDING:
            raise ReserveExceeded(len(token))
        filled = pending.revision.fill(cms)
        state = pending.state.copy()
        state.update(filled)
        state.update(pending.revision.tail)
        appended = b"".join((pending.revision.head, filled, pending.revision.tail))
        return Revision(
            appended=appended,
            sha256=state.digest(),
            size=pending.size + len(appended),
            manifest=b"",
            signature=cms,
            certificate=self._key.certificate,
            token=token,
        )
