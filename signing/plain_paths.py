"""Certificate paths with nothing unusual about them, checked here in a tenth of the time that the full validator takes.

The answer is a path or "not plain", never a refusal: whatever this module does not know for certain goes to
pyhanko-certvalidator. So it may say no too often, and must never say yes where the full validator says no.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, PublicKeyAlgorithmOID, SignatureAlgorithmOID

from signing.ber import SEQUENCE, SET, Walk, certificate_names
from signing.crl import issued
from signing.hostile import HOSTILE
from signing.pkix import CertificatePath

_MAX_GIVEN = 32  # certificates that one signature brings
_MAX_LENGTH = 8  # certificates below the anchor
_MAX_POLICIES = 32  # of one certificate
_UTF8, _PRINTABLE = 0x0C, 0x13

_T = TypeVar("_T", bound=x509.ExtensionType)

#: Extensions that restrict nothing, or only what is checked here.
_KNOWN = frozenset(
    {
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.FRESHEST_CRL,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.OCSP_NO_CHECK,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        x509.ObjectIdentifier("1.3.6.1.5.5.7.1.3"),  # qcStatements
    }
)
_KEYS = frozenset(
    {
        PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
        PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
        PublicKeyAlgorithmOID.ED25519,
    }
)
_ALGORITHMS = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
_NAME_TYPES = frozenset(
    {
        b"\x55\x04\x03",  # commonName, and its neighbours under 2.5.4
        b"\x55\x04\x04",  # surname
        b"\x55\x04\x05",  # serialNumber
        b"\x55\x04\x06",  # countryName
        b"\x55\x04\x07",  # localityName
        b"\x55\x04\x08",  # stateOrProvinceName
        b"\x55\x04\x0a",  # organizationName
        b"\x55\x04\x0b",  # organizationalUnitName
        b"\x55\x04\x2a",  # givenName
        b"\x55\x04\x61",  # organizationIdentifier
    }
)
# Letters of which every version of Unicode and of the string preparation (RFC 4518) says the same.
_PLAIN_TEXT = re.compile(r"[ -~À-ÖØ-öø-ſ]{1,200}")


@dataclass(frozen=True, slots=True)
class PlainPath:
    """A path that holds at any time within a span.

    Attributes:
        path: certificate first, anchor last.
        start: first instant at which all certificates below the anchor are valid, UTC.
        end: last such instant.
    """

    path: CertificatePath = field(repr=False)
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of a certificate.

    Attributes:
        issuer: its DER.
        subject: its DER.
        loose: the subject without all that a comparison of names may pass over.
        plain: nothing about the subject is unusual, nor is it empty.
    """

    issuer: bytes
    subject: bytes
    loose: str
    plain: bool


