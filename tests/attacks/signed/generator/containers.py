"""Attacks on containers (ASiC with CAdES) and on evidence records."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.attacks.signed.generator.base import Bench, Made, attack, genuine
from tests.judging.conftest import DAY, NOW
from timestamping import der

FORMAT = "FORMAT_FAILURE"
ASIC_E = b"application/vnd.etsi.asic-e+zip"
ASIC_S = b"application/vnd.etsi.asic-s+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SIGNATURE = "META-INF/signature.p7s"
FILES = {"acte.txt": b"Il doit 100 EUR", "annexe.txt": b"rien"}
_FLAGGED = "é.txt"


def manifest(
    files: Mapping[str, bytes], signature: str = SIGNATURE, uris: Mapping[str, str] | None = None
) -> bytes:
    """Write an ASiC manifest; `uris` names members otherwise."""
    references = "".join(
        f'<asic:DataObjectReference URI="{(uris or {}).get(name, quote(name))}">'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{base64.b64encode(hashlib.sha256(data).digest()).decode()}</ds:DigestValue></asic:DataObjectReference>"
        for name, data in files.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<asic:SigReference URI="{signature}" MimeType="application/x-pkcs7-signature"/>{references}'
        "</asic:ASiCManifest>"
    ).encode()


def pack(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """Write a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else method
            archive.writestr(info, data)
        archive.comment = comment
    return out.getvalue()


def _members(
    bench: Bench, files: Mapping[str, bytes] | None = None, xml: bytes | None = None
) -> dict[str, bytes]:
    files = FILES if files is None else files
    xml = manifest(files) if xml is None else xml
    return {"mimetype": ASIC_E, **files, MANIFEST: xml, SIGNATURE: bench.cms(xml)}


@genuine("containers", "asic-e")
def _(bench: Bench) -> bytes:
    return pack(_members(bench))


@genuine("containers", "asic-e-deflated-with-accents")
def _(bench: Bench) -> bytes:
    return pack(_members(bench, {_FLAGGED: b"un " * 50, "a b.txt": b"deux"}), zipfile.ZIP_DEFLATED)


@genuine("containers", "asic-s")
def _(bench: Bench) -> bytes:
    return pack({"mimetype": ASIC_S, "acte.txt": b"un", SIGNATURE: bench.cms(b"un")})


@genuine("containers", "timestamp-token-alone")
def _(bench: Bench) -> Made:
    return Made(bench.token(b"un"), (b"un",))


@genuine("containers", "detached-signature")
def _(bench: Bench) -> Made:
    return Made(bench.cms(b"un"), (b"un",))


