"""What CRLs and OCSP responses say of a certificate at a time, with the reasons not to believe them.

Data that may not be used to call a certificate good is still believed when it calls it revoked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from asn1crypto import core as asn1_core
from cryptography import x509

from signing.algorithms import TABLE, AlgorithmTable
from signing.crl import UNREADABLE, Crl, read_crls
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE
from signing.issuing import check_signed, issued_crl
from signing.ocsp import OcspAnswer, OcspResponse, needs_no_check, read_ocsps

_EXPIRED_CERTS_ON_CRL = x509.ObjectIdentifier("2.5.29.60")
_KNOWN_CRL_EXTENSIONS = frozenset({"2.5.29.20", "2.5.29.28", "2.5.29.35"})
# ETSI EN 319 412-1 section 5.2 (validity-assured short-term) and RFC 9608 (noRevAvail): nothing will ever be said.
_NEVER_REVOKED = ("0.4.0.194121.2.1", "2.5.29.56")
#: Reasons that make every signature of a timestamp authority doubtful, whenever it was made (RFC 3161, 4).
_COMPROMISED = frozenset({"", "unspecified", "key_compromise", "ca_compromise", "aa_compromise"})
_TEMPORARY = frozenset({"certificate_hold", "remove_from_crl"})
_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
_REASONS = {
    x509.ReasonFlags.unspecified: "unspecified",
    x509.ReasonFlags.key_compromise: "key_compromise",
    x509.ReasonFlags.ca_compromise: "ca_compromise",
    x509.ReasonFlags.aa_compromise: "aa_compromise",
    x509.ReasonFlags.certificate_hold: "certificate_hold",
    x509.ReasonFlags.remove_from_crl: "remove_from_crl",
}


class Standing(StrEnum):
    """What is known of a certificate."""

    GOOD = "good"
    UNCHECKED = "unchecked"  # nobody says anything about it
    STALE = "stale"  # there is data, but none that may be believed at that time
    HELD = "held"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one certificate at one time.

    Attributes:
        standing: the answer.
        until: first instant after which the same data does not support it.
        revoked_at: UTC, of a revoked or held certificate.
        reason: of the revocation; "" when not said.
        source: the CRL or OCSP response behind "good", DER; b"" when none is needed.
    """

    standing: Standing
    until: datetime
    revoked_at: datetime | None = None
    reason: str = ""
    source: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class _Statement:
    """One signed statement about a certificate.

    Attributes:
        this_update: of the list or answer.
        revoked_at: None: it is not revoked, as far as this says.
        reason: of the revocation.
        good_until: until when it may be believed that the certificate is good; None: not at all.
        source: DER.
    """

    this_update: datetime
    revoked_at: datetime | None
    reason: str
    good_until: datetime | None
    source: bytes


@dataclass(frozen=True)
class RevocationData:
    """CRLs and OCSP responses as they came, the preferred ones first.

    Attributes:
        crl_ders: DER.
        ocsp_ders: DER.
    """

    crl_ders: tuple[bytes, ...] = ()
    ocsp_ders: tuple[bytes, ...] = ()

    @cached_property
    def crls(self) -> list[Crl]:
        """Those CRLs that can be read."""
        return read_crls(self.crl_ders)

    @cached_property
    def ocsps(self) -> list[OcspResponse]:
        """Those OCSP responses that can be read."""
        return read_ocsps(self.ocsp_ders)

    def with_more(self, crls: Iterable[bytes] = (), ocsps: Iterable[bytes] = ()) -> RevocationData:
        """Return these and further ones."""
        more_crls = tuple(dict.fromkeys((*self.crl_ders, *crls)))
        more_ocsps = tuple(dict.fromkeys((*self.ocsp_ders, *ocsps)))
        if (more_crls, more_ocsps) == (self.crl_ders, self.ocsp_ders):
            return self
        return RevocationData(more_crls, more_ocsps)


