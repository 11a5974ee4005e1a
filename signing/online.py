"""Paths and revocation data completed from the network, where the caller gave a way there.

Addresses stand in certificates, so strangers choose them: the `Fetcher` decides which it visits and how long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

from signing.hostile import HOSTILE
from signing.judgement import Fetcher
from signing.revocation_data import RevocationData, Standing

if TYPE_CHECKING:
    from signing.foreign_paths import Assessment

_MAX_LEVELS = 4
_MAX_ADDRESSES = 3
_OPEN = frozenset({Standing.UNCHECKED, Standing.STALE})


def assess_online(
    ask: Callable[[Sequence[x509.Certificate], RevocationData], Assessment],
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    data: RevocationData,
    fetch: Fetcher | None,
) -> Assessment:
    """Assess a path, and again with what the network has when something is missing.

    1. Where no path is found, issuers' certificates (RFC 5280 section 4.2.2.1), level by level. 2. Where the status
    of a certificate is open, OCSP and its CRL.

    Args:
        ask: assesses with given certificates and revocation data.
        certificate: the end certificate.
        others: certificates at hand.
        data: revocation data at hand.
        fetch: None keeps off the network.
    """
    found = ask(others, data)
    if fetch is None:
        return found
    # 1
    if found.path_error is not None and found.path_error.code == "NO_CERTIFICATE_CHAIN_FOUND":
        subject = certificate
        for _ in range(_MAX_LEVELS):
            issuer = next(_issuers(subject, fetch), None)
            if issuer is None or issuer in others:
                break
            others = (*others, issuer)
            found = ask(others, data)
            if found.path:
                break
            subject = issuer
    # 2
    crls: list[bytes] = []
    ocsps: list[bytes] = []
    for (subject, issuer), known in zip(pairwise(found.path), found.known, strict=False):
        if known.standing in _OPEN:
            ocsps += _ocsp(subject, issuer, fetch)
            crls += _crls(subject, fetch)
    return ask(others, data.with_more(crls, ocsps)) if crls or ocsps else found


def _issuers(certificate: x509.Certificate, fetch: Fetcher) -> Iterator[x509.Certificate]:
    """Fetch certificates that may have issued one: DER, PEM, or in a PKCS #7."""
    for url in _access(certificate, Access.CA_ISSUERS):
        content = fetch.fetch(url)
        for read in (
            lambda data: [x509.load_der_x509_certificate(data)],
            pkcs7.load_der_pkcs7_certificates,
            x509.load_pem_x509_certificates,
        ):
            try:
                candidates = [] if content is None else read(content)
            except HOSTILE:
                continue
            yield from (item for item in candidates if item.subject == certificate.issuer)


def _ocsp(subject: x509.Certificate, issuer: x509.Certificate, fetch: Fetcher) -> list[bytes]:
    try:
        # SHA-1 names the issuer here and proves nothing; responders know no other (RFC 5019 section 2.1.1).
        request = ocsp.OCSPRequestBuilder().add_certificate(subject, issuer, hashes.SHA1()).build()  # noqa: S303
        body = request.public_bytes(Encoding.DER)
    except HOSTILE:
        return []
    answers = (fetch.fetch(url, body) for url in _access(subject, Access.OCSP))
    return [answer for answer in answers if answer is not None]


def _crls(subject: x509.Certificate, fetch: Fetcher) -> list[bytes]:
    try:
        points = subject.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = [name for point in points for name in point.full_name or ()]
    except HOSTILE:
        return []
    answers = (fetch.fetch(url) for url in _http(names))
    return [answer for answer in answers if answer is not None]


def _access(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> list[str]:
    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        return _http([item.access_location for item in places if item.access_method == method])
    except HOSTILE:
        return []


def _http(names: Sequence[x509.GeneralName]) -> list[str]:
    urls = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return [url for url in urls if url.lower().startswith(("http://", "https://"))][:_MAX_ADDRESSES]
