"""Certificate paths: RFC 5280 validation, then rules on revocation data and algorithms."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signing.algorithms import OWN_CURVE_BITS, OWN_DIGESTS, OWN_RSA_BITS, TABLE, AlgorithmTable
from signing.crl import Crl, issued, read_crls
from signing.errors import KeyUnusable, SignatureRefused
from signing.foreign_paths import (
    NOT_LISTED,
    Admits,
    ForeignPaths,
    JudgingPaths,
    PathReport,
    claims_ca,
    report,
)
from signing.judgement import JudgingPolicy
from signing.pkix import INDETERMINATE_CODES, CertificatePath, PathLibrary, refused
from signing.revocation_data import Moment, RevocationData

__all__ = ["INDETERMINATE_CODES", "CertificatePath", "PathReport", "TrustStore", "refused"]

_MAX_GIVEN = 256  # certificates, and CRLs, that one signature may bring
_MAX_AUTHORITIES = 32  # of those, how many the anchors vouch for: bounds the search for paths
_CACHE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class _Validated:
    """A path and the span of time, start included and end excluded, over which the same proof holds."""

    path: CertificatePath
    start: datetime
    end: datetime


class TrustStore:
    """Trust anchors, and the validation of certificate paths to them at a given time.

    Instances are safe for threads, and may be called where an event loop runs.
    """

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        *,
        require_revocation: bool = True,
        retroactive: bool = False,
        admits: Admits | None = None,
    ) -> None:
        """Prepare validation.

        Args:
            anchors: trusted authorities; their own path length and name constraints are applied, while
                their end of validity is not (RFC 5280 section 6.1.1 d).
            require_revocation: demand a CRL for every certificate below the anchor.
            retroactive: accept a CRL whose thisUpdate is later than the time asked for; one that the seal
                carries is never later, one that another signer gathered afterwards may be.
            admits: says of an anchor whether it was one at a time; None: each is one at any time.
        """
        self.anchors = tuple(anchors)
        #: Paths of other people's certificates.
        self.foreign = ForeignPaths(anchors, admits)
        self._admits = admits
        self._require = require_revocation
        self._retroactive = retroactive
        self._library = PathLibrary(anchors, require_revocation=require_revocation, retroactive=retroactive)
        self._cache: OrderedDict[bytes, _Validated] = OrderedDict()
        self._guard = threading.Lock()

    @classmethod
    def from_pem(
        cls, data: bytes, *, require_revocation: bool = True, retroactive: bool = False
    ) -> TrustStore:
        """Read the anchors from PEM.

        Raises:
            KeyUnusable: no certificate can be read.
        """
        try:
            anchors = x509.load_pem_x509_certificates(data)
        except ValueError as error:
            raise KeyUnusable("the trust anchors are not PEM certificates") from error
        return cls(anchors, require_revocation=require_revocation, retroactive=retroactive)

    def validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> CertificatePath:
        """Validate the path from a certificate to an anchor at a time that is proven otherwise.

        1. Keep of `others` only the authorities that an anchor vouches for by signatures: nothing that a
           stranger adds takes part, however many look-alikes he makes.
        2. One of them, or an anchor, signed the certificate.
        3. RFC 5280 section 6 (pyhanko-certvalidator): validity, path length, key usage, name constraints,
           policies, critical extensions, revocation.
        4. No certificate below the anchor is revoked at or before `at` by any CRL that its issuer signed.
        5. Each has such a CRL with thisUpdate ≤ at < nextUpdate, not older than the certificate itself.
        6. Signature algorithms and key sizes of the path and its CRLs are acceptable.

        Args:
            certificate: the end certificate; not an anchor.
            others: certificates that may be issuers.
            crls: DER CRLs; unreadable ones and those of other issuers prove nothing.
            at: the time, UTC.

        Returns:
            The path, certificate first, anchor last.

        Raises:
            SignatureRefused: NO_CERTIFICATE_CHAIN_FOUND, CERTIFICATE_CHAIN_GENERAL_FAILURE,
                CHAIN_CONSTRAINTS_FAILURE, EXPIRED, NOT_YET_VALID, REVOKED, TRY_LATER,
                CRYPTO_CONSTRAINTS_FAILURE.
        """
        key = _cache_key(certificate, others, crls)
        with self._guard:
            known = self._cache.get(key)
            if known is not None and known.start <= at < known.end:
                self._cache.move_to_end(key)
                return self._admitted(known.path, at)
        try:
            validated = self._validate(certificate, others, crls, at)
        except SignatureRefused:
            raise
        except Exception as error:
            # Hostile certificates make the libraries throw anything, AssertionError and KeyError included.
            raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "the certificates cannot be read") from error
        with self._guard:
            self._cache[key] = validated
            while len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return self._admitted(validated.path, at)

    def _admitted(self, path: CertificatePath, at: datetime) -> CertificatePath:
        if self._admits is not None and not self._admits(path[-1], at):
            raise refused("NO_CERTIFICATE_CHAIN_FOUND", NOT_LISTED)
        return path

    def judge_path(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        revocation: RevocationData,
        at: datetime,
        *,
        control: datetime,
        proven: bool,
        claimed: datetime | None = None,
        need: bool = False,
        table: AlgorithmTable = TABLE,
    ) -> PathReport:
        """Judge the path of anybody's certificate, as ETSI EN 319 102-1 means it.

        Args:
            certificate: the end certificate; a trusted one that is no authority is its own path.
            others: certificates that may be issuers or OCSP responders.
            revocation: CRLs and OCSP responses.
            at: best time, UTC.
            control: control time, not before `at`.
            proven: `at` is proven.
            claimed: what the signer says when he signed.
            need: a certificate without any revocation data is an error, not "unchecked".
            table: judges algorithms.

        Raises:
            SignatureRefused: NO_CERTIFICATE_CHAIN_FOUND, CERTIFICATE_CHAIN_GENERAL_FAILURE,
                CHAIN_CONSTRAINTS_FAILURE, CRYPTO_CONSTRAINTS_FAILURE, CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
                OUT_OF_BOUNDS_NO_POE, OUT_OF_BOUNDS_NOT_REVOKED, REVOKED_NO_POE, REVOKED_CA_NO_POE and TRY_LATER,
                all indeterminate; NOT_YET_VALID and REVOKED.
        """
        moment = Moment(at, control, proven=proven, table=table)
        return report(
            self.foreign.assess(certificate, others, revocation, moment, claimed=claimed, need=need)
        )

    def judging(self, revocation: RevocationData, policy: JudgingPolicy) -> JudgingPaths:
        """Return the path validator for anybody's timestamp tokens."""
        return JudgingPaths(self.foreign, revocation, control=policy.control, need=policy.require_revocation)

    def _validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> _Validated:
        if len(others) > _MAX_GIVEN or len(crls) > _MAX_GIVEN:
            raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "too many certificates or CRLs")
        if certificate in self.anchors:
            raise refused("CHAIN_CONSTRAINTS_FAILURE", "a trust anchor signs certificates and CRLs only")
        # The library does not verify SHA-1 at all: say why, instead of finding no issuer.
        _check_digest(certificate)
        # 1
        authorities = self._vouched(certificate, others)
        issuers = [*self.anchors, *authorities]
        # 2
        if not any(issued(issuer, certificate) for issuer in issuers):
            raise refused("NO_CERTIFICATE_CHAIN_FOUND", "no trust anchor stands behind this certificate")
        lists = [crl for crl in read_crls(crls) if any(crl.issued_by(issuer) for issuer in issuers)]
        # 3
        path = self._library.validate(certificate, authorities, lists, at)
        # 4, 5
        start, end = path[0].not_valid_before_utc, path[0].not_valid_after_utc
        for subject, issuer in pairwise(path):
            own = [crl for crl in lists if crl.issued_by(issuer)]
            crl_start, crl_end = self._not_revoked(subject, own, at)
            # notAfter is inclusive; ending the span there leaves one instant to a fresh validation.
            start = max(start, subject.not_valid_before_utc, crl_start)
            end = min(end, subject.not_valid_after_utc, crl_end)
        # 6
        _check_algorithms(path, lists)
        return _Validated(path, start, end)

    def _vouched(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Collect, from the anchors down, the certificates whose chain of signatures is sound."""
        waiting = [
            other for other in dict.fromkeys(others) if other not in self.anchors and other != certificate
        ]
        found: list[x509.Certificate] = []
        level = list(self.anchors)
        while level:
            reached = [other for other in waiting if any(issued(issuer, other) for issuer in level)]
            waiting = [other for other in waiting if other not in reached]
            found += reached
            if len(found) > _MAX_AUTHORITIES:
                raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "too many authorities in one signature")
            # What a certificate that is no CA signed is not looked at; RFC 5280 refuses its direct use below.
            level = [other for other in reached if claims_ca(other)]
        return found

    def _not_revoked(
        self, subject: x509.Certificate, own: Sequence[Crl], at: datetime
    ) -> tuple[datetime, datetime]:
        """Steps 4 and 5 for one certificate; returns the span over which their answer stays the same."""
        dates = [crl.revocation_date(subject.serial_number) for crl in own]
        revocations = [date for date in dates if date is not None]
        if any(date <= at for date in revocations):
            raise refused("REVOKED", f"certificate {subject.serial_number:x} was revoked before this time")
        end = min([subject.not_valid_after_utc, *revocations])
        if not self._require:
            return subject.not_valid_before_utc, end
        known = [crl for crl in own if crl.could_name(subject)]
        fresh = [crl for crl in known if crl.covers(at, retroactive=self._retroactive)]
        if not fresh:
            raise refused("TRY_LATER", f"no CRL covers certificate {subject.serial_number:x} at this time")
        best = max(fresh, key=lambda crl: crl.next_update)
        start = subject.not_valid_before_utc if self._retroactive else best.this_update
        return start, min(end, best.next_update)


def _check_digest(item: x509.Certificate | x509.CertificateRevocationList) -> None:
    digest = item.signature_hash_algorithm
    # Ed25519 and Ed448 name no hash algorithm.
    if digest is not None and digest.name.replace("-", "_") not in OWN_DIGESTS:
        raise refused("CRYPTO_CONSTRAINTS_FAILURE", f"{digest.name} is too weak for a certificate or CRL")


def _check_algorithms(path: CertificatePath, lists: Sequence[Crl]) -> None:
    signed: list[x509.Certificate | x509.CertificateRevocationList] = [*path[:-1]]
    signed += [crl.parsed for crl in lists if any(crl.issued_by(issuer) for issuer in path[1:])]
    for item in signed:
        _check_digest(item)
    for certificate in path:
        key = certificate.public_key()
        if (isinstance(key, rsa.RSAPublicKey) and key.key_size < OWN_RSA_BITS) or (
            isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < OWN_CURVE_BITS
        ):
            raise refused("CRYPTO_CONSTRAINTS_FAILURE", f"a key of {key.key_size} bits is too small")


def _cache_key(
    certificate: x509.Certificate, others: Sequence[x509.Certificate], crls: Sequence[bytes]
) -> bytes:
    digests = [_fingerprint(certificate)]
    digests += sorted(map(_fingerprint, others))
    digests.append(b"crls")
    digests += sorted(hashlib.sha256(crl).digest() for crl in crls)
    return hashlib.sha256(b"".join(digests)).digest()


def _fingerprint(certificate: x509.Certificate) -> bytes:
    # A hash of a certificate reads all of it; which object it is is known at once, and nobody else is while it is kept.
    known = _fingerprints.get(id(certificate))
    if known is None or known[0] is not certificate:
        known = certificate, certificate.fingerprint(hashes.SHA256())
        if len(_fingerprints) >= _CACHE_SIZE:
            _fingerprints.clear()
        _fingerprints[id(certificate)] = known
    return known[1]


_fingerprints: dict[int, tuple[x509.Certificate, bytes]] = {}
