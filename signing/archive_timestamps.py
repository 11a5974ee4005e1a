"""Archive timestamps of CAdES: what the one of version 3 covers (ETSI EN 319 122-1, sections 5.5.2 and 5.5.3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from asn1crypto import algos
from asn1crypto import cms as asn1_cms
from asn1crypto import core as asn1_core

from signing.errors import SignatureRefused

_HASH_INDEX = "0.4.0.19122.1.5"  # id-aa-ATSHashIndex-v3
_ID_RI_OCSP = "1.3.6.1.5.5.7.16.2"


class _Hashes(asn1_core.SequenceOf):  # type: ignore[misc]
    _child_spec = asn1_core.OctetString


class _HashIndex(asn1_core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012 - asn1crypto's form
        ("algorithm", algos.DigestAlgorithm),
        ("certificates", _Hashes),
        ("crls", _Hashes),
        ("unsigned", _Hashes),
    ]


@dataclass(frozen=True, slots=True)
class ArchiveCover:
    """What an archive timestamp covers.

    Attributes:
        algorithm: hashlib name of the hashes in the index.
        digest: computes by a given algorithm (hashlib name) what the token's imprint must be.
        material: DER of certificates, CRLs and OCSP responses of the SignedData that it covers.
        attributes: DER of values of unsigned attributes that it covers, signature timestamps among them.
    """

    algorithm: str
    digest: Callable[[str], bytes]
    material: frozenset[bytes] = field(repr=False)
    attributes: frozenset[bytes] = field(repr=False)


def archive_cover(der: bytes, number: int, token: bytes, content: Callable[[str], bytes]) -> ArchiveCover:
    """Find what an archive timestamp of version 3 covers.

    1. The token has one ATSHashIndex-v3. 2. Each hash in it is that of a certificate, of revocation data or of an
    unsigned attribute value that is still there. 3. The imprint is over the content's type and digest, the
    fields of the SignerInfo, and the index.

    Args:
        der: the CMS.
        number: which SignerInfo.
        token: the archive timestamp, one of its unsigned attributes.
        content: hashes the signed content by a given algorithm.

    Raises:
        SignatureRefused: HASH_FAILURE when something that was covered is not there any more; FORMAT_FAILURE.

    What asn1crypto raises for what it cannot read comes out too.
    """
    # 1
    stamp = asn1_cms.ContentInfo.load(token)["content"]["signer_infos"][0]
    found = [item for item in stamp["unsigned_attrs"] or () if item["type"].dotted == _HASH_INDEX]
    if len(found) != 1 or len(found[0]["values"]) != 1:
        raise SignatureRefused("FORMAT_FAILURE", "the archive timestamp has no hash index of version 3")
    encoded: bytes = found[0]["values"][0].dump()
    index = _HashIndex.load(encoded, strict=True)
    algorithm: str = index["algorithm"]["algorithm"].native
    # 2
    signed_data = asn1_cms.ContentInfo.load(der)["content"]
    info = signed_data["signer_infos"][number]
    certificates = {item.dump(): item.dump() for item in signed_data["certificates"] or ()}
    lists = {item.dump(): _data(item) for item in signed_data["crls"] or ()}
    values = {
        item["type"].dump() + value.dump(): value.dump()
        for item in info["unsigned_attrs"] or ()
        for value in item["values"]
    }
    covered = [
        _covered(index[name].native, known, algorithm)
        for name, known in (("certificates", certificates), ("crls", lists), ("unsigned", values))
    ]
    # 3
    head = signed_data["encap_content_info"]["content_type"].dump()
    fields = ("version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature")
    tail = b"".join(info[name].dump() for name in fields) + encoded

    def digest(name: str) -> bytes:
        return hashlib.new(name, head + content(name) + tail, usedforsecurity=False).digest()

    return ArchiveCover(algorithm, digest, frozenset((*covered[0], *covered[1])), frozenset(covered[2]))


def _data(choice: asn1_cms.RevocationInfoChoice) -> bytes:
    if choice.name == "other" and choice.chosen["other_rev_info_format"].dotted == _ID_RI_OCSP:
        response: bytes = choice.chosen["other_rev_info"].dump()
        return response
    encoded: bytes = choice.dump()
    return encoded


def _covered(hashes: Iterable[bytes], known: dict[bytes, bytes], algorithm: str) -> list[bytes]:
    by_hash = {
        hashlib.new(algorithm, octets, usedforsecurity=False).digest(): meaning
        for octets, meaning in known.items()
    }
    found = []
    for value in hashes:
        match = next((item for item in by_hash if hmac.compare_digest(item, value)), None)
        if match is None:
            raise SignatureRefused("HASH_FAILURE", "what the archive timestamp covers is not there any more")
        found.append(by_hash[match])
    return found
