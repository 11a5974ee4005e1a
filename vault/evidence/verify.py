"""Judges a file, whatever it is: an evidence bundle, a sealed PDF, somebody else's signature, or none.

    verdict = verify_file(Path("act.asice"), trust=trust, tsa_trust=None, policy=policy)

No network unless a ledger's address is given, no database, no service.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from asn1crypto import cms as asn1_cms
from asn1crypto import tsp

from signing.base import KeyPurpose
from signing.hostile import HOSTILE
from signing.trust import TrustStore
from vault.evidence.bundle import looks_like_bundle
from vault.evidence.ledger_source import LedgerSource
from vault.evidence.means import Means
from vault.evidence.report import Judgement, Outcome, StatusFinding, Verdict, filed
from vault.evidence.seals import pdf_seals
from vault.evidence.verify_bundle import verify_bundle
from vault.ledger.policy import Policy

_HEAD = 1024  # octets in which a PDF's header may begin
_TAIL = 4096
_END_RECORD = 22  # octets of a zip end record without comment
_MAX_DER = 32 << 20
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (OSError, zipfile.BadZipFile, *HOSTILE)


def verify_file(
    path: Path,
    *,
    trust: TrustStore,
    tsa_trust: TrustStore | None = None,
    policy: Policy | None = None,
    ledger: LedgerSource | None = None,
    original: Path | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Judge a file.

    1. Its kind is decided from its content. 2. A bundle is verified by `verify_bundle`. 3. In a PDF every
    signature is validated; the ledger part of a sealed act alone stays unchecked, and that is said. 4. Other
    signatures and tokens are named and not judged yet. 5. A file without any signature proves nothing.

    Args:
        path: the file.
        trust: anchors of seals.
        tsa_trust: anchors of timestamp authorities; None means those of `trust`.
        policy: keys of the ledger and its witnesses; without them a bundle's ledger part is INDETERMINATE.
        ledger: a published ledger to bring the status up to date.
        original: a file that must be the document of the bundle, octet for octet.
        at: time at which signatures without timestamp are judged, UTC; None means now.

    Returns:
        The verdict; always one, whatever the file holds.
    """
    means = Means(trust, tsa_trust or trust, policy, ledger, at or datetime.now(UTC))
    try:
        with path.open("rb") as file:
            return _judge(file, path, means, _digest_of(original) if original is not None else None)
    except Exception as error:
        code, message, unsure = filed(error)
        judgement = Judgement()
        judgement.refuse("file", code, message, indeterminate=unsure)
        return _verdict(judgement)


def _judge(file: BinaryIO, path: Path, means: Means, original: tuple[str, int] | None) -> Verdict:
    # 1
    head = file.read(_HEAD)
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - _TAIL))
    tail = file.read()
    if not length:
        return _refused("FORMAT_FAILURE", "the file is empty")
    # A damaged bundle may have lost its first octets, and a PDF in it shows its header early too.
    is_zip = head.startswith(b"PK") or tail[-_END_RECORD:].startswith(b"PK\x05\x06")
    if is_zip and not head.startswith(b"%PDF-"):
        return _zip(file, means, original)
    if b"%PDF-" in head or (b"%%EOF" in tail and b"startxref" in tail):
        return _pdf(file, path, means, original)
    if head[:1] == b"\x30":
        return _der(file, length)
    # 5
    return _refused("NO_SIGNATURE_FOUND", "the file carries no seal, signature or proof")


def _zip(file: BinaryIO, means: Means, original: tuple[str, int] | None) -> Verdict:
    # 2
    if looks_like_bundle(file):
        return verify_bundle(file, means, original)
    # 4, 5
    try:
        with zipfile.ZipFile(file) as container:
            names = container.namelist()
    except _UNREADABLE:
        return _refused("FORMAT_FAILURE", "the container cannot be read")
    if any(name.startswith("META-INF/") for name in names):
        return _refused("NOT_JUDGED", "a signed container of another maker is not judged yet")
    return _refused("NO_SIGNATURE_FOUND", "a zip file without any signature")


def _der(file: BinaryIO, length: int) -> Verdict:
    # 4, 5
    file.seek(0)
    data = file.read(_MAX_DER) if length <= _MAX_DER else b""
    # Only the first members are read: a whole structure of many megabytes would take asn1crypto minutes.
    for read, words in (
        (_is_signature, "a signature or token"),
        (_is_timestamp_answer, "a timestamp answer"),
    ):
        try:
            if read(data):
                return _refused("NOT_JUDGED", f"{words} in a file of its own is not judged yet")
        except _UNREADABLE:
            continue
    return _refused("NO_SIGNATURE_FOUND", "the file carries no seal, signature or proof")


def _is_signature(data: bytes) -> bool:
    kind = asn1_cms.ContentInfo.load(data, strict=True)["content_type"].native
    return kind in {"signed_data", "authenticated_data"}


def _is_timestamp_answer(data: bytes) -> bool:
    return tsp.TimeStampResp.load(data, strict=True)["status"]["status"].native is not None


def _pdf(file: BinaryIO, path: Path, means: Means, original: tuple[str, int] | None) -> Verdict:
    # 3
    judgement = Judgement()
    seals = pdf_seals(path, means, judgement)
    if not seals and not judgement.checks:
        return _refused("NO_SIGNATURE_FOUND", "the PDF carries no signature")
    if original is not None:
        found = _digest(file)
        judgement.equal(
            "original",
            f"sha256 {found[0]}, {found[1]} octets",
            f"sha256 {original[0]}, {original[1]} octets",
            "HASH_FAILURE",
            "the file given is not this one",
        )
    own = any(seal.valid is not None and KeyPurpose.ACT_SEAL in seal.valid.purposes for seal in seals)
    if own:
        judgement.note("ledger", Outcome.UNCHECKED, "the PDF alone: its evidence bundle proves this part")
        judgement.note("status", Outcome.UNCHECKED, "the PDF alone cannot say whether it is in force")
    status = StatusFinding("unknown", None, None, "none") if own else None
    reasons, checks = tuple(judgement.reasons), tuple(judgement.checks)
    findings = tuple(seal.finding for seal in seals)
    return Verdict(judgement.worst, reasons, findings, None, status, checks)


def _refused(code: str, message: str) -> Verdict:
    judgement = Judgement()
    judgement.refuse("file", code, message)
    return _verdict(judgement)


def _verdict(judgement: Judgement) -> Verdict:
    return Verdict(judgement.worst, tuple(judgement.reasons), checks=tuple(judgement.checks))


def _digest_of(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    state, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        state.update(chunk)
        size += len(chunk)
    return state.hexdigest(), size
