"""The backends of one data folder, opened; `vault.bootstrap` chooses them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from signing.dev_pki import DevPki
from storage.base import LogStore, ObjectStore
from vault.clock import Clock
from vault.db.engine import Database
from vault.db.twins import TwinGuard
from vault.keyring import Keyring
from vault.ledger.key_folder import LedgerKeyFolder
from vault.ledger.policy import Policy
from vault.ledger.stated import log_policy, own_policy
from vault.records import RecordBook
from vault.recovery import Recovery
from vault.settings import Settings


@dataclass
class Parts:
    """Backends opened for one data folder, before any service runs on them."""

    settings: Settings
    clock: Clock
    database: Database
    objects: ObjectStore
    log: LogStore
    records: RecordBook
    keyring: Keyring
    ledger_keys: LedgerKeyFolder
    guard: TwinGuard
    pki: DevPki
    resources: ExitStack

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
