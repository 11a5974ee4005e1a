"""Every vector of independent tools for the formats implemented here (tests/vectors/ledger)."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.note import Note
from vault.ledger.policy import Policy
from vault.ledger.receipt import format_receipt, parse_receipt, verify_receipt
from vault.ledger.tiles import Tile, changed_bundles, changed_tiles, decode_bundle, encode_bundle
from vault.ledger.vkeys import (
    Algorithm,
    VerifierKey,
    ed25519_cosigned_message,
    ml_dsa_44_cosigned_message,
)

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "ledger"
SIGNATURES = json.loads((VECTORS / "signatures.json").read_text())
MERKLE = json.loads((VECTORS / "merkle.json").read_text())
PATHS = json.loads((VECTORS / "tilepaths.json").read_text())
LOG600 = VECTORS / "log600"


def unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class ListReader:
    """Tiles computed from leaf hashes."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.rows = [leaves]
        while len(self.rows[-1]) >= 256:
            row = self.rows[-1]
            self.rows.append(
                [tree.fold(b"".join(row[at : at + 256])) for at in range(0, len(row) // 256 * 256, 256)]
            )

    def tile(self, level: int, index: int, width: int) -> bytes:
        hashes = self.rows[level][index * 256 : index * 256 + width]
        assert len(hashes) == width
        return b"".join(hashes)


class FileReader:
    """Tiles of a published log in a folder."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        return (LOG600 / Tile(level, index, width).path).read_bytes()


def policy_of_all_four(quorum: str = "none") -> Policy:
    lines = []
    for vkey in SIGNATURES["all_four"]["vkeys"]:
        key = VerifierKey.parse(vkey)
        is_log = key.name == SIGNATURES["origin"]
        lines.append(f"log {vkey}" if is_log else f"witness w{key.algorithm:02x} {vkey}")
    lines.append("group both all w04 w06")
    return Policy.parse("\n".join([*lines, f"quorum {quorum}"]))


@pytest.mark.parametrize("case", SIGNATURES["signatures"], ids=lambda c: c["what"])
def test_signature_vector(case: dict[str, object]) -> None:
    key = VerifierKey.parse(str(case["vkey"]))
    assert (key.name, key.id.hex(), key.public.hex()) == (
        case["name"],
        case["key_id"],
        case["public_key_hex"],
    )
    assert key.vkey == case["vkey"]
    assert f"0x{key.algorithm:02x}" == case["alg"]

    checkpoint = Checkpoint.parse(str(case["signed_note"]).encode())
    assert checkpoint.note.text == str(case["note_text"]).encode()
    (line,) = checkpoint.note.signatures
    assert line.line() == str(case["signature_line"]).encode()
    assert (line.key_id + line.signature).hex() == case["signature_blob_hex"]
    assert checkpoint.note.encode() == str(case["signed_note"]).encode()

    # The time is part of what a cosignature signs.
    time = case.get("timestamp")
    assert key.verify(line.signature, checkpoint.signed) == time
    message = checkpoint.note.text
    if key.algorithm is Algorithm.ED25519_COSIGNATURE:
        message = ed25519_cosigned_message(message, int(str(time)))
    elif key.algorithm is Algorithm.ML_DSA_44:
        message = ml_dsa_44_cosigned_message(
            key.name, int(str(time)), checkpoint.origin, 0, checkpoint.size, checkpoint.root
        )
    assert message.hex() == case["signed_message_hex"]

    # The seeds give the same public keys; Ed25519 also the same signature.
    seed = bytes.fromhex(str(case["private_seed_hex"]))
    if key.algorithm is Algorithm.ML_DSA_44:
        assert MLDSA44PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw() == key.public
    else:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        assert private.public_key().public_bytes_raw() == key.public
        assert private.sign(message).hex() == case["signature_hex"]


def test_subtree_cosignature_message_and_signature() -> None:
    case = SIGNATURES["subtree"]
    message = ml_dsa_44_cosigned_message(
        case["name"], case["timestamp"], case["origin"], case["start"], case["end"], unbase64(case["hash"])
    )
    assert message.hex() == case["signed_message_hex"]
    key = VerifierKey.parse(case["vkey"])
    MLDSA44PublicKey.from_public_bytes(key.public).verify(bytes.fromhex(case["signature_hex"]), message)
    assert case["timestamped_signature_hex"] == "00" * 8 + case["signature_hex"]


def test_all_four_is_accepted_with_both_witnesses() -> None:
    note = SIGNATURES["all_four"]["signed_note"].encode()
    report = verify_checkpoint(note, policy_of_all_four("both"))
    assert (report.origin, report.size) == (SIGNATURES["origin"], 300)
    assert report.witnesses == ("w04", "w06")
    assert report.algorithms == ("ED25519", "ML_DSA_44")
    assert report.log_time == 1795317578
    assert Note.parse(note).encode() == note


REFUSED = {
    "size changed, all four signatures": "LOG_SIGNATURE_INVALID",
    "size with leading zero, signature old": "FORMAT_FAILURE",
    "root changed, 0x06 only": "LOG_SIGNATURE_INVALID",
    "origin changed, 0x06 only": "LOG_UNKNOWN",
    "cosigner name changed on the signature line (0x06)": "LOG_SIGNATURE_MISSING",
    "no blank line before the signatures": "FORMAT_FAILURE",
    "no final newline": "FORMAT_FAILURE",
    "hyphen in place of the em dash": "FORMAT_FAILURE",
    "CRLF": "FORMAT_FAILURE",
    "validly signed, size with leading zero": "FORMAT_FAILURE",
    "validly signed, root without base64 padding": "FORMAT_FAILURE",
    "validly signed, two lines only": "FORMAT_FAILURE",
}


@pytest.mark.parametrize("case", SIGNATURES["refused"], ids=lambda c: c["why"])
def test_refused_vector(case: dict[str, str]) -> None:
    with pytest.raises(LedgerProofRefused) as caught:
        verify_checkpoint(case["signed_note"].encode(), policy_of_all_four())
    assert caught.value.code == REFUSED[case["why"]]


def test_every_refused_vector_is_known() -> None:
    assert {case["why"] for case in SIGNATURES["refused"]} == set(REFUSED)


def test_leaf_and_node_hashes() -> None:
    leaves = [tree.leaf_hash(b"leaf-%d" % i) for i in range(300)]
    assert leaves == [unbase64(h) for h in MERKLE["leaf_hashes"]]
    assert tree.leaf_hash(b"") == unbase64(MERKLE["leaf_hash_of_empty_leaf"])
    assert tree.node_hash(leaves[0], leaves[1]) == unbase64(MERKLE["node_hash_leaf0_leaf1"])


def test_roots() -> None:
    leaves = [unbase64(h) for h in MERKLE["leaf_hashes"]]
    hasher = tree.TreeHasher()
    for size, expected in enumerate(map(unbase64, MERKLE["roots_by_size_0_to_300"])):
        if size:
            hasher.add(leaves[size - 1])
        assert hasher.root() == expected
        assert tree.root(ListReader(leaves[:size]), size) == expected


def test_inclusion_vectors() -> None:
    leaves = [unbase64(h) for h in MERKLE["leaf_hashes"]]
    roots = [unbase64(h) for h in MERKLE["roots_by_size_0_to_300"]]
    for case in MERKLE["inclusion"]:
        proof = [unbase64(h) for h in case["proof"]]
        index, size = case["index"], case["size"]
        assert tree.inclusion_proof(ListReader(leaves[:size]), index, size) == proof
        tree.verify_inclusion(leaves[index], index, size, proof, roots[size])


def test_consistency_vectors() -> None:
    leaves = [unbase64(h) for h in MERKLE["leaf_hashes"]]
    roots = [unbase64(h) for h in MERKLE["roots_by_size_0_to_300"]]
    for case in MERKLE["consistency"]:
        proof = [unbase64(h) for h in case["proof"]]
        old, new = case["old"], case["new"]
        assert tree.consistency_proof(ListReader(leaves[:new]), old, new) == proof
        tree.verify_consistency(old, new, proof, roots[old], roots[new])


def test_tile_paths() -> None:
    for case in PATHS["paths"]:
        tile = Tile(case["level"], case["n"], case["width"])
        assert tile.path == case["path"]
        assert Tile.parse(case["path"]) == tile
    for path in PATHS["refused"]:
        with pytest.raises(LedgerProofRefused):
            Tile.parse(path)


def test_published_files_of_a_size() -> None:
    for case in PATHS["published_for_size"]:
        names = [tile.path for tile in changed_tiles(0, case["size"])]
        listed = case["hash_tiles"]
        if case["elided"]:
            assert [name for name in names if name in listed] == listed
            assert names[:2] == listed[:2]
        else:
            assert names == listed
        bundles = [tile.path for tile in changed_bundles(0, case["size"])]
        level0 = [name.replace("tile/0/", "tile/entries/") for name in names if name.startswith("tile/0/")]
        assert bundles == level0


def test_a_whole_log_of_another_implementation() -> None:
    policy = Policy.from_vkeys((VECTORS / "log600.vkeys").read_text())
    report = verify_checkpoint((LOG600 / "checkpoint").read_bytes(), policy)
    assert (report.origin, report.size) == ("log.example/ref", 600)
    assert tree.root(FileReader(), 600) == report.root
    hasher = tree.TreeHasher()
    for bundle in changed_bundles(0, 600):
        data = (LOG600 / bundle.path).read_bytes()
        entries = decode_bundle(data, bundle.width)
        assert encode_bundle(entries) == data
        leaves = [tree.leaf_hash(entry) for entry in entries]
        assert FileReader().tile(0, bundle.index, bundle.width) == b"".join(leaves)
        for leaf in leaves:
            hasher.add(leaf)
    assert hasher.root() == report.root


@pytest.mark.parametrize("path", sorted((VECTORS / "proofs").glob("*.tlog-proof")), ids=lambda p: p.stem)
def test_receipt_vector(path: Path) -> None:
    data = path.read_bytes()
    receipt = parse_receipt(data)
    leaf = (VECTORS / "proofs" / f"leaf-{receipt.index}.json").read_bytes()
    policy = Policy.from_vkeys((VECTORS / "log600.vkeys").read_text())
    report = verify_receipt(data, leaf, policy, entry=False)
    assert report.index == receipt.index
    assert report.leaf == hashlib.sha256(b"\x00" + leaf).digest()
    assert (receipt.extra is not None) == path.stem.endswith("-extra")
    # Made from the published tiles it is the same receipt, octet for octet.
    proof = tree.inclusion_proof(FileReader(), receipt.index, 600)
    assert format_receipt(receipt.index, proof, receipt.note, receipt.extra) == data
    # Its leaves are not entries of this service.
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(data, leaf, policy)
    assert caught.value.code == "FORMAT_FAILURE"
