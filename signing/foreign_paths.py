"""Certificate paths of anybody's signatures: what is missing is said, what is old is judged at its time.

Paths of seals of our own go through `TrustStore.validate`, which forgives nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import TABLE, AlgorithmTable
from signing.crl import UNREADABLE
from signing.errors import SignatureRefused
from signing.issuing import check_signed, issued_certificate
from signing.judgement import Fetcher
from signing.online import assess_online
from signing.pkix import CertificatePath, PathLibrary, refused
from signing.plain_paths import PlainPaths
from signing.revocation_data import Known, Moment, RevocationData, Standing, status

_MAX_GIVEN = 256  # certificates that one signature may bring
_MAX_AUTHORITIES = 32  # of those, how many the anchors vouch for: bounds the search for paths
_CACHE_SIZE = 1024
NOT_LISTED = "the trusted list did not have this service at that time"
_OUT_OF_TIME = frozenset({"EXPIRED", "NOT_YET_VALID"})

#: Says whether an anchor was one at a time, where a trusted list knows its history.
Admits = Callable[[x509.Certificate, datetime], bool]


@dataclass(frozen=True, slots=True)
class PathReport:
    """A path that holds.

    Attributes:
        path: certificate first, anchor last.
        revocation: "good", or "unchecked" when there is no data about one of the certificates.
        until: first instant after which the same data does not support it.
        known: what is known of each certificate below the anchor, in the order of the path.
    """

    path: CertificatePath = field(repr=False)
    revocation: str
    until: datetime
    known: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """A path with all that is wrong with it.

    Attributes:
        path: certificate first, anchor last; empty when none was found.
        known: what is known of each certificate below the anchor.
        path_error: why the path does not hold at this time.
        revocation_error: what revocation data says against it.
    """

    path: CertificatePath = field(repr=False)
    known: tuple[Known, ...] = ()
    path_error: SignatureRefused | None = None
    revocation_error: SignatureRefused | None = None

    @property
    def revocation(self) -> str:
        """See `PathReport`."""
        unchecked = any(item.standing is Standing.UNCHECKED for item in self.known)
        return "unchecked" if unchecked else "good"


@dataclass(frozen=True, slots=True)
class _Found:
    """A path and the span of time in which all its certificates below the anchor are valid, ends included."""

    path: CertificatePath
    start: datetime
    end: datetime


class ForeignPaths:
    """Builds and judges paths to fixed anchors; safe for threads."""

    def __init__(self, anchors: Sequence[x509.Certificate], admits: Admits | None = None) -> None:
        """See `TrustStore`."""
        self.anchors = tuple(anchors)
        self._known_anchors = frozenset(anchors)
        self._admits = admits
        # Revocation and algorithms are judged here, with data and dates that the library knows nothing of.
        self._library = PathLibrary(anchors, require_revocation=False, retroactive=True, any_algorithm=True)
        self._plain = PlainPaths(anchors)
        self._cache: OrderedDict[bytes, _Found] = OrderedDict()
        self._guard = threading.Lock()

    def prepare(self) -> None:
        """Prepare for this thread what is slow the first time, and for processes forked from it."""
        self._library.prepare()

    def assess(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        data: RevocationData,
        moment: Moment,
        *,
        claimed: datetime | None = None,
        need: bool = False,
        timestamps: bool = False,
    ) -> Assessment:
        """Find the path and say all that is wrong with it (ETSI EN 319 102-1, section 5.2.6).

        1. A trusted certificate that is no authority is its own path. 2. Else RFC 5280, section 6 (`plain_paths`
        where nothing is unusual, else pyhanko-certvalidator), at the best time, or where that is outside the
        certificates' lives, within them: names, constraints, policies, usages. 3. The anchor was one at that
        time. 4. Algorithms and keys of the path by the dated table. 5. Revocation of each certificate below the
        anchor. 6. Outside the lives: NOT_YET_VALID when proven to be earlier than the certificate, else
        OUT_OF_BOUNDS_NOT_REVOKED when known not to be revoked, else OUT_OF_BOUNDS_NO_POE.

        Args:
            certificate: the end certificate.
            others: certificates that may be issuers, or OCSP responders.
            data: revocation data.
            moment: when.
            claimed: what the signer says when he signed.
            need: a certificate without any revocation data is an error.
            timestamps: the end certificate is a timestamp authority's.
        """
        try:
            found = self._find(certificate, others, moment.best)
            path = found.path
            # 3
            if self._admits is not None and not self._admits(path[-1], moment.best):
                return Assessment((), path_error=refused("NO_CERTIFICATE_CHAIN_FOUND", NOT_LISTED))
            # 4
            path_error = self._weakness(path, moment)
            # 5
            known = tuple(
                status(
                    subject, issuer, data, others, moment, timestamps=timestamps and subject == certificate
                )
                for subject, issuer in pairwise(path)
            )
        except SignatureRefused as error:
            return Assessment((), path_error=error)
        except Exception as error:
            # Hostile certificates make the libraries throw anything, AssertionError and KeyError included.
            failure = refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "the certificates cannot be read")
            failure.__cause__ = error
            return Assessment((), path_error=failure)
        # 6
        if not found.start <= moment.best <= found.end:
            path_error = _out_of_bounds(certificate, known, moment)
        return Assessment(path, known, path_error, _against(path, known, moment, claimed, need=need))

    def _find(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate], at: datetime
    ) -> _Found:
        # 1
        if certificate in self._known_anchors:
            if claims_ca(certificate):
                raise refused("CHAIN_CONSTRAINTS_FAILURE", "an authority signs certificates and CRLs only")
            return _Found((certificate,), certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        # 2
        key = _cache_key(certificate, others)
        with self._guard:
            known = self._cache.get(key)
            if known is not None and known.start <= at <= known.end:
                self._cache.move_to_end(key)
                return known
        found = self._build(certificate, others, at)
        with self._guard:
            self._cache[key] = found
            while len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return found

    def _build(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate], at: datetime
    ) -> _Found:
        if len(others) > _MAX_GIVEN:
            raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "too many certificates")
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        moments = tuple(dict.fromkeys((at, min(max(at, start), end), end, start)))
        plain = self._plain.find(certificate, others)
        if plain is not None and any(plain.start <= moment <= plain.end for moment in moments):
            return _Found(plain.path, plain.start, plain.end)
        authorities = self._vouched(certificate, others)
        if not any(issued_certificate(issuer, certificate) for issuer in (*self.anchors, *authorities)):
            raise refused("NO_CERTIFICATE_CHAIN_FOUND", "no trust anchor stands behind this certificate")
        for moment in moments:
            try:
                path = self._library.validate(certificate, authorities, (), moment)
            except SignatureRefused as error:
                if error.code not in _OUT_OF_TIME:
                    raise
                continue
            return _Found(
                path,
                max(item.not_valid_before_utc for item in path[:-1]),
                min(item.not_valid_after_utc for item in path[:-1]),
            )
        raise refused("OUT_OF_BOUNDS_NO_POE", "the certificates were never all valid at one time")

    def _vouched(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Collect, from the anchors down, the certificates whose chain of signatures is sound."""
        waiting = [
            other
            for other in dict.fromkeys(others)
            if other != certificate and other not in self._known_anchors
        ]
        found: list[x509.Certificate] = []
        level = list(self.anchors)
        while level and waiting:
            reached = [
                other for other in waiting if any(issued_certificate(issuer, other) for issuer in level)
            ]
            waiting = [other for other in waiting if other not in reached]
            found += reached
            if len(found) > _MAX_AUTHORITIES:
                raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "too many authorities in one signature")
            # What a certificate that is no CA signed is not looked at; RFC 5280 refuses its direct use below.
            level = [other for other in reached if claims_ca(other)]
        return found

    @staticmethod
    def _weakness(path: CertificatePath, moment: Moment) -> SignatureRefused | None:
        try:
            for subject, issuer in pairwise(path):
                check_signed(
                    subject, issuer, moment.table, at=moment.existed or moment.best, proven=moment.proven
                )
        except SignatureRefused as error:
            return error
        return None


