r"""Openings: what a record entry commits to, in three parts that can be shown or hidden one by one.

commitment = SHA-256("probans/opening/v1\n" ‖ d_document ‖ d_parties ‖ d_context), each
d = HMAC-SHA256(its own random 32-octet salt, canonical JSON of the part).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from vault.errors import LedgerError
from vault.ledger import canonical

PARTS = ("document", "parties", "context")
ALL = frozenset(PARTS)
MAX_OPENING = 65_535
_LABEL = b"probans/opening/v1\n"
_VERSION = 1


def part_digest(salt: bytes, part: Mapping[str, Any]) -> bytes:
    """Return HMAC-SHA256(salt, canonical JSON of the part).

    Raises:
        ValueError: a value of the part is not allowed.
    """
    return _digest(salt, canonical.canonical(part))


def _digest(salt: bytes, form: bytes) -> bytes:
    return hmac.digest(salt, form, "sha256")


def combine(document: bytes, parties: bytes, context: bytes) -> bytes:
    """Return the commitment of three part digests of 32 octets."""
    return hashlib.sha256(_LABEL + document + parties + context).digest()


@dataclass(frozen=True, slots=True)
class Opening:
    """Values and salts behind one commitment; held privately.

    Attributes:
        document: what the event is about.
        parties: holder, actor, mandate.
        context: purpose, case, consent, title, file name.
        salts: one random salt of 32 octets for each part, in that order.
    """

    document: Mapping[str, Any]
    parties: Mapping[str, Any]
    context: Mapping[str, Any]
    salts: tuple[bytes, bytes, bytes]
    _written: list[tuple[bytes, bytes, bytes]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @classmethod
    def new(
        cls, document: Mapping[str, Any], parties: Mapping[str, Any], context: Mapping[str, Any]
    ) -> Opening:
        """Make an opening with new random salts."""
        drawn = secrets.token_bytes(96)
        return cls(document, parties, context, (drawn[:32], drawn[32:64], drawn[64:]))

    def _forms(self) -> tuple[bytes, bytes, bytes]:
        """Return each part as canonical JSON, written once."""
        if not self._written:
            try:
                document, parties, context = map(
                    canonical.canonical, (self.document, self.parties, self.context)
                )
            except ValueError as error:
                raise LedgerError("OPENING_INVALID", str(error)) from error
            self._written.append((document, parties, context))
        return self._written[0]

    def digests(self) -> tuple[bytes, bytes, bytes]:
        """Return the three part digests. Raises LedgerError(OPENING_INVALID)."""
        (s0, s1, s2), (document, parties, context) = self.salts, self._forms()
        return _digest(s0, document), _digest(s1, parties), _digest(s2, context)

    def commitment(self) -> bytes:
        """Return the commitment, 32 octets. Raises LedgerError(OPENING_INVALID)."""
        return combine(*self.digests())

    def to_json(self, reveal: frozenset[str] = frozenset({"document"})) -> bytes:
        """Write the opening with only the named parts readable, the others as digests.

        Raises:
            LedgerError: OPENING_INVALID for a value that is not allowed, an unknown part, or too many octets.
        """
        if not reveal <= ALL:
            raise LedgerError("OPENING_INVALID", "unknown part")
        digests = (b"", b"", b"") if reveal == ALL else self.digests()
        members: dict[str, Any] = {"v": _VERSION}
        for name, salt, form, digest in zip(PARTS, self.salts, self._forms(), digests, strict=True):
            shown = {"salt": salt.hex(), "value": orjson.Fragment(form)}
            members[name] = shown if name in reveal else {"digest": digest.hex()}
        # Canonical, since its parts are, and its own members are as simple.
        data = orjson.dumps(members, option=orjson.OPT_SORT_KEYS)
        if len(data) > MAX_OPENING:
            raise LedgerError("OPENING_INVALID", f"opening of {len(data)} octets")
        return data


@dataclass(frozen=True, slots=True)
class RevealedOpening:
    """An opening as somebody was given it; a part that is not shown is None.

    Attributes:
        document, parties, context: the values, or None where only the digest was given.
        digests: digest of each part, computed from salt and value where they are shown.
        salts: salt of each part that is shown, else None.
    """

    document: Mapping[str, Any] | None
    parties: Mapping[str, Any] | None
    context: Mapping[str, Any] | None
    digests: tuple[bytes, bytes, bytes]
    salts: tuple[bytes | None, bytes | None, bytes | None]

    @classmethod
    def parse(cls, data: bytes) -> RevealedOpening:
        """Read what `Opening.to_json` writes, strictly.

        Raises:
            LedgerError: OPENING_INVALID with what is wrong.
        """
        try:
            read = _parts(canonical.parse(data, limit=MAX_OPENING))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LedgerError("OPENING_INVALID", str(error)) from error
        (document, d0, s0), (parties, d1, s1), (context, d2, s2) = read
        return cls(document, parties, context, (d0, d1, d2), (s0, s1, s2))

    def commitment(self) -> bytes:
        """Return the commitment that these parts make, 32 octets."""
        return combine(*self.digests)

    def opened(self) -> Opening:
        """Return the whole opening. Raises LedgerError(OPENING_INVALID) when a part is hidden."""
        s0, s1, s2 = self.salts
        if s0 is None or s1 is None or s2 is None:
            raise LedgerError("OPENING_INVALID", "a part is hidden")
        return Opening(self.document or {}, self.parties or {}, self.context or {}, (s0, s1, s2))


def _parts(members: dict[str, Any]) -> list[tuple[dict[str, Any] | None, bytes, bytes | None]]:
    if members.keys() != ALL | {"v"} or members["v"] != _VERSION:
        raise ValueError("members are not those of an opening")
    return [_part(members[name]) for name in PARTS]


def _part(member: Any) -> tuple[dict[str, Any] | None, bytes, bytes | None]:
    if member.keys() == {"digest"} and canonical.is_hex32(member["digest"]):
        return None, bytes.fromhex(member["digest"]), None
    if (
        member.keys() == {"salt", "value"}
        and canonical.is_hex32(member["salt"])
        and isinstance(member["value"], dict)
    ):
        salt = bytes.fromhex(member["salt"])
        return member["value"], part_digest(salt, member["value"]), salt
    raise ValueError("a part is neither shown with its salt nor hidden behind its digest")
