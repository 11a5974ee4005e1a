"""What one site has and the other lacks: small notes, durable in the site that has it.

A note names a thing, it holds no octets of it. It is written before anybody is told that the thing is kept, in the
same store as the thing: so whoever has the only copy also says that it is the only one, whatever becomes of processes
and database. It goes when the other site has the thing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from storage.base import RecordStore
from storage.errors import ObjectMissing

_log = logging.getLogger("probans.storage")
Kind = Literal["object", "record", "log", "log-swapped", "log-removed"]
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Owed:
    """One note.

    Attributes:
        kind: of thing; of files of the ledger `log` is one that is written once, `log-swapped` one that is replaced,
            `log-removed` one that is to go at the other site too.
        name: address, record's name or path.
        at: when it was noted, seconds since 1970 by the clock of who did; 0: long ago.
    """

    kind: Kind
    name: str
    at: int = field(default=0, compare=False)

    @property
    def note(self) -> str:
        """Name of the note: one for a thing, however often it is owed."""
        return f"{self.kind}-{hashlib.sha256(self.name.encode()).hexdigest()[:48]}"


def owe(store: RecordStore, owed: Owed) -> None:
    """Write a note durably. Raises StorageUnavailable."""
    store.write(
        owed.note, json.dumps({"kind": owed.kind, "name": owed.name, "at": int(time.time())}).encode()
    )


def settle(store: RecordStore, owed: Owed) -> None:
    """Remove a note. Raises StorageUnavailable."""
    store.delete(owed.note)


def read_note(store: RecordStore, name: str) -> Owed | None:
    """Return what a note says; None where it is gone, or cannot be read, which the log says.

    Raises:
        StorageUnavailable: the site does not answer.
    """
    try:
        found = json.loads(store.read(name))
        owed = Owed(found["kind"], found["name"], int(found.get("at", 0)))
        if owed.kind in _KINDS and isinstance(owed.name, str) and owed.note == name:
            return owed
    except ObjectMissing:
        return None  # somebody else settled it
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    _log.error("what is owed to the other store cannot be read: %s", name[:80])
    return None


def notes(store: RecordStore) -> Iterator[Owed]:
    """Yield the notes of a site that can be read. Raises StorageUnavailable."""
    for name in store.names():
        owed = read_note(store, name)
        if owed is not None:
            yield owed