@dataclass(frozen=True, slots=True)
class Moment:
    """For when a status is asked.

    Attributes:
        best: time at which the certificate was used, UTC.
        control: time of the verdict, not before `best`.
        proven: `best` is proven.
        existed: time at which the certificates of the path are known to have existed, for the algorithms
            under them; None for `best`.
        table: judges the algorithms of the data.
    """

    best: datetime
    control: datetime
    proven: bool
    existed: datetime | None = None
    table: AlgorithmTable = TABLE


def status(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    data: RevocationData,
    others: Sequence[x509.Certificate],
    moment: Moment,
    *,
    timestamps: bool = False,
) -> Known:
    """Say what is known of a certificate.

    1. Some certificates state that no revocation will ever be published. 2. Of the data, that counts which its
    issuer, or an OCSP responder that the issuer made, signed. 3. A revocation at or before the best time counts,
    whatever is wrong with the data otherwise; of a timestamp authority, one for compromise counts at any
    time. 4. The newest statement that the certificate is on hold counts. 5. Good needs a statement in
    scope, made while the certificate was valid, not after control time, which ends after the best time.

    Args:
        certificate: asked about.
        issuer: whose signature under it was checked.
        data: what there is.
        others: where OCSP responders may be found.
        moment: when.
        timestamps: the certificate is a timestamp authority's.
    """
    end = certificate.not_valid_after_utc
    # 1
    if _is_never_revoked(certificate):
        return Known(Standing.GOOD, end)
    # 2
    statements = [*_from_crls(certificate, issuer, data.crls, moment)]
    statements += _from_ocsps(certificate, issuer, data, others, moment)
    # 3
    gone = [item for item in statements if item.revoked_at is not None and item.reason not in _TEMPORARY]
    for item in sorted(gone, key=lambda item: item.revoked_at or moment.control):
        if _was_revoked(item, moment) or (timestamps and item.reason in _COMPROMISED):
            return Known(Standing.REVOKED, end, item.revoked_at, item.reason)
    end = min([end, *(item.revoked_at for item in gone if item.revoked_at is not None)])
    # 4
    past = [item for item in statements if item.this_update <= moment.control]
    newest = max(past, key=lambda item: item.this_update, default=None)
    if newest is not None and newest.reason == "certificate_hold" and _was_revoked(newest, moment):
        return Known(Standing.HELD, end, newest.revoked_at, newest.reason)
    # 5
    for item in past:
        if item.good_until is not None and moment.best < item.good_until and not _was_revoked(item, moment):
            return Known(Standing.GOOD, min(end, item.good_until), source=item.source)
    return Known(Standing.STALE if past else Standing.UNCHECKED, end)


def _was_revoked(item: _Statement, moment: Moment) -> bool:
    return item.revoked_at is not None and item.revoked_at <= moment.best


def _from_crls(
    certificate: x509.Certificate, issuer: x509.Certificate, crls: Iterable[Crl], moment: Moment
) -> Iterable[_Statement]:
    for crl in crls:
        if not issued_crl(issuer, crl):
            continue
        revoked_at, reason = _entry(crl, certificate.serial_number)
        good = (
            crl.could_name(certificate)
            and _in_scope(crl, certificate)
            and (crl.this_update <= certificate.not_valid_after_utc or _keeps_expired(crl, certificate))
            and _accepted(crl, issuer, moment)
        )
        yield _Statement(crl.this_update, revoked_at, reason, crl.next_update if good else None, crl.der)


def _entry(crl: Crl, serial: int) -> tuple[datetime | None, str]:
    try:
        entry = crl.parsed.get_revoked_certificate_by_serial_number(serial)
    except UNREADABLE:
        return None, ""
    if entry is None:
        return None, ""
    try:
        reason = _REASONS.get(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason, "other")
    except (x509.ExtensionNotFound, *UNREADABLE):
        reason = ""
    return entry.revocation_date_utc, reason


