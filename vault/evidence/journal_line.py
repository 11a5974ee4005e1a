"""The proof of one line of the access journal: one canonical JSON file (docs/evidence-format.md, section 17).

Entry, opening, receipt and anchor are UTF-8 texts in their own formats; each stands as a JSON string whose octets are
exactly those of the file it would be. So one parser reads it all, and `jq -j .entry` gives what was hashed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.evidence.errors import EvidenceRefused
from vault.ledger import canonical

FORMAT = "probans/journal-line/v1"
MEDIA_TYPE = "application/vnd.probans.journal-line+json"
MAX_LINE = 2 << 20
MAX_CRLS = 16
CHAINS = ("status", "access", "matter")
_MARK = b"probans/journal-line/"
_MEMBERS = frozenset({"format", "origin", "entry", "opening", "receipt", "tag"})
_TAG = frozenset({"chain", "counter"})
_DATED = frozenset({"anchor", "token", "crls"})


@dataclass(frozen=True, slots=True)
class LineDate:
    """What dates the line from outside.

    Attributes:
        anchor: octets of the anchor.
        token: DER of its token.
        crls: DER revocation lists of its authority.
    """

    anchor: bytes
    token: bytes
    crls: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LineProof:
    """A proof taken apart; nothing is verified.

    Attributes:
        origin: name of the log.
        entry: octets of the ledger entry.
        opening: octets of its opening, all parts shown.
        receipt: octets of the receipt (tlog-proof).
        chain: `status`, `access` or `matter`: whose tags the entry carries.
        counter: counter of its tag.
        key: key of the tags, 32 octets; None where the holder keeps it back.
        dated: the anchor; None while there is none.
    """

    origin: str
    entry: bytes
    opening: bytes
    receipt: bytes
    chain: str
    counter: int
    key: bytes | None = None
    dated: LineDate | None = None

    def encode(self) -> bytes:
        """Write the file.

        Raises:
            ValueError: a part is not UTF-8 text, or the whole is too long.
        """
        tag: dict[str, Any] = {"chain": self.chain, "counter": self.counter}
        if self.key is not None:
            tag["key"] = self.key.hex()
        value: dict[str, Any] = {
            "format": FORMAT,
            "origin": self.origin,
            "entry": self.entry.decode(),
            "opening": self.opening.decode(),
            "receipt": self.receipt.decode(),
            "tag": tag,
        }
        if self.dated is not None:
            value["time"] = {
                "anchor": self.dated.anchor.decode(),
                "token": _b64(self.dated.token),
                "crls": [_b64(crl) for crl in self.dated.crls],
            }
        data = canonical.canonical(value, lists=True)
        if len(data) > MAX_LINE:
            raise ValueError(f"{len(data)} octets, at most {MAX_LINE} allowed")
        return data

    @classmethod
    def parse(cls, data: bytes) -> LineProof:
        """Read a proof, strictly: only octets that `encode` could have written.

        Raises:
            EvidenceRefused: FORMAT_FAILURE with what is wrong.
        """
        try:
            value = canonical.parse(data, limit=MAX_LINE, lists=True)
            _same(value.keys() - {"time"}, _MEMBERS, "the proof")
            _same(value["format"], FORMAT, "format")
            tag = _tag(value["tag"])
            texts = {name: _text(value[name]) for name in ("origin", "entry", "opening", "receipt")}
            return cls(
                texts["origin"],
                texts["entry"].encode(),
                texts["opening"].encode(),
                texts["receipt"].encode(),
                *tag,
                dated=_dated(value["time"]) if "time" in value else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise EvidenceRefused("FORMAT_FAILURE", f"no proof of a line: {error}") from error


def looks_like_line(data: bytes) -> bool:
    """Tell whether octets mean to be a proof of a line, well made or not."""
    return data[:1] == b"{" and _MARK in data


def _tag(value: Mapping[str, Any]) -> tuple[str, int, bytes | None]:
    _same(value.keys() - {"key"}, _TAG, "tag")
    if value["chain"] not in CHAINS or type(value["counter"]) is not int or value["counter"] < 0:
        raise ValueError("tag is no chain and counter")
    if "key" not in value:
        return value["chain"], value["counter"], None
    if not canonical.is_hex32(value["key"]):
        raise ValueError("the key is not 32 octets in hexadecimal")
    return value["chain"], value["counter"], bytes.fromhex(value["key"])


def _dated(value: Mapping[str, Any]) -> LineDate:
    _same(value.keys(), _DATED, "time")
    crls = value["crls"]
    if type(crls) is not list or len(crls) > MAX_CRLS:
        raise ValueError("crls is no list, or too long")
    return LineDate(_text(value["anchor"]).encode(), _octets(value["token"]), tuple(map(_octets, crls)))


def _same(found: object, wanted: object, where: str) -> None:
    if found != wanted:
        raise ValueError(f"{where} is not as this version of the format has it")


def _text(value: object) -> str:
    if type(value) is not str or not value:
        raise ValueError("a member is no text")
    return value


def _octets(value: object) -> bytes:
    text = _text(value)
    try:
        octets = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if _b64(octets) != text:
        raise ValueError("base64 has one form")
    return octets


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