class JudgingPaths:
    """The path validator that a verifier of timestamp tokens is given, when anybody's token is judged."""

    def __init__(
        self,
        paths: ForeignPaths,
        data: RevocationData,
        *,
        control: datetime,
        need: bool,
        existed: datetime | None = None,
        fetch: Fetcher | None = None,
        table: AlgorithmTable = TABLE,
    ) -> None:
        """Prepare.

        Args:
            paths: anchors of timestamp authorities.
            data: revocation data beside what tokens carry.
            control: control time.
            need: a certificate without any revocation data is an error.
            existed: time at which the certificates are known to have existed; None for the token's own.
            fetch: gets what is missing; None keeps off the network.
            table: judges algorithms.
        """
        self._existed = existed
        self._fetch = fetch
        self._paths = paths
        self._data = data
        self._control = control
        self._need = need
        self._table = table
        self.last: Assessment | None = None

    def validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> CertificatePath:
        """Judge an authority's path at a token's time; what was found stays in `last`.

        Raises:
            SignatureRefused: as `TrustStore.judge_path`.
        """
        control = max(at, self._control)
        moment = Moment(at, control, proven=False, existed=self._existed, table=self._table)

        def ask(known: Sequence[x509.Certificate], data: RevocationData) -> Assessment:
            return self._paths.assess(certificate, known, data, moment, need=self._need, timestamps=True)

        self.last = found = assess_online(ask, certificate, others, self._data.with_more(crls), self._fetch)
        return report(found).path


