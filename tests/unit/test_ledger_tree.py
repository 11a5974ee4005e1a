"""The tree against a naive reading of RFC 6962, for every size up to 300; tiles and bundles."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.merkle import Proofs, split
from vault.ledger import tree
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.tiles import Tile, changed_bundles, changed_tiles, decode_bundle, encode_bundle

COUNT = 300
LEAVES = [hashlib.sha256(b"\0leaf %d" % i).digest() for i in range(COUNT)]


@cache
def mth(start: int, end: int) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if end == start:
        return hashlib.sha256(b"").digest()
    if end - start == 1:
        return LEAVES[start]
    middle = start + split(end - start)
    return hashlib.sha256(b"\1" + mth(start, middle) + mth(middle, end)).digest()


PROOFS = Proofs(mth)
path, subproof = PROOFS.path, PROOFS.subproof


class Reader:
    """Tiles of the 300 leaves; counts what is read."""

    def __init__(self) -> None:
        self.reads: list[Tile] = []

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.reads.append(Tile(level, index, width))
        span = 256**level
        first = index * 256
        return b"".join(mth((first + i) * span, (first + i + 1) * span) for i in range(width))


def test_roots_for_every_size() -> None:
    hasher = tree.TreeHasher()
    assert tree.root(Reader(), 0) == hasher.root() == mth(0, 0)
    for size in range(1, COUNT + 1):
        hasher.add(LEAVES[size - 1])
        assert hasher.root() == mth(0, size)
        assert tree.root(Reader(), size) == mth(0, size)


def test_inclusion_for_every_size() -> None:
    for size in range(1, COUNT + 1):
        # Every index of small trees; of large ones those around powers of two and the edges.
        chosen = range(size) if size <= 40 else {0, 1, size // 2, 127, 128, 255, 256, size - 2, size - 1}
        for index in chosen:
            if index >= size:
                continue
            proof = tree.inclusion_proof(Reader(), index, size)
            assert proof == path(index, 0, size)
            tree.verify_inclusion(LEAVES[index], index, size, proof, mth(0, size))


def test_consistency_for_every_size() -> None:
    for new in range(COUNT + 1):
        chosen = range(new + 1) if new <= 40 else {0, 1, new // 3, 64, 128, 255, 256, new - 1, new}
        for old in chosen:
            if old > new:
                continue
            proof = tree.consistency_proof(Reader(), old, new)
            assert proof == ([] if old == 0 else subproof(old, 0, new, whole=True))
            tree.verify_consistency(old, new, proof, mth(0, old), mth(0, new))


def test_proofs_outside_the_tree() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="leaf"):
            tree.inclusion_proof(Reader(), index, size)
        with pytest.raises(LedgerProofRefused):
            tree.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="consistency"):
            tree.consistency_proof(Reader(), old, new)
        with pytest.raises(LedgerProofRefused):
            tree.verify_consistency(old, new, [], LEAVES[0], LEAVES[0])


def test_a_proof_reads_each_tile_once_and_few_of_them() -> None:
    reader = Reader()
    tree.inclusion_proof(reader, 3, 300)
    assert len(reader.reads) == len({(tile.level, tile.index) for tile in reader.reads})
    assert set(reader.reads) <= {Tile(0, 0), Tile(0, 1, 44), Tile(1, 0, 1)}


def test_a_tile_of_another_length_is_refused() -> None:
    class Short(Reader):
        def tile(self, level: int, index: int, width: int) -> bytes:
            return super().tile(level, index, width)[:-1]

    with pytest.raises(LedgerProofRefused) as caught:
        tree.root(Short(), 300)
    assert caught.value.code == "TILE_DAMAGED"


SIZES = st.integers(1, COUNT)


@given(SIZES.flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_a_changed_inclusion_proof_is_refused(place: tuple[int, int], data: st.DataObject) -> None:
    size, index = place
    proof = path(index, 0, size)
    leaf, root = LEAVES[index], mth(0, size)
    kind = data.draw(st.sampled_from(["flip", "drop", "add", "leaf", "root", "index", "size", "short"]))
    if kind in {"flip", "drop", "short"} and not proof:
        return
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if kind == "flip":
        proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    elif kind == "drop":
        del proof[at]
    elif kind == "short":
        proof[at] = proof[at][:-1]
    elif kind == "add":
        proof.insert(at, LEAVES[0])
    elif kind == "leaf":
        leaf = bytes(32)
    elif kind == "root":
        root = bytes(32)
    elif kind == "index":
        other = data.draw(st.integers(0, size))
        if other == index:
            return
        index = other
    else:
        # Another size with the same path shape is the same claim about the same leaf only when the path is.
        other = data.draw(SIZES)
        if other <= index or path(index, 0, other) == proof or len(path(index, 0, other)) == len(proof):
            return
        size = other
    with pytest.raises(LedgerProofRefused) as caught:
        tree.verify_inclusion(leaf, index, size, proof, root)
    assert caught.value.code == "INCLUSION_PROOF_INVALID"


@given(SIZES.flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))), st.data())
def test_a_changed_consistency_proof_is_refused(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    proof = tree.consistency_proof(Reader(), old, new)
    first, second = mth(0, old), mth(0, new)
    kind = data.draw(st.sampled_from(["flip", "drop", "add", "old root", "new root", "short"]))
    if kind in {"flip", "drop", "short"} and not proof:
        return
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if kind == "flip":
        proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    elif kind == "drop":
        del proof[at]
    elif kind == "short":
        proof[at] = proof[at][:-1]
    elif kind == "add":
        proof.insert(at, LEAVES[0])
    elif kind == "old root":
        first = bytes(32)
    elif old == 0:
        return  # every tree extends the empty one
    else:
        second = bytes(32)
    with pytest.raises(LedgerProofRefused) as caught:
        tree.verify_consistency(old, new, proof, first, second)
    assert caught.value.code == "CONSISTENCY_PROOF_INVALID"


@given(st.integers(-1, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_tile_paths_come_back(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile
    assert tile.full == (width == 256)


@given(st.text(max_size=40))
def test_other_paths_are_refused(text: str) -> None:
    for path_ in (text, f"tile/{text}", f"tile/0/{text}", f"tile/0/000{text}x"):
        try:
            found = Tile.parse(path_).path
        except LedgerProofRefused:
            continue
        assert found == path_


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_steps_of_publication_give_the_files_of_the_whole(first: int, second: int) -> None:
    old, new = sorted((first, second))
    for changed in (changed_tiles, changed_bundles):
        whole = set(changed(0, new))
        assert whole <= set(changed(0, old)) | set(changed(old, new))
        assert set(changed(old, new)) <= whole
        assert not set(changed(new, new))


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=20))
def test_bundles(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for wrong, width in (
        (data[:-1], len(entries)),
        (data, len(entries) + 1),
        (data + b"\0", len(entries)),
        (data + b"\0\0", len(entries)),
    ):
        with pytest.raises(LedgerProofRefused) as caught:
            decode_bundle(wrong, width)
        assert caught.value.code == "FORMAT_FAILURE"
