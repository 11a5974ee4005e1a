"""Where a long audit has come to, in a file, so that one which was cut short goes on from there.

The tree is bound by the checkpoint's root in the end, whatever the file says. That the entries before were in form
and in order is the file's own word, as a checkpoint trusted before is: it is the auditor's, to be kept like one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from plumbing.disk import replace_durably
from vault.errors import LedgerError
from vault.ledger.chain import BundleChain
from vault.ledger.entry import decode, is_time
from vault.ledger.files import ComputedTiles
from vault.ledger.findings import Problem
from vault.ledger.tree import HASH_SIZE

_VERSION = 1
_MAX_STATE = 64 << 20


@dataclass(frozen=True, slots=True)
class Position:
    """Where an audit has come to.

    Attributes:
        seen_size, seen_root: of the checkpoint that was audited.
        origin: identity of the log.
        since: size and root of the checkpoint that was trusted from the start; "" without one.
        start: first entry that was read.
        size: entries whose chain holds, a multiple of 256.
        edge: see `vault.ledger.files.ComputedTiles.edge`.
        last_leaf, last_time: of the last entry.
        opened: origin that entry 0 names.
        stated: octets of the entries of the log itself.
        files: bundles and tiles that were read.
        problems: what was found wrong.
    """

    seen_size: int
    seen_root: bytes
    origin: str
    since: str
    start: int
    size: int
    edge: bytes
    last_leaf: bytes
    last_time: str
    opened: str
    files: int
    problems: tuple[Problem, ...] = ()
    stated: tuple[bytes, ...] = ()

    def chain(self) -> BundleChain:
        """Return the end of the chain."""
        return BundleChain(self.size, self.last_leaf, self.last_time, self.opened)


class StateFile:
    """The file that holds a position."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Position | None:
        """Return the position, None when there is no file. Raises LedgerError(AUDIT_STATE_INVALID)."""
        try:
            with self.path.open("rb") as file:
                digest, _, data = file.read(_MAX_STATE).partition(b"\n")
            return _position(data, digest)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise self.refusal(str(error) or type(error).__name__) from error
        except LedgerError as error:
            raise self.refusal(error.detail) from error

    def write(self, position: Position) -> None:
        """Replace the file whole, durably. Raises LedgerError(AUDIT_STATE_INVALID) when it cannot be written."""
        found = {name: _plain(value) for name, value in _members(position).items()}
        data = orjson.dumps(
            {"v": _VERSION, **found, "problems": [asdict(item) for item in position.problems]}
        )
        try:
            replace_durably(self.path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data, alone=True)
        except OSError as error:
            raise self.refusal(f"it cannot be written: {type(error).__name__}") from error

    def remove(self) -> None:
        """Forget the position: the audit came to its end."""
        self.path.unlink(missing_ok=True)

    def refusal(self, why: str) -> LedgerError:
        """Return the error for a state that cannot be gone on from."""
        return LedgerError(
            "AUDIT_STATE_INVALID", f"{self.path.name}: {why}; delete it to begin the audit anew"
        )


def _members(position: Position) -> Mapping[str, Any]:
    return {item.name: getattr(position, item.name) for item in fields(position) if item.name != "problems"}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _position(data: bytes, digest: bytes) -> Position:
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise ValueError("it was changed")
    raw = orjson.loads(data)
    if raw["v"] != _VERSION:
        raise ValueError("it is of another version")
    position = Position(
        seen_size=int(raw["seen_size"]),
        seen_root=base64.b64decode(raw["seen_root"], validate=True),
        origin=str(raw["origin"]),
        since=str(raw["since"]),
        start=int(raw["start"]),
        size=int(raw["size"]),
        edge=base64.b64decode(raw["edge"], validate=True),
        last_leaf=base64.b64decode(raw["last_leaf"], validate=True),
        last_time=str(raw["last_time"]),
        opened=str(raw["opened"]),
        files=int(raw["files"]),
        problems=tuple(_problem(item) for item in raw["problems"]),
        stated=tuple(base64.b64decode(item, validate=True) for item in raw["stated"]),
    )
    _check(position)
    return position


def _problem(item: Mapping[str, Any]) -> Problem:
    found = Problem(**item)
    texts = (found.code, found.where, found.expected, found.found, found.check)
    entry_fits = found.entry is None or type(found.entry) is int
    if not (
        all(isinstance(text, str) for text in texts) and entry_fits and type(found.indeterminate) is bool
    ):
        raise ValueError("a problem of another form")
    return found


def _check(position: Position) -> None:
    """Refuse what no audit could have written: a place beyond the log would end the audit before its root is asked.

    Raises:
        ValueError, LedgerError: says what is wrong.
    """
    if not 0 <= position.start <= position.size < position.seen_size < 2**63:
        raise ValueError("its numbers do not fit together")
    if len(position.seen_root) != HASH_SIZE or len(position.last_leaf) != HASH_SIZE or position.files < 0:
        raise ValueError("a hash of another length, or a number of files below zero")
    if position.size and not is_time(position.last_time.encode()):
        raise ValueError("the time of the last entry is none")
    for data in position.stated:
        decode(data)
    ComputedTiles.restore(position.size, position.edge)
