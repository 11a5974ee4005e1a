"""Single values inside a signed PDF: validation material, dates, the signature value."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any

import pikepdf
from asn1crypto import parser as asn1_parser
from cryptography import x509

from signing.errors import SignatureRefused
from signing.hostile import HOSTILE

_DATE = re.compile(r"D:(\d{14})(Z|[+-]\d\d'?\d\d'?|Z00'?00'?)?")
_UNREADABLE: tuple[type[Exception], ...] = (pikepdf.PdfError, *HOSTILE)
_MAX_MATERIAL = 1000
_MAX_MATERIAL_OCTETS = 4 << 20


def material_streams(root: Any, key: str) -> tuple[bytes, ...]:
    """Read the streams of one array of the DSS dictionary; what cannot be read proves nothing."""
    dss = root.get("/DSS")
    array = dss.get(key) if isinstance(dss, pikepdf.Dictionary) else None
    if not isinstance(array, pikepdf.Array):
        return ()
    found = (_material(item) for item in islice(array, _MAX_MATERIAL))
    return tuple(item for item in found if item)


def _material(item: Any) -> bytes:
    """Read one certificate or CRL, inflated to a limit; b"" when it is not readable."""
    try:
        if int(item["/Length"]) > _MAX_MATERIAL_OCTETS:
            return b""
        raw: bytes = item.read_raw_bytes()
        if "/Filter" not in item:
            return raw
        if item["/Filter"] not in (pikepdf.Name.FlateDecode, pikepdf.Array([pikepdf.Name.FlateDecode])):
            return b""
        return zlib.decompressobj().decompress(raw, _MAX_MATERIAL_OCTETS)
    except _UNREADABLE:
        return b""


def split_contents(contents: bytes) -> tuple[bytes, int]:
    """Cut the zero octets after the one ASN.1 element; returns the element and how many they were."""
    size: int = asn1_parser.peek(contents)
    if contents[size:].strip(b"\x00"):
        raise SignatureRefused("FORMAT_FAILURE", "other than zero octets follow the signature")
    return contents[:size], len(contents) - size


def readable_certificates(encoded: Sequence[bytes]) -> list[x509.Certificate]:
    """Read DER certificates; those that cannot be read are left out."""
    found = []
    for der in encoded:
        try:
            found.append(x509.load_der_x509_certificate(der))
        except HOSTILE:
            continue  # a certificate that cannot be read proves nothing, and hurts nothing
    return found


def pdf_date(text: str) -> datetime | None:
    """Read a PDF date with time and zone (ISO 32000-1 section 7.9.4); None for anything else."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        zone = (found[2] or "Z").replace("'", "")
        if zone.startswith("Z"):
            return moment
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
        return moment.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
