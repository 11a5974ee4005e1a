"""A published ledger, from a folder or over the web, and the search for newer entries about a document.

Everything read is untrusted: it counts only once it hashes up to a checkpoint that the verifier's policy
accepts and that extends the checkpoint of the bundle.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from vault.errors import LedgerError
from vault.evidence.errors import EvidenceRefused, LedgerUnavailable
from vault.ledger.anchor_paths import ANCHOR_LIST, FOLDER, anchor_size
from vault.ledger.checkpoint import CheckpointReport
from vault.ledger.entry import RecordEntry, decode, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import LogReader
from vault.ledger.handover import follow
from vault.ledger.note import MAX_NOTE
from vault.ledger.policy import Policy
from vault.ledger.tags import tag
from vault.ledger.tiles import CHECKPOINT_PATH, ENTRIES, Tile, decode_bundle
from vault.ledger.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TreeHasher,
    consistency_proof,
    fold,
    verify_consistency,
)

TIMEOUT = 15.0  # seconds for each request
_USUAL = 128 << 10  # octets; a bundle of record entries has about 75 KiB
_MAX_LIST = 32 << 20
_LISTED = re.compile(rb"(?:[1-9][0-9]{0,17}\n)*")
_MAX_TILE = TILE_WIDTH * HASH_SIZE
_MAX_BUNDLE = TILE_WIDTH * (2 + 65_535)


class LedgerSource(Protocol):
    """Where a published ledger is read."""

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file under the ledger's prefix, None when it is not there.

        Raises:
            LedgerUnavailable: it cannot be read, or has more than `limit` octets.
        """
        ...


class FolderLedger:
    """A ledger published or copied into a folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that holds `checkpoint`, or one whose subfolder `ledger` does."""
        inner = folder / "ledger"
        self._folder = inner if (inner / CHECKPOINT_PATH).is_file() else folder

    def read(self, path: str, limit: int) -> bytes | None:
        """See `LedgerSource.read`."""
        try:
            with (self._folder / path).open("rb") as file:
                # What is asked for is set aside before it is read, and the limit is far above what comes.
                data = file.read(min(limit + 1, _USUAL))
                if len(data) == _USUAL:
                    data += file.read(limit + 1 - _USUAL)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{path} cannot be read") from error
        return _within(path, data, limit)

    def anchors(self) -> list[int]:
        """Return the sizes of the anchors that have their token, in order."""
        found = (anchor_size(f"{FOLDER}{path.name}") for path in (self._folder / FOLDER).glob("*.tst"))
        return sorted(size for size in found if size is not None)