def report(found: Assessment) -> PathReport:
    """Return a path that holds, or raise the main reason why it does not."""
    for error in (found.revocation_error, found.path_error):
        if error is not None and not error.indeterminate:
            raise error
    for error in (found.path_error, found.revocation_error):
        if error is not None:
            raise error
    until = min([found.path[0].not_valid_after_utc, *(item.until for item in found.known)])
    return PathReport(found.path, found.revocation, until, found.known)


def claims_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate says that it is an authority's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _out_of_bounds(certificate: x509.Certificate, known: Sequence[Known], moment: Moment) -> SignatureRefused:
    if moment.best < certificate.not_valid_before_utc:
        if moment.proven:
            return refused("NOT_YET_VALID", "the signature is older than its certificate")
        return refused("OUT_OF_BOUNDS_NO_POE", "the certificate was not valid yet at this time")
    if moment.best > certificate.not_valid_after_utc and known and known[0].standing is Standing.GOOD:
        return refused("OUT_OF_BOUNDS_NOT_REVOKED", "the certificate had ended at this time, unrevoked")
    return refused("OUT_OF_BOUNDS_NO_POE", "a certificate of the path was not valid at this time")


def _against(
    path: CertificatePath,
    known: Sequence[Known],
    moment: Moment,
    claimed: datetime | None,
    *,
    need: bool,
) -> SignatureRefused | None:
    """What revocation data says against a path, the worst first."""
    for number, (subject, item) in enumerate(zip(path, known, strict=False)):
        if item.standing is not Standing.REVOKED or item.revoked_at is None:
            continue
        day = item.revoked_at.isoformat()
        if number:
            return refused(
                "REVOKED_CA_NO_POE", f"the authority {subject.serial_number:x} was revoked on {day}"
            )
        late = item.revoked_at <= moment.best and claimed is not None and claimed >= item.revoked_at
        message = f"certificate {subject.serial_number:x} was revoked on {day}"
        return refused("REVOKED" if late else "REVOKED_NO_POE", message)
    for subject, item in zip(path, known, strict=False):
        serial = f"{subject.serial_number:x}"
        if item.standing is Standing.HELD:
            return refused("TRY_LATER", f"certificate {serial} is on hold")
        if item.standing is Standing.STALE:
            return refused("TRY_LATER", f"no revocation data covers certificate {serial} at this time")
        if need and item.standing is Standing.UNCHECKED:
            return refused("TRY_LATER", f"there is no revocation data about certificate {serial}")
    return None


def _cache_key(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> bytes:
    digests = [_digest(certificate), *sorted(set(map(_digest, others)))]
    return hashlib.sha256(b"".join(digests)).digest()


def _digest(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
