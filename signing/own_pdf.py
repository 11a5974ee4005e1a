"""The quick check of a PDF that this safe sealed: two signatures and one hash, everything else rebuilt and compared.

It leans on one fact: an act seal signs nothing but revisions that `signing.revision` wrote, on files that qpdf had
read without a warning (and CAdES attributes, which carry a signing-time and so never pass here). Then it is
enough that the octets outside the gap are the signed ones and that the gap stands where it stood: the file is the
one that was sealed. Nothing is accepted that the full verdict engine would have to interpret; whatever is not
exactly as written is None, and goes there.
"""

from __future__ import annotations

import hashlib
import os
import re
from binascii import unhexlify
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from signing.base import KeyPurpose, TimestampVerifier
from signing.cms_form import DIGEST_FOLLOWS, SignerForm, ascending
from signing.cms_template import CmsTemplate
from signing.der import element_size
from signing.errors import SignatureRefused
from signing.findings import ValidatedSignature, ValidTimestamp
from signing.pades import MAX_PADDING
from signing.roles import require_signing_role, stated_purposes
from signing.signers import PublicKey, algorithm_of, verifies
from signing.trust import TrustStore

_WINDOW = 1 << 17  # octets at the end of the file, where our revision lies unless the input was odd
_CHUNK = 1 << 18
_END_OF_SIGNATURE = b" >>\nendobj\n"
_CONTENTS = b" /Contents "
_BYTE_RANGE_WIDTH = 48
_START = re.compile(rb"startxref\n([1-9][0-9]{0,14})\n%%EOF\n\Z")
_SIGNATURE = re.compile(
    rb"\nendobj\n[1-9][0-9]{0,6} 0 obj\n"
    rb"<< /Type /Sig /Filter /Adobe\.PPKLite /SubFilter /ETSI\.CAdES\.detached "
    rb"/M \(D:([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z\) "
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
    purposes: frozenset[KeyPurpose]


@dataclass(frozen=True, slots=True)
class _Maker:
    """What stands in a CMS before its digest, read once for all seals that begin alike.

    Attributes:
        signer: the certificate that the CMS names.
        template: writes the CMS again.
        inside: every certificate in it.
        issuers: those but the signer's.
        between: octets from the digest to the signature.
    """

    signer: _Signer
    template: CmsTemplate
    inside: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    between: int


class _Read(NamedTuple):
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
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return _check(descriptor, trust, timestamps, purposes)
        finally:
            os.close(descriptor)
    except Exception:
        # None is no verdict: whatever was met, the full engine says what it is.
        return None


def _check(
    file: int, trust: TrustStore, timestamps: TimestampVerifier, purposes: AbstractSet[KeyPurpose]
) -> ValidatedSignature:
    size = os.lseek(file, 0, os.SEEK_END)
    start = max(0, size - _WINDOW)
    window = os.pread(file, size - start, start)
    # 1, 2, 3
    read = _read(window, start, size)
    contents = read.contents
    # 4
    length = element_size(contents)
    cms = contents[:length]
    _require(len(contents) - length <= MAX_PADDING and not any(contents[length:]))
    # 5
    digest_at = cms.index(DIGEST_FOLLOWS) + len(DIGEST_FOLLOWS)
    maker = _maker(cms[:digest_at])
    signature, token = _signature_and_token(cms, digest_at + 32 + maker.between)
    signer, held = maker.signer, maker.signer.form.certificate
    attributes = signer.form.attributes(_digest(file, window, start, read.gap), None)
    _require(maker.template.cms(attributes, signature, token) == cms)
    # 6
    digest = hashlib.sha256(attributes).digest()
    _require(verifies(signer.key, signer.algorithm, signature, digest))
    # 7
    _require(signer.purposes <= purposes)
    # 8
    imprint = hashlib.sha256(signature).digest()
    finding = timestamps.verify(token, imprint, crls=read.crls)
    # 9
    path = tuple(trust.validate(held, maker.issuers, read.crls, finding.gen_time))
    _require(len(maker.inside) == len(path) - 1 and all(item in path[:-1] for item in maker.inside))
    stamp = ValidTimestamp(token, finding.gen_time, finding.policy, finding.signer, finding.certificates)
    return ValidatedSignature(
        form="PAdES",
        level="B-T",
        signer=held,
        path=path,
        purposes=signer.purposes,
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
    said = _found(_SIGNATURE.search(window, max(0, before - 400), before))
    # 3
    tail = window[gap_end:]
    streamed = not tail.startswith(b"xref\n", len(_END_OF_SIGNATURE))
    _require(tail.count(b"endobj") == 1 + streamed and tail.count(b"startxref") == 1)
    digits = window[gap_start + 1 : gap_end - 1]
    contents = unhexlify(digits)
    # Looked for one by one: a letter that is nowhere is found out at once.
    _require(window[gap_end - 1 : gap_end] == b">" and not any(map(digits.__contains__, b"ABCDEF")))
    year, month, day, hour, minute, second = map(int, said.groups())
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


def _digest(file: int, window: bytes, start: int, gap: tuple[int, int]) -> bytes:
    """SHA-256 of the file without the gap, in one pass."""
    state = hashlib.sha256()
    if start:
        room = memoryview(bytearray(min(start, _CHUNK)))
        at = 0
        while at < start:
            count = os.preadv(file, [room[: start - at]], at)
            _require(count > 0)
            state.update(room[:count])
            at += count
    view = memoryview(window)
    state.update(view[: gap[0] - start])
    state.update(view[gap[1] - start :])
    return state.digest()


@lru_cache(maxsize=256)
def _maker(head: bytes) -> _Maker:
    """Read the beginning of a CMS of our own form; what is not of it shows when it is written again."""
    # ContentInfo, its type, [0], SignedData: version, digest algorithms, content; certificates.
    at = _inner(head, _inner(head, _next(head, _inner(head, 0))))
    at = _next(head, _next(head, _next(head, at)))
    end = _next(head, at)
    encoded = _children(head[at:end])
    # signerInfos, SignerInfo, its version; the identifier.
    at = _next(head, _inner(head, _inner(head, end)))
    sid = head[at : _next(head, at)]
    signer = next(item for item in map(_signer, encoded) if item is not None and item.form.sid == sid)
    inside = tuple(map(_certificate, encoded))
    return _Maker(
        signer,
        CmsTemplate(signer.form, ascending(encoded), ()),
        inside,
        tuple(item for item in inside if item is not signer.form.certificate),
        len(signer.form.timeless[1]) + len(signer.form.algorithm),
    )


def _signature_and_token(cms: bytes, at: int) -> tuple[bytes, bytes]:
    """What stands at the end of our own form: the signature value, and the token in the only unsigned attribute."""
    end = _next(cms, at)
    signature = cms[_inner(cms, at) : end]
    # [1], Attribute, its type, SET.
    return signature, cms[_inner(cms, _next(cms, _inner(cms, _inner(cms, end)))) :]


def _inner(data: bytes, at: int) -> int:
    """Where the contents of an element begin."""
    return at + 2 if data[at + 1] < 0x80 else at + 2 + (data[at + 1] & 0x7F)


def _next(data: bytes, at: int) -> int:
    """Where the element after this one begins."""
    return at + element_size(data, at)


def _children(element: bytes) -> list[bytes]:
    at, found = _inner(element, 0), []
    while at < len(element):
        end = _next(element, at)
        found.append(element[at:end])
        at = end
    return found


@lru_cache(maxsize=1024)
def _certificate(encoded: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(encoded)


@lru_cache(maxsize=1024)
def _signer(encoded: bytes) -> _Signer | None:
    try:
        form = SignerForm.of(_certificate(encoded))
        purposes = require_signing_role(form.certificate, stated_purposes(form.certificate))
    except Exception:
        return None
    key = form.certificate.public_key()
    if form.encoded != encoded or len(purposes) != 1 or not isinstance(key, PublicKey):
        return None
    return _Signer(form, key, algorithm_of(key), purposes)


def _require(condition: bool) -> None:
    if not condition:
        raise SignatureRefused("FORMAT_FAILURE", "not as our own writer writes it")


def _found(match: re.Match[bytes] | None) -> re.Match[bytes]:
    if match is None:
        raise SignatureRefused("FORMAT_FAILURE", "not as our own writer writes it")
    return match
