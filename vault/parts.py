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
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
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
    ledger_keys: LedgerKeys
    guard: TwinGuard
    pki: DevPki
    resources: ExitStack

    @property
    def origin_keys(self) -> list[str]:
        """The log's verifier keys."""
        return self.ledger_keys.vkeys

    @property
    def policy(self) -> Policy:
        """The log's policy: its own keys, no witness yet."""
        return Policy.from_vkeys("\n".join(self.origin_keys) + "\n")

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
