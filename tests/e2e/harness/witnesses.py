"""Witnesses of our own as processes of their own, killed and started again; and what binds them."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import requests

from tests.e2e.harness.judge import demand
from vault.db.engine import Database
from vault.ledger import tree
from vault.ledger.checkpoint import checkpoint_text
from vault.ledger.keys import LedgerKeys
from vault.ledger.stored import StoredTiles, read_head
from vault.ledger.vkeys import Signed, VerifierKey
from vault.ledger.witness_protocol import AddCheckpoint

POINTS = ("witness.before-commit", "witness.before-answer")
_REPOSITORY = Path(__file__).resolve().parents[3]


class StandingWitness:
    """`probans witness` on one port and in one folder for life.

    Attributes:
        name: in the policy.
        keys: its public keys, Ed25519 first.
        killed_at: the point at which a trap killed it last, or None.
        has_trap: whether it was started with one.
    """

    def __init__(self, folder: Path, name: str, log: LedgerKeys) -> None:
        """Choose a port and start it once.

        Args:
            folder: its own; made when absent.
            name: in the policy.
            log: the log it watches.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name, self._log = folder, name, log
        self.killed_at: str | None = None
        self.has_trap = False
        (folder / "log.vkeys").write_text("\n".join(log.vkeys) + "\n")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[str] | None = None
        self.keys: tuple[VerifierKey, ...] = ()
        self.start()

    @property
    def url(self) -> str:
        """Its submission prefix."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def policy_line(self) -> str:
        """The line that names it in a policy: by its post-quantum key."""
        return f"witness {self.name} {self.keys[1].vkey} {self.url}"

    def start(self, point: str = "", passage: int = 1) -> None:
        """Start it, with a trap at the k-th passage of a point, and wait until it answers."""
        self.has_trap = bool(point)
        arguments = [str(self.folder / "witness.db"), str(self.folder / "keys"), str(self.port)]
        arguments += [str(self.folder / "log.vkeys"), f"{self.name}.example/witness", point, str(passage)]
        with (self.folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.harness.witness_launcher", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=_REPOSITORY,
            )
        assert self._process.stdout is not None
        shown = [self._process.stdout.readline().split() for _ in range(4)]
        assert [words[:1] for words in shown] == [["witness"], ["witness"], ["log"], ["Witness:"]], shown
        keys = tuple(VerifierKey.parse(words[1]) for words in shown[:2])
        assert self.keys in ((), keys), "its keys are the same for life"
        self.keys = keys

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill it at once."""
        assert self._process is not None
        self._process.kill()
        self.fallen(30)

    def fallen(self, seconds: float) -> None:
        """Wait until it is dead by a kill, its own trap's or ours."""
        assert self._process is not None
        assert self._process.wait(seconds) == -signal.SIGKILL
        assert self._process.stdout is not None
        said = self._process.stdout.read()
        self._process.stdout.close()
        found = re.search(r"killed at (\S+)", said)
        self.killed_at = found[1] if found else None
        self._process = None

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def remembered(self, scratch: Path) -> tuple[int, bytes]:
        """Return size and root that its file holds as it lies, read from a copy."""
        copied = scratch / "witness"
        copied.mkdir()
        for path in self.folder.glob("witness.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy2(path, copied / path.name)
        connection = sqlite3.connect(copied / "witness.db")
        try:
            row = connection.execute("SELECT size, root FROM heads").fetchone()
        finally:
            connection.close()
            shutil.rmtree(copied)
        return (0, b"") if row is None else (row[0], bytes(row[1]))

    def refuses_forks(self, scratch: Path) -> None:
        """Offer it other histories, each signed by the log itself: none may be cosigned. It must run."""
        size, root = self.remembered(scratch)
        if not size:
            return
        other = bytes([root[0] ^ 1]) + root[1:]
        for old, grown, proof, status in (
            (size, size, (), 422),
            (size, size + 1, (other,), 422),
            (0, size, (), 409),
            (0, size - 1, (), 409),
        ):
            note = self._log.sign_checkpoint(grown, other, datetime.now(UTC))
            body = AddCheckpoint(old, proof, note).encode()
            answer = requests.post(f"{self.url}/add-checkpoint", data=body, timeout=30)
            demand(answer.status_code == status, f"{self.name}: {old} to {grown}: {answer.status_code}")
        demand(self.remembered(scratch) == (size, root), f"{self.name} is where it was")


def check_memory(
    database: Database,
    witnesses: Sequence[StandingWitness],
    origin: str,
    scratch: Path,
    seen: set[tuple[bytes, int, bytes]],
) -> None:
    """Check what our database holds of witnesses against what they remember.

    Each cosignature verifies over our own tree of that size, and no witness is behind what it signed or of another
    root.

    Args:
        database: ours, with entries and cosignatures.
        witnesses: whose memory is read as it lies.
        origin: of our log.
        scratch: folder for copies.
        seen: (key id, size, signature) of cosignatures that were verified before; grows.
    """
    with database.reading() as connection:
        tiles = StoredTiles(connection, {})
        size = read_head(connection).size
        for witness in witnesses:
            held, root = witness.remembered(scratch)
            demand(held <= size, f"{witness.name} saw {held} entries, we have {size}")
            if held:
                demand(tree.root(tiles, held) == root, f"{witness.name} remembers our root of {held}")
            for key in witness.keys:
                rows = connection.exec_driver_sql(
                    "SELECT size, signature FROM cosignatures WHERE cosigner = ? AND key_id = ?",
                    (key.name, key.id),
                )
                for signed, signature in rows.fetchall():
                    demand(signed <= held, f"{witness.name} signed {signed} and remembers {held}")
                    if (key.id, signed, bytes(signature)) not in seen:
                        ours = tree.root(tiles, signed)
                        text = checkpoint_text(origin, signed, ours)
                        key.verify(bytes(signature), Signed(text, origin, signed, ours))
                        seen.add((key.id, signed, bytes(signature)))
