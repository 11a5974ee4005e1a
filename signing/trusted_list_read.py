"""Reads the content of a trusted list (ETSI TS 119 612 V2.2.1): services, their types and the history of their status.

Nothing here looks at the signature: `signing.trusted_list` gives the tree that the signature covers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from lxml import etree

from signing.errors import SignatureRefused
from signing.hostile import HOSTILE

NAMESPACE = "http://uri.etsi.org/02231/v2#"
ROOT = f"{{{NAMESPACE}}}TrustServiceStatusList"
_URI = "http://uri.etsi.org/TrstSvc/"
#: Types of service that issue certificates for signatures and seals, and that timestamp (clause 5.5.1).
ISSUING = frozenset({f"{_URI}Svctype/CA/QC"})
STAMPING = frozenset(
    f"{_URI}Svctype/{name}" for name in ("TSA/QTST", "TSA", "TSA/TSS-QC", "TSA/TSS-AdESQCandQES")
)
# Last words of the statuses under which a service is relied on (clause 5.5.4 and its predecessors).
_RELIED_ON = frozenset(
    {"granted", "undersupervision", "supervisionincessation", "accredited", "recognisedatnationallevel"}
)
_MAX_SERVICES = 20_000
_MAX_CERTIFICATES = 50_000
_NS = {"t": NAMESPACE}


@dataclass(frozen=True, slots=True)
class TrustedService:
    """A service of the list.

    Attributes:
        certificates: that identify it.
        kind: URI of its type, as the list says.
        history: (URI of the status, since when, UTC), newest first.
    """

    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    kind: str
    history: tuple[tuple[str, datetime], ...]

    def relied_on(self, at: datetime) -> bool:
        """Tell whether its status at a time was one of those that mean supervised or granted."""
        status = next((status for status, since in self.history if since <= at), "")
        return status.startswith(_URI) and status.rpartition("/")[2].lower() in _RELIED_ON


@dataclass(frozen=True, slots=True)
class TrustedList:
    """What a list says.

    Attributes:
        territory: such as `FR`.
        number: its sequence number.
        issued: when, UTC.
        next_update: until when a newer one is due, UTC; None in a list that is closed.
        services: in the list's order.
    """

    territory: str
    number: int
    issued: datetime
    next_update: datetime | None
    services: tuple[TrustedService, ...]

    def stale(self, at: datetime) -> bool:
        """Tell whether a newer list was due at a time."""
        return self.next_update is None or at > self.next_update


def read_list(root: etree._Element) -> TrustedList:
    """Read a list.

    1. The root and the scheme information. 2. Each service: type, certificates, status now and before; a
    certificate that cannot be read identifies nobody.

    Args:
        root: the element that was signed.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    if root.tag != ROOT:
        raise _bad("the root is no trusted list")
    try:
        # 1
        scheme = _one(root, "t:SchemeInformation")
        following = scheme.findtext("t:NextUpdate/t:dateTime", namespaces=_NS)
        elements = root.iterfind(
            "t:TrustServiceProviderList/t:TrustServiceProvider/t:TSPServices/t:TSPService", _NS
        )
        # 2
        services = tuple(_services(elements))
        return TrustedList(
            territory=(scheme.findtext("t:SchemeTerritory", "", _NS) or "").strip()[:40],
            number=int(_text(scheme, "t:TSLSequenceNumber")),
            issued=_time(_text(scheme, "t:ListIssueDateTime")),
            next_update=None if following is None else _time(following),
            services=services,
        )
    except HOSTILE as error:
        raise _bad(f"the trusted list cannot be read ({type(error).__name__})") from error


def _services(elements: Iterator[etree._Element]) -> Iterator[TrustedService]:
    certificates = 0
    for number, element in enumerate(elements):
        service = _service(element)
        certificates += len(service.certificates)
        if number >= _MAX_SERVICES or certificates > _MAX_CERTIFICATES:
            raise _bad("too many services in the trusted list")
        yield service


def _service(element: etree._Element) -> TrustedService:
    information = _one(element, "t:ServiceInformation")
    kind = _text(information, "t:ServiceTypeIdentifier")
    history = [_status(information)]
    for instance in element.iterfind("t:ServiceHistory/t:ServiceHistoryInstance", _NS):
        # A service that was of another type before is not relied on for that time.
        same = _text(instance, "t:ServiceTypeIdentifier") == kind
        status, since = _status(instance)
        history.append((status if same else "", since))
    history.sort(key=lambda entry: entry[1], reverse=True)
    return TrustedService(tuple(dict.fromkeys(_certificates(information))), kind, tuple(history))


def _status(element: etree._Element) -> tuple[str, datetime]:
    return _text(element, "t:ServiceStatus"), _time(_text(element, "t:StatusStartingTime"))


def _certificates(information: etree._Element) -> Iterator[x509.Certificate]:
    for found in information.iterfind("t:ServiceDigitalIdentity/t:DigitalId/t:X509Certificate", _NS):
        try:
            der = base64.b64decode("".join((found.text or "").split()), validate=True)
            yield x509.load_der_x509_certificate(der)
        except HOSTILE:  # binascii.Error is a ValueError
            continue


def _one(element: etree._Element, path: str) -> etree._Element:
    found = element.findall(path, _NS)
    if len(found) != 1:
        raise _bad(f"the trusted list has not exactly one {path.removeprefix('t:')} where it must")
    return found[0]


def _text(element: etree._Element, path: str) -> str:
    return (_one(element, path).text or "").strip()


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _bad(message: str) -> SignatureRefused:
    return SignatureRefused("FORMAT_FAILURE", message)
