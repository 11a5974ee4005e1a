"""What one site has and the other lacks: small notes, durable in the site that has it.

A note names a thing, it holds no octets of it. It is written before anybody is told that the thing is kept, in the
same store as the thing: so whoever has the only copy also says that it is the only one, whatever becomes of processes
and database. It goes when the other site has the thing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from storage.base import RecordStore
from storage.errors import ObjectMissing

_log = logging.getLogger("probans.storage")
Kind = Literal["object", "record", "log", "log-removed"]
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Owed:
    """One note.

    Attributes:
        kind: of thing; `log-removed`: a file of the ledger that is to go at the other site too.
        name: address, record's name or path.
    """

    kind: Kind
    name: str

    @property
    def note(self) -> str:
        """Name of the note: one for a thing, however often it is owed."""
        return f"{self.kind}-{hashlib.sha256(self.name.encode()).hexdigest()[:48]}"


def owe(store: RecordStore, owed: Owed) -> None:
    """Write a note durably. Raises StorageUnavailable."""
    store.write(owed.note, json.dumps({"kind": owed.kind, "name": owed.name}).encode())


def settle(store: RecordStore, owed: Owed) -> None:
    """Remove a note. Raises StorageUnavailable."""
    store.delete(owed.note)


def notes(store: RecordStore) -> Iterator[Owed]:
    """Yield the notes of a site; one that cannot be read is said in the log, and stays. Raises StorageUnavailable."""
    for name in store.names():
        try:
            found = json.loads(store.read(name))
            owed = Owed(found["kind"], found["name"])
            if owed.kind in _KINDS and isinstance(owed.name, str) and owed.note == name:
                yield owed
                continue
        except ObjectMissing:
            continue  # somebody else settled it
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        _log.error("what is owed to the other store cannot be read: %s", name[:80])
