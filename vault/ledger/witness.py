"""A witness of our own: judges checkpoints of the logs it knows, remembers the newest, cosigns it.

One SQLite file holds the newest checkpoint of each log. Judging, remembering and cosigning happen in one
write transaction, and no cosignature leaves before it is committed: whatever kills the process, two roots of
one size never both get a cosignature, and no smaller tree gets one after a larger.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plumbing.disk import make_folder, sync_folder
from vault.clock import Clock
from vault.core import faults
from vault.errors import LedgerError, SettingsRefused
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.policy import Policy
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import (
    BAD_PROOF,
    BAD_REQUEST,
    BAD_SIGNATURE,
    UNKNOWN_LOG,
    AddCheckpoint,
    Answer,
    conflict,
    cosigned,
)

_BUSY_S = 10.0
_REFUSALS = {
    "LOG_UNKNOWN": UNKNOWN_LOG,
    "LOG_SIGNATURE_MISSING": BAD_SIGNATURE,
    "LOG_KEY_RETIRED": BAD_SIGNATURE,
    "LOG_SIGNATURE_INVALID": BAD_SIGNATURE,
}
_TABLE = """
CREATE TABLE IF NOT EXISTS heads (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL
) STRICT
"""


class Witness:
    """A witness with its file. Safe for threads, and for several processes on one file."""

    def __init__(self, path: Path, keys: WitnessKeys, logs: Policy, clock: Clock) -> None:
        """Open a witness.

        Args:
            path: its SQLite file, made with mode 0600 when absent.
            keys: cosign.
            logs: keys of the logs it knows; where several are listed for one origin, each must have signed.
            clock: states the time of cosignatures.

        Raises:
            SettingsRefused: WITNESS_FILE_UNUSABLE; LOG_AND_WITNESS_KEY when a log's key is also the witness'.
        """
        self.keys = keys
        self.logs = logs.of_logs()
        own = {keys.ed25519.public, keys.ml_dsa_44.public}
        if any(key.public in own for key in logs.logs):
            raise SettingsRefused("LOG_AND_WITNESS_KEY", "a log cannot be its own witness")
        self._clock = clock
        # Threads take turns on the one connection; SQLite keeps processes apart.
        self._turn = threading.Lock()
        try:
            # A folder that a power loss takes away takes with it what was cosigned.
            make_folder(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            sync_folder(path.parent)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            (mode,) = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise SettingsRefused("WITNESS_FILE_UNUSABLE", f"{path.name}: {error}") from error
        if mode != "wal":
            raise SettingsRefused("WITNESS_FILE_UNUSABLE", "this file system cannot hold a WAL database")

    def head(self, origin: str) -> tuple[int, bytes]:
        """Return size and root of the newest checkpoint cosigned, (0, root of the empty tree) before."""
        with self._turn:
            return _head(self._connection, origin)

    def note(self, origin: str) -> bytes | None:
        """Return the newest checkpoint cosigned, as the log sent it; None before the first."""
        with self._turn:
            row = self._connection.execute("SELECT note FROM heads WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else bytes(row[0])

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request.

        Steps:
            1. The request and the checkpoint in it have their documented form (400).
            2. The log is known (404) and every key known of it has signed (403).
            3. The old size is not larger than the checkpoint's (400).
            4. The old size is that of the newest checkpoint cosigned (409 with that size).
            5. At that very size the root is the same too (422, as litewitness and the editor's draft say; 409 in
               version 1.0.0 of the specification).
            6. The proof shows that the checkpoint extends it (422).
            7. The checkpoint is durable before its cosignatures leave (200).

        Raises:
            LedgerError: WITNESS_FILE_UNUSABLE; nothing was cosigned.
        """
        # 1, 2
        try:
            request = AddCheckpoint.parse(body)
            checkpoint = Checkpoint.parse(request.note)
            verify_checkpoint(request.note, self.logs)
        except LedgerProofRefused as error:
            return _REFUSALS.get(error.code, BAD_REQUEST)
        # 3
        if request.old > checkpoint.size:
            return BAD_REQUEST
        try:
            with self._turn, self._writing() as connection:
                answer = self._judge(connection, request, checkpoint)
                faults.point("witness.before-commit")
        except sqlite3.Error as error:
            raise LedgerError("WITNESS_FILE_UNUSABLE", str(error)) from error
        faults.point("witness.before-answer")
        return answer

    def _judge(
        self, connection: sqlite3.Connection, request: AddCheckpoint, checkpoint: Checkpoint
    ) -> Answer:
        size, root = _head(connection, checkpoint.origin)
        # 4
        if request.old != size:
            return conflict(size)
        # 5
        if checkpoint.size == size and checkpoint.root != root:
            return BAD_PROOF
        # 6
        try:
            tree.verify_consistency(size, checkpoint.size, request.proof, root, checkpoint.root)
        except LedgerProofRefused:
            return BAD_PROOF
        # 7
        connection.execute(
            "INSERT INTO heads (origin, size, root, note) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note",
            (checkpoint.origin, checkpoint.size, checkpoint.root, request.note),
        )
        return cosigned(self.keys.cosign(checkpoint.signed, self._clock.now()))

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection in a write transaction, durable when the block has ended."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _head(connection: sqlite3.Connection, origin: str) -> tuple[int, bytes]:
    row = connection.execute("SELECT size, root FROM heads WHERE origin = ?", (origin,)).fetchone()
    return (0, tree.EMPTY_ROOT) if row is None else (row[0], bytes(row[1]))
