"""Audit of the seal of a document: in the PDF or beside the file, its timestamp, and what the ledger says of both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256

from signing.base import KeyPurpose
from vault.domain.documents import ObjectRole
from vault.evidence import layout
from vault.evidence.means import Means
from vault.evidence.report import Check, Judgement, Outcome
from vault.evidence.seals import SealFinding, detached_seal, own_pdf_seal, pdf_seals, read_manifest
from vault.intake import receive
from vault.ledger.events import Event

_PURPOSES = {Event.ISSUED: KeyPurpose.ACT_SEAL, Event.DEPOSITED: KeyPurpose.RECEPTION_SEAL}


@dataclass(frozen=True, slots=True)
class SealProblem:
    """What is wrong with a seal.

    Attributes:
        code: stable code, those of verdicts.
        expected: what should be there.
        found: what is there.
        indeterminate: True when it could not be decided.
    """

    code: str
    expected: str
    found: str
    indeterminate: bool


@dataclass(frozen=True, slots=True)
class SealJudge:
    """Judges the seals of documents with the operator's own trust.

    Attributes:
        means: whom it trusts.
        spool: folder for the unnamed file in which a PDF is read.
    """

    means: Means
    spool: Path

    def judge(
        self,
        event: Event,
        said: Mapping[str, object],
        read: Callable[[ObjectRole], Iterator[bytes]],
        *,
        beside: bool,
    ) -> list[SealProblem]:
        """Verify the seal of a document and compare it with what its opening says.

        Steps:
            1. The seal is in its one form and valid, by a key of the purpose that the event asks for.
            2. Its timestamp is valid, by a trusted authority (part of the same validation).
            3. It covers the original that was committed to.
            4. Signature, token, certificate and manifest have the digests that were committed to.

        Args:
            event: of the seal: issued or deposited.
            said: the document part of its opening.
            read: yields the plain octets of a part.
            beside: whether the seal lies beside the original, and not in it.

        Raises:
            what `read` raises; nothing for what it yields.
        """
        judgement = Judgement()
        seal: SealFinding | None
        if beside:
            manifest = b"".join(read(ObjectRole.MANIFEST))
            seal = self._seal_beside(event, said, manifest, b"".join(read(ObjectRole.SIGNATURE)), judgement)
        else:
            manifest = b""
            with receive(
                read(ObjectRole.ORIGINAL), folder=self.spool, limit=int(str(said["size"]))
            ) as spooled:
                seal = self._seal_inside(event, spooled.path, judgement)
        # 4
        _compare(said, manifest, seal, judgement)
        return [
            SealProblem(
                reason.code, check.expected or "a valid seal", check.found or reason.message,
                check.outcome is Outcome.INDETERMINATE,
            )
            for check, reason in zip(_refused(judgement), judgement.reasons, strict=True)
        ]  # fmt: skip

    def _seal_beside(
        self,
        event: Event,
        said: Mapping[str, object],
        manifest: bytes,
        signature: bytes,
        judgement: Judgement,
    ) -> SealFinding:
        # 1, 2
        seal = detached_seal(
            "seal", signature, manifest, frozenset({_PURPOSES[event]}), self.means, judgement
        )
        # 3
        listed = read_manifest("manifest", manifest, layout.SEAL_SIGNATURE, judgement)
        if listed is not None:
            covered = " ".join(reference.sha256.hex() for reference in listed.references)
            judgement.equal("manifest", said["sha256"], covered, "HASH_FAILURE", "over another document")
        return seal

    def _seal_inside(self, event: Event, path: Path, judgement: Judgement) -> SealFinding | None:
        # 1, 2; 3 follows from the original's own digest, and that the seal covers the whole file. The digest is
        # in the ledger, so the quick check will do for what it knows.
        quick = own_pdf_seal(path, self.means, judgement)
        seals = pdf_seals(path, self.means, judgement) if quick is None else [quick]
        if len(seals) != 1:
            judgement.refuse("seal", "FORMAT_FAILURE", "one seal must be there", "1", str(len(seals)))
            return None
        (seal,) = seals
        if seal.valid is not None and seal.valid.purposes != {_PURPOSES[event]}:
            judgement.refuse("seal", "SIG_CONSTRAINTS_FAILURE", "of another purpose", _PURPOSES[event].value)
        if seal.valid is not None and not seal.finding.covers_whole_file:
            judgement.refuse(
                "seal", "FORMAT_FAILURE", "the seal covers the whole file", "all", "a part of it"
            )
        return seal


def _refused(judgement: Judgement) -> list[Check]:
    return [check for check in judgement.checks if check.outcome in {Outcome.FAILED, Outcome.INDETERMINATE}]


def _compare(
    said: Mapping[str, object], manifest: bytes, seal: SealFinding | None, judgement: Judgement
) -> None:
    parts = said["parts"]
    committed = dict(parts) if isinstance(parts, Mapping) else {}
    if seal is None:
        return
    judgement.equal(
        "signature",
        committed.get("signature"),
        hashlib.sha256(seal.cms).hexdigest(),
        "SEAL_MISMATCH",
        "another seal than recorded",
    )
    if manifest or "manifest" in committed:
        found = hashlib.sha256(manifest).hexdigest()
        judgement.equal(
            "manifest", committed.get("manifest"), found, "MANIFEST_MISMATCH", "another than recorded"
        )
    if seal.valid is None:
        return
    stamps = [hashlib.sha256(stamp.der).hexdigest() for stamp in seal.valid.timestamps]
    judgement.equal(
        "token", [committed.get("token")], stamps[:1], "TOKEN_MISMATCH", "another timestamp than recorded"
    )
    signer = seal.valid.signer.fingerprint(SHA256()).hex()
    judgement.equal(
        "certificate",
        committed.get("seal_certificate"),
        signer,
        "CERTIFICATE_MISMATCH",
        "another certificate than recorded",
    )
