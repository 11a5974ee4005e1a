"""The quick way to read a record entry accepts exactly what the slow way accepts, and reads the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.errors import LedgerError
from vault.ledger import entry
from vault.ledger.entry import decode, encode_record

TIMES = [
    "2026-11-22T12:00:00.000Z",
    "2024-02-29T23:59:59.999Z",
    "0999-01-01T00:00:00.000Z",
    "2026-13-01T00:00:00.000Z",
]
TIMES += [
    "2026-02-30T00:00:00.000Z",
    "2026-11-22T24:00:00.000Z",
    "2026-11-22T12:00:60.000Z",
    "2026-11-22-12:00:00.000Z",
]
TIMES += ["2026-11-22T12:00:00.00ZZ", "2026-11-22T120000.00000Z", "------------------------"]
SEQS = [0, 1, 255, 2**53 - 1, 2**53, 10**16 - 1]


def slowly(data: bytes) -> object:
    try:
        return entry._decode(data)
    except (ValueError, KeyError, TypeError):
        return None


def quickly(data: bytes) -> object:
    try:
        return decode(data)
    except LedgerError:
        return None


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("seq", SEQS)
def test_times_and_numbers(seq: int, time: str) -> None:
    data = encode_record(seq, bytes(32), time, b"\xab" * 32, b"\xcd" * 32)
    assert quickly(data) == slowly(data)
    assert (quickly(data) is not None) == (seq < 2**53 and time in TIMES[:2])


@settings(max_examples=500)
@given(st.data())
def test_changed_octets(data: st.DataObject) -> None:
    content = bytearray(encode_record(4711, bytes(range(32)), TIMES[0], b"\xab" * 32, b"\xcd" * 32))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        piece = data.draw(
            st.one_of(st.binary(max_size=2), st.sampled_from([b"0", b"a", b"A", b" ", b"\n", b'"', b"-"]))
        )
        content[at : at + data.draw(st.integers(0, 2))] = piece
    assert quickly(bytes(content)) == slowly(bytes(content))
