"""Proofs from remembered tiles against RFC 6962 read word for word; what a cache keeps, and what it must not hide."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.merkle import Proofs, split
from vault.ledger import tree
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.pyramids import CachedTiles, PyramidCache, read_pyramid
from vault.ledger.tiles import changed_tiles

COUNT = 70_000  # three levels of tiles
LEAVES = [hashlib.sha256(b"\0leaf %d" % number).digest() for number in range(COUNT)]


def _rows() -> list[list[bytes]]:
    rows = [LEAVES]
    while len(rows[-1]) > 1:
        row = rows[-1]
        pairs = zip(row[::2], row[1::2], strict=False)  # the odd one has no parent
        rows.append([hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs])
    return rows


ROWS = _rows()


def mth(start: int, end: int) -> bytes:
    """RFC 6962 section 2.1; complete subtrees from the table."""
    count = end - start
    if count & (count - 1) == 0 and start % count == 0:
        return ROWS[count.bit_length() - 1][start // count]
    middle = start + split(count)
    return hashlib.sha256(b"\1" + mth(start, middle) + mth(middle, end)).digest()


PROOFS = Proofs(mth)
path, subproof = PROOFS.path, PROOFS.subproof


class Reader:
    """Tiles of the first leaves, as they stand; counts what is read, and lies about one tile when told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.wrong: tuple[int, int] | None = None

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.reads += 1
        first = index * 256
        data = b"".join(ROWS[8 * level][first : first + width])
        return bytes(32) + data[32:] if self.wrong == (level, index) else data


SHARED = PyramidCache(64)  # over all examples: sizes and widths of one log meet in it
SIZES = st.one_of(
    st.integers(1, COUNT),
    st.integers(1, 17)
    .flatmap(lambda power: st.integers(-2, 2).map(lambda by: (1 << power) + by))
    .filter(lambda size: 1 <= size <= COUNT),
)


@given(SIZES.flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_inclusion_proofs_are_those_of_the_plain_computation(place: tuple[int, int]) -> None:
    index, size = place
    expected = path(index, 0, size)
    assert tree.inclusion_proof(Reader(), index, size) == expected
    assert tree.inclusion_proof(SHARED.over(Reader()), index, size) == expected
    tree.verify_inclusion(LEAVES[index], index, size, expected, mth(0, size))


@given(SIZES.flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_consistency_proofs_and_roots_are_those_of_the_plain_computation(sizes: tuple[int, int]) -> None:
    old, new = sizes
    expected = subproof(old, 0, new, whole=True)
    for reader in (Reader(), SHARED.over(Reader())):
        assert tree.consistency_proof(reader, old, new) == expected
        assert tree.root(reader, new) == mth(0, new)
    tree.verify_consistency(old, new, expected, mth(0, old), mth(0, new))


@given(st.integers(1, 256), st.integers(0, 200))
def test_a_pyramid_holds_every_complete_subtree_of_its_tile(width: int, index: int) -> None:
    rows = read_pyramid(Reader(), 0, index, width)
    assert len(rows) == min(8, width.bit_length())
    for height, row in enumerate(rows):
        first = index * 256 >> height
        assert row == b"".join(ROWS[height][first : first + (width >> height)])


def test_a_second_proof_reads_nothing() -> None:
    reader, cache = Reader(), PyramidCache()
    tiles = cache.over(reader)
    first = tree.inclusion_proof(tiles, 12_345, COUNT)
    reads = reader.reads
    assert reads == len(cache) <= 4
    assert tree.inclusion_proof(tiles, 12_345, COUNT) == first
    assert reader.reads == reads
    cache.clear()
    assert len(cache) == 0
    tree.inclusion_proof(tiles, 12_345, COUNT)
    assert reader.reads == 2 * reads


def test_the_right_edge_is_known_by_its_width() -> None:
    tiles = PyramidCache().over(Reader())
    for size in range(300, 600):
        assert tree.inclusion_proof(tiles, 299, size) == path(299, 0, size)
        assert tiles.tile(0, size // 256, size % 256 or 256) == Reader().tile(
            0, size // 256, size % 256 or 256
        )


def test_the_limit_holds_and_the_tile_used_longest_ago_goes() -> None:
    reader, cache = Reader(), PyramidCache(3)
    for index in (0, 1, 2, 0, 3):
        cache.pyramid(reader, 0, index, 256)
        assert len(cache) <= 3
    assert reader.reads == 4
    cache.pyramid(reader, 0, 0, 256)
    assert reader.reads == 4
    cache.pyramid(reader, 0, 1, 256)
    assert reader.reads == 5
    with pytest.raises(ValueError, match="at least one"):
        PyramidCache(0)


def test_the_stated_memory_is_enough() -> None:
    rows = read_pyramid(Reader(), 0, 0, 256)
    assert sum(row.__sizeof__() for row in rows) + rows.__sizeof__() + 300 < 17_000
    tiles = sum(1 for _ in changed_tiles(0, 1_000_000))
    assert tiles <= 4096, "the default keeps a log of 1,000,000 entries"


@given(st.integers(0, COUNT - 1), st.sampled_from([0, 1, 2]))
def test_no_wrong_tile_makes_a_right_proof_of_another_entry(index: int, level: int) -> None:
    """A cached proof verifies exactly when it is the right one, whatever tile was wrong when it was read."""
    reader = Reader()
    reader.wrong = (level, index >> 8 * (level + 1))
    proof = tree.inclusion_proof(PyramidCache().over(reader), index, COUNT)
    right = path(index, 0, COUNT)
    if proof == right:
        tree.verify_inclusion(LEAVES[index], index, COUNT, proof, mth(0, COUNT))
    else:
        with pytest.raises(LedgerProofRefused) as caught:
            tree.verify_inclusion(LEAVES[index], index, COUNT, proof, mth(0, COUNT))
        assert caught.value.code == "INCLUSION_PROOF_INVALID"


@pytest.mark.parametrize("by", [-32, -1, 1, 32])
def test_a_tile_of_another_length_is_refused_and_not_kept(by: int) -> None:
    class Longer(Reader):
        def tile(self, level: int, index: int, width: int) -> bytes:
            data = super().tile(level, index, width)
            return data[:by] if by < 0 else data + bytes(by)

    cache = PyramidCache()
    with pytest.raises(LedgerProofRefused) as caught:
        tree.inclusion_proof(cache.over(Longer()), 5, 300)
    assert caught.value.code == "TILE_DAMAGED"
    assert len(cache) == 0


def test_what_the_reader_raises_comes_through_and_nothing_is_kept() -> None:
    class Broken:
        def tile(self, level: int, index: int, width: int) -> bytes:
            raise LedgerProofRefused("OBJECT_MISSING", f"{level} {index} {width}")

    cache = PyramidCache()
    with pytest.raises(LedgerProofRefused) as caught:
        tree.inclusion_proof(cache.over(Broken()), 5, 300)
    assert caught.value.code == "OBJECT_MISSING"
    assert len(cache) == 0
    assert tree.inclusion_proof(cache.over(Reader()), 5, 300) == path(5, 0, 300)


def test_many_threads_share_a_small_cache() -> None:
    cache, barrier = PyramidCache(5), threading.Barrier(8)

    def prove(thread: int) -> bool:
        tiles: CachedTiles = cache.over(Reader())
        barrier.wait()
        right = True
        for number in range(150):
            index = (thread * 7919 + number * 104_729) % COUNT
            right &= tree.inclusion_proof(tiles, index, COUNT) == path(index, 0, COUNT)
        return right and len(cache) <= 5

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(prove, range(8)))
