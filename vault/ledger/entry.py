"""Ledger entries: one canonical JSON object each, chained by the RFC 6962 leaf hash of the one before.

A record entry shows only a tag and a commitment; a log entry (opening of a generation, key rotation) is in
clear. The form is fixed for ever: docs/evidence-format.md describes it octet by octet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from vault.clock import parse_rfc3339
from vault.errors import LedgerError
from vault.ledger import canonical

VERSION = 1
MAX_ENTRY = 65_535
GENESIS_PREV = bytes(32)


class LogEvent(StrEnum):
    """Events of the log itself, whose entries are in clear."""

    OPENED = "log.opened"
    KEYS_CHANGED = "log.keys-changed"
    REPLACED = "log.replaced"  # in a later generation: stands where the one before had an entry about itself


STATING = frozenset({LogEvent.OPENED, LogEvent.KEYS_CHANGED})  # those that state the log's keys


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """An entry about a document, unreadable without its opening.

    Attributes:
        seq: number of the entry, from 0.
        prev: leaf hash of entry seq-1, 32 octets; zeros for entry 0.
        time: the operator's statement of the time, RFC 3339 UTC with milliseconds.
        tag: HMAC of the document's tag counter, 32 octets.
        commitment: commitment to the opening, 32 octets.
    """

    seq: int
    prev: bytes
    time: str
    tag: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry about the log itself, in clear.

    Attributes:
        seq, prev, time: as in `RecordEntry`.
        event: what happened.
        body: text, integers below 2^53, and objects and lists of those.
    """

    seq: int
    prev: bytes
    time: str
    event: LogEvent
    body: Mapping[str, Any]


Entry = RecordEntry | LogEntry

_COMMON = frozenset({"v", "seq", "prev", "time", "type"})
_MEMBERS = {
    "record": _COMMON | {"tag", "commitment"},
    "log": _COMMON | {"event", "body"},
}

_HEX = rb'"([0-9a-f]{64})"'
_RECORD = re.compile(
    rb'\{"commitment":'
    + _HEX
    + rb',"prev":'
    + _HEX
    + rb',"seq":(0|[1-9][0-9]{0,15}),"tag":'
    + _HEX
    + rb',"time":"([0-9T:.Z-]{24})","type":"record","v":1\}'
)


def leaf_hash(data: bytes) -> bytes:
    """Return the RFC 6962 (section 2.1) leaf hash of an entry's octets."""
    return hashlib.sha256(b"\x00" + data).digest()


def encode_record(seq: int, prev: bytes, time: str, tag: bytes, commitment: bytes) -> bytes:
    """Write a record entry; the arguments are those of `RecordEntry` and are taken as correct."""
    # Its members in order, and none that JSON would escape: a third of the time of a serialiser.
    return (
        f'{{"commitment":"{commitment.hex()}","prev":"{prev.hex()}","seq":{seq},"tag":"{tag.hex()}",'
        f'"time":"{time}","type":"record","v":{VERSION}}}'
    ).encode("ascii")


def encode(entry: Entry) -> bytes:
    """Write an entry as canonical JSON.

    Raises:
        LedgerError: ENTRY_INVALID when a value is not allowed or the result is too long.
    """
    if isinstance(entry, RecordEntry):
        data = encode_record(entry.seq, entry.prev, entry.time, entry.tag, entry.commitment)
    else:
        try:
            data = canonical.canonical(
                {
                    "body": entry.body,
                    "event": entry.event.value,
                    "prev": entry.prev.hex(),
                    "seq": entry.seq,
                    "time": entry.time,
                    "type": "log",
                    "v": VERSION,
                },
                lists=True,
            )
        except ValueError as error:
            raise LedgerError("ENTRY_INVALID", str(error), seq=entry.seq) from error
    if len(data) > MAX_ENTRY:
        raise LedgerError("ENTRY_INVALID", f"entry of {len(data)} octets", seq=entry.seq)
    return data


def decode(data: bytes) -> Entry:
    """Read an entry, strictly: only octets that `encode` could have written.

    Raises:
        LedgerError: ENTRY_INVALID with what is wrong.
    """
    try:
        found = _RECORD.fullmatch(data)
        return _decode(data) if found is None else _record(found)
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError("ENTRY_INVALID", str(error)) from error


def _record(found: re.Match[bytes]) -> RecordEntry:
    """Take apart a record entry in the only form it can have, ten times faster than JSON is parsed and compared."""
    commitment, prev, digits, tag, time = found.groups()
    seq = int(digits)
    if seq > canonical.MAX_INTEGER:
        raise ValueError("integer of 2^53 or more")
    return RecordEntry(
        seq,
        bytes.fromhex(prev.decode()),
        _checked_time(time),
        bytes.fromhex(tag.decode()),
        bytes.fromhex(commitment.decode()),
    )


@lru_cache(maxsize=4096)
def _checked_time(time: bytes) -> str:
    """Return a time as text once it is known to be one; the entries of a group share theirs."""
    text = time.decode()
    _instant(text)
    return text


def is_time(octets: bytes) -> bool:
    """Tell whether octets are the time of an entry: RFC 3339 in UTC with milliseconds, of a day that exists."""
    try:
        _checked_time(octets)
    except ValueError:
        return False
    return True


def _decode(data: bytes) -> Entry:
    value = canonical.parse(data, limit=MAX_ENTRY, lists=True)
    kind = value.get("type")
    if not isinstance(kind, str) or value.keys() != _MEMBERS.get(kind):
        raise ValueError("members are not those of an entry")
    if value["v"] != VERSION:
        raise ValueError("unknown version")
    seq, time = value["seq"], value["time"]
    if type(seq) is not int or seq < 0:
        raise ValueError("seq is not a natural number")
    _instant(time)
    prev = _digest(value, "prev")
    if kind == "record":
        return RecordEntry(seq, prev, time, _digest(value, "tag"), _digest(value, "commitment"))
    if type(value["body"]) is not dict:
        raise ValueError("body is not an object")
    return LogEntry(seq, prev, time, LogEvent(value["event"]), value["body"])


def _digest(value: Mapping[str, Any], name: str) -> bytes:
    text = value[name]
    if not canonical.is_hex32(text):
        raise ValueError(f"{name} is not 32 octets in lower-case hexadecimal")
    return bytes.fromhex(text)


def _instant(text: object) -> datetime:
    if not isinstance(text, str) or len(text) != 24 or not text.isascii():
        raise ValueError("time is not RFC 3339 in UTC with milliseconds")
    return parse_rfc3339(text)
