"""Publishes the ledger as static files (c2sp.org/tlog-tiles) and signs its checkpoints.

Every process has a publisher; an operating system lock elects the one that works. A checkpoint is signed only
when the files it rests on are durable and it extends the one published before. Every step can be repeated,
so a stop between any two is healed by the next run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import LogConflict, ObjectMissing, StorageError
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.errors import LedgerError, Unavailable, VaultError
from vault.ledger import tree
from vault.ledger.announcing import announce
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.keys import KeySource, sign_with_all
from vault.ledger.policy import Policy
from vault.ledger.receipts import Receipts, StoredReceipts
from vault.ledger.stated import check_keys, keys_at, read_succession
from vault.ledger.stored import Head, StoredTiles, entries, latest_checkpoint, read_head
from vault.ledger.succession import Succession
from vault.ledger.tiles import (
    CHECKPOINT_PATH,
    CHECKPOINT_TYPE,
    TILE_TYPE,
    Tile,
    changed_bundles,
    changed_tiles,
    encode_bundle,
)

__all__ = ["Publisher", "Receipts", "StoredReceipts"]

_POLL = 0.05
_HOLD_POLL_S = 0.02
_LAST_PUBLICATION_S = 5.0
_log = logging.getLogger("probans.ledger")


class Publisher:
    """Writes bundles, tiles and checkpoints of one ledger.

    Attributes:
        failure: the error that stopped publication for good, for an operator to look at; None while it runs.
        behind: why publication waits: the database is older than what is published; None while it is not.
        hold: asked before each publication in the background, which waits while it says True; None asks nobody.
    """

    def __init__(
        self,
        database: Database,
        log_store: LogStore,
        keys: KeySource,
        clock: Clock,
        *,
        interval: float = 0.2,
    ) -> None:
        """Make a publisher; `start` begins.

        Args:
            database: holds the ledger.
            log_store: where the files go.
            keys: the log's own keys; the ledger's entries say which of them sign.
            clock: stated in the checkpoint.
            interval: seconds between two checkpoints at least.
        """
        self.failure: LedgerError | None = None
        self.behind: LedgerError | None = None
        self.hold: Callable[[], bool] | None = None
        self._database = database
        self._store = log_store
        self._keys = keys
        self._clock = clock
        self._interval = interval
        self._roots: dict[tuple[int, int], bytes] = {}
        self._checked = False
        self._announced = 0
        self._published = threading.Condition()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="probans-publisher", daemon=True)

    def start(self) -> None:
        """Publish in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the publication under way. What is not published yet is published at the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self, _size: int = 0) -> None:
        """Tell that the ledger has grown; meant for `LedgerWriter.on_commit`."""
        self._wake.set()

    def current(self) -> bytes | None:
        """Return the newest published checkpoint note, None before the first."""
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
        return latest and latest[1]

    def wait(self, size: int, timeout: float) -> bytes | None:
        """Return a published checkpoint note of at least `size` entries, None when none comes in time.

        Args:
            size: entries it must cover.
            timeout: seconds to wait at most.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._database.reading() as connection:
                latest = latest_checkpoint(connection)
            if latest is not None and latest[0] >= size:
                return latest[1]
            left = deadline - time.monotonic()
            if left <= 0 or self._stop.is_set():
                return None
            # Another process may be the one that publishes: look again even when nobody calls.
            with self._published:
                self._published.wait(min(left, _POLL))

    def publish(self) -> int:
        """Publish everything there is, unless another publisher is at it.

        Steps:
            1. Become the one that publishes.
            2. Find what is published, and see that the database continues it.
            3. Write bundles, then tiles, durably; a file once there never changes.
            4. Prove that the new tree extends the published one, and sign it with the keys that its entries name.
               Where keys change, the checkpoint ends with the change, and the rest follows in another turn.
            5. Swap the checkpoint, hand over to new keys, then remember it in the database.
            6. Remove partial files whose full ones are there.

        Returns:
            The published size.

        Raises:
            LedgerError: LEDGER_BEHIND, may be repeated: the right server may be back. LOG_STORE_CONFLICT,
                LEDGER_FORKED, LEDGER_KEYS_MISMATCH; fatal, every later call raises it again.
            Unavailable: LOG_STORE_UNAVAILABLE; may be repeated.
        """
        if self.failure is not None:
            raise self.failure
        try:
            # 1
            with self._database.leading("publisher") as leader:
                while leader and self._publish():
                    pass
            with self._database.reading() as connection:
                latest = latest_checkpoint(connection)
        except LedgerError as error:
            self._stopped(error)
            raise
        except StorageError as error:
            raise Unavailable("LOG_STORE_UNAVAILABLE", error.code) from error
        if self.behind is not None:
            self.behind = None
            _log.warning("publication goes on")
        return latest[0] if latest else 0

    def _stopped(self, error: LedgerError) -> None:
        if error.code != "LEDGER_BEHIND":
            self.failure = error
            _log.critical("publication stopped: %s %s", error.code, error.detail)
            return
        if self.behind is None:
            _log.critical("publication waits for the right database: %s %s", error.code, error.detail)
        self.behind = error
        # What was read there is nothing to rely on elsewhere.
        self._roots.clear()
        self._checked = False

    def publish_last(self) -> None:
        """Publish what is committed before the service ends; what cannot be is published at the next start."""
        with suppress(VaultError):  # said in the log
            self.publish()
            with self._database.reading() as connection:
                size = read_head(connection).size
            # Another thread may have been at it, with the head as it was before the last commit.
            self.wait(size, _LAST_PUBLICATION_S)

    def _publish(self) -> bool:
        """Publish up to the next change of keys; tell whether there is more."""
        with self._database.reading() as connection:
            # 2
            if not self._checked:
                check_keys(connection, self._keys)
            head = read_head(connection)
            latest = latest_checkpoint(connection)
            if self._checked and latest is not None and latest[0] == head.size:
                return False
            tiles = StoredTiles(connection, self._roots)
            succession = read_succession(connection)
            old = self._standing(connection, tiles, head, latest, succession)
            old_size, old_root = (old[1].size, old[1].root) if old else (0, tree.EMPTY_ROOT)
            if old is not None:
                self._announce(connection, tiles, succession, old[0])
            if old is not None and (latest is None or latest[0] < old_size):
                adopted: tuple[Checkpoint, bytes] | None = (old[1], old[0])
            else:
                adopted = None
            size = succession.next_stop(old_size, head.size)
            made = None
            if old_size < size:
                # 3
                self._write(connection, tiles, old_size, size)
                # 4
                made = self._sign(connection, tiles, succession, old_size, old_root, size)
        # 5
        if adopted is not None:
            self._remember(*adopted)
        if made is not None:
            faults.point("publish.before-checkpoint")
            try:
                self._store.compare_and_swap(
                    CHECKPOINT_PATH, old[0] if old else None, made[1], CHECKPOINT_TYPE
                )
            except LogConflict:
                return (
                    False  # a publisher on another host was first; the next run continues from its checkpoint
                )
            faults.point("publish.after-checkpoint")
            with self._database.reading() as connection:
                self._announce(connection, StoredTiles(connection, self._roots), succession, made[1])
            # Last: who reads of a checkpoint in the database finds its handover published.
            self._remember(*made)
        with self._published:
            self._published.notify_all()
        # 6
        self._collect(old_size if self._checked else 0, size)
        self._checked = True
        return size < head.size

    def _standing(
        self,
        connection: Connection,
        tiles: StoredTiles,
        head: Head,
        latest: tuple[int, bytes] | None,
        succession: Succession,
    ) -> tuple[bytes, Checkpoint] | None:
        """Return the checkpoint that stands in the store, once it is sure that the database continues it."""
        try:
            note = self._store.get(CHECKPOINT_PATH)
        except ObjectMissing:
            return None
        checkpoint = Checkpoint.parse(note)
        behind = checkpoint.size > head.size
        if latest is None or latest[1] != note:
            # A database that was set back may not know the keys that signed since.
            pairs = [self._keys.held()] if behind else keys_at(connection, succession, checkpoint.size)
            verify_checkpoint(note, Policy(logs=tuple(key for pair in pairs for key in pair)))
        if behind:
            raise LedgerError(
                "LEDGER_BEHIND",
                "the database is older than the published ledger",
                expected=checkpoint.size,
                found=head.size,
            )
        found = tree.root(tiles, checkpoint.size)
        if found != checkpoint.root:
            raise LedgerError(
                "LEDGER_FORKED",
                f"at size {checkpoint.size} the published ledger has another root than the database",
                expected=checkpoint.root.hex(),
                found=found.hex(),
            )
        return note, checkpoint

    def _announce(
        self, connection: Connection, tiles: StoredTiles, succession: Succession, note: bytes
    ) -> None:
        size = Checkpoint.parse(note).size
        if size == self._announced:
            return
        try:
            announce(connection, tiles, self._store, succession, note)
        except LogConflict as error:
            raise LedgerError("LOG_STORE_CONFLICT", "another handover of keys stands there") from error
        self._announced = size

    def _write(self, connection: Connection, tiles: StoredTiles, old: int, size: int) -> None:
        faults.point("publish.before-bundles")
        for bundle in changed_bundles(old, size):
            start = bundle.index * tree.TILE_WIDTH
            bodies = [body for _, body, _ in entries(connection, start, start + bundle.width)]
            self._put(bundle, encode_bundle(bodies))
        faults.point("publish.before-tiles")
        for tile in changed_tiles(old, size):
            self._put(tile, tiles.tile(tile.level, tile.index, tile.width))

    def _put(self, tile: Tile, data: bytes) -> None:
        try:
            self._store.put_if_absent(tile.path, data, TILE_TYPE)
        except LogConflict as error:
            raise LedgerError(
                "LOG_STORE_CONFLICT", f"other octets stand at {tile.path}", found=tile.path
            ) from error

    def _sign(
        self,
        connection: Connection,
        tiles: StoredTiles,
        succession: Succession,
        old: int,
        old_root: bytes,
        size: int,
    ) -> tuple[Checkpoint, bytes]:
        root = tree.root(tiles, size)
        tree.verify_consistency(old, size, tree.consistency_proof(tiles, old, size), old_root, root)
        pairs = [self._keys.find(pair) for pair in keys_at(connection, succession, size)]
        note = sign_with_all(pairs, size, root, self._clock.now())
        return Checkpoint.parse(note), note

    def _remember(self, checkpoint: Checkpoint, note: bytes) -> None:
        with self._database.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO checkpoints (size, root, note, made_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (size) DO NOTHING",
                (checkpoint.size, checkpoint.root, note, rfc3339(self._clock.now())),
            )

    def _collect(self, old: int, size: int) -> None:
        """Remove partial files of tiles that became full between two sizes; after a start, all of them."""
        if old == 0:
            self._remove(path for path in self._store.list("tile/") if ".p/" in path)
            return
        full = [tile for tile in (*changed_bundles(old, size), *changed_tiles(old, size)) if tile.full]
        for tile in full:
            self._remove(self._store.list(f"{tile.path}.p/"))

    def _remove(self, paths: Iterable[str]) -> None:
        for path in list(paths):
            tile = Tile.parse(path)
            if self._has_full(tile):
                self._store.remove(path)

    def _has_full(self, tile: Tile) -> bool:
        try:
            self._store.get(Tile(tile.level, tile.index).path)
        except ObjectMissing:
            return False
        return True

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            begun = time.monotonic()
            try:
                while self.hold is not None and self.hold() and not self._stop.wait(_HOLD_POLL_S):
                    pass
                self.publish()
            except Unavailable as error:
                _log.warning("publication put off: %s %s", error.code, error.detail)
            except LedgerError:
                if self.failure is not None:
                    return
            except Exception:
                _log.exception("publication failed; it is tried again")
            self._stop.wait(max(0.0, begun + self._interval - time.monotonic()))
            self._wake.wait(self._interval)
