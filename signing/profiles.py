"""Certificate and CRL profiles of the development PKI, after RFC 5280 and ETSI EN 319 412-2/-3."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.base import KeyPurpose
from signing.keys import PROBANS_ARC, PURPOSE_OIDS, PrivateKey

#: Certificate policy that marks every certificate of a development PKI; production settings refuse it.
DEVELOPMENT_OID = x509.ObjectIdentifier(f"{PROBANS_ARC}.99")
#: How far in the past certificates and CRLs begin, so that a clock slightly behind accepts them.
CLOCK_TOLERANCE = timedelta(minutes=5)
#: Life of a CRL.
CRL_LIFE = timedelta(hours=24)

_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
_YEAR = timedelta(days=365)
_NAME_LIMIT = 64  # ub-common-name and ub-organization-name, counted here in UTF-8 octets


@dataclass(frozen=True, slots=True)
class Revoked:
    """One revoked certificate.

    Attributes:
        at: revocation date, UTC, whole seconds.
        reason: reason code of RFC 5280 section 5.3.1.
    """

    at: datetime
    reason: x509.ReasonFlags


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certification authority: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def is_development(certificate: x509.Certificate) -> bool:
    """Whether a certificate says that it belongs to a development PKI."""
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return any(policy.policy_identifier == DEVELOPMENT_OID for policy in policies)


def new_key(algorithm: str) -> PrivateKey:
    """Make a private key: `p256`, or `rsa-pss` (RSA of 3072 bits). Raises ValueError for another name."""
    if algorithm == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "rsa-pss":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    raise ValueError(f"unknown key algorithm {algorithm!r}")


def subject(common_name: str, organization: str, identifier: str) -> x509.Name:
    """Name of a legal person (ETSI EN 319 412-3 section 4.2.1) that says it is a specimen.

    Args:
        common_name: what the certificate is for; cut to 64 octets.
        organization: the legal person; cut to 64 octets.
        identifier: any stable identifier; its digest becomes the organizationIdentifier.
    """
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:12].upper()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _fit(organization)),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, f"DV:FR-{digest}"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "SPÉCIMEN / développement"),
            x509.NameAttribute(NameOID.COMMON_NAME, _fit(f"SPÉCIMEN {common_name}")),
        ]
    )


def root_certificate(key: ec.EllipticCurvePrivateKey, name: x509.Name, now: datetime) -> x509.Certificate:
    """Self-signed root: 20 years, one level of authorities below it."""
    builder = _builder(name, name, key, now, 20 * _YEAR)
    return _authority(builder, 1, (DEVELOPMENT_OID,)).sign(key, hashes.SHA256())


def ca_certificate(
    root: Issuer, key: ec.EllipticCurvePrivateKey, name: x509.Name, now: datetime
) -> x509.Certificate:
    """Issuing authority: 10 years, no authority below it."""
    builder = _builder(name, root.certificate.subject, key, now, 10 * _YEAR)
    builder = _authority(builder, 0, (_ANY_POLICY, DEVELOPMENT_OID))
    return builder.add_extension(_authority_key_id(root), critical=False).sign(root.key, hashes.SHA256())


def leaf_certificate(
    issuer: Issuer, key: PrivateKey, name: x509.Name, purpose: KeyPurpose, now: datetime
) -> x509.Certificate:
    """Certificate of a seal or timestamp key: 3 years, its purpose in the policies.

    Seals carry contentCommitment alone (EN 319 412-2 section 4.3.2, type A: the usage for signed content);
    timestamp keys digitalSignature and the critical, sole timeStamping usage (RFC 3161 section 2.3).
    """
    timestamp = purpose is KeyPurpose.TIMESTAMP
    builder = _builder(name, issuer.certificate.subject, key, now, 3 * _YEAR)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(digital_signature=timestamp, content_commitment=not timestamp), critical=True
        )
        .add_extension(_policies(PURPOSE_OIDS[purpose], DEVELOPMENT_OID), critical=False)
        .add_extension(_authority_key_id(issuer), critical=False)
    )
    if timestamp:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer.key, hashes.SHA256())


def revocation_list(issuer: Issuer, revoked: Mapping[int, Revoked], number: int, now: datetime) -> bytes:
    """Issue a CRL of 24 hours (RFC 5280 section 5).

    Args:
        issuer: the authority.
        revoked: serial number → revocation, all issued by this authority.
        number: crlNumber, higher than in every earlier CRL.
        now: thisUpdate lies 5 minutes before, but never before a revocation that the list states.

    Returns:
        The CRL, DER.
    """
    past = [entry.at for entry in revoked.values() if entry.at <= now]
    this_update = max([whole_second(now) - CLOCK_TOLERANCE, *past])
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(this_update)
        .next_update(this_update + CRL_LIFE)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key_id(issuer), critical=False)
    )
    for serial, entry in sorted(revoked.items()):
        line = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(entry.at)
        # RFC 5280 section 5.3.1: leave the extension out instead of saying "unspecified".
        if entry.reason is not x509.ReasonFlags.unspecified:
            line = line.add_extension(x509.CRLReason(entry.reason), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def whole_second(moment: datetime) -> datetime:
    """Cut a time to the second, the precision of X.509."""
    return moment.replace(microsecond=0)


def _builder(
    name: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    start = whole_second(now) - CLOCK_TOLERANCE
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _authority(
    builder: x509.CertificateBuilder, path_length: int, policies: tuple[x509.ObjectIdentifier, ...]
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(_policies(*policies), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, content_commitment: bool = False, authority: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _policies(*identifiers: x509.ObjectIdentifier) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in identifiers])


def _authority_key_id(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    key_id = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)


def _fit(text: str) -> str:
    """Make a name attribute of any text: NFC, no control or format characters, 1 to 64 octets."""
    visible = "".join(
        character
        for character in unicodedata.normalize("NFC", text)
        if not unicodedata.category(character).startswith("C")
    )
    return visible.encode()[:_NAME_LIMIT].decode(errors="ignore").strip() or "sans nom"
