"""Audits of a whole ledger: in the database, in the log store, and of the one against the other.

An audit looks at everything and lists what is wrong, with where, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import ObjectMissing, StorageError
from vault.db.engine import Database
from vault.errors import LedgerError, Unavailable, VaultError
from vault.ledger.alarms import standing_alarms
from vault.ledger.anchors import stored_sizes
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.files import ComputedTiles, LogReader, difference_within
from vault.ledger.findings import AuditReport, Problem, Progress, quiet
from vault.ledger.policy import Policy
from vault.ledger.published import audit_published
from vault.ledger.stored import Head, StoredTiles, entries, read_head
from vault.ledger.tree import HASH_SIZE, TILE_WIDTH

__all__ = ["AuditReport", "Problem", "StoreFiles", "audit_agreement", "audit_database", "audit_log_store"]


class StoreFiles:
    """The published files as they lie in a log store."""

    def __init__(self, log_store: LogStore) -> None:
        self._store = log_store

    def read(self, path: str, limit: int) -> bytes | None:
        """See `vault.ledger.files.PublishedFiles.read`. Raises Unavailable, LedgerError(FILE_TOO_LARGE)."""
        try:
            data = self._store.get(path)
        except ObjectMissing:
            return None
        except StorageError as error:
            raise Unavailable("LOG_STORE_UNAVAILABLE", f"{path}: {error.code}") from error
        if len(data) > limit:
            raise LedgerError("FILE_TOO_LARGE", path, expected=limit, found=len(data))
        return data

    def anchors(self) -> list[int]:
        """See `vault.ledger.anchor_audit.AnchoredFiles.anchors`. Raises Unavailable."""
        try:
            return stored_sizes(self._store)
        except StorageError as error:
            raise Unavailable("LOG_STORE_UNAVAILABLE", f"anchors: {error.code}") from error


def audit_database(
    database: Database, policy: Policy | None = None, *, progress: Progress = quiet
) -> AuditReport:
    """Audit the ledger in a database.

    Steps:
        1. Every entry follows the one before, and its stored leaf hash is its own.
        2. The head is the end of the chain.
        3. Every stored full tile is the one that the entries make, none is missing or too many.
        4. Every checkpoint kept is well formed, states the root of the tree at its size and, where a policy is
           given, carries the log's signatures.

    Args:
        database: an open ledger.
        policy: the log's keys; witnesses are not asked for, since they sign what is published.
        progress: called with entries done and entries in all.
    """
    report = AuditReport()
    with database.reading(patient=True) as connection:
        head = read_head(connection)
        kept = connection.exec_driver_sql("SELECT size, root, note FROM checkpoints ORDER BY size").fetchall()
        report.origin = head.origin
        # 1 and 3
        chain = ChainVerifier()
        roots = _audit_entries(connection, head, chain, report, {row[0] for row in kept}, progress)
        # 2
        found = (head.origin, head.size, head.last_leaf.hex(), head.last_time)
        expected = (chain.origin, chain.size, chain.last_leaf.hex(), chain.last_time)
        if found != expected:
            report.add("HEAD_MISMATCH", "head", expected, found, check="head")
    # 4
    own = policy.of_logs() if policy else None
    for size, root, note in kept:
        _audit_checkpoint(report, roots.get(size), (head.origin, size, bytes(root).hex()), bytes(note), own)
    return report


def _audit_entries(
    connection: Connection,
    head: Head,
    chain: ChainVerifier,
    report: AuditReport,
    wanted: Set[int],
    progress: Progress,
) -> dict[int, bytes]:
    """Check entries and tiles; return the roots at the wanted sizes."""
    computed, tiles = ComputedTiles(), StoredTiles(connection, {})
    roots: dict[int, bytes] = {}
    try:
        for seq, body, leaf in entries(connection, 0, head.size + 1):
            _, own = chain.add(body)
            if leaf != own:
                report.add("LEAF_MISMATCH", f"entry {seq}", own, leaf, check="leaf", entry=seq)
            for level, index, hashes in computed.add(own):
                report.tiles += 1
                _compare_stored(report, tiles, level, index, hashes)
            if chain.size in wanted:
                roots[chain.size] = chain.root()
            if chain.size % TILE_WIDTH == 0:
                progress(chain.size, head.size)
    except LedgerError as error:
        report.add_error(error, f"entry {chain.size}", check="chain", entry=chain.size)
    progress(head.size, head.size)
    report.size, report.root, report.checked = chain.size, chain.root(), chain.size
    stored = connection.exec_driver_sql("SELECT count(*) FROM ledger_tiles").scalar_one()
    if stored != report.tiles and report.ok:
        report.add("TILE_MISMATCH", "number of tiles", report.tiles, stored, check="tiles")
    return roots


def _audit_checkpoint(
    report: AuditReport, root: bytes | None, expected: tuple[str, int, str], note: bytes, own: Policy | None
) -> None:
    """Compare a checkpoint with its row and with the root of the tree at its size, None when that is unknown."""
    report.checkpoints += 1
    where = f"checkpoint {expected[1]}"
    try:
        checkpoint = Checkpoint.parse(note)
        if own is not None:
            verify_checkpoint(note, own)
    except LedgerError as error:
        report.add_error(error, where, check="signatures")
        return
    found = (checkpoint.origin, checkpoint.size, checkpoint.root.hex())
    if found != expected:
        report.add("CHECKPOINT_MISMATCH", where, expected, found, check="checkpoint")
    if root != checkpoint.root:
        report.add("ROOT_MISMATCH", where, root or "a tree of that size", checkpoint.root, check="tree")


def _compare_stored(report: AuditReport, tiles: StoredTiles, level: int, index: int, hashes: bytes) -> None:
    where = f"tile {level}/{index}"
    try:
        found = tiles.tile(level, index, TILE_WIDTH)
    except LedgerError as error:
        report.add_error(error, where, check="tiles")
        return
    if found != hashes:
        place = difference_within(hashes, found)
        at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
        entry = index * TILE_WIDTH + place if level == 0 else None
        report.add(
            "TILE_MISMATCH", f"{where} hash {place}", hashes[at], found[at], check="tiles", entry=entry
        )


def audit_log_store(log_store: LogStore, policy: Policy, *, progress: Progress = quiet) -> AuditReport:
    """Audit a ledger from its published files alone; see `vault.ledger.published.audit_published`."""
    return audit_published(StoreFiles(log_store), policy, progress=progress)


def audit_agreement(database: Database, log_store: LogStore, *, progress: Progress = quiet) -> AuditReport:
    """Compare the database with what was published from it; neither is judged by itself here.

    Steps:
        1. The published log is not longer than the database's.
        2. Every entry that both have is the same: the first that is not is named.
        3. No witness' alarm stands: none of them holds another history than this one, or a longer one.

    Where nothing is published yet there is nothing to compare.
    """
    report, reader = AuditReport(), LogReader(StoreFiles(log_store))
    # Asked before the database: a service that is running may publish meanwhile, but never more than it holds.
    published = 0
    try:
        published = Checkpoint.parse(reader.checkpoint()).size
    except VaultError as error:
        if error.code != "OBJECT_MISSING":
            report.add_error(error, "checkpoint", check="agreement")
    with database.reading(patient=True) as connection:
        head = read_head(connection)
        report.origin = head.origin
        # 3
        for alarm in standing_alarms(connection):
            report.add_error(alarm, f"witness {alarm.url}", check="witnesses")
        # 1
        if published > head.size:
            expected, found = f"at least {published} entries", f"{head.size} entries"
            report.add("LEDGER_BEHIND", "database", expected, found, check="agreement")
        # 2
        size = min(published, head.size)
        for index in range(-(-size // TILE_WIDTH)):
            start = index * TILE_WIDTH
            try:
                theirs = reader.tile(0, index, min(TILE_WIDTH, published - start))
            except VaultError as error:
                report.add_error(error, f"tile 0/{index}", check="agreement")
                return report
            leaves = [leaf for _, _, leaf in entries(connection, start, min(size, start + TILE_WIDTH))]
            ours = b"".join(leaves)
            theirs = theirs[: len(ours)]
            if ours != theirs:
                place = difference_within(theirs, ours)
                at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
                report.add(
                    "LEDGER_FORKED",
                    f"entry {start + place}",
                    theirs[at],
                    ours[at],
                    check="agreement",
                    entry=start + place,
                )
                return report
            report.checked = report.size = start + len(leaves)
            progress(report.checked, size)
    return report