@attack("containers", "detached-signature-of-another-file", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(bench.cms(b"un"), (b"deux",))


def _zip(name: str, change: Callable[[bytes], bytes], *codes: str) -> None:
    @attack("containers", name, *(codes or (FORMAT,)))
    def _(bench: Bench) -> bytes:
        good = pack(_members(bench))
        changed = change(good)
        assert changed != good
        return changed


def _local(field: int, value: bytes) -> Callable[[bytes], bytes]:
    """Write over a field of the local header of acte.txt."""

    def change(data: bytes) -> bytes:
        start = data.index(b"PK\x03\x04", data.index(b"mimetype"))
        return data[: start + field] + value + data[start + field + len(value) :]

    return change


def _shifted(data: bytes, extra: bytes) -> bytes:
    """Put octets at the front and move every offset with them."""
    out = bytearray(extra + data)
    end = out.rindex(b"PK\x05\x06")
    count, _, offset = struct.unpack_from("<HII", out, end + 10)
    struct.pack_into("<I", out, end + 16, offset + len(extra))
    position = offset + len(extra)
    for _ in range(count):
        (place,) = struct.unpack_from("<I", out, position + 42)
        struct.pack_into("<I", out, position + 42, place + len(extra))
        sizes = struct.unpack_from("<HHH", out, position + 28)
        position += 46 + sum(sizes)
    return bytes(out)


_zip("local-name-differs", _local(30, b"acta.txt"))
_zip("local-method-differs", _local(8, b"\x08\x00"))
_zip("local-size-differs", _local(22, b"\x01\x00\x00\x00"))
_zip("local-checksum-differs", _local(14, b"\x00\x00\x00\x00"))
_zip("local-flags-differ", _local(6, b"\x01\x00"))
_zip("octets-before", lambda data: b"MZ" + data)
_zip("octets-before-offsets-right", lambda data: _shifted(data, b"#!/bin/sh\nexit\n"))
_zip("octets-behind", lambda data: data + b"\n")
_zip("another-zip-behind", lambda data: data + pack({"acte.txt": b"Il doit 999 EUR"}))
_zip("another-zip-before", lambda data: _shifted(data, pack({"acte.txt": b"Il doit 999 EUR"})))
_zip("octet-of-a-file", lambda data: data.replace(b"Il doit 100", b"Il doit 999"))


@attack("containers", "two-members-of-one-name", FORMAT)
def _(bench: Bench) -> bytes:
    members = _members(bench)
    made = pack({**members, "acte.tyt": b"Il doit 999 EUR"})
    return made.replace(b"acte.tyt", b"acte.txt")


@attack("containers", "two-members-but-for-case", FORMAT)
def _(bench: Bench) -> bytes:
    return pack({**_members(bench), "ACTE.txt": b"Il doit 999 EUR"})


@attack("containers", "name-that-climbs", FORMAT)
def _(bench: Bench) -> bytes:
    return pack({**_members(bench), "../acte.txt": b"Il doit 999 EUR"})


@attack("containers", "name-that-turns-around", FORMAT)
def _(bench: Bench) -> bytes:
    return pack({**_members(bench), "acte\u202etxt.exe": b"x"})


@attack("containers", "unicode-path-field-renames", FORMAT)
def _(bench: Bench) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in _members(bench).items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            if name == "annexe.txt":
                text = b"\x01" + bytes(4) + b"acte.txt"
                info.extra = struct.pack("<HH", 0x7075, len(text)) + text
            archive.writestr(info, data)
    return out.getvalue()


@attack("containers", "mimetype-and-comment-differ", FORMAT)
def _(bench: Bench) -> bytes:
    return pack(_members(bench), comment=b"mimetype=" + ASIC_S)


@attack("containers", "asic-s-with-two-files", FORMAT)
def _(bench: Bench) -> bytes:
    return pack({"mimetype": ASIC_S, "acte.txt": b"un", "annexe.txt": b"deux", SIGNATURE: bench.cms(b"un")})


@attack("containers", "file-changed", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    return pack({**_members(bench), "acte.txt": b"Il doit 999 EUR"})


@attack("containers", "file-missing", "SIGNED_DATA_NOT_FOUND", unsure=True)
def _(bench: Bench) -> bytes:
    members = _members(bench)
    del members["annexe.txt"]
    return pack(members)


@attack("containers", "manifest-changed", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    other = {**FILES, "acte.txt": b"Il doit 999 EUR"}
    return pack({**_members(bench), **other, MANIFEST: manifest(other)})


@attack("containers", "signature-of-another-container", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    return pack({**_members(bench), SIGNATURE: bench.cms(b"another manifest")})


@attack("containers", "uri-that-means-two-members", FORMAT)
def _(bench: Bench) -> bytes:
    members = _members(bench, {"a b.txt": b"un"})
    return pack({**members, "a%20b.txt": b"deux"})


@attack("containers", "uri-that-climbs", "SIGNED_DATA_NOT_FOUND", unsure=True)
def _(bench: Bench) -> bytes:
    xml = manifest(FILES, uris={"acte.txt": "%2e%2e/acte.txt"})
    return pack(_members(bench, xml=xml))


@attack("containers", "manifest-with-entities", FORMAT)
def _(bench: Bench) -> bytes:
    xml = manifest(FILES).replace(b"?>", b'?><!DOCTYPE a [ <!ENTITY b "acte.txt"> ]>', 1)
    return pack(_members(bench, xml=xml))


@attack("containers", "two-signer-infos", FORMAT)
def _(bench: Bench) -> bytes:
    xml = manifest(FILES)
    return pack({**_members(bench), SIGNATURE: bench.cms(xml, signers=2)})


@attack("containers", "xades", "SIGNATURE_FORMAT_UNSUPPORTED", unsure=True)
def _(bench: Bench) -> bytes:
    signatures = b'<x:XAdESSignatures xmlns:x="http://uri.etsi.org/02918/v1.2.1#"/>'
    return pack({"mimetype": ASIC_E, **FILES, "META-INF/signatures.xml": signatures})


@attack("containers", "bomb", "VERIFIER_OUTPUT_LIMIT", unsure=True)
def _(bench: Bench) -> bytes:
    return pack(_members(bench, {"zeros": bytes(1 << 24)}), zipfile.ZIP_DEFLATED)


# ---- evidence records (RFC 4998)

_ALGORITHM = der.sequence(der.object_id("2.16.840.1.101.3.4.2.1"))
_DOCUMENTS = (b"un", b"deux")


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _stamp(
    bench: Bench, nodes: Sequence[Sequence[bytes]], at: datetime, message: bytes | None = None
) -> bytes:
    """Write one ArchiveTimeStamp; `message` is what the token is over when that is not the tree's root."""
    value = root = b""
    for node in nodes:
        root = b"".join(sorted([*node, *([value] if value else [])]))
        value = _sha(root)
    token = bench.world.token(root if message is None else message, at)
    tree = der.tlv(0xA2, *(der.sequence(*(der.octets(item) for item in node)) for node in nodes))
    return der.sequence(der.tlv(0xA0, _ALGORITHM[2:]), tree, token)


def _token_of(stamp: bytes) -> bytes:
    """Return the timestamp in an ArchiveTimeStamp."""
    return stamp[stamp.index(bytes.fromhex("06092a864886f70d010702")) - 4 :]


def _record(*chains: Sequence[bytes]) -> bytes:
    sequence = der.sequence(*(der.sequence(*chain) for chain in chains))
    return der.sequence(der.integer(1), der.sequence(_ALGORITHM), sequence)


def _first(bench: Bench, **options: Any) -> bytes:
    return _stamp(bench, [sorted(_sha(item) for item in _DOCUMENTS)], NOW - 9 * DAY, **options)


def _renewed(bench: Bench, first: bytes, over: bytes | None = None) -> bytes:
    return _stamp(
        bench, [sorted([_sha(over or _token_of(first)), _sha(b"of another document")])], NOW - 5 * DAY
    )


@genuine("records", "two-documents")
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench)]), _DOCUMENTS)