def _in_scope(crl: Crl, certificate: x509.Certificate) -> bool:
    """Whether silence of this list means that the certificate is not revoked (RFC 5280 sections 5.2, 6.3.3)."""
    try:
        for extension in crl.parsed.extensions:
            value = extension.value
            if isinstance(value, x509.DeltaCRLIndicator):
                return False
            if isinstance(value, x509.IssuingDistributionPoint):
                if not _point_covers(value, certificate):
                    return False
            elif extension.critical and extension.oid.dotted_string not in _KNOWN_CRL_EXTENSIONS:
                return False
    except UNREADABLE:
        return False
    return True


def _point_covers(point: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    if point.indirect_crl or point.only_contains_attribute_certs or point.only_some_reasons is not None:
        return False
    is_ca = _is_ca(certificate)
    if (point.only_contains_user_certs and is_ca) or (point.only_contains_ca_certs and not is_ca):
        return False
    if point.full_name is None:
        return point.relative_name is None
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    named = {name for item in points if item.reasons is None for name in item.full_name or ()}
    return not named.isdisjoint(point.full_name)


def _keeps_expired(crl: Crl, certificate: x509.Certificate) -> bool:
    """Whether the list still names certificates that ended when this one did (ITU-T X.509, expiredCertsOnCRL)."""
    try:
        extension = crl.parsed.extensions.get_extension_for_oid(_EXPIRED_CERTS_ON_CRL).value
        if not isinstance(extension, x509.UnrecognizedExtension):
            return False
        since = asn1_core.GeneralizedTime.load(extension.value).native
        return bool(since <= certificate.not_valid_after_utc)
    except HOSTILE:
        return False


def _accepted(crl: Crl, issuer: x509.Certificate, moment: Moment) -> bool:
    try:
        check_signed(crl.parsed, issuer, moment.table, at=moment.best, proven=moment.proven)
    except _UNREADABLE:
        return False
    return True


def _from_ocsps(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    data: RevocationData,
    others: Sequence[x509.Certificate],
    moment: Moment,
) -> Iterable[_Statement]:
    for response in data.ocsps:
        answers = [item for item in response.answers if item.is_about(certificate, issuer)]
        responder = response.responder(issuer, others) if answers else None
        if responder is None:
            continue
        trusted = _is_in_order(responder, issuer, response, data, moment)
        for answer in answers:
            # Whoever was revoked later was good before: status() compares the times.
            good = trusted and answer.status != "unknown" and _was_valid(answer, certificate)
            yield _Statement(
                answer.this_update,
                answer.revoked_at,
                answer.reason,
                _ocsp_end(answer, moment) if good else None,
                response.der,
            )


def _is_in_order(
    responder: x509.Certificate,
    issuer: x509.Certificate,
    response: OcspResponse,
    data: RevocationData,
    moment: Moment,
) -> bool:
    """Whether a responder may be believed when he says "good"."""
    try:
        response.check_algorithms(moment.table, responder, at=moment.best, proven=moment.proven)
    except _UNREADABLE:
        return False
    if response.produced_at > moment.control:
        return False
    if responder == issuer or needs_no_check(responder):
        return True
    lists = RevocationData(data.crl_ders)
    return status(responder, issuer, lists, (), moment).standing is Standing.GOOD


def _was_valid(answer: OcspAnswer, certificate: x509.Certificate) -> bool:
    """Whether the answer was given in the certificate's life, or its archive reaches back there."""
    if answer.critical or answer.this_update < certificate.not_valid_before_utc:
        return False
    end = certificate.not_valid_after_utc
    return answer.this_update <= end or (answer.archive_cutoff is not None and answer.archive_cutoff <= end)


def _ocsp_end(answer: OcspAnswer, moment: Moment) -> datetime | None:
    if answer.next_update is not None:
        return answer.next_update
    # Without nextUpdate the answer is of its instant alone: it serves what was used before.
    return moment.control if answer.this_update >= moment.best else None


def _is_never_revoked(certificate: x509.Certificate) -> bool:
    for oid in _NEVER_REVOKED:
        try:
            certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oid))
        except HOSTILE:
            continue
        return True
    return False


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
