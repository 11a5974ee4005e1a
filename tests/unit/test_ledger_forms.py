"""Canonical JSON, entries, openings, tags, the registry of events, the chain."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from vault.domain.actors import Role
from vault.domain.states import Status
from vault.errors import LedgerError
from vault.ledger import canonical, tree
from vault.ledger.chain import verify_chain
from vault.ledger.entry import (
    GENESIS_PREV,
    MAX_ENTRY,
    Entry,
    LogEntry,
    LogEvent,
    RecordEntry,
    decode,
    encode,
    encode_record,
    leaf_hash,
)
from vault.ledger.events import Chain, Event, check_opening, may_write, spec
from vault.ledger.opening import ALL, Opening, RevealedOpening, combine, part_digest
from vault.ledger.tags import new_key, tag

TIME = "2026-11-22T12:00:00.000Z"
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    TEXTS | INTEGERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
FLAT = st.recursive(TEXTS | INTEGERS, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
PARTS = st.dictionaries(KEYS, FLAT, max_size=5)
DIGESTS = st.binary(min_size=32, max_size=32)
HEX = "ab" * 32


def parties(holder: str, actor: str) -> dict[str, str]:
    return {"holder": holder, "actor": actor, "mandate": ""}


def context(**more: str) -> dict[str, str]:
    return dict.fromkeys(("purpose", "case", "consent", "title", "file_name"), "") | more


# --- canonical JSON


@given(OBJECTS)
def test_canonical_is_rfc_8785(value: dict[str, Any]) -> None:
    data = canonical.canonical(value, lists=True)
    assert data == rfc8785.dumps(value)
    assert canonical.parse(data, limit=1 << 20, lists=True) == value


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0},
        {"a": True},
        {"a": None},
        {"a": 2**53},
        {"a": -(2**53)},
        {"é": 1},
        {1: "a"},
        {"a": [1]},
        {"a": b"x"},
        {"a": "\ud800"},
        {"a": {"b": float("nan")}},
    ],
)
def test_values_outside_the_restriction(value: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.canonical(value)


def test_nesting_has_a_limit() -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="deep"):
        canonical.canonical(deep)
    with pytest.raises(ValueError, match=r"."):
        canonical.parse(b'{"a":' * 5000 + b"1" + b"}" * 5000, limit=1 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":-0}',
        b'{"a":1e3}',
        b'{"a":9007199254740992}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":true}',
        b'{"a":null}',
        b'{"a":[1]}',
        b"[]",
        b"1",
        b"",
        b"\xff",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\\ud800"}',
    ],
)
def test_only_the_canonical_form_is_read(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.parse(data, limit=1000)


# --- entries


@given(INTEGERS.filter(lambda n: n >= 0), DIGESTS, DIGESTS, DIGESTS)
def test_record_entry(seq: int, prev: bytes, first: bytes, second: bytes) -> None:
    entry = RecordEntry(seq, prev, TIME, first, second)
    data = encode(entry)
    assert data == encode_record(seq, prev, TIME, first, second)
    assert data == rfc8785.dumps(
        {
            "v": 1,
            "seq": seq,
            "prev": prev.hex(),
            "time": TIME,
            "type": "record",
            "tag": first.hex(),
            "commitment": second.hex(),
        }
    )
    assert decode(data) == entry
    assert leaf_hash(data) == hashlib.sha256(b"\0" + data).digest()


@given(OBJECTS)
def test_log_entry(body: dict[str, Any]) -> None:
    entry = LogEntry(3, bytes(32), TIME, LogEvent.KEYS_CHANGED, body)
    data = encode(entry)
    assert decode(data) == entry
    assert data == rfc8785.dumps(json.loads(data))


def record(**changes: object) -> bytes:
    members: dict[str, object] = {
        "v": 1,
        "seq": 5,
        "prev": HEX,
        "time": TIME,
        "type": "record",
        "tag": HEX,
        "commitment": HEX,
    }
    members.update(changes)
    return rfc8785.dumps({k: v for k, v in members.items() if v is not ...})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"seq": -1},
        {"seq": "5"},
        {"prev": HEX.upper()},
        {"prev": HEX[:-1]},
        {"prev": 0},
        {"time": "2026-11-22T12:00:00Z"},
        {"time": "2026-11-22T12:00:00.000+00:00"},
        {"time": "2026-11-31T12:00:00.000Z"},
        {"time": "2026-11-22T12:00:00.00٠Z"},
        {"time": 0},
        {"type": "other"},
        {"type": 1},
        {"type": "log"},
        {"tag": ...},
        {"extra": "x"},
        {"commitment": HEX + "\n"},
        {"tag": {"a": "b"}},
    ],
)
def test_entries_that_are_refused(changes: dict[str, object]) -> None:
    assert decode(record())
    with pytest.raises(LedgerError) as caught:
        decode(record(**changes))
    assert caught.value.code == "ENTRY_INVALID"


def test_size_limit_and_bad_log_bodies() -> None:
    limit = MAX_ENTRY - len(encode(LogEntry(1, bytes(32), TIME, LogEvent.KEYS_CHANGED, {"a": ""})))
    fits = LogEntry(1, bytes(32), TIME, LogEvent.KEYS_CHANGED, {"a": "x" * limit})
    assert len(encode(fits)) == MAX_ENTRY
    assert decode(encode(fits)) == fits
    for body in ({"a": "x" * (limit + 1)}, {"a": 1.5}, {"é": 1}, {"a": None}):
        with pytest.raises(LedgerError) as caught:
            encode(LogEntry(1, bytes(32), TIME, LogEvent.KEYS_CHANGED, body))
        assert caught.value.code == "ENTRY_INVALID"
    assert decode(encode(fits)) == fits
    for text in (b'"log.keys-changed"', b"{"):
        with pytest.raises(LedgerError):
            decode(encode(fits).replace(text, b'"log.other"', 1))


@given(st.binary(max_size=300))
def test_garbage_is_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        decode(data)
    assert caught.value.code == "ENTRY_INVALID"


# --- openings


@given(PARTS, PARTS, PARTS, st.frozensets(st.sampled_from(sorted(ALL))))
def test_commitment_is_the_same_however_much_is_shown(
    document: dict[str, Any], who: dict[str, Any], why: dict[str, Any], reveal: frozenset[str]
) -> None:
    opening = Opening.new(document, who, why)
    parts = (document, who, why)
    expected = hashlib.sha256(
        b"probans/opening/v1\n"
        + b"".join(
            hmac.digest(salt, rfc8785.dumps(part), "sha256")
            for salt, part in zip(opening.salts, parts, strict=True)
        )
    ).digest()
    assert opening.commitment() == expected
    data = opening.to_json(reveal)
    shown = RevealedOpening.parse(data)
    assert shown.commitment() == expected
    for name, part, salt in zip(("document", "parties", "context"), parts, shown.salts, strict=True):
        assert getattr(shown, name) == (part if name in reveal else None)
        assert (salt is not None) == (name in reveal)
    if reveal == ALL:
        assert shown.opened() == opening
    else:
        with pytest.raises(LedgerError):
            shown.opened()


@given(PARTS, st.data())
def test_any_change_of_what_is_shown_changes_the_commitment(
    value: dict[str, Any], data: st.DataObject
) -> None:
    opening = Opening.new({"event": "x", "n": 1}, {"actor": "a"}, value)
    members = json.loads(opening.to_json(frozenset({"document", "context"})))
    kind = data.draw(st.sampled_from(["salt", "value", "digest"]))
    if kind == "digest":
        old = members["parties"]["digest"]
        new = data.draw(DIGESTS.map(bytes.hex).filter(lambda x: x != old))
        members["parties"]["digest"] = new
    elif kind == "salt":
        old = members["document"]["salt"]
        members["document"]["salt"] = data.draw(DIGESTS.map(bytes.hex).filter(lambda x: x != old))
    else:
        members["context"]["value"] = data.draw(PARTS.filter(lambda x: x != value))
    changed = RevealedOpening.parse(rfc8785.dumps(members))
    assert changed.commitment() != opening.commitment()


def test_equal_parts_have_unequal_digests_and_salts_are_random() -> None:
    first, second = Opening.new({}, {}, {}), Opening.new({}, {}, {})
    assert len(set(first.digests())) == 3
    assert len({*first.salts, *second.salts}) == 6
    assert first.commitment() != second.commitment()


def test_parts_cannot_be_exchanged() -> None:
    one, two, three = first = Opening.new({"a": 1}, {"b": 2}, {"c": 3}).digests()
    assert combine(*first) != combine(two, one, three)
    assert part_digest(bytes(32), {"a": 1}) != part_digest(bytes(32), {"a": "1"})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"document": {"digest": "00"}},
        {"document": {"digest": HEX, "salt": HEX}},
        {"document": {"salt": HEX}},
        {"document": {"salt": HEX, "value": "text"}},
        {"document": {"salt": HEX.upper(), "value": {}}},
        {"document": "text"},
        {"document": 1},
        {"extra": {}},
        {"context": {"salt": HEX, "value": {"a": [1]}}},
        {"context": {"salt": HEX, "value": {"a": 2.5}}},
    ],
)
def test_openings_that_are_refused(change: dict[str, Any]) -> None:
    members = json.loads(Opening.new({}, {}, {}).to_json())
    RevealedOpening.parse(rfc8785.dumps(members))
    with pytest.raises(LedgerError) as caught:
        RevealedOpening.parse(rfc8785.dumps(members | change))
    assert caught.value.code == "OPENING_INVALID"


def test_openings_that_cannot_be_written() -> None:
    for part in ({"a": 1.5}, {"é": 1}, {"a": ["x"]}, {"a": "x" * 70_000}):
        with pytest.raises(LedgerError) as caught:
            Opening.new(part, {}, {}).to_json()
        assert caught.value.code == "OPENING_INVALID"
    with pytest.raises(LedgerError):
        Opening.new({}, {}, {}).to_json(frozenset({"everything"}))


# --- tags


def test_tags() -> None:
    key = new_key()
    assert tag(key, 258) == hmac.digest(key, b"\0\0\0\0\0\0\1\2", "sha256")
    assert tag(key, 2**64 - 1) != tag(key, 0)
    for wrong, counter in ((key[:31], 0), (key, -1), (key, 2**64)):
        with pytest.raises(ValueError, match="tag"):
            tag(wrong, counter)


# --- events

SEALED = {"signature": HEX, "token": HEX, "seal_certificate": HEX}
ABOUT = {"document_id": "doc_x", "sha256": HEX}
DESCRIBED = ABOUT | {"size": 1, "media_type": "a/b", "document_type": "", "issuer": "mairie"}
GOOD: dict[Event, tuple[dict[str, Any], dict[str, str]]] = {
    Event.RECEIVED: (DESCRIBED, {}),
    Event.ISSUED: (DESCRIBED | {"parts": SEALED}, {}),
    Event.DEPOSITED: (DESCRIBED | {"parts": SEALED | {"manifest": HEX}}, {}),
    Event.SUPERSEDED: (ABOUT | {"superseded_by_sha256": HEX}, {}),
    Event.REVOKED: (ABOUT, {"reason": "ISSUED_IN_ERROR"}),
    Event.DESTROYED: (ABOUT, {}),
    Event.READ: ({"document_id": "doc_x", "action": "original"}, {}),
    Event.READ_REFUSED: (ABOUT, {"reason": "FORBIDDEN"}),
}


def opening_of(about: Event, **changes: Any) -> Opening:
    document, why = GOOD[about]
    return Opening.new(
        {k: v for k, v in ({"event": about.value} | document | changes).items() if v is not ...},
        parties("h", "a"),
        context(purpose="p", **why),
    )


@pytest.mark.parametrize("event", list(Event))
def test_every_event_has_a_schema(event: Event) -> None:
    opening = opening_of(event)
    found = check_opening(opening)
    assert found is spec(event.value)
    assert found.chain is (Chain.ACCESS if "read" in event.value else Chain.STATUS)
    for reveal in (frozenset({"document"}), ALL):
        assert check_opening(RevealedOpening.parse(opening.to_json(reveal))) is found
    for hidden in (frozenset[str](), frozenset({"parties"})):
        with pytest.raises(LedgerError):
            check_opening(RevealedOpening.parse(opening.to_json(hidden)))
    for member in (*found.document, "unknown"):
        with pytest.raises(LedgerError) as caught:
            check_opening(opening_of(event, **{member: "x" if member == "unknown" else ...}))
        assert caught.value.code == "OPENING_INVALID"


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (Event.ISSUED, {"sha256": HEX.upper()}),
        (Event.ISSUED, {"size": -1}),
        (Event.ISSUED, {"size": "1"}),
        (Event.ISSUED, {"parts": {}}),
        (Event.ISSUED, {"parts": SEALED | {"other": HEX}}),
        (Event.ISSUED, {"parts": SEALED | {"token": "x"}}),
        (Event.ISSUED, {"parts": "x"}),
        (Event.SUPERSEDED, {"superseded_by_sha256": 1}),
        (Event.ISSUED, {"title": 1.5}),
        (Event.ISSUED, {"media_type": 1.5}),
    ],
)
def test_values_of_the_document_part(event: Event, changes: dict[str, Any]) -> None:
    with pytest.raises(LedgerError) as caught:
        check_opening(opening_of(event, **changes))
    assert caught.value.code == "OPENING_INVALID"


def test_parties_and_context_are_checked_too() -> None:
    document, _ = GOOD[Event.REVOKED]
    document = {"event": Event.REVOKED.value} | document
    good = parties("h", "a"), context(reason="r")
    check_opening(Opening.new(document, *good))
    for who, why in (
        (good[0], context()),
        (good[0], context(reason="r", other="x")),
        ({"holder": "h"}, good[1]),
        (good[0] | {"more": "x"}, good[1]),
    ):
        with pytest.raises(LedgerError):
            check_opening(Opening.new(document, who, why))


def test_registry_of_roles_and_transitions() -> None:
    assert may_write("document.issued", Role.AGENT)
    assert not may_write("document.issued", Role.HOLDER)
    assert not may_write("document.revoked", Role.HOLDER)
    assert may_write("document.read", Role.ANONYMOUS)
    assert spec("document.revoked").status is Status.REVOKED
    assert spec("document.read").status is None
    with pytest.raises(LedgerError):
        spec("document.sold")


# --- chain


def chain_of(count: int) -> list[bytes]:
    entries: list[bytes] = []
    prev = GENESIS_PREV
    for seq in range(count):
        time = f"2026-11-22T12:00:00.{seq // 2:03d}Z"
        entry: Entry = RecordEntry(seq, prev, time, bytes(32), bytes([seq]) * 32)
        if seq == 0:
            entry = LogEntry(0, prev, time, LogEvent.OPENED, {"origin": "o"})
        entries.append(encode(entry))
        prev = leaf_hash(entries[-1])
    return entries


def relinked(entries: list[bytes], start: int) -> list[bytes]:
    """The same chain with `prev` made anew from an entry on: only other rules can find the change."""
    made = entries[:start]
    for data in entries[start:]:
        members = json.loads(data)
        members["prev"] = (leaf_hash(made[-1]) if made else GENESIS_PREV).hex()
        made.append(rfc8785.dumps(members))
    return made


def test_a_chain_that_holds() -> None:
    assert verify_chain([]).root == tree.EMPTY_ROOT
    entries = chain_of(20)
    report = verify_chain(entries)
    hasher = tree.TreeHasher()
    for data in entries:
        hasher.add(leaf_hash(data))
    assert (report.size, report.root, report.origin) == (20, hasher.root(), "o")
    assert report.last_leaf == leaf_hash(entries[-1])


def changed(data: bytes, **changes: object) -> bytes:
    return rfc8785.dumps(json.loads(data) | changes)


E5 = chain_of(8)
BROKEN = {
    "an entry taken out": (E5[:3] + E5[4:], 3, "seq"),
    "an entry twice": (E5[:4] + E5[3:], 4, "seq"),
    "two entries exchanged": ([*E5[:3], E5[4], E5[3], *E5[5:]], 3, "seq"),
    "an entry changed": ([*E5[:3], changed(E5[3], tag=HEX), *E5[4:]], 4, "prev"),
    "not canonical": ([*E5[:3], E5[3] + b" ", *E5[4:]], 3, "form"),
    "time runs backwards": (
        relinked([*E5[:5], changed(E5[5], time="2026-11-22T11:00:00.000Z"), *E5[6:]], 5),
        5,
        "time",
    ),
    "begins without opening": (
        [encode(RecordEntry(0, GENESIS_PREV, TIME, bytes(32), bytes(32)))],
        0,
        "event",
    ),
    "opens twice": (
        relinked(
            [
                *E5[:3],
                encode(LogEntry(3, bytes(32), "2026-11-22T12:00:00.001Z", LogEvent.OPENED, {})),
                *E5[4:],
            ],
            3,
        ),
        3,
        "event",
    ),
    "the first prev is not zero": ([changed(E5[0], prev=HEX)], 0, "prev"),
    "begins in the middle": (E5[2:], 0, "seq"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_chain_that_does_not_hold(name: str) -> None:
    entries, seq, what = BROKEN[name]
    with pytest.raises(LedgerError) as caught:
        verify_chain(entries)
    assert (caught.value.code, caught.value.params["seq"], caught.value.params["what"]) == (
        "CHAIN_BROKEN",
        seq,
        what,
    )
    assert caught.value.params["expected"] != caught.value.params["found"]


@given(st.integers(0, 7), st.data())
def test_any_flipped_bit_before_the_last_entry_breaks_the_chain(seq: int, data: st.DataObject) -> None:
    entries = chain_of(9)
    at = data.draw(st.integers(0, len(entries[seq]) - 1))
    flipped = bytearray(entries[seq])
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(LedgerError) as caught:
        verify_chain([*entries[:seq], bytes(flipped), *entries[seq + 1 :]])
    assert caught.value.code == "CHAIN_BROKEN"
    assert caught.value.params["seq"] in {seq, seq + 1}
