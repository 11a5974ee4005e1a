"""The signing keys of a log as they lie on disk: the pair in use, those before it, and one that is being made.

The first pair lies in the folder itself. Every later one has a folder of its own in it: `next` until the change is
published, then the first octets of its public key's digest. Which pair signs is not a matter of names: the ledger's
entries say so, and each process looks for the files of the keys they state.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from plumbing.disk import sync_folder
from vault.errors import LedgerError, SettingsRefused
from vault.ledger.keys import ED25519_FILE, ML_DSA_FILE, LedgerKeys, Maker
from vault.ledger.vkeys import VerifierKey

NEXT = "next"


class LedgerKeyFolder:
    """Every pair of one log; a `vault.ledger.keys.KeySource`."""

    def __init__(self, folder: Path, origin: str, make: Maker | None = None) -> None:
        self._folder = folder
        self._make = make
        self._origin = origin
        self._known: dict[tuple[VerifierKey, ...], LedgerKeys] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, origin: str, *, create: bool, make: Maker | None = None) -> LedgerKeyFolder:
        """Load every pair; make the first where there is none.

        Args:
            folder: of the keys.
            origin: identity of the log.
            create: whether a first pair may be made.
            make: see `LedgerKeys.open`; for every pair that is made.

        Raises:
            SettingsRefused: see `LedgerKeys.open`.
        """
        opened = cls(folder, origin, make)
        if create or (folder / ED25519_FILE).exists() or not any(opened._later()):
            LedgerKeys.open(folder, origin, create=create, make=make)
        opened._load()
        return opened

    @property
    def origin(self) -> str:
        """Identity of the log."""
        return self._origin

    def find(self, stated: Sequence[VerifierKey]) -> LedgerKeys:
        """See `KeySource.find`; another process may have made the pair since."""
        wanted = tuple(stated)
        with self._lock:
            if wanted not in self._known:
                self._load()
            if wanted not in self._known:
                raise LedgerError("LEDGER_KEYS_MISMATCH", "the key files are not those the ledger states")
            return self._known[wanted]

    def held(self) -> tuple[VerifierKey, ...]:
        """See `KeySource.held`."""
        with self._lock:
            self._load()
            return tuple(key for pair in self._known for key in pair)

    def first(self) -> LedgerKeys:
        """Return the pair that entry 0 is to state."""
        with self._lock:
            return next(iter(self._known.values()))

    def make_next(self) -> LedgerKeys:
        """Return the pair that is being made, durably on disk; one that a crash left there is taken up again."""
        folder = self._folder / NEXT
        pair = LedgerKeys.open(folder, self._origin, create=True, make=self._make)
        sync_folder(self._folder)
        return pair

    def pending(self) -> LedgerKeys | None:
        """Return the pair that lies under `next`, None where there is none that is whole."""
        if not (self._folder / NEXT / ED25519_FILE).exists():
            return None
        return LedgerKeys.open(self._folder / NEXT, self._origin, create=False)

    def settle(self) -> None:
        """Give the folder `next` its lasting name, if it is there."""
        pair = self.pending()
        if pair is not None:
            (self._folder / NEXT).rename(self._folder / _name(pair))
            sync_folder(self._folder)

    def discard(self, stated: Sequence[VerifierKey]) -> bool:
        """Delete the private keys of a pair, durably; tell whether they were there."""
        self._sweep()
        for folder in (self._folder, *self._later()):
            if not (folder / ED25519_FILE).exists():
                continue
            if LedgerKeys.open(folder, self._origin, create=False).held() != tuple(stated):
                continue
            # Without its Ed25519 file a folder holds no pair; what a crash leaves is swept by the next call.
            (folder / ED25519_FILE).unlink()
            sync_folder(folder)
            self._sweep()
            with self._lock:
                self._known.pop(tuple(stated), None)
            return True
        return False

    def _sweep(self) -> None:
        """Delete what is left of pairs that were discarded."""
        for path in (self._folder / ML_DSA_FILE, *self._folder.glob(f"*/{ML_DSA_FILE}")):
            folder = path.parent
            if folder.name == NEXT or (folder / ED25519_FILE).exists() or not any(self._later()):
                continue
            path.unlink(missing_ok=True)
            if folder != self._folder:
                shutil.rmtree(folder)
            sync_folder(self._folder)

    def _later(self) -> Iterator[Path]:
        found = sorted(path.parent for path in self._folder.glob(f"*/{ED25519_FILE}"))
        return iter(found)

    def _load(self) -> None:
        """Load the pairs that are not known yet."""
        folders = [self._folder] if (self._folder / ED25519_FILE).exists() else []
        for folder in (*folders, *self._later()):
            try:
                pair = LedgerKeys.open(folder, self._origin, create=False)
            except SettingsRefused as error:
                if error.code != "LEDGER_KEYS_MISSING" or folder == self._folder:
                    raise
                continue  # renamed by another process meanwhile: its lasting name is listed next time
            self._known.setdefault(pair.held(), pair)


def _name(pair: LedgerKeys) -> str:
    return hashlib.sha256(pair.ed25519.vkey.encode()).hexdigest()[:16]
