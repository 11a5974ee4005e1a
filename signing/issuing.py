"""Who signed a certificate, CRL or OCSP response, whatever the algorithm: how good it is, is another question.

`cryptography` verifies certificates and CRLs itself, but none with SHA-1 or MD5; old genuine files need those.
"""

from __future__ import annotations

from datetime import datetime

from asn1crypto import algos
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import AlgorithmTable, describe_key
from signing.cms_crypto import read_scheme, verify_value
from signing.crl import Crl, issued
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE

_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)


def issued_certificate(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the issuer's name and key are behind a certificate."""
    if issued(issuer, certificate):
        return True
    try:
        if certificate.issuer != issuer.subject or _modern(certificate):
            return False
        read = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
        return signed_by(
            issuer,
            read["signature_algorithm"],
            read["signature_value"].native,
            read["tbs_certificate"].dump(),
        )
    except _UNREADABLE:
        return False


def issued_crl(issuer: x509.Certificate, crl: Crl) -> bool:
    """Whether the issuer's name and key are behind a CRL, and the key may sign CRLs."""
    try:
        if crl.parsed.issuer != issuer.subject or not _may_sign_crls(issuer):
            return False
        if crl.issued_by(issuer):
            return True
        if _modern(crl.parsed):
            return False
        read = asn1_crl.CertificateList.load(crl.der)
        return signed_by(
            issuer, read["signature_algorithm"], read["signature"].native, read["tbs_cert_list"].dump()
        )
    except _UNREADABLE:
        return False


def signed_by(
    issuer: x509.Certificate, algorithm: algos.SignedDigestAlgorithm, signature: bytes, data: bytes
) -> bool:
    """Whether a certificate's key made a signature value over some octets."""
    try:
        verify_value(issuer.public_key(), read_scheme(algorithm), signature, data)
    except _UNREADABLE:
        return False
    return True


def check_signed(
    item: x509.Certificate | x509.CertificateRevocationList,
    issuer: x509.Certificate,
    table: AlgorithmTable,
    *,
    at: datetime,
    proven: bool,
) -> None:
    """Hold the signature under a certificate or CRL to the dated table: digest, scheme and issuer's key.

    Raises:
        SignatureRefused: CRYPTO_CONSTRAINTS_FAILURE, CRYPTO_CONSTRAINTS_FAILURE_NO_POE.
    """
    digest = item.signature_hash_algorithm
    pss = item.signature_algorithm_oid == x509.SignatureAlgorithmOID.RSASSA_PSS
    name = None if digest is None else digest.name.replace("-", "_")
    scheme, bits, curve = describe_key(issuer.public_key(), pss=pss)
    table.check(digest=name, scheme=scheme, bits=bits, curve=curve, at=at, proven=proven)


def _modern(item: x509.Certificate | x509.CertificateRevocationList) -> bool:
    digest = item.signature_hash_algorithm
    return digest is None or digest.name not in {"sha1", "md5"}


def _may_sign_crls(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
