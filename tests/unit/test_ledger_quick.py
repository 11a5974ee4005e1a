"""The quick reader of whole bundles accepts exactly what the strict one does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vault.errors import LedgerError
from vault.ledger.chain import BundleChain, Chain
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, RecordEntry, encode, encode_record, leaf_hash
from vault.ledger.quick import last_time_of, leaves_of
from vault.ledger.tiles import decode_bundle, encode_bundle

TIMES = [
    "2026-11-22T12:00:00.000Z",
    "2026-11-22T12:00:00.001Z",
    "2028-02-29T23:59:59.999Z",
]
BAD_TIMES = [
    "2026-13-01T00:00:00.000Z",
    "2026-02-30T00:00:00.000Z",
    "2027-02-29T00:00:00.000Z",
    "2026-11-22T24:00:00.000Z",
    "2026-11-22T12:00:60.000Z",
    "2026-11-22t12:00:00.000z",
    "2026-11-22T12:00:00.00Z0",
    "0000-01-01T00:00:00.000Z",
    "0999-01-01T00:00:00.000Z",
    "2026-11-22T12:00:00,000Z",
    "٢٠٢٦-11-22T12",
]
COUNT = 5


def bodies_from(seq: int, prev: bytes, times: Sequence[str]) -> list[bytes]:
    found: list[bytes] = []
    for place, time in enumerate(times):
        found.append(encode_record(seq + place, prev, time, bytes([place]) * 32, bytes([7]) * 32))
        prev = leaf_hash(found[-1])
    return found


def strict(bodies: Sequence[bytes], seq: int, prev: bytes, time: str) -> str | None:
    """What the slow way says: the time of the last, or None when one does not follow or is no record."""
    chain = Chain(seq, prev, time)
    try:
        entries = [chain.add(body)[0] for body in bodies]
    except LedgerError:
        return None
    return chain.last_time if all(isinstance(entry, RecordEntry) for entry in entries) else None


def quick(bodies: Sequence[bytes], seq: int, prev: bytes, time: str) -> str | None:
    return last_time_of(bodies, leaves_of(bodies), seq, prev, time)


SEQS = st.sampled_from([1, 8, 98, 255, 996, 2**53 - COUNT - 1, 2**53 - COUNT, 2**53 - 3, 2**53, 10**16 - 2])


@settings(max_examples=150)
@given(SEQS, st.lists(st.sampled_from(TIMES), min_size=COUNT, max_size=COUNT), st.sampled_from(["", *TIMES]))
def test_what_follows_is_accepted_by_both_or_none(seq: int, times: list[str], before: str) -> None:
    bodies = bodies_from(seq, b"\x05" * 32, times)
    expected = strict(bodies, seq, b"\x05" * 32, before)
    assert quick(bodies, seq, b"\x05" * 32, before) == expected
    in_order = [before, *times] == sorted([before, *times]) and seq + COUNT <= 2**53
    assert (expected is not None) == in_order


OCTETS = st.sampled_from(
    [
        b"",
        b"0",
        b"00",
        b"9",
        b"A",
        b"F",
        b" ",
        b"\n",
        b"\0",
        b'"',
        b"\\u0030",
        b"+1",
        b"-",
        b"\xd9\xa2",
        b"1e0",
    ]
)


@settings(max_examples=600)
@given(st.data())
def test_a_changed_entry_is_accepted_by_both_or_none(data: st.DataObject) -> None:
    seq = data.draw(st.sampled_from([1, 9, 99, 4095]))
    bodies = bodies_from(seq, bytes(32), [TIMES[0]] * COUNT)
    place = data.draw(st.integers(0, COUNT - 1))
    body = bodies[place]
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 3)))
    octets = data.draw(st.one_of(OCTETS, st.binary(max_size=3)))
    changed = [*bodies]
    changed[place] = body[:start] + octets + body[end:]
    assert quick(changed, seq, bytes(32), "") == strict(changed, seq, bytes(32), "")
    if place == COUNT - 1 and changed != bodies and len(octets) == end - start:
        # Nothing after it shows the change: only its own form does.
        alone = quick(changed[-1:], seq + place, leaf_hash(bodies[-2]), "")
        assert alone == strict(changed[-1:], seq + place, leaf_hash(bodies[-2]), "")


@pytest.mark.parametrize("time", [*BAD_TIMES, *TIMES])
@pytest.mark.parametrize("place", [0, COUNT - 1])
def test_only_times_that_exist(time: str, place: int) -> None:
    times = [TIMES[0]] * COUNT
    times[place] = time
    bodies, prev = [], bytes(32)
    for number, text in enumerate(times):
        body = encode_record(7 + number, prev, TIMES[0], bytes(32), bytes(32))
        bodies.append(body.replace(TIMES[0].encode(), text.encode()))
        prev = leaf_hash(bodies[-1])
    expected = strict(bodies, 7, bytes(32), "")
    assert quick(bodies, 7, bytes(32), "") == expected
    assert (expected is None) == (time in BAD_TIMES or (place == 0 and time != TIMES[0]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seq":12', b'"seq":012'),
        (b'"seq":12', b'"seq":12.0'),
        (b'"seq":12', b'"seq": 12'),
        (b'"seq":12', '"seq":١٢'.encode()),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1,"w":1'),
        (b'"type":"record"', b'"type":"log"'),
        (b'"commitment":"07', b'"commitment":"0G'),
        (b'"tag":"00', b'"tag":"0A'),
        (b'{"commitment', b' {"commitment'),
        (b'"v":1}', b'"v":1}\n'),
    ],
)
def test_other_spellings_are_refused(old: bytes, new: bytes) -> None:
    (body,) = bodies_from(12, bytes(32), TIMES[:1])
    assert quick([body], 12, bytes(32), "") == TIMES[0]
    assert old in body
    assert quick([body.replace(old, new)], 12, bytes(32), "") is None
    assert strict([body.replace(old, new)], 12, bytes(32), "") is None


def test_entries_about_the_log_are_left_to_the_strict_reader() -> None:
    opened = encode(LogEntry(0, GENESIS_PREV, TIMES[0], LogEvent.OPENED, {"origin": "o"}))
    changed = encode(LogEntry(2, bytes(32), TIMES[0], LogEvent.KEYS_CHANGED, {}))
    assert quick([opened], 0, GENESIS_PREV, "") is None
    assert quick([changed], 2, bytes(32), "") is None
    first = bodies_from(1, leaf_hash(opened), TIMES[:1])
    rotated = encode(LogEntry(2, leaf_hash(first[0]), TIMES[0], LogEvent.KEYS_CHANGED, {}))
    after = bodies_from(3, leaf_hash(rotated), TIMES[:2])
    chain, leaves = BundleChain(), []
    bodies = [opened, *first, rotated, *after]
    chain.add_bundle(bodies, leaves)
    assert (chain.size, chain.origin, leaves) == (5, "o", [leaf_hash(body) for body in bodies])


def test_leaves_of_what_was_accepted_before_a_refusal_are_kept() -> None:
    bodies = bodies_from(1, bytes(32), [TIMES[0]] * 4)
    bodies[2] = bodies[2].replace(b'"seq":3', b'"seq":4')
    chain, leaves = BundleChain(1, bytes(32)), []
    with pytest.raises(LedgerError) as refused:
        chain.add_bundle(bodies, leaves)
    assert (refused.value.code, refused.value.params["seq"]) == ("CHAIN_BROKEN", 3)
    assert (chain.size, leaves) == (3, [leaf_hash(body) for body in bodies[:2]])


def decode_slowly(data: bytes) -> list[bytes] | None:
    found, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            return None
        found.append(data[at + 2 : end])
        at = end
    return found


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([b"", b"a", b"bc", b"\x00\x02de"]), max_size=6),
    st.binary(max_size=2),
    st.integers(0, 6),
)
@example([b"", b""], b"", 2)
@example([b"bc", b"bc"], b"", 2)
def test_bundles_of_even_entries_are_cut_as_all_others(entries: list[bytes], more: bytes, width: int) -> None:
    data = encode_bundle(entries) + more
    expected = decode_slowly(data)
    try:
        found = decode_bundle(data, width)
    except LedgerError:
        found = None
    assert found == (expected if expected is not None and len(expected) == width else None)
