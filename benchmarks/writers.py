"""Writers of ledger entries with their openings, and the raw things they are compared with."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import uvloop

from benchmarks.figures import percentile
from vault.clock import SystemClock, rfc3339
from vault.db.engine import Database
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.writer import AsyncSubmitter, LedgerTransaction, LedgerWriter

ORIGIN = "safe.example/ledger/1"
SUBMITTERS = 64
OPENING = 600  # octets of a sealed opening
_OPENING_ROW = ("seq", "document_id", "chain", "counter", "event", "opening", "record")


# Drawn before: what the writer takes is measured, not what drawing salts and encrypting openings take.
_DRAWN = cycle([secrets.token_bytes(64 + OPENING) for _ in range(1024)])


class Bench:
    """A ledger and its writer, as the product opens them; recovery files are left out."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """Open the ledger in a folder, making it when it is new.

        Args:
            folder: of its keys and locks.
            url: of its database; None for SQLite in that folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = url or f"sqlite:///{folder / 'safe.db'}"
        self._database = Database.open(self._url, folder / "locks")
        self._database.migrate()
        seals = [{"purpose": "act-seal", "sha256": "00" * 32}]
        if open_ledger(self._database, SystemClock(), LedgerKeys.open(folder / "keys", ORIGIN), seals):
            self._document()
        self._writer = LedgerWriter(self._database, lambda _name, _records: None, SystemClock())
        self._writer.start()

    def __enter__(self) -> Bench:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close writer and database."""
        self._writer.close()
        self._database.close()

    def _document(self) -> None:
        now = rfc3339(SystemClock().now())
        with self._database.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO safes (id, holder_ix, wrapped_key, sealed, created_at)"
                " VALUES ('safe_bench', ?, ?, ?, ?)",
                (b"0", b"", b"", now),
            )
            connection.exec_driver_sql(
                "INSERT INTO documents (id, kind, safe_id, document_type, media_type, size, reception, sealing, scan,"
                " status, created_at, retain_until, first_seq, next_status, next_access) VALUES ('doc_bench', 'act',"
                " 'safe_bench', '', '', 0, 'received', 'sealed', 'unscanned', 'valid', ?, ?, 0, 0, 0)",
                (now, now),
            )

    @staticmethod
    def _work() -> Callable[[LedgerTransaction], int]:
        drawn = next(_DRAWN)

        def work(tx: LedgerTransaction) -> int:
            seq = tx.append(drawn[:32], drawn[32:64]).seq
            row = (seq, "doc_bench", "access", seq, "document.read", drawn[64:], "")
            tx.insert("document_entries", _OPENING_ROW, row)
            return seq

        return work

    def submitters(self, seconds: float) -> tuple[float, list[float]]:
        """Return entries/s and [p99, longest] in ms of 64 coroutines."""
        waits: list[float] = []

        async def submit(submitter: AsyncSubmitter, end: float) -> None:
            while (begun := time.perf_counter()) < end:
                await submitter.submit(self._work())
                waits.append(time.perf_counter() - begun)

        async def everybody() -> None:
            end = time.perf_counter() + seconds
            submitter = AsyncSubmitter(self._writer)
            await asyncio.gather(*(submit(submitter, end) for _ in range(SUBMITTERS)))

        begun = time.perf_counter()
        uvloop.run(everybody())  # as the service does
        return _judged(waits, time.perf_counter() - begun)

    def threads(self, seconds: float) -> tuple[float, list[float]]:
        """Return entries/s and [p99, longest] in ms of 64 blocking threads."""
        waits: list[float] = []

        def submit(end: float) -> None:
            while (begun := time.perf_counter()) < end:
                self._writer.run(self._work())
                waits.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        running = [threading.Thread(target=submit, args=(begun + seconds,)) for _ in range(SUBMITTERS)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return _judged(waits, time.perf_counter() - begun)

    def processes(self, seconds: float, count: int) -> tuple[float, list[float]]:
        """Return entries/s of processes together, and the worst [p99, longest] of them."""
        command = [sys.executable, "-m", "benchmarks.writers", str(self._folder), str(seconds), self._url]
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [[float(word) for word in process.communicate()[0].split()] for process in running]
        return sum(item[0] for item in found), [
            max(item[1] for item in found),
            max(item[2] for item in found),
        ]


def raw_sqlite(path: Path, seconds: float) -> float:
    """Return rows/s of the same octets, written by sqlite3 alone in groups of 64 with the product's durability."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, body BLOB, leaf BLOB)")
    connection.execute("CREATE TABLE openings (seq INTEGER PRIMARY KEY, opening BLOB)")
    drawn = secrets.token_bytes(312 + OPENING)
    seq, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        connection.execute("BEGIN IMMEDIATE")
        rows = range(seq, seq + SUBMITTERS)
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?)", [(row, drawn[:280], drawn[280:312]) for row in rows]
        )
        connection.executemany("INSERT INTO openings VALUES (?, ?)", [(row, drawn[312:]) for row in rows])
        connection.execute("COMMIT")
        seq += SUBMITTERS
    rate = seq / (time.perf_counter() - begun)
    connection.close()
    path.unlink()
    return rate


def fdatasyncs(path: Path, seconds: float) -> float:
    """Return how often a second this disk takes 4 KiB for good, one after another."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        count, begun, page = 0, time.perf_counter(), bytes(4096)
        while time.perf_counter() - begun < seconds:
            os.pwrite(descriptor, page, count % 256 * 4096)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - begun)
    finally:
        os.close(descriptor)


def _judged(waits: list[float], seconds: float) -> tuple[float, list[float]]:
    return len(waits) / seconds, [percentile(waits, 0.99) * 1000, max(waits) * 1000]


def main() -> None:
    """Be one of several processes: say that it is ready, wait for the word, print rate and waits."""
    with Bench(Path(sys.argv[1]), sys.argv[3]) as bench:
        print("ready", flush=True)
        sys.stdin.readline()
        rate, waits = bench.submitters(float(sys.argv[2]))
        print(rate, *waits, flush=True)


if __name__ == "__main__":
    main()
