"""What is fuzzed: functions from octets to nothing, each a parser that hostile octets reach.

An input may be refused with the parser's own errors; any other exception is a finding. `tools/fuzz.py` drives these
with coverage; inputs that once were findings are kept in tests/fuzz/saved/NAME and replayed in every run.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from signing.algorithms import TABLE
from signing.crl import read_crls
from signing.errors import SigningError
from signing.foreign_cms import content_inside, read_foreign, signer_count
from signing.foreign_manifest import parse_foreign_manifest
from signing.foreign_zip import ForeignZip
from signing.judgement import JudgingPolicy
from signing.ocsp import read_ocsps
from signing.pdf_changes import revisions
from signing.pdf_objects import parse, references
from signing.pdf_signatures import pdf_signatures
from signing.pdf_tail import scan
from signing.revocation_data import RevocationData
from signing.trust import TrustStore
from signing.trusted_list import open_list
from signing.trusted_list_read import read_list
from tests.interop.foreign.corpus import DATA
from timestamping.errors import TimestampingError
from timestamping.evidence_record import DataDigest, verify_record
from timestamping.verify import Rfc3161Verifier
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file

_REFUSED = (SigningError, TimestampingError)
_NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
_BASE = (DATA / "seeds" / "coverage-one-signature.pdf").read_bytes()
_LIMIT = 1 << 20
_SERVICE = b"""<ServiceTypeIdentifier>http://uri.etsi.org/TrstSvc/Svctype/CA/QC</ServiceTypeIdentifier>
<ServiceStatus>http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted</ServiceStatus>
<StatusStartingTime>2024-01-01T00:00:00Z</StatusStartingTime>"""
_LIST = b"""<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"><SchemeInformation>
<TSLSequenceNumber>7</TSLSequenceNumber><SchemeTerritory>MC</SchemeTerritory>
<ListIssueDateTime>2026-05-01T00:00:00Z</ListIssueDateTime>
<NextUpdate><dateTime>2026-11-01T00:00:00Z</dateTime></NextUpdate></SchemeInformation>
<TrustServiceProviderList><TrustServiceProvider><TSPServices><TSPService><ServiceInformation>%b
<ServiceDigitalIdentity><DigitalId><X509Certificate>MAA=</X509Certificate></DigitalId></ServiceDigitalIdentity>
</ServiceInformation><ServiceHistory><ServiceHistoryInstance>%b</ServiceHistoryInstance></ServiceHistory>
</TSPService></TSPServices></TrustServiceProvider></TrustServiceProviderList></TrustServiceStatusList>""" % (
    (_SERVICE,) * 2
)

warnings.simplefilter("ignore")


def _file(data: bytes) -> Path:
    """Write octets to a file in memory; the same one each time."""
    os.truncate(_MEMORY, 0)
    os.pwrite(_MEMORY, data, 0)
    return Path(f"/proc/self/fd/{_MEMORY}")


_MEMORY = os.memfd_create("fuzz")


def _verifier() -> Rfc3161Verifier:
    paths = TrustStore([]).judging(RevocationData((), ()), JudgingPolicy(_NOW))
    return Rfc3161Verifier(paths, rule=TABLE)


def pdf(data: bytes) -> None:
    """A whole PDF."""
    signatures = pdf_signatures(_file(data))
    with revisions(_file(data), signatures) as found:
        for signature in signatures:
            try:
                found.after(signature)
            except SigningError:
                continue


def pdf_hop(data: bytes) -> None:
    """What follows a genuine signature."""
    pdf(_BASE + data)


def pdf_tail(data: bytes) -> None:
    """The octets of an update."""
    scan(_file(data or b"\n"), 0, len(data or b"\n"))


def pdf_object(data: bytes) -> None:
    """The text of one object."""
    try:
        list(references(parse(data)))
    except (ValueError, RecursionError):
        return


def cms(data: bytes) -> None:
    """A CMS signature."""
    for ask in (read_foreign, signer_count, content_inside):
        try:
            ask(data)  # type: ignore[operator]
        except SigningError:
            continue


def revocation(data: bytes) -> None:
    """A CRL or an OCSP response: one that cannot be read is left out."""
    read_crls([data])
    read_ocsps([data])


def token(data: bytes) -> None:
    """A timestamp token."""
    _verifier().verify(data, hashlib.sha256(b"x").digest())


def record(data: bytes) -> None:
    """An evidence record."""
    digest = DataDigest("it", lambda name: hashlib.new(name, b"x").digest())
    verify_record(data, [digest], _verifier(), rule=TABLE, control=_NOW)


def zip_file(data: bytes) -> None:
    """A zip of any maker."""
    archive = ForeignZip.open(io.BytesIO(data))
    for name in archive.names:
        archive.read(name, _LIMIT)


def manifest(data: bytes) -> None:
    """The manifest of a container."""
    parse_foreign_manifest(data)


def trusted_list(data: bytes) -> None:
    """A trusted list, and what would be read of it if it were signed."""
    with suppress(SigningError, etree.XMLSyntaxError):
        read_list(etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True)))
    open_list(data, [], _NOW)


def anything(data: bytes) -> None:
    """The whole verifier, nobody trusted: it always answers, and never with PASSED."""
    verdict = verify_file(_file(data), trust=TrustStore([]), at=_NOW)
    if verdict.verdict is Outcome.PASSED or not verdict.reasons:
        raise AssertionError("PASSED with nobody trusted")
    if any(reason.code == "PROCESSING_ERROR" for reason in verdict.reasons):
        raise AssertionError(verdict.reasons)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        pdf, pdf_hop, pdf_tail, pdf_object, cms, revocation, token, record, zip_file, manifest, trusted_list, anything,
    )
}  # fmt: skip


def run(name: str, data: bytes) -> None:
    """Give a target its input; its own refusals are answers."""
    try:
        TARGETS[name](data)
    except _REFUSED:
        return


def corpus(name: str) -> list[bytes]:
    """Return what a target's search begins with."""
    folder = DATA / "seeds"
    pdfs = [path.read_bytes() for path in sorted(folder.glob("*.pdf")) if path.stat().st_size < 15_000]
    signatures = [path.read_bytes() for path in sorted(folder.glob("*.p7m"))]
    records = [path.read_bytes() for path in sorted((DATA / "ers").glob("*.er*"))]
    tokens = [path.read_bytes() for path in sorted((DATA / "tst").glob("*.tsr"))]
    zips = [path.read_bytes() for path in sorted(folder.glob("*.asice"))]
    manifests = [
        archive.read(each, _LIMIT)
        for archive in (ForeignZip.open(io.BytesIO(data)) for data in zips)
        for each in archive.names
        if each.endswith(".xml")
    ]
    ends = [data[data.index(b"%%EOF") + 6 :] for data in pdfs]
    objects = [part for data in pdfs[:5] for part in data.split(b" obj\n")]
    return {
        "pdf": pdfs,
        "pdf_hop": [item for item in ends if item],
        "pdf_tail": [item for item in ends if item],
        "pdf_object": objects,
        "cms": signatures,
        "revocation": signatures,
        "token": tokens,
        "record": records,
        "zip_file": zips,
        "manifest": manifests,
        "trusted_list": [
            _LIST,
            b"<TrustServiceStatusList xmlns='http://uri.etsi.org/02231/v2#'/>",
            *manifests,
        ],
        "anything": [*pdfs[:10], *signatures, *records, *tokens, *zips],
    }[name]
