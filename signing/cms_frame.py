"""The frame of CMS signatures and OCSP responses, walked octet by octet before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from signing.ber import BIT_STRING, ENUMERATED, INTEGER, OCTETS, SEQUENCE, SET, Walk
from signing.errors import SignatureRefused

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_PSS = bytes.fromhex("2a864886f70d01010a")
_VERSIONS = range(1, 6)
_MOST = 20_000  # elements of one set
_PRIMITIVE_0, _EXPLICIT_0, _EXPLICIT_1, _EXPLICIT_3 = 0x80, 0xA0, 0xA1, 0xA3


def check_cms_frame(data: bytes) -> None:
    """Check that a SignedData holds its fields, each once and in its place, and nothing else (RFC 5652).

    1. ContentInfo: the type, and one element in the explicit tag. 2. SignedData: version, digest algorithms, the
    content's type with at most one content, certificates, revocation data, SignerInfos. 3. Each SignerInfo:
    version, identifier with a name of types and values, algorithms, attributes of a type and a set each, the
    value. Certificates, CRLs and the values of attributes have readers of their own.

    Args:
        data: the CMS, DER or BER.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    try:
        # 1
        with Walk(data) as outer, outer.inside(SEQUENCE) as info:
            _require_signed_data(info)
            with info.inside(_EXPLICIT_0) as wrapped, wrapped.inside(SEQUENCE) as signed_data:
                _signed_data(data, signed_data)
    except ValueError as error:
        raise SignatureRefused("FORMAT_FAILURE", f"the CMS is not well formed: {error}") from error


def content_place(data: bytes) -> tuple[int, int] | None:
    """Find where the content stands in a CMS of a good frame: its first offset and the one after it, or None."""
    with suppress(ValueError):
        fields = Walk(data).inside(SEQUENCE)
        fields.take()
        signed_data = fields.inside(_EXPLICIT_0).inside(SEQUENCE)
        signed_data.take(INTEGER)
        signed_data.take(SET)
        content = signed_data.inside(SEQUENCE)
        content.take()
        if content.tag == _EXPLICIT_0:
            found = content.inside(_EXPLICIT_0).take()
            return found.start, found.stop
    return None


def check_ocsp_frame(data: bytes) -> None:
    """Check the frame of an OCSPResponse around what is signed in it (RFC 6960, 4.2.1).

    Args:
        data: an OCSPResponse that is successful, with a BasicOCSPResponse inside.

    Raises:
        ValueError: it holds something else than its fields.
    """
    with Walk(data) as outer, outer.inside(SEQUENCE) as response:
        response.take(ENUMERATED)
        with response.inside(_EXPLICIT_0) as wrapped, wrapped.inside(SEQUENCE) as typed:
            typed.object_id()
            octets = typed.take(OCTETS)
    with Walk(data, octets.start, octets.stop) as content, content.inside(SEQUENCE) as basic:
        basic.take(SEQUENCE)
        _algorithm(data, basic)
        basic.take(BIT_STRING)
        if basic.tag == _EXPLICIT_0:
            with basic.inside(_EXPLICIT_0) as certificates:
                _each(certificates.inside(SEQUENCE))


def _require_signed_data(info: Walk) -> None:
    if info.object_id() != _SIGNED_DATA:
        raise ValueError("no SignedData")


def _signed_data(data: bytes, fields: Walk) -> None:
    """Step 2."""
    _version(data, fields)
    with fields.inside(SET) as algorithms:
        for _ in _items(algorithms):
            _algorithm(data, algorithms)
    with fields.inside(SEQUENCE) as content:
        content.object_id()
        if content.tag >= 0:
            with content.inside(_EXPLICIT_0) as explicit:
                if explicit.tag & ~0x20 == OCTETS:
                    explicit.octets()
                else:
                    explicit.take()
    if fields.tag == _EXPLICIT_0:
        _each(fields.inside(_EXPLICIT_0))
    if fields.tag == _EXPLICIT_1:
        with fields.inside(_EXPLICIT_1) as lists:
            for _ in _items(lists):
                item = lists.take(SEQUENCE, _EXPLICIT_1)
                if item.tag == _EXPLICIT_1:
                    with lists.into(item) as other:
                        other.object_id()
                        other.take()
    with fields.inside(SET) as signers:
        for _ in _items(signers):
            with signers.inside(SEQUENCE) as signer:
                _signer(data, signer)


def _signer(data: bytes, fields: Walk) -> None:
    """Step 3."""
    _version(data, fields)
    identifier = fields.take(SEQUENCE, _PRIMITIVE_0, _EXPLICIT_0)
    if identifier.tag == SEQUENCE:
        with fields.into(identifier) as named:
            _name(named.inside(SEQUENCE))
            named.take(INTEGER)
    _algorithm(data, fields)
    if fields.tag == _EXPLICIT_0:
        _attributes(fields.inside(_EXPLICIT_0))
    _algorithm(data, fields)
    fields.octets()
    if fields.tag == _EXPLICIT_1:
        _attributes(fields.inside(_EXPLICIT_1))


def _name(walk: Walk) -> None:
    with walk:
        for _ in _items(walk):
            with walk.inside(SET) as relative:
                for _ in _items(relative):
                    with relative.inside(SEQUENCE) as attribute:
                        attribute.object_id()
                        attribute.take()


def _attributes(walk: Walk) -> None:
    with walk:
        for _ in _items(walk):
            with walk.inside(SEQUENCE) as attribute:
                attribute.object_id()
                _each(attribute.inside(SET))


def _algorithm(data: bytes, fields: Walk) -> None:
    """An AlgorithmIdentifier; in the parameters of RSASSA-PSS every field has a tag around it (RFC 4055)."""
    with fields.inside(SEQUENCE) as algorithm:
        name = algorithm.object_id()
        if algorithm.tag == SEQUENCE and name == _PSS:
            with algorithm.inside(SEQUENCE) as parameters:
                for tag in range(_EXPLICIT_0, _EXPLICIT_3 + 1):
                    if parameters.tag == tag:
                        _pss_parameter(data, parameters.inside(tag), hashed=tag <= _EXPLICIT_1)
        elif algorithm.tag >= 0:
            algorithm.take()


def _pss_parameter(data: bytes, explicit: Walk, *, hashed: bool) -> None:
    with explicit:
        if hashed:
            _algorithm(data, explicit)
        else:
            explicit.take(INTEGER)


def _version(data: bytes, fields: Walk) -> None:
    version = fields.take(INTEGER)
    if version.stop - version.start != 1 or data[version.start] not in _VERSIONS:
        raise ValueError("a version that there is not")


def _each(walk: Walk) -> None:
    with walk:
        for _ in _items(walk):
            walk.take()


def _items(walk: Walk) -> Iterator[int]:
    """Count the elements of a set while the caller takes them."""
    count = 0
    while walk.tag >= 0:
        count += 1
        if count > _MOST:
            raise ValueError("more elements than a signature has")
        yield count
