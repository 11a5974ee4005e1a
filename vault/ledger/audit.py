"""Audits of a whole ledger: from the database, and from the published files alone.

An audit looks at everything and lists what is wrong, with where, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import StorageError
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger import tree
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import Checkpoint, CheckpointReport, verify_checkpoint
from vault.ledger.errors import malformed
from vault.ledger.policy import Policy
from vault.ledger.stored import Head, StoredTiles, entries, read_head
from vault.ledger.tiles import CHECKPOINT_PATH, Tile, changed_bundles, changed_tiles, decode_bundle


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        code: stable code.
        where: entry, tile, checkpoint or file.
        expected: what should be there.
        found: what is there.
    """

    code: str
    where: str
    expected: str
    found: str


@dataclass(slots=True)
class AuditReport:
    """What an audit looked at and what it found wrong.

    Attributes:
        origin: identity of the log; "" when it could not be read.
        size: entries whose chain holds.
        root: root of the tree of those entries, 32 octets.
        checkpoints: checkpoints that were compared with the tree.
        tiles: tiles and bundles that were compared with the entries.
        witnesses: names of the witnesses that cosigned the published checkpoint.
        problems: empty when everything holds.
    """

    origin: str = ""
    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    checkpoints: int = 0
    tiles: int = 0
    witnesses: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    def add(self, code: str, where: str, expected: object, found: object) -> None:
        """List a problem."""
        self.problems.append(Problem(code, where, _shown(expected), _shown(found)))

    def add_error(self, error: LedgerError, where: str) -> None:
        """List a problem that was raised."""
        expected, found = error.params.get("expected", ""), error.params.get("found", error.detail)
        self.add(error.code, where, expected, found)


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class _Computed:
    """Hash tiles computed from the leaves as they pass, to be compared with stored ones."""

    def __init__(self) -> None:
        self._rows: list[list[bytes]] = [[]]
        self._counts = [0]

    def add(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add a leaf; yield level, index and hashes of every tile that it completes."""
        level, node = 0, leaf
        while True:
            if level == len(self._rows):
                self._rows.append([])
                self._counts.append(0)
            row = self._rows[level]
            row.append(node)
            if len(row) < tree.TILE_WIDTH:
                return
            hashes = b"".join(row)
            row.clear()
            yield level, self._counts[level], hashes
            self._counts[level] += 1
            level, node = level + 1, tree.fold(hashes)

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the tiles at the right edge that are not full."""
        for level, row in enumerate(self._rows):
            if row:
                yield level, self._counts[level], b"".join(row)


def audit_database(database: Database) -> AuditReport:
    """Audit the ledger in a database.

    Steps:
        1. Every entry follows the one before, and its stored leaf hash is its own.
        2. The head is the end of the chain.
        3. Every stored full tile is the one that the entries make, none is missing or too many.
        4. Every checkpoint kept is well formed and states the root of the tree at its size.
    """
    report = AuditReport()
    with database.reading() as connection:
        head = read_head(connection)
        kept = connection.exec_driver_sql("SELECT size, root, note FROM checkpoints ORDER BY size").fetchall()
        report.origin = head.origin
        # 1 and 3
        chain = ChainVerifier()
        roots = _audit_entries(connection, head, chain, report, {row[0] for row in kept})
        # 2
        found = (head.origin, head.size, head.last_leaf.hex(), head.last_time)
        expected = (chain.origin, chain.size, chain.last_leaf.hex(), chain.last_time)
        if found != expected:
            report.add("HEAD_MISMATCH", "head", expected, found)
    # 4
    for size, root, note in kept:
        _audit_checkpoint(report, roots.get(size), (head.origin, size, bytes(root).hex()), bytes(note))
    return report


def _audit_entries(
    connection: Connection, head: Head, chain: ChainVerifier, report: AuditReport, wanted: Set[int]
) -> dict[int, bytes]:
    """Check entries and tiles; return the roots at the wanted sizes."""
    computed, tiles = _Computed(), StoredTiles(connection, {})
    roots: dict[int, bytes] = {}
    try:
        for seq, body, leaf in entries(connection, 0, head.size + 1):
            _, own = chain.add(body)
            if leaf != own:
                report.add("LEAF_MISMATCH", f"entry {seq}", own, leaf)
            for level, index, hashes in computed.add(own):
                report.tiles += 1
                _compare_stored(report, tiles, level, index, hashes)
            if chain.size in wanted:
                roots[chain.size] = chain.root()
    except LedgerError as error:
        report.add_error(error, f"entry {chain.size}")
    report.size, report.root = chain.size, chain.root()
    stored = connection.exec_driver_sql("SELECT count(*) FROM ledger_tiles").scalar_one()
    if stored != report.tiles and report.ok:
        report.add("TILE_MISMATCH", "number of tiles", report.tiles, stored)
    return roots


def _audit_checkpoint(
    report: AuditReport, root: bytes | None, expected: tuple[str, int, str], note: bytes
) -> None:
    """Compare a checkpoint with its row and with the root of the tree at its size, None when that is unknown."""
    report.checkpoints += 1
    where = f"checkpoint {expected[1]}"
    try:
        checkpoint = Checkpoint.parse(note)
    except LedgerError as error:
        report.add_error(error, where)
        return
    found = (checkpoint.origin, checkpoint.size, checkpoint.root.hex())
    if found != expected:
        report.add("CHECKPOINT_MISMATCH", where, expected, found)
    if root != checkpoint.root:
        report.add("ROOT_MISMATCH", where, root or "a tree of that size", checkpoint.root)


def _compare_stored(report: AuditReport, tiles: StoredTiles, level: int, index: int, hashes: bytes) -> None:
    where = f"tile {level}/{index}"
    try:
        found = tiles.tile(level, index, tree.TILE_WIDTH)
    except LedgerError as error:
        report.add_error(error, where)
        return
    _compare(report, where, hashes, found)


def _compare(report: AuditReport, where: str, expected: bytes, found: bytes) -> None:
    """List the first hash of a tile that is another."""
    for at in range(0, len(expected), tree.HASH_SIZE):
        one, other = expected[at : at + tree.HASH_SIZE], found[at : at + tree.HASH_SIZE]
        if one != other:
            report.add("TILE_MISMATCH", f"{where} hash {at // tree.HASH_SIZE}", one, other)
            return


def audit_log_store(log_store: LogStore, policy: Policy) -> AuditReport:
    """Audit a ledger from its published files alone.

    Steps:
        1. The policy accepts the checkpoint.
        2. Every bundle that the checkpoint's size demands is there, and its entries form the chain.
        3. Every tile is the one that the entries make.
        4. The root of the entries is the checkpoint's.
        5. The log's own entry 0 names the checkpoint's origin.
    """
    report = AuditReport()
    # 1
    try:
        checkpoint = verify_checkpoint(log_store.get(CHECKPOINT_PATH), policy)
    except (LedgerError, StorageError) as error:
        report.add(error.code, "checkpoint", "a checkpoint that the policy accepts", str(error))
        return report
    report.origin, report.witnesses, report.checkpoints = checkpoint.origin, checkpoint.witnesses, 1
    chain, computed = ChainVerifier(), _Computed()
    made: dict[tuple[int, int], bytes] = {}
    try:
        # 2
        for body in _published_entries(log_store, checkpoint, report):
            _, leaf = chain.add(body)
            for level, index, hashes in computed.add(leaf):
                _compare_published(log_store, report, Tile(level, index), hashes)
        made = {(level, index): hashes for level, index, hashes in computed.partial()}
    except (LedgerError, StorageError) as error:
        params = error.params if isinstance(error, LedgerError) else {}
        report.add(error.code, f"entry {chain.size}", params.get("expected", ""), params.get("found", error))
    report.size, report.root = chain.size, chain.root()
    if not report.ok and chain.size < checkpoint.size:
        return report
    # 3
    for tile in changed_tiles(0, checkpoint.size):
        if not tile.full:
            _compare_published(log_store, report, tile, made[tile.level, tile.index])
    # 4
    if report.root != checkpoint.root:
        report.add("ROOT_MISMATCH", f"checkpoint {checkpoint.size}", report.root, checkpoint.root)
    # 5
    if chain.origin != checkpoint.origin:
        report.add("ORIGIN_MISMATCH", "entry 0", checkpoint.origin, chain.origin)
    return report


def _published_entries(
    log_store: LogStore, checkpoint: CheckpointReport, report: AuditReport
) -> Iterator[bytes]:
    for bundle in changed_bundles(0, checkpoint.size):
        data, width = _read(log_store, bundle)
        report.tiles += 1
        yield from decode_bundle(data, width)[: bundle.width]


def _read(log_store: LogStore, tile: Tile) -> tuple[bytes, int]:
    """Return a file and its width; the full one in place of a partial one that was collected."""
    try:
        return log_store.get(tile.path), tile.width
    except StorageError:
        if tile.full:
            raise
    return log_store.get(Tile(tile.level, tile.index).path), tree.TILE_WIDTH


def _compare_published(log_store: LogStore, report: AuditReport, tile: Tile, hashes: bytes) -> None:
    report.tiles += 1
    try:
        found, width = _read(log_store, tile)
        if len(found) != width * tree.HASH_SIZE:
            raise malformed("a tile has another length", expected=width * tree.HASH_SIZE, found=len(found))
    except (LedgerError, StorageError) as error:
        report.add(error.code, tile.path, "the tile that the entries make", str(error))
        return
    _compare(report, tile.path, hashes, found)
