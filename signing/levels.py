"""The level of a signature that is proven, whatever it claims (ETSI EN 319 142-1, section 6; EN 319 122-1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from cryptography.hazmat.primitives.serialization import Encoding

from signing.foreign_paths import Assessment
from signing.revocation_data import Standing


def needed_material(assessments: Sequence[Assessment]) -> frozenset[bytes] | None:
    """Return what a signature needs to prove itself for good: certificates below the anchors, and their status.

    Args:
        assessments: of the signer's path and those of the timestamps that count.

    Returns:
        DER of certificates, CRLs and OCSP responses; None when the status of a certificate is not known.
    """
    needed: set[bytes] = set()
    for assessment in assessments:
        if not assessment.path or len(assessment.known) != len(assessment.path) - 1:
            return None
        for certificate, known in zip(assessment.path, assessment.known, strict=False):
            if known.standing is not Standing.GOOD:
                return None
            needed.add(certificate.public_bytes(Encoding.DER))
            if known.source:
                needed.add(known.source)
    return frozenset(needed)


def proven_level(
    form: str,
    *,
    timestamped: bool,
    assessments: Sequence[Assessment],
    inside: AbstractSet[bytes],
    covered: Iterable[AbstractSet[bytes]],
) -> str:
    """Name the level.

    1. T: something proves the time. 2. LT: and everything that `needed_material` names is inside. 3. LTA: and a
    document or archive timestamp that counts covers all of it.

    Args:
        form: "PAdES", "CAdES" or "PKCS7", whose levels have no "B-".
        timestamped: a signature timestamp or document timestamp counts.
        assessments: of the signer's path and those of the signature timestamps that count.
        inside: DER of what the file holds by itself.
        covered: for each document timestamp that counts, what the file held below it.
    """
    prefix = "" if form == "PKCS7" else "B-"
    # 1
    if not timestamped:
        return prefix + "B"
    # 2
    needed = needed_material(assessments)
    if needed is None or not needed <= inside:
        return prefix + "T"
    # 3
    archived = any(needed <= below for below in covered)
    return prefix + ("LTA" if archived else "LT")
