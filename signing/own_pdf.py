"""The quick check of a PDF that this safe sealed: two signatures and one hash, everything else rebuilt and compared.

It leans on one fact: an act seal signs nothing but revisions that `signing.revision` wrote, on files that qpdf had
read without a warning (and CAdES attributes, which carry a signing-time and so never pass here). Then it is
enough that the octets outside the gap are the signed ones and that the gap stands where it stood: the file is the
one that was sealed. Nothing is accepted that the full verdict engine would have to interpret; whatever is not
exactly as written is None, and goes there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from cryptography import x509

from signing.base import KeyPurpose, TimestampVerifier
from signing.cms_form import SignerForm, ascending
from signing.der import element_size
from signing.errors import SignatureRefused
from signing.findings import ValidatedSignature, ValidTimestamp
from signing.pades import MAX_PADDING
from signing.roles import require_signing_role
from signing.signers import PublicKey, algorithm_of, verifies
from signing.trust import TrustStore

_WINDOW = 1 << 17  # octets at the end of the file, where our revision lies unless the input was odd
_CHUNK = 1 << 20
_END_OF_SIGNATURE = b" >>\nendobj\n"
_CONTENTS = b" /Contents "
_BYTE_RANGE_WIDTH = 48
_START = re.compile(rb"startxref\n([1-9][0-9]{0,14})\n%%EOF\n\Z")
_SIGNATURE = re.compile(
    rb"\nendobj\n([1-9][0-9]{0,6}) 0 obj\n"
    rb"<< /Type /Sig /Filter /Adobe\.PPKLite /SubFilter /ETSI\.CAdES\.detached /M \(D:([0-9]{14})Z\) "
    rb"/Reference \[<< /Type /SigRef /TransformMethod /DocMDP "
    rb"/TransformParams << /Type /TransformParams /P 1 /V /1\.2 >> >>\] /ByteRange \Z"
)
_MATERIAL_START = b"<< /Type /DSS /Certs ["
_MATERIAL = re.compile(
    rb"\nendobj\n([1-9][0-9]{0,6}) 0 obj\n<< /Type /DSS /Certs \[[0-9R ]+\] /CRLs \[([0-9R ]+)\] >>\nendobj\n"
)
_STREAM = re.compile(rb"([1-9][0-9]{0,6}) 0 obj\n<<  /Length ([1-9][0-9]{0,7}) >>\nstream\n")
_END_OF_STREAM = b"\nendstream\nendobj\n"


@dataclass(frozen=True, slots=True)
class _Signer:
    """A certificate that may seal, with all that is read of it once."""

    form: SignerForm
    key: PublicKey
    algorithm: str


@dataclass(frozen=True, slots=True)
class _Read:
    """What stands where our writer puts it.

    Attributes:
        gap: offsets where `<` stands and after `>`.
        contents: value of the gap.
        stated: /M.
        crls: DER, of the DSS dictionary.
    """

    gap: tuple[int, int]
    contents: bytes
    stated: datetime
    crls: tuple[bytes, ...]


def check_own_pdf(
    path: Path, trust: TrustStore, timestamps: TimestampVerifier, purposes: AbstractSet[KeyPurpose]
) -> ValidatedSignature | None:
    """Check a PDF that this safe sealed; None for anything that is not exactly that.

    1. The file ends as our revisions end, and the signature object stands right before its section: this binds
    the end of the gap. 2. The byte range written before the gap names this very gap and the file's size. 3. The
    tail holds no other end of an object than ours, so that no other gap fits the same signed octets. 4. The gap
    is a CMS in lower-case digits, zero octets up to 16. 5. The CMS equals the one written again from the digest of
    what is outside the gap, its signature, certificates and token. 6. The seal's signature verifies. 7. Its
    certificate may seal. 8. The token verifies over the signature. 9. The path holds at the token's time, under
    the lists in the file, and the CMS holds no certificate but the path's.

    Args:
        path: the file.
        trust: anchors of seals.
        timestamps: verifier of tokens (`timestamping.own_tokens` for the quick one).
        purposes: those that the certificate may state.
    """
    try:
        with path.open("rb") as stream:
            return _check(stream, trust, timestamps, purposes)
    except Exception:
        # None is no verdict: whatever was met, the full engine says what it is.
        return None


def _check(
    stream: BinaryIO, trust: TrustStore, timestamps: TimestampVerifier, purposes: AbstractSet[KeyPurpose]
) -> ValidatedSignature:
    size = stream.seek(0, 2)
    start = max(0, size - _WINDOW)
    stream.seek(start)
    window = stream.read(_WINDOW)
    # 1, 2, 3
    read = _read(window, start, size)
    # 4
    length = element_size(read.contents)
    cms, padding = read.contents[:length], read.contents[length:]
    _require(len(padding) <= MAX_PADDING and not any(padding))
    # 5
    certificates, sid, signature, token = _cms_parts(cms)
    signer = next(item for item in map(_signer, certificates) if item is not None and item.form.sid == sid)
    attributes = signer.form.attributes(_digest(stream, window, start, read.gap), None)
    _require(signer.form.cms(attributes, signature, token, ascending(certificates), ()) == cms)
    # 6
    digest = hashlib.sha256(attributes).digest()
    _require(verifies(signer.key, signer.algorithm, signature, digest))
    # 7
    held = signer.form.certificate
    stated = require_signing_role(held, purposes)
    _require(len(stated) == 1)
    # 8
    imprint = hashlib.sha256(signature).digest()
    finding = timestamps.verify(token, imprint, crls=read.crls)
    # 9
    inside = [_certificate(item) for item in certificates]
    issuers = [item for item in inside if item is not held]
    path = tuple(trust.validate(held, issuers, read.crls, finding.gen_time))
    _require(len(inside) == len(path) - 1 and all(item in path[:-1] for item in inside))
    stamp = ValidTimestamp(token, finding.gen_time, finding.policy, finding.signer, finding.certificates)
    return ValidatedSignature(
        form="PAdES",
        level="B-T",
        signer=held,
        path=path,
        purposes=stated,
        claimed_time=read.stated,
        timestamps=(stamp,),
        best_time=finding.gen_time,
        covers_whole_file=True,
        changes_after=(),
        certification=1,
        cms=cms,
    )


def _read(window: bytes, start: int, size: int) -> _Read:
    """Steps 1 to 3; offsets inside are those of the window, outside those of the file."""
    # 1
    _require(len(window) + start == size)
    section = int(_found(_START.search(window, max(0, len(window) - 40)))[1]) - start
    gap_end = section - len(_END_OF_SIGNATURE)
    _require(gap_end > 0 and window[gap_end:section] == _END_OF_SIGNATURE)
    # 2
    gap_start = window.rindex(b"<", 0, gap_end)
    before = gap_start - len(_CONTENTS) - _BYTE_RANGE_WIDTH
    written = b"[0 %d %d %d]" % (start + gap_start, start + gap_end, len(window) - gap_end)
    _require(before > 0 and window[before:gap_start] == written.ljust(_BYTE_RANGE_WIDTH) + _CONTENTS)
    said = _found(_SIGNATURE.search(window, max(0, before - 400), before))[2]
    # 3
    tail = window[gap_end:]
    streamed = not tail.startswith(b"xref\n", len(_END_OF_SIGNATURE))
    _require(tail.count(b"endobj") == 1 + streamed and tail.count(b"startxref") == 1)
    digits = window[gap_start + 1 : gap_end - 1]
    contents = bytes.fromhex(digits.decode("ascii"))
    _require(window[gap_end - 1 : gap_end] == b">" and contents.hex().encode("ascii") == digits)
    year, month, day, hour, minute, second = (
        int(said[:4]),
        *(int(said[at : at + 2]) for at in range(4, 14, 2)),
    )
    stated = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return _Read((start + gap_start, start + gap_end), contents, stated, _revocation_lists(window, gap_start))


def _revocation_lists(window: bytes, end: int) -> tuple[bytes, ...]:
    """The lists that our DSS dictionary names: their streams stand right before it, in its order."""
    start = window.rindex(_MATERIAL_START, 0, end)
    found = _found(_MATERIAL.match(window, window.rindex(b"\nendobj\n", 0, start), end))
    numbers = [int(item) for item in found[2].split(b" 0 R")[:-1]]
    first = int(found[1]) - len(numbers)
    _require(bool(numbers) and numbers == list(range(first, first + len(numbers))))
    at = window.rindex(b"\n%d 0 obj\n<<  /Length " % first, 0, start) + 1
    streams: list[bytes] = []
    for number in numbers:
        match = _found(_STREAM.match(window, at))
        _require(int(match[1]) == number)
        body = match.end()
        at = body + int(match[2])
        streams.append(window[body:at])
        _require(window.startswith(_END_OF_STREAM, at))
        at += len(_END_OF_STREAM)
    _require(at == found.start() + len(b"\nendobj\n"))
    return tuple(streams)


def _digest(stream: BinaryIO, window: bytes, start: int, gap: tuple[int, int]) -> bytes:
    """SHA-256 of the file without the gap, in one pass."""
    state = hashlib.sha256()
    stream.seek(0)
    left = start
    while left:
        chunk = stream.read(min(left, _CHUNK))
        _require(bool(chunk))
        state.update(chunk)
        left -= len(chunk)
    state.update(window[: gap[0] - start])
    state.update(window[gap[1] - start :])
    return state.digest()


def _cms_parts(cms: bytes) -> tuple[list[bytes], bytes, bytes, bytes]:
    """Certificates, signer identifier, signature and token, where our own form has them."""
    signed_data = _children(_children(_children(cms)[1])[0])
    certificates = _children(signed_data[3])
    info = _children(_children(signed_data[4])[0])
    attribute = _children(_children(info[6])[0])
    return certificates, info[1], _content(info[5]), _children(attribute[1])[0]


def _content(element: bytes) -> bytes:
    return element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]


def _children(element: bytes) -> list[bytes]:
    content = _content(element)
    at, found = 0, []
    while at < len(content):
        end = at + element_size(content, at)
        found.append(content[at:end])
        at = end
    return found


@lru_cache(maxsize=1024)
def _certificate(encoded: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(encoded)


@lru_cache(maxsize=1024)
def _signer(encoded: bytes) -> _Signer | None:
    try:
        form = SignerForm.of(_certificate(encoded))
    except Exception:
        return None
    key = form.certificate.public_key()
    if form.encoded != encoded or not isinstance(key, PublicKey):
        return None
    return _Signer(form, key, algorithm_of(key))


def _require(condition: bool) -> None:
    if not condition:
        raise SignatureRefused("FORMAT_FAILURE", "not as our own writer writes it")


def _found(match: re.Match[bytes] | None) -> re.Match[bytes]:
    if match is None:
        raise SignatureRefused("FORMAT_FAILURE", "not as our own writer writes it")
    return match
