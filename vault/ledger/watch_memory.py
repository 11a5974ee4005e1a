"""What a watcher remembers between two looks: a small file, and a few octets of each leaf hash beside it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from plumbing.disk import replace_durably
from vault.errors import LedgerError

PRINT = 8  # octets kept of each leaf hash: enough to say where, the roots prove that
_VERSION = 1
_MAX_STATE = 1 << 24


@dataclass(slots=True)
class Memory:
    """What a watcher remembers between two looks.

    Attributes:
        note: last checkpoint accepted; b"" before the first.
        seen_at: POSIX seconds when it was first seen.
        counters: next counter by key id.
        handovers: proofs of the changes of keys that were followed, in order.
        statements: entries of the log itself, from entry 0 on; empty where they were never read.
    """

    note: bytes = b""
    seen_at: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    handovers: tuple[bytes, ...] = ()
    statements: tuple[bytes, ...] = ()


def leaves_of(path: Path) -> Path:
    """Return the file beside the state that holds octets of each leaf hash."""
    return path.with_name(f"{path.name}.leaves")


def remember_leaves(path: Path, known: int, prints: bytes) -> None:
    """Add octets of leaf hashes after the known ones, durably.

    Args:
        path: of the state.
        known: entries that the state covers; what a crash left beyond is dropped.
        prints: `PRINT` octets for each entry after them.
    """
    descriptor = os.open(leaves_of(path), os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(known * PRINT)
        file.seek(known * PRINT)
        file.write(prints)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> Memory:
    """Return what a file remembers, nothing when it is not there. Raises LedgerError(WATCH_STATE_INVALID)."""
    try:
        with path.open("rb") as file:
            raw = orjson.loads(file.read(_MAX_STATE))
        known = {_VERSION: raw}[raw["v"]]
        counters = {str(name): int(counter) for name, counter in known["counters"].items()}
        # States of earlier versions lack these two.
        handovers, statements = (
            tuple(base64.b64decode(item, validate=True) for item in known.get(name, ()))
            for name in ("handovers", "statements")
        )
        note = base64.b64decode(known["checkpoint"], validate=True)
        return Memory(note, float(known["seen_at"]), counters, handovers, statements)
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError("WATCH_STATE_INVALID", f"{path.name}: {type(error).__name__}") from error


def save(path: Path, memory: Memory) -> None:
    """Replace the state whole, durably."""
    data = orjson.dumps(
        {
            "v": _VERSION,
            "checkpoint": base64.b64encode(memory.note).decode(),
            "seen_at": memory.seen_at,
            "counters": memory.counters,
            "handovers": [base64.b64encode(item).decode() for item in memory.handovers],
            "statements": [base64.b64encode(item).decode() for item in memory.statements],
        }
    )
    replace_durably(path, data, alone=True)
