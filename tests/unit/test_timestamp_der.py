"""The strict DER reader and writer."""

from __future__ import annotations

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from timestamping import der


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_are_written_as_asn1crypto_writes_them_and_read_back(value: int) -> None:
    encoded = der.integer(value)
    assert encoded == core.Integer(value).dump()
    assert der.integer_value(der.only(encoded, der.INTEGER)) == value


@given(
    st.tuples(st.integers(0, 2), st.integers(0, 39)),
    st.lists(st.integers(0, 2**70), max_size=4),
)
def test_object_identifiers_round_trip(first: tuple[int, int], others: list[int]) -> None:
    dotted = ".".join(map(str, (*first, *others)))
    encoded = der.object_id(dotted)
    assert encoded == core.ObjectIdentifier(dotted).dump()
    assert der.object_id_value(der.only(encoded, der.OBJECT_ID)) == dotted


@given(st.binary(max_size=70_000))
def test_lengths_round_trip(content: bytes) -> None:
    encoded = der.octets(content)
    assert encoded == core.OctetString(content).dump()
    assert der.only(encoded, der.OCTET_STRING).content == content


@pytest.mark.parametrize("dotted", ["", "1", "1.40", "3.1", "1.2.x", "1.2.-3", "1..2", "2.-1"])
def test_what_is_no_object_identifier_is_not_written(dotted: str) -> None:
    with pytest.raises(der.DerError):
        der.object_id(dotted)


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "30",
        "3080",  # indefinite length
        "3080020101 0000",
        "30 8103 020101",  # length in long form though short
        "30 820080" + "00" * 128,  # length padded with zeros
        "30 8500000000 03 020101",  # length of length 5
        "30 84ffffffff",
        "30 04 020101",  # runs past the end
        "30 03 020101 00",  # trailing octet
        "3f8101 00",  # multi-octet tag
        "30 00 30 00",
    ],
)
def test_other_encodings_of_a_sequence_are_refused(encoded: str) -> None:
    with pytest.raises(der.DerError):
        der.check_canonical(der.only(bytes.fromhex(encoded), der.SEQUENCE))


@pytest.mark.parametrize(
    "encoded",
    [
        "0200",  # empty integer
        "02020001",  # padded integer
        "0202ff80",
        "010101",  # boolean neither 00 nor FF
        "01020000",
        "0300",  # bit string without its first octet
        "030108",
        "030101",  # unused bits of nothing
        "03020101",  # an unused bit that is set
        "030209ff",
        "050100",  # null with content
        "0600",  # empty object identifier
        "060281",
        "06028001",  # padded arc
        "06032a8001",
        "2403040101",  # constructed octet string
        "100100",  # primitive sequence
        "110100",
        "000100",
    ],
)
def test_malformed_values_are_refused_inside_what_is_only_carried(encoded: str) -> None:
    wrapped = der.sequence(bytes.fromhex(encoded))
    with pytest.raises(der.DerError):
        der.check_canonical(der.only(wrapped, der.SEQUENCE))


def test_an_object_identifier_too_long_to_be_one_is_refused() -> None:
    encoded = der.tlv(der.OBJECT_ID, b"\x2a" * 65)
    with pytest.raises(der.DerError):
        der.object_id_value(der.only(encoded, der.OBJECT_ID))


def test_deep_nesting_is_refused_before_it_exhausts_the_stack() -> None:
    encoded = der.sequence()
    for _ in range(5000):
        encoded = der.sequence(encoded)
    with pytest.raises(der.DerError):
        der.check_canonical(der.only(encoded, der.SEQUENCE))


@given(st.binary(max_size=300))
def test_garbage_ends_in_a_der_error_or_is_its_own_encoding(garbage: bytes) -> None:
    try:
        element = der.only(garbage, der.SEQUENCE)
        der.check_canonical(element)
    except der.DerError:
        return
    assert element.raw == garbage
    assert der.tlv(element.tag, element.content) == garbage
