"""Streaming encryption: the same format as Tink, both ways, and every change noticed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pytest
import tink
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from storage import encryption
from storage.encryption import decrypt, decrypt_range, encrypt, plain_size, stored_size
from storage.errors import ObjectDamaged, ObjectMissing

KEY = bytes(range(32))
AD = encryption.object_associated_data("doc_0123456789abcdefghjkmnpqrs", "original")
SEGMENT = 1 << 20
FIRST = SEGMENT - 40 - 16
NEXT = SEGMENT - 16
BORDERS = [
    0,
    1,
    20_000,
    FIRST - 1,
    FIRST,
    FIRST + 1,
    FIRST + NEXT - 1,
    FIRST + NEXT,
    FIRST + NEXT + 1,
    4_000_000,
]


def octets(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def sealed(plain: bytes, piece: int = 65_536) -> bytes:
    return b"".join(encrypt((plain[i : i + piece] for i in range(0, len(plain), piece)), KEY, AD))


def opened(stored: bytes, piece: int = 65_536, key: bytes = KEY, ad: bytes = AD) -> bytes:
    return b"".join(decrypt((stored[i : i + piece] for i in range(0, len(stored), piece)), key, ad))


def ranged(
    stored: bytes, offset: int = 0, length: int | None = None, key: bytes = KEY, ad: bytes = AD
) -> bytes:
    return b"".join(decrypt_range(reader(stored), len(stored), key, ad, offset, length))


def reader(stored: bytes, log: list[tuple[int, int]] | None = None):
    def read(offset: int, length: int) -> Iterator[bytes]:
        if log is not None:
            log.append((offset, length))
        part = stored[offset : offset + length]
        return iter([part[i : i + 100_000] for i in range(0, len(part), 100_000)])

    return read


@pytest.fixture(scope="module")
def tink_primitive() -> streaming_aead.StreamingAead:
    """Tink's own primitive with our key: AES256_GCM_HKDF_1MB, raw prefix."""
    streaming_aead.register()
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    published = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
    assert published.params == parameters  # ours is the published parameter set
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=parameters, key_value=KEY)
    data = tink_pb2.KeyData(
        type_url=template.type_url,
        value=key.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """A sink whose content stays after Tink has closed it."""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


@pytest.mark.parametrize("size", BORDERS)
def test_tink_opens_ours(tink_primitive: streaming_aead.StreamingAead, size: int) -> None:
    plain = octets(size)
    with tink_primitive.new_decrypting_stream(io.BytesIO(sealed(plain)), AD) as stream:
        assert stream.read() == plain


@pytest.mark.parametrize("size", BORDERS)
def test_we_open_tinks(tink_primitive: streaming_aead.StreamingAead, size: int) -> None:
    plain = octets(size)
    sink = Kept()
    with tink_primitive.new_encrypting_stream(sink, AD) as stream:
        stream.write(plain)
    assert len(sink.content) == stored_size(size)
    assert opened(sink.content) == plain
    assert ranged(sink.content) == plain


@pytest.mark.parametrize("size", BORDERS)
def test_sizes(size: int) -> None:
    stored = sealed(octets(size))
    assert len(stored) == stored_size(size)
    assert plain_size(len(stored)) == size


@given(st.integers(0, 1 << 45))
def test_sizes_agree(size: int) -> None:
    assert plain_size(stored_size(size)) == size


@pytest.mark.parametrize("size", [-1, 0, 55, SEGMENT + 1, SEGMENT + 16, 2 * SEGMENT + 16, 1 << 53])
def test_sizes_that_no_object_has(size: int) -> None:
    with pytest.raises(ObjectDamaged):
        plain_size(size)


@pytest.mark.parametrize("piece", [1 << 14, 999_983, SEGMENT, 2 * SEGMENT + 1, 10_000_000])
def test_pieces_of_any_size(piece: int) -> None:
    plain = octets(3_500_000)
    assert opened(sealed(plain, piece), piece) == plain


def test_single_octets_and_empty_pieces() -> None:
    stored = b"".join(encrypt((octets(50)[i // 2 : i // 2 + i % 2] for i in range(100)), KEY, AD))
    assert b"".join(decrypt((stored[i : i + 1] for i in range(len(stored))), KEY, AD)) == octets(50)


def test_never_the_same_twice() -> None:
    assert sealed(b"x") != sealed(b"x")


def test_memory_stays_flat() -> None:
    """Octets leave while others are still coming: never more than three segments are held."""
    taken = given_out = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(160):
            taken += 65_536
            yield bytes(65_536)

    for chunk in encrypt(source(), KEY, AD):
        given_out += len(chunk)
        assert taken - given_out <= 3 * SEGMENT
    taken, given_out = 0, 0
    stored = sealed(bytes(10_000_000))
    pieces = iter([stored[i : i + 65_536] for i in range(0, len(stored), 65_536)])

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces:
            taken += len(piece)
            yield piece

    for chunk in decrypt(counted(), KEY, AD):
        given_out += len(chunk)
        assert taken - given_out <= 3 * SEGMENT


@pytest.fixture(scope="module")
def long_object() -> tuple[bytes, bytes]:
    plain = octets(3_300_000)
    return plain, sealed(plain)


@settings(max_examples=60)
@given(st.data())
def test_any_range(long_object: tuple[bytes, bytes], data: st.DataObject) -> None:
    plain, stored = long_object
    near = st.sampled_from([0, FIRST, FIRST + NEXT, FIRST + 2 * NEXT, len(plain)])
    offset = max(0, data.draw(near) + data.draw(st.integers(-20, 20)))
    length = data.draw(st.none() | st.integers(0, 40) | st.integers(0, len(plain) + 50))
    end = None if length is None else offset + length
    assert ranged(stored, offset, length) == plain[offset:end]


def test_only_needed_segments_are_read(long_object: tuple[bytes, bytes]) -> None:
    plain, stored = long_object
    log: list[tuple[int, int]] = []
    part = b"".join(decrypt_range(reader(stored, log), len(stored), KEY, AD, FIRST + 5, 10))
    assert part == plain[FIRST + 5 : FIRST + 15]
    last = 3 * SEGMENT
    assert log == [(0, 40), (last, len(stored) - last), (SEGMENT, SEGMENT)]


@pytest.mark.parametrize("arguments", [(-1, None), (0, -1)])
def test_negative_range(arguments: tuple[int, int | None]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        ranged(sealed(b"x"), *arguments)


@settings(max_examples=150)
@given(st.integers(0, 40 + 300 + 16 - 1), st.integers(0, 7))
def test_any_bit_of_a_short_object(position: int, bit: int) -> None:
    stored = bytearray(sealed(octets(300)))
    stored[position] ^= 1 << bit
    for action in (opened, ranged):
        with pytest.raises(ObjectDamaged) as refusal:
            action(bytes(stored))
        assert refusal.value.code == "OBJECT_DAMAGED"


def test_a_flip_in_each_segment(long_object: tuple[bytes, bytes]) -> None:
    plain, stored = long_object
    for position in (
        0,
        1,
        33,
        40,
        SEGMENT - 1,
        SEGMENT,
        2 * SEGMENT - 1,
        2 * SEGMENT,
        3 * SEGMENT,
        len(stored) - 1,
    ):
        changed = bytearray(stored)
        changed[position] ^= 1
        with pytest.raises(ObjectDamaged):
            opened(bytes(changed))
        with pytest.raises(ObjectDamaged):
            ranged(bytes(changed))
    changed = bytearray(stored)
    changed[SEGMENT + 9] ^= 1  # a range elsewhere is not concerned
    assert ranged(bytes(changed), 2 * SEGMENT, 100) == plain[2 * SEGMENT : 2 * SEGMENT + 100]


def test_segments_swapped_repeated_or_dropped(long_object: tuple[bytes, bytes]) -> None:
    _, stored = long_object
    parts = [stored[i : i + SEGMENT] for i in range(0, len(stored), SEGMENT)]
    for order in (
        (0, 2, 1, 3),
        (0, 1, 1, 3),
        (0, 1, 3),
        (0, 1, 2),
        (0, 1),
        (0,),
        (1, 2, 3),
        (0, 1, 2, 3, 3),
        (3,),
        (),
    ):
        changed = b"".join(parts[i] for i in order)
        with pytest.raises(ObjectDamaged):
            opened(changed)
        with pytest.raises(ObjectDamaged):
            ranged(changed)
        if order in ((0, 1, 2), (0, 1), (0,)):  # a cut is noticed wherever the range lies
            with pytest.raises(ObjectDamaged):
                ranged(changed, 0, 10)
            with pytest.raises(ObjectDamaged):
                ranged(changed, 0, 0)


@pytest.mark.parametrize(
    "cut", [0, 1, 39, 40, 41, 55, 56, SEGMENT, SEGMENT + 1, SEGMENT + 16, SEGMENT + 20, -1]
)
def test_cut_short(cut: int) -> None:
    stored = sealed(octets(FIRST + 500))[:cut]
    with pytest.raises(ObjectDamaged):
        opened(stored)
    with pytest.raises(ObjectDamaged):
        ranged(stored)


def test_lengthened() -> None:
    stored = sealed(octets(500))
    for more in (b"\0", stored[40:], bytes(SEGMENT)):
        with pytest.raises(ObjectDamaged):
            opened(stored + more)
        with pytest.raises(ObjectDamaged):
            ranged(stored + more)


def test_an_empty_last_segment_is_not_ours() -> None:
    """Whoever has the key could write one; two spellings of one content are refused all the same."""
    header = bytes([40]) + bytes(39)
    segments = encryption._Segments(header, KEY, AD)
    stored = header + segments.seal(0, bytes(FIRST), last=False) + segments.seal(1, b"", last=True)
    with pytest.raises(ObjectDamaged):
        opened(stored)
    with pytest.raises(ObjectDamaged):
        ranged(stored)


def test_other_key_or_associated_data() -> None:
    stored = sealed(b"secret")
    other = encryption.object_associated_data("doc_0123456789abcdefghjkmnpqrs", "preview")
    for changes in ({"key": bytes(32)}, {"key": KEY[:16]}, {"key": b""}, {"ad": other}, {"ad": b""}):
        with pytest.raises(ObjectDamaged):
            opened(stored, **changes)
        with pytest.raises(ObjectDamaged):
            ranged(stored, **changes)


def test_a_store_that_gives_less_or_more() -> None:
    stored = sealed(octets(5000))
    for lie in (
        lambda _o, _n: iter([]),
        lambda o, n: iter([stored[o : o + n - 1]]),
        lambda o, _n: iter([stored[o:] + b"x"]),
    ):
        with pytest.raises(ObjectDamaged):
            b"".join(decrypt_range(lie, len(stored), KEY, AD))


def test_errors_of_the_store_pass() -> None:
    def gone() -> Iterator[bytes]:
        yield sealed(bytes(3_000_000))[: 2 * SEGMENT]
        raise ObjectMissing("gone")

    with pytest.raises(ObjectMissing):
        b"".join(decrypt(gone(), KEY, AD))


def test_key_length_when_encrypting() -> None:
    with pytest.raises(ValueError, match="32"):
        next(encrypt([b""], KEY[:16], AD))


def test_associated_data_is_unambiguous() -> None:
    assert AD == b"probans/object/v1\0doc_0123456789abcdefghjkmnpqrs\0original"
    for bad in (("", "r"), ("d", ""), ("d\0", "r"), ("é", "r"), ("d", "r\n"), ("d", "a b")):
        with pytest.raises(ValueError, match="ASCII"):
            encryption.object_associated_data(*bad)