@genuine("records", "timestamp-renewed")
def _(bench: Bench) -> Made:
    first = _first(bench)
    return Made(_record([first, _renewed(bench, first)]), _DOCUMENTS)


@genuine("records", "hash-tree-renewed")
def _(bench: Bench) -> Made:
    return Made(_record(*_two_chains(bench)), _DOCUMENTS)


def _two_chains(
    bench: Bench, documents: Sequence[bytes] = _DOCUMENTS, *, turned: bool = False
) -> list[list[bytes]]:
    chain = [_first(bench)]
    history = _sha(der.sequence(der.sequence(*chain)))
    parts = [(history + _sha(item)) if turned else (_sha(item) + history) for item in documents]
    return [chain, [_stamp(bench, [sorted(_sha(part) for part in parts)], NOW - 3 * DAY)]]


@attack("records", "another-document", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench)]), (b"trois",))


@attack("records", "one-document-of-two-changed", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench)]), (b"un", b"trois"))


@attack("records", "nothing-given", "SIGNED_DATA_NOT_FOUND", unsure=True)
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench)]))


@attack("records", "tree-leads-elsewhere", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench, message=b"elsewhere")]), _DOCUMENTS)


@attack("records", "renewal-of-another-timestamp", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    first = _first(bench)
    return Made(_record([first, _renewed(bench, first, b"another")]), _DOCUMENTS)


@attack("records", "new-chain-leaves-a-document-out", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record(*_two_chains(bench, _DOCUMENTS[:1])), _DOCUMENTS)


@attack("records", "new-chain-hashed-in-the-other-order", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record(*_two_chains(bench, turned=True)), _DOCUMENTS)


@attack("records", "chains-out-of-order", FORMAT, "HASH_FAILURE", "TIMESTAMP_ORDER_FAILURE")
def _(bench: Bench) -> Made:
    return Made(_record(*reversed(_two_chains(bench))), _DOCUMENTS)


@attack("records", "octets-behind", FORMAT)
def _(bench: Bench) -> Made:
    return Made(_record([_first(bench)]) + b"\x00", _DOCUMENTS)


@attack("records", "stranger-s-timestamp", "NO_CERTIFICATE_CHAIN_FOUND", unsure=True)
def _(bench: Bench) -> Made:
    stranger = bench.world.leaf("TSA", None, usage=ExtendedKeyUsageOID.TIME_STAMPING)
    root = b"".join(sorted(_sha(item) for item in _DOCUMENTS))
    other = bench.world.token(root, NOW - DAY, stranger)
    first = _first(bench)
    head = first[: first.index(_token_of(first))]
    body = head[4:] + other
    return Made(_record([der.sequence(body)]), _DOCUMENTS)