class WebLedger:
    """A ledger served over HTTP or HTTPS."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Take the address of the ledger's prefix. Raises ValueError when it is no http(s) address."""
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("not an http or https address")
        self._url = url.rstrip("/") + "/"
        self._timeout = timeout

    def read(self, path: str, limit: int) -> bytes | None:
        """See `LedgerSource.read`."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url + path, headers={"User-Agent": "probans-verify"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
                data: bytes = answer.read(limit + 1)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {404, 410}:
                return None
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{path}: HTTP {error.code}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{path}: {type(error).__name__}") from error
        return _within(path, data, limit)

    def anchors(self) -> list[int] | None:
        """Return the sizes of the anchors that the service lists, None where it lists none.

        Raises:
            LedgerUnavailable: it cannot be read, or is no such list.
        """
        data = self.read(ANCHOR_LIST, _MAX_LIST)
        if data is None:
            return None
        if _LISTED.fullmatch(data) is None:
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{ANCHOR_LIST} is no list of sizes")
        return sorted({int(line) for line in data.split()})


def ledger_source(place: str) -> LedgerSource:
    """Make the source for a folder or an address. Raises ValueError when it is neither."""
    if "://" in place:
        return WebLedger(place)
    folder = Path(place)
    if not folder.is_dir():
        raise ValueError("no such folder")
    return FolderLedger(folder)


@dataclass(frozen=True, slots=True)
class LedgerNews:
    """What a published ledger says beyond a bundle.

    Attributes:
        checkpoint: the newest verified checkpoint.
        later: numbers of the entries that carry the document's next tags, in order.
    """

    checkpoint: CheckpointReport
    later: tuple[int, ...]


def look_up(
    source: LedgerSource, policy: Policy, known: CheckpointReport, status_key: bytes, counter: int, after: int
) -> LedgerNews | None:
    """Search a published ledger for status entries newer than those of a bundle.

    1. Its checkpoint is accepted by the policy, or by keys that its keys handed over to, and is of the same
    log. 2. It extends the bundle's checkpoint
    (RFC 6962 consistency); a shorter one is an older copy and says nothing. 3. Every entry after the bundle's
    last is read, and the whole hashes to the checkpoint's root. 4. Entries with the next tags are found.

    Args:
        source: the ledger.
        policy: keys that are trusted.
        known: newest checkpoint of the bundle, verified.
        status_key: K_status, 32 octets.
        counter: of the first tag to look for.
        after: number of the bundle's last status entry.

    Returns:
        What was found; None for an older copy.

    Raises:
        LedgerUnavailable: this copy cannot be read, is damaged, or is not accepted by the policy: it proves
            nothing against the bundle.
        EvidenceRefused: LOG_INCONSISTENT when the log has signed two histories.
    """
    try:
        return _look_up(source, policy, known, status_key, counter, after)
    except LedgerError as error:
        raise _unavailable(error) from error


def newest_of(source: LedgerSource, policy: Policy, known: CheckpointReport) -> CheckpointReport | None:
    """Return the checkpoint of a published ledger that extends a known one; None for an older copy.

    Steps 1 and 2 of `look_up`.

    Raises:
        LedgerUnavailable, EvidenceRefused: see `look_up`.
    """
    try:
        return _extending(source, policy, known)
    except LedgerError as error:
        raise _unavailable(error) from error


def _unavailable(error: LedgerError) -> LedgerUnavailable:
    by_policy = error.code.startswith(("LOG_", "WITNESS_"))
    code = error.code if by_policy else "LEDGER_DAMAGED"
    return LedgerUnavailable(code, f"the ledger given: {error.detail or error.code}")


def _extending(source: LedgerSource, policy: Policy, known: CheckpointReport) -> CheckpointReport | None:
    # 1
    note = source.read(CHECKPOINT_PATH, MAX_NOTE)
    if note is None:
        raise LedgerUnavailable("LEDGER_UNAVAILABLE", "there is no checkpoint")
    newest = _accepted(source, note, policy)
    if newest.origin != known.origin:
        raise LedgerUnavailable("LOG_MISMATCH", f"the ledger given is {newest.origin}")
    # 2
    if newest.size < known.size:
        return None
    _check_extends(_Tiles(source), known, newest)
    return newest


def _look_up(
    source: LedgerSource, policy: Policy, known: CheckpointReport, status_key: bytes, counter: int, after: int
) -> LedgerNews | None:
    # 1, 2
    newest = _extending(source, policy, known)
    if newest is None:
        return None
    tiles = _Tiles(source)
    # 3
    start = (after + 1) // TILE_WIDTH * TILE_WIDTH
    hasher = TreeHasher.resume(start, _peaks(tiles, start, newest.size))
    later: list[int] = []
    wanted = tag(status_key, counter)
    for index in range(start // TILE_WIDTH, -(-newest.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, newest.size - index * TILE_WIDTH)
        for seq, data in enumerate(tiles.entries(index, width), start=index * TILE_WIDTH):
            hasher.add(leaf_hash(data))
            # 4
            if seq > after and wanted.hex().encode() in data and _is_tagged(data, wanted):
                later.append(seq)
                wanted = tag(status_key, counter + len(later))
    if hasher.root() != newest.root:
        raise LedgerUnavailable("LEDGER_DAMAGED", "its entries do not hash to its checkpoint")
    return LedgerNews(newest, tuple(later))


def _accepted(source: LedgerSource, note: bytes, policy: Policy) -> CheckpointReport:
    """Accept the checkpoint by the policy, or by the keys that its keys handed over to."""
    try:
        return follow(LogReader(source), note, policy).checkpoint
    except LedgerProofRefused as error:
        if error.code == "LOG_INCONSISTENT":
            raise EvidenceRefused(error.code, error.detail) from error
        raise


def _check_extends(tiles: _Tiles, known: CheckpointReport, newest: CheckpointReport) -> None:
    """Check that one checkpoint extends the other; where it does not, tell a damaged copy from a lie."""
    try:
        proof = consistency_proof(tiles, known.size, newest.size)
        verify_consistency(known.size, newest.size, proof, known.root, newest.root)
    except LedgerProofRefused:
        hasher, before = TreeHasher(), EMPTY_ROOT
        for index in range(-(-newest.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, newest.size - index * TILE_WIDTH)
            row = tiles.tile(0, index, width)
            for place in range(0, len(row), HASH_SIZE):
                hasher.add(row[place : place + HASH_SIZE])
                if hasher.size == known.size:
                    before = hasher.root()
        if hasher.root() == newest.root and before != known.root:
            raise EvidenceRefused("LOG_INCONSISTENT", "the log has signed two histories") from None
        raise LedgerUnavailable("LEDGER_DAMAGED", "its tiles do not hash to its checkpoint") from None


class _Tiles:
    """Reads tiles and entry bundles; where a partial one is gone, the full one that replaced it."""

    def __init__(self, source: LedgerSource) -> None:
        self._source = source

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile."""
        data = self._read(Tile(level, index, width), _MAX_TILE)
        return data[: width * HASH_SIZE]

    def entries(self, index: int, width: int) -> list[bytes]:
        """Return the first `width` entries of a bundle."""
        partial = Tile(ENTRIES, index, width)
        data = self._source.read(partial.path, _MAX_BUNDLE)
        if data is not None:
            return decode_bundle(data, width)
        return decode_bundle(self._read(Tile(ENTRIES, index), _MAX_BUNDLE), TILE_WIDTH)[:width]

    def _read(self, tile: Tile, limit: int) -> bytes:
        data = self._source.read(tile.path, limit)
        if data is None and not tile.full:
            data = self._source.read(Tile(tile.level, tile.index).path, limit)
        if data is None:
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{tile.path} is not there")
        return data


def _peaks(tiles: _Tiles, start: int, size: int) -> list[bytes]:
    """Return the hashes of the complete subtrees that make up the first `start` leaves, a multiple of 256."""
    peaks: list[bytes] = []
    position = 0
    for height in reversed(range(TILE_HEIGHT, start.bit_length())):
        if start >> height & 1:
            level, inside = divmod(height, TILE_HEIGHT)
            index, offset = divmod(position >> (TILE_HEIGHT * level), TILE_WIDTH)
            width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            row = tiles.tile(level, index, width)
            peaks.append(fold(row[offset * HASH_SIZE : (offset + (1 << inside)) * HASH_SIZE]))
            position += 1 << height
    return peaks


def _is_tagged(data: bytes, wanted: bytes) -> bool:
    entry = decode(data)
    return isinstance(entry, RecordEntry) and entry.tag == wanted


def _within(path: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{path} is too large")
    return data
