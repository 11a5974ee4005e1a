"""Asks an authority for the certificate of a key, wherever that lies (PKCS#10, RFC 2986)."""

from __future__ import annotations

from typing import Any

from asn1crypto import algos, csr, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from signing.base import KeyPurpose
from signing.errors import KeyUnusable
from signing.hostile import HOSTILE
from signing.keys import PURPOSE_OIDS
from signing.signers import ECDSA_P256, RSA_PSS, Signer

_SHA256 = {"algorithm": "sha256"}
_ALGORITHMS: dict[str, dict[str, Any]] = {
    ECDSA_P256: {"algorithm": "sha256_ecdsa"},
    RSA_PSS: {
        "algorithm": "rsassa_pss",
        "parameters": {
            "hash_algorithm": _SHA256,
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": _SHA256},
            "salt_length": 32,
        },
    },
}


def legal_person(common_name: str, organization: str, identifier: str, country: str) -> x509.Name:
    """Return the name of a legal person (ETSI EN 319 412-3 section 4.2.1).

    Args:
        common_name: what the certificate is for.
        organization: the legal person.
        identifier: its registered identifier, such as `NTRFR-130025265` (EN 319 412-1 section 5.1.4).
        country: two letters.

    Raises:
        KeyUnusable: a part has no form that a certificate takes.
    """
    try:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, country),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, identifier),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
    except HOSTILE as error:
        raise KeyUnusable(f"the subject cannot stand in a certificate: {error}") from error


def certificate_request(signer: Signer, subject: x509.Name, purpose: KeyPurpose) -> bytes:
    """Write a request, signed by the key itself, that asks for what its purpose needs.

    Asked for are: the purpose's policy (`signing.keys.PURPOSE_OIDS`), the key usage contentCommitment, or
    digitalSignature for timestamps with their critical and sole extended key usage (RFC 3161 section 2.3).

    Args:
        signer: the key.
        subject: whose it is.
        purpose: what it will do.

    Returns:
        The request, DER.

    Raises:
        KeyUnusable: a key of this kind makes no seals.
        SigningUnavailable: it does not answer.
    """
    if signer.algorithm not in _ALGORITHMS:
        raise KeyUnusable(f"no seal is made with {signer.algorithm}")
    public = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": asn1_x509.Name.load(subject.public_bytes()),
            "subject_pk_info": keys.PublicKeyInfo.load(public),
            "attributes": [{"type": "extension_request", "values": [_extensions(purpose)]}],
        }
    )
    request = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": algos.SignedDigestAlgorithm(_ALGORITHMS[signer.algorithm]),
            "signature": signer.sign(info.dump()),
        }
    )
    return bytes(request.dump())


def _extensions(purpose: KeyPurpose) -> list[dict[str, Any]]:
    timestamp = purpose is KeyPurpose.TIMESTAMP
    usage = {"digital_signature"} if timestamp else {"non_repudiation"}
    policies = [{"policy_identifier": PURPOSE_OIDS[purpose].dotted_string}]
    wanted: list[dict[str, Any]] = [
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "certificate_policies", "critical": False, "extn_value": policies},
    ]
    if timestamp:
        wanted.append({"extn_id": "extended_key_usage", "critical": True, "extn_value": ["time_stamping"]})
    return wanted
