"""Which certificates may sign documents (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.12)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.base import KeyPurpose
from signing.errors import KeyUnusable, SignatureRefused
from signing.keys import certificate_purposes, check_role

_T = TypeVar("_T", bound=x509.ExtensionType)
# Client authentication is not here: certificates of natural persons often carry it beside signing.
_FOREIGN_USAGES = frozenset(
    {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING}
)


def stated_purposes(certificate: x509.Certificate) -> frozenset[KeyPurpose]:
    """Return the Probans purposes of a certificate; empty for other people's.

    Raises:
        SignatureRefused: FORMAT_FAILURE when its extensions cannot be read.
    """
    try:
        return certificate_purposes(certificate)
    except KeyUnusable as error:
        raise SignatureRefused("FORMAT_FAILURE", str(error)) from error


def require_signing_role(
    certificate: x509.Certificate, expected: AbstractSet[KeyPurpose]
) -> frozenset[KeyPurpose]:
    """Refuse a certificate that is not for signing such documents; return the Probans purposes it states.

    1. With Probans purposes: exactly one, among the expected, and fit for it (`signing.keys.check_role`).
    2. Without: no CA. 3. No extended key usage for timestamps, TLS servers or OCSP. 4. A key usage, when
    stated, allows digitalSignature or contentCommitment.

    Raises:
        SignatureRefused: SIG_CONSTRAINTS_FAILURE, indeterminate; FORMAT_FAILURE for unreadable extensions.
    """
    stated = stated_purposes(certificate)
    # 1
    if stated:
        if len(stated) != 1 or not stated <= expected:
            raise _refused("the certificate's purpose is another")
        try:
            check_role(certificate, next(iter(stated)))
        except KeyUnusable as error:
            raise _refused(str(error)) from error
        return stated
    extensions = certificate.extensions
    # 2
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _refused("a CA certificate may not sign documents")
    # 3
    usages = _extension(extensions, x509.ExtendedKeyUsage)
    if usages is not None and _FOREIGN_USAGES.intersection(usages):
        raise _refused("a timestamp, TLS or OCSP certificate may not sign documents")
    # 4
    usage = _extension(extensions, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise _refused("the key usage allows no signature")
    return stated


def _extension(extensions: x509.Extensions, kind: type[_T]) -> _T | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _refused(message: str) -> SignatureRefused:
    return SignatureRefused("SIG_CONSTRAINTS_FAILURE", message, indeterminate=True)
