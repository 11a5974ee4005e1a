"""The backends of one data folder, opened; `vault.bootstrap` chooses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signing.cabinet import KeyCabinet
from storage.base import LogStore, ObjectStore
from storage.pair_sites import Sites
from vault.clock import Clock
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.twins import TwinGuard
from vault.errors import LedgerError
from vault.ledger.entry import LogEntry, decode
from vault.ledger.key_folder import LedgerKeyFolder
from vault.ledger.policy import Policy
from vault.ledger.replica import Replica
from vault.ledger.stated import log_policy, own_policy
from vault.ledger.stored import entry_body
from vault.people.identities import Identities
from vault.records.book import RecordBook
from vault.recovery.rebuilding import Recovery
from vault.scanning.antivirus import Antivirus
from vault.sealing.held_keys import key_folder_of
from vault.settings import Settings


@dataclass
class Parts:
    """Backends opened for one data folder, before any service runs on them.

    Attributes:
        log: where this generation of the ledger is published.
        root_log: the store in which every generation lies, the first at its root, others in folders of theirs.
        log_of: returns the same of the generation with an origin.
        pki: the keys that seal and timestamp.
        sites: the two stores in which objects, records and ledger lie, where there are two.
        identities: where people's digital identities come from.
        antivirus: looks at files; None: nobody does.
        replica: a copy of the database for reads that cost much and decide nothing; None: there is none.
    """

    settings: Settings
    clock: Clock
    database: Database
    objects: ObjectStore
    log: LogStore
    root_log: LogStore
    log_of: Callable[[str], LogStore]
    records: RecordBook
    keyring: Keyring
    ledger_keys: LedgerKeyFolder
    guard: TwinGuard
    pki: KeyCabinet
    identities: Identities
    antivirus: Antivirus | None
    resources: ExitStack
    sites: Sites | None = None
    replica: Replica | None = None

    @property
    def trusted(self) -> Policy:
        """The log's policy for verifiers, without witnesses: every key that the ledger states, read anew."""
        with self.database.reading() as connection:
            return log_policy(connection, self.ledger_keys.held())

    @property
    def policy(self) -> Policy:
        """The log's policy for the operator's own processes, without witnesses, read anew: keys may change."""
        with self.database.reading() as connection:
            return own_policy(connection, self.ledger_keys)

    def key_folder_of(self, origin: str) -> Path:
        """Return where the keys of a generation lie."""
        return key_folder_of(self.settings.keys_folder, origin)

    def first_entry(self) -> Mapping[str, Any]:
        """Return the body of entry 0. Raises LedgerError(LEDGER_NOT_OPENED)."""
        with self.database.reading() as connection:
            data = entry_body(connection, 0)
        entry = decode(data) if data is not None else None
        if not isinstance(entry, LogEntry):
            raise LedgerError("LEDGER_NOT_OPENED", "this database has no ledger yet")
        return entry.body

    def recovery(self) -> Recovery:
        """Return the tool that rebuilds the database."""
        return Recovery(
            self.database,
            self.log,
            self.records,
            self.keyring,
            self.objects,
            self.policy,
            self.settings.origin,
        )

    def close(self) -> None:
        """Close what is open."""
        self.resources.close()