class PlainPaths:
    """Finds plain paths to fixed anchors; safe for threads."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        """Read the names of the anchors; where one cannot be read, no path is plain."""
        self._anchors: dict[x509.Certificate, _Names] = {}
        self._readable = True
        try:
            self._anchors = {anchor: _names(anchor) for anchor in anchors}
        except HOSTILE:
            self._readable = False

    def find(self, certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> PlainPath | None:
        """Find the path from a certificate to an anchor (RFC 5280 section 6.1), if everything about it is plain.

        Before the algorithm begins:

        0a. At most 32 certificates are given; each, and each anchor, has readable names.
        0b. Each certificate of the path names its issuer in the very octets of the issuer's subject, and nobody else
            among all certificates given and all anchors has that subject, case, spaces and signs put aside: so
            there is one path only.
        0c. Names are of common types in UTF-8 or printable strings of Latin letters; subjects and issuers differ, so
            that nothing is self-issued.
        0d. No extension but those that restrict nothing here, each readable, and no two alike: so no name
            constraints, policy constraints, policy mappings, inhibited policies, and no unknown extension, critical or
            not. With these, no policy processing can fail (6.1.3 d to f, 6.1.4 a, b, h to j, 6.1.5 a, b, g).

        Then from the anchor down, for each certificate below it:

        1. Initial state (6.1.1): name, key and path length of the anchor, which is an authority's certificate.
        2. Signature (6.1.3 a 1): by the issuer's RSA, elliptic or Ed25519 key with SHA-2 or none; key
           identifiers, where both state one, agree (4.2.1.1).
        3. Validity (6.1.3 a 2): the span in which all are valid is the answer.
        4. Issuer (6.1.3 a 4): follows from 0b.
        5. Between anchor and end: basicConstraints says authority (6.1.4 k), the path length allows it (6.1.4 l,
           m), and keyUsage is there and has keyCertSign (6.1.4 n).
        6. Critical extensions (6.1.4 o, 6.1.5 f): follows from 0d.

        Revocation (6.1.3 a 3) is the caller's.

        Args:
            certificate: the end certificate, no anchor itself.
            others: certificates that may be between; trusted in nothing.

        Returns:
            The path, or None: ask the full validator.
        """
        try:
            return self._find(certificate, others)
        except HOSTILE:
            return None

    def _find(self, certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> PlainPath:
        # 0a
        anchors = self._anchors
        given = [other for other in dict.fromkeys(others) if other != certificate and other not in anchors]
        _require(self._readable and certificate not in anchors and len(given) <= _MAX_GIVEN)
        names = {item: _names(item) for item in (certificate, *given)}
        known = names | anchors
        # 0b
        path = [certificate]
        while path[-1] not in anchors:
            _require(len(path) <= _MAX_LENGTH)
            wanted = known[path[-1]].issuer
            found = [item for item, each in known.items() if each.subject == wanted]
            _require(len(found) == 1 and found[0] not in path)
            path.append(found[0])
        subjects = Counter(each.loose for each in known.values())
        _require(all(subjects[known[item].loose] == 1 for item in path))
        # The full validator knows a certificate by issuer and number: no second one may pass for one of the path.
        serials = Counter(item.serial_number for item in names)
        _require(all(serials[item.serial_number] == 1 for item in path[:-1]))
        for item in path:
            # 0c
            _require(known[item].plain)
            # 0d
            _check_extensions(item)
        return _validated(tuple(path))


def _validated(path: CertificatePath) -> PlainPath:
    # 1
    anchor = path[-1]
    length = _authority(anchor, needs_usage=False)
    allowed = len(path) - 1 if length is None else length
    for issuer, subject in pairwise(reversed(path)):
        # 2
        _require(issuer.public_key_algorithm_oid in _KEYS and subject.signature_algorithm_oid in _ALGORITHMS)
        _require(_identifiers_agree(issuer, subject) and issued(issuer, subject))
        # 5
        if subject is not path[0]:
            _require(allowed > 0)
            length = _authority(subject, needs_usage=True)
            allowed = allowed - 1 if length is None else min(allowed - 1, length)
    # 3
    start = max(item.not_valid_before_utc for item in path[:-1])
    end = min(item.not_valid_after_utc for item in path[:-1])
    _require(start <= end)
    return PlainPath(path, start, end)


def _require(condition: bool) -> None:
    """Give up, as where a library cannot read something: the full validator is to be asked."""
    if not condition:
        raise ValueError("not plain")


def _authority(certificate: x509.Certificate, *, needs_usage: bool) -> int | None:
    """Return the path length that an authority's certificate states; a certificate that is none is not plain."""
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    try:
        signs = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        signs = not needs_usage
    _require(basic.ca and signs)
    return basic.path_length


def _check_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        _require(extension.oid in _KNOWN)
        value = extension.value
        if isinstance(value, x509.CertificatePolicies):
            _require(len(value) <= _MAX_POLICIES)
            qualifiers = [each for policy in value for each in policy.policy_qualifiers or ()]
            _require(all(isinstance(each, str) for each in qualifiers))
        elif isinstance(value, x509.AuthorityKeyIdentifier):
            _require(value.authority_cert_issuer is None and value.authority_cert_serial_number is None)


def _identifiers_agree(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    stated = _extension(subject, x509.AuthorityKeyIdentifier)
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    return stated is None or own is None or stated.key_identifier in {None, own.digest}


def _extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _names(certificate: x509.Certificate) -> _Names:
    issuer, subject = certificate_names(certificate.tbs_certificate_bytes)
    plain = _plain_values(subject)
    values = [str(attribute.value) for attribute in certificate.subject] if plain is None else plain
    loose = "/".join(sorted(map(_loose, values)))
    return _Names(issuer, subject, loose, bool(plain))


def _loose(value: str) -> str:
    """Leave of a value what no comparison of names passes over (RFC 4518)."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    return "".join(filter(str.isalnum, text))


def _plain_values(name: bytes) -> list[str] | None:
    """Read the values of a name, None if there is anything unusual about it."""
    values = []
    try:
        with Walk(name).inside(SEQUENCE) as sets:
            while sets.tag >= 0:
                with sets.inside(SET) as pairs, pairs.inside(SEQUENCE) as pair:
                    kind, value = pair.object_id(), pair.take(_UTF8, _PRINTABLE)
                text = name[value.start : value.stop].decode()
                if kind not in _NAME_TYPES or not _PLAIN_TEXT.fullmatch(text):
                    return None
                values.append(text)
    except ValueError:
        return None
    return values
