"""Encryption at rest: Tink's published streaming format for objects, one-shot AES-256-GCM for small values.

Streaming format AES256-GCM-HKDF-1MB (Tink documentation, "AES-GCM-HKDF Streaming AEAD"), byte for byte:

* header, 40 octets: header length (40) ‖ salt (32) ‖ nonce prefix (7);
* segment key = HKDF-SHA256(key, salt, info = associated data), 32 octets;
* ciphertext segments of 1 MiB, tag of 16 octets included; the first is shorter by the header, the last may
  be shorter; there is always at least one;
* nonce of segment i = nonce prefix ‖ u32 BE i ‖ 01 for the last segment, else 00; no associated data.

So a segment cannot be changed, moved, dropped or cut off at the end without being noticed, and any range can
be read by decrypting only the segments it lies in. Every failure to open is ObjectDamaged, and no octet is
given out before its segment is authenticated. Memory stays flat: about three segments.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import ObjectDamaged
from storage.keys import LocalKeyWrapper

__all__ = [
    "KEY_SIZE",
    "LocalKeyWrapper",
    "decrypt",
    "decrypt_range",
    "encrypt",
    "new_key",
    "object_associated_data",
    "open_value",
    "plain_size",
    "seal_value",
    "stored_size",
]

KEY_SIZE = 32
_SALT = 32
_PREFIX = 7
_HEADER = 1 + _SALT + _PREFIX
_TAG = 16
_SEGMENT = 1 << 20
_PLAIN = _SEGMENT - _TAG
_FIRST_PLAIN = _PLAIN - _HEADER
_MOST_SEGMENTS = 1 << 32
_VALUE_VERSION = b"\x01"
_VISIBLE = re.compile("[!-~]+")
_NONCE = 12


def new_key() -> bytes:
    """Return 32 random octets."""
    return secrets.token_bytes(KEY_SIZE)


def object_associated_data(document_id: str, role: str) -> bytes:
    """Bind an object to its document and its role there.

    Returns:
        "probans/object/v1" ‖ 00 ‖ document id ‖ 00 ‖ role: both are ASCII without NUL, so the zero octets
        keep any two pairs apart.

    Raises:
        ValueError: an empty text, or one with other than visible ASCII characters.
    """
    for text in (document_id, role):
        if _VISIBLE.fullmatch(text) is None:
            raise ValueError("document id and role are visible ASCII characters, at least one")
    return b"\x00".join((b"probans/object/v1", document_id.encode(), role.encode()))


def stored_size(plain_size: int) -> int:
    """Return the number of stored octets of so many plain ones. Raises ValueError when out of range."""
    if plain_size < 0:
        raise ValueError("a size is not negative")
    segments = _segments(plain_size)
    if segments > _MOST_SEGMENTS:
        raise ValueError("too long for the format")
    return _HEADER + plain_size + segments * _TAG


def plain_size(stored_size: int) -> int:
    """Return the number of plain octets of so many stored ones. Raises ObjectDamaged: no object has it."""
    segments = max(1, -(-stored_size // _SEGMENT))
    plain = stored_size - _HEADER - segments * _TAG
    # a last segment without plain octets is never written, except as the only one
    if plain < 0 or _segments(plain) != segments or segments > _MOST_SEGMENTS:
        raise ObjectDamaged("no encrypted object has this size")
    return plain


def _segments(plain: int) -> int:
    return 1 + max(0, -(-(plain - _FIRST_PLAIN) // _PLAIN))


class _Segments:
    """The derived key and nonces of one object."""

    def __init__(self, header: bytes, key: bytes, associated_data: bytes) -> None:
        if len(header) != _HEADER or header[0] != _HEADER:
            raise ObjectDamaged("the object does not begin as an encrypted one")
        derived = HKDF(SHA256(), KEY_SIZE, salt=header[1 : 1 + _SALT], info=associated_data).derive(key)
        self._cipher = AESGCM(derived)
        self._prefix = header[1 + _SALT :]

    def _nonce(self, index: int, *, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4, "big") + bytes([last])

    def seal(self, index: int, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(index, last=last), plain, None)

    def open(self, index: int, stored: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(index, last=last), stored, None)
        except (InvalidTag, ValueError, OverflowError):
            raise ObjectDamaged("a segment of the object does not open with its key") from None


def _blocks(chunks: Iterable[bytes], first: int, rest: int) -> Iterator[tuple[bytes, bool]]:
    """Cut octets into blocks: `first` long, then `rest` long each; say of each whether it is the last.

    The last block may be shorter, and is empty only when there are no octets at all.
    """
    held = bytearray()
    size = first
    for chunk in chunks:
        view = memoryview(chunk)
        start = 0
        while start < len(view):
            if len(held) == size:
                yield bytes(held), False
                held.clear()
                size = rest
            taken = view[start : start + size - len(held)]
            held += taken
            start += len(taken)
    yield bytes(held), True


def encrypt(chunks: Iterable[bytes], key: bytes, associated_data: bytes) -> Iterator[bytes]:
    """Encrypt a stream under fresh salt and nonces.

    Args:
        chunks: plain octets, in pieces of any size.
        key: 32 octets.
        associated_data: what the object is bound to (`object_associated_data`).

    Yields:
        The header with the first ciphertext segment, then one segment at a time.

    Raises:
        ValueError: the key has another length, or the stream is longer than the format allows (4 PiB).
    """
    if len(key) != KEY_SIZE:
        raise ValueError("the key is 32 octets")
    header = bytes([_HEADER]) + secrets.token_bytes(_SALT + _PREFIX)
    segments = _Segments(header, key, associated_data)
    for index, (block, last) in enumerate(_blocks(chunks, _FIRST_PLAIN, _PLAIN)):
        if index >= _MOST_SEGMENTS:
            raise ValueError("too long for the format")
        sealed = segments.seal(index, block, last=last)
        # Most objects are one piece then, written at once.
        yield sealed if index else header + sealed


def decrypt(chunks: Iterable[bytes], key: bytes, associated_data: bytes) -> Iterator[bytes]:
    """Decrypt a whole object.

    A cut at a segment's border is noticed only at the end: whoever acts on the octets before the iterator is
    exhausted acts on a possibly shortened object.

    Args:
        chunks: stored octets, in pieces of any size; errors of the iterable pass.
        key: 32 octets.
        associated_data: as given to `encrypt`.

    Yields:
        The plain octets of one segment at a time.

    Raises:
        ObjectDamaged: something was changed, or the key or the associated data is another.
    """
    _check_key(key)
    blocks = _blocks(chunks, _SEGMENT, _SEGMENT)
    segments: _Segments | None = None
    for index, (block, last) in enumerate(blocks):
        stored = block
        if segments is None:
            segments = _Segments(block[:_HEADER], key, associated_data)
            stored = block[_HEADER:]
        plain = segments.open(index, stored, last=last)
        if plain:
            yield plain
        elif index:
            raise ObjectDamaged("the object ends with an empty segment")


def decrypt_range(
    read: Callable[[int, int], Iterator[bytes]],
    stored_size: int,
    key: bytes,
    associated_data: bytes,
    offset: int = 0,
    length: int | None = None,
) -> Iterator[bytes]:
    """Decrypt a range, reading only the header, the segments it lies in, and the last segment.

    The last segment is opened before anything is given out, unless it belongs to the range: so an object that
    was cut at a segment's border is refused at once, wherever the range lies.

    Args:
        read: gives stored octets by (offset, length), streaming; its errors pass.
        stored_size: number of stored octets.
        key: 32 octets.
        associated_data: as given to `encrypt`.
        offset: first plain octet.
        length: number of plain octets, cut at the end of the object; None for all the rest.

    Yields:
        The plain octets of the range.

    Raises:
        ObjectDamaged: something was changed, or the key or the associated data is another.
        ValueError: offset or length is negative.
    """
    if offset < 0 or (length is not None and length < 0):
        raise ValueError("offset and length are not negative")
    _check_key(key)
    size = plain_size(stored_size)
    end = size if length is None else min(size, offset + length)
    segments = _Segments(_exactly(read(0, _HEADER), _HEADER), key, associated_data)
    last = _segments(size) - 1
    from_segment, to_segment = _segment_of(offset), _segment_of(end - 1)
    if offset >= end or to_segment < last:
        start = max(_HEADER, last * _SEGMENT)
        segments.open(last, _exactly(read(start, stored_size - start), stored_size - start), last=True)
    if offset >= end:
        return
    start = max(_HEADER, from_segment * _SEGMENT)
    stop = min(stored_size, (to_segment + 1) * _SEGMENT)
    position = _plain_start(from_segment)
    first_length = (from_segment + 1) * _SEGMENT - start
    needed = stop - start
    for index, (block, _) in enumerate(_blocks(read(start, needed), first_length, _SEGMENT), from_segment):
        needed -= len(block)
        if index > to_segment:
            raise ObjectDamaged("the store gave more octets than asked")
        plain = segments.open(index, block, last=index == last)
        yield plain[max(0, offset - position) : end - position]
        position += len(plain)
    if needed:
        raise ObjectDamaged("the object is shorter than it should be")


def _segment_of(plain_offset: int) -> int:
    return 0 if plain_offset < _FIRST_PLAIN else 1 + (plain_offset - _FIRST_PLAIN) // _PLAIN


def _plain_start(index: int) -> int:
    return 0 if index == 0 else _FIRST_PLAIN + (index - 1) * _PLAIN


def _exactly(chunks: Iterable[bytes], size: int) -> bytes:
    data = b"".join(chunks)
    if len(data) != size:
        raise ObjectDamaged("the object is shorter than it should be")
    return data


def _check_key(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise ObjectDamaged("no object opens with a key of this length")


def seal_value(plain: bytes, key: bytes, associated_data: bytes) -> bytes:
    """Encrypt a small value: version (01) ‖ random nonce (12) ‖ AES-256-GCM ciphertext and tag.

    One key must not seal more than 2^32 values (NIST SP 800-38D, section 8.3).

    Raises:
        ValueError: the key is not 32 octets.
    """
    if len(key) != KEY_SIZE:
        raise ValueError("the key is 32 octets")
    nonce = secrets.token_bytes(_NONCE)
    return _VALUE_VERSION + nonce + AESGCM(key).encrypt(nonce, plain, associated_data)


def open_value(sealed: bytes, key: bytes, associated_data: bytes) -> bytes:
    """Decrypt what `seal_value` made.

    Raises:
        ObjectDamaged: something was changed, or the key or the associated data is another.
    """
    _check_key(key)
    if sealed[:1] != _VALUE_VERSION or len(sealed) < 1 + _NONCE + _TAG:
        raise ObjectDamaged("this is not a sealed value")
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], associated_data)
    except (InvalidTag, ValueError, OverflowError):
        raise ObjectDamaged("a sealed value does not open with its key") from None
