"""What is in `tests/vectors/probans` verifies for ever, and a witness of ours answers as it did."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from signing.trust import TrustStore
from timestamping.verify import Rfc3161Verifier
from vault.clock import parse_rfc3339
from vault.ledger.anchor import FIRST, Anchor, token_digest, verify_anchor
from vault.ledger.chain import verify_chain
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.destruction import is_destruction
from vault.ledger.entry import LogEntry, RecordEntry, decode, encode, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.events import Event, check_opening
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import Note
from vault.ledger.note import encode as encode_note
from vault.ledger.opening import ALL, RevealedOpening
from vault.ledger.policy import Policy
from vault.ledger.receipt import format_receipt, parse_receipt, verify_receipt
from vault.ledger.tags import tag
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import AddCheckpoint, Answer, read_conflict, read_cosignatures

FROZEN = Path(__file__).resolve().parent.parent / "vectors" / "probans" / "v1"
KEYS = json.loads((FROZEN / "keys.json").read_text())
POLICY = Policy.parse((FROZEN / "policy").read_bytes())
LOGS = Policy(logs=POLICY.logs)
SIZES = (4, 7, 10)
BODIES = [(FROZEN / f"entries/{seq}.json").read_bytes() for seq in range(10)]
ENTRIES: list[dict[str, Any]] = json.loads((FROZEN / "entries.json").read_text())
REQUESTS = sorted((FROZEN / "witness").glob("*.request"))


def private(name: str) -> tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
    seeds = KEYS["seeds"]
    return (
        Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seeds[f"{name}-ed25519"])),
        MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(seeds[f"{name}-ml-dsa-44"])),
    )


def test_nothing_was_changed_added_or_removed() -> None:
    lines = (FROZEN / "SHA256SUMS").read_text().splitlines()
    stated = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {
        str(path.relative_to(FROZEN)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FROZEN.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == stated
    # The list itself cannot be made anew unnoticed.
    assert (
        hashlib.sha256((FROZEN / "SHA256SUMS").read_bytes()).hexdigest()
        == "721eafde807ad56a11b02290195b2c09153c8e3882dc11177516936ab71c06a5"
    )


def test_the_keys_say_what_they_are() -> None:
    for name, seed in KEYS["seeds"].items():
        assert seed == hashlib.sha256(f"probans frozen test key, never use: {name}".encode()).hexdigest()
    log, witness = (
        LedgerKeys(KEYS["origin"], *private("log")),
        WitnessKeys(KEYS["witness"], *private("witness")),
    )
    assert POLICY.logs == (log.ed25519, log.ml_dsa_44)
    assert tuple(POLICY.witnesses.values()) == (witness.ed25519, witness.ml_dsa_44)


def test_entries_are_one_chain_and_have_one_form() -> None:
    report = verify_chain(BODIES)
    assert (report.size, report.origin) == (10, KEYS["origin"])
    assert report.root == Checkpoint.parse((FROZEN / "checkpoint-10").read_bytes()).root
    decoded = [decode(body) for body in BODIES]
    assert [encode(entry) for entry in decoded] == BODIES
    assert isinstance(decoded[0], LogEntry)
    assert all(isinstance(entry, RecordEntry) for entry in decoded[1:])


@pytest.mark.parametrize("about", ENTRIES, ids=lambda about: f"{about['seq']}-{about['event']}")
def test_openings_and_tags(about: dict[str, Any]) -> None:
    seq = about["seq"]
    entry = decode(BODIES[seq])
    assert isinstance(entry, RecordEntry)
    assert entry.commitment.hex() == about["commitment"]
    assert tag(bytes.fromhex(about["key"]), about["counter"]) == entry.tag
    for name, reveal in (("holder", ALL), ("document", frozenset({"document"}))):
        data = (FROZEN / f"openings/{seq}.{name}.json").read_bytes()
        opening = RevealedOpening.parse(data)
        assert opening.commitment() == entry.commitment
        assert check_opening(opening).event == about["event"]
        if reveal == ALL:
            assert opening.opened().to_json(ALL) == data
            assert opening.opened().to_json() == (FROZEN / f"openings/{seq}.document.json").read_bytes()
        else:
            assert (opening.parties, opening.context) == (None, None)
    known = is_destruction(
        bytes.fromhex(about["key"]), about["document_id"], about["sha256"], entry.commitment
    )
    assert known is (about["event"] == Event.DESTROYED)


def test_every_event_of_version_1_is_here() -> None:
    assert {about["event"] for about in ENTRIES} == {
        "document.received", "document.issued", "document.deposited", "document.superseded",
        "document.revoked", "document.destroyed", "document.read", "document.read-refused",
    }  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_checkpoints(size: int) -> None:
    note = (FROZEN / f"checkpoint-{size}").read_bytes()
    report = verify_checkpoint(note, LOGS)
    assert (report.size, report.root) == (size, verify_chain(BODIES[:size]).root)
    assert Note.parse(note).encode() == note
    with pytest.raises(LedgerProofRefused) as refused:
        verify_checkpoint(note, POLICY)
    assert (refused.value.code, refused.value.indeterminate) == ("WITNESS_QUORUM_UNMET", True)
    # Signed again, the Ed25519 line is the same bit for bit.
    keys = LedgerKeys(KEYS["origin"], *private("log"))
    again = Note.parse(keys.sign_checkpoint(size, report.root, parse_rfc3339("2026-11-22T09:00:00.000Z")))
    assert again.text == Note.parse(note).text
    assert again.signatures[0] == Note.parse(note).signatures[0]


def test_the_cosigned_checkpoint() -> None:
    note = (FROZEN / "checkpoint-10-cosigned").read_bytes()
    assert verify_checkpoint(note, POLICY).witnesses == ("ed", "ml")
    parsed = Note.parse(note)
    assert encode_note(parsed.text, parsed.signatures[:2]) == (FROZEN / "checkpoint-10").read_bytes()


@pytest.mark.parametrize("seq", range(10))
def test_receipts(seq: int) -> None:
    data = (FROZEN / f"receipts/{seq}.tlog-proof").read_bytes()
    report = verify_receipt(data, BODIES[seq], POLICY)
    assert (report.index, report.leaf, report.checkpoint.size) == (seq, leaf_hash(BODIES[seq]), 10)
    parsed = parse_receipt(data)
    assert format_receipt(parsed.index, parsed.proof, parsed.note) == data
    with pytest.raises(LedgerProofRefused):
        verify_receipt(data, BODIES[(seq + 1) % 10], POLICY)


def test_anchors_are_one_chain() -> None:
    verifier = Rfc3161Verifier(TrustStore.from_pem((FROZEN / "roots.pem").read_bytes()))
    previous, tokens = FIRST, []
    for size in SIZES:
        data, token = (FROZEN / f"anchors/{size}").read_bytes(), (FROZEN / f"anchors/{size}.tst").read_bytes()
        pem = (FROZEN / f"anchors/{size}.crls").read_bytes()
        lists = [part + b"-----END X509 CRL-----\n" for part in pem.split(b"-----END X509 CRL-----\n")[:-1]]
        crls = [x509.load_pem_x509_crl(part).public_bytes(Encoding.DER) for part in lists]
        report = verify_anchor(data, token, POLICY, verifier, crls=crls)
        assert (report.size, report.links.previous) == (size, previous)
        assert report.gen_time.hour == 9 + size
        assert Anchor.parse(data).encode() == data
        assert Anchor.of((FROZEN / f"checkpoint-{size}").read_bytes(), report.links).encode() == data
        previous = token_digest(token)
        tokens.append(previous)
        assert report.links.month == (tokens[0] if size > 4 else None)
        assert report.links.year == (tokens[0] if size == 10 else None)


# --- the witness


@dataclass
class Fixed:
    at: datetime

    def now(self) -> datetime:
        return self.at


def response(path: Path) -> Answer:
    status, media_type, body = path.with_suffix(".response").read_bytes().split(b"\n", 2)
    return Answer(int(status), media_type.decode(), body)


def test_a_witness_of_ours_answers_as_it_did(tmp_path: Path) -> None:
    keys = WitnessKeys(KEYS["witness"], *private("witness"))
    witness = Witness(tmp_path / "w.db", keys, LOGS, Fixed(parse_rfc3339(KEYS["witness_time"])))
    for path in REQUESTS:
        frozen, found = response(path), witness.add_checkpoint(path.read_bytes())
        assert (found.status, found.media_type) == (frozen.status, frozen.media_type), path.name
        if found.status != 200:
            assert found.body == frozen.body, path.name
            continue
        first, second = found.body.splitlines()
        old_first, old_second = frozen.body.splitlines()
        assert first == old_first, path.name
        # The same name, key and time; the signature is hedged.
        assert (len(second), second[:43]) == (len(old_second), old_second[:43]), path.name
    witness.close()


def test_what_it_answered_is_in_the_documented_form() -> None:
    assert len(REQUESTS) == 34
    met = set()
    for path in REQUESTS:
        answer = response(path)
        assert path.name.split("-")[1] == str(answer.status)
        met.add(answer.status)
        if answer.status == 409:
            assert read_conflict(answer) in {0, 4, 10}
        elif answer.status == 200:
            checkpoint = Checkpoint.parse(AddCheckpoint.parse(path.read_bytes()).note)
            lines = read_cosignatures(answer, checkpoint)
            for line, key in zip(lines, POLICY.witnesses.values(), strict=True):
                stated = key.verify(line.signature, checkpoint.signed)
                assert stated == parse_rfc3339(KEYS["witness_time"]).timestamp()
        else:
            assert answer.body.decode() in {
                "invalid input\n", "invalid signature\n", "unknown log\n", "bad consistency proof\n"
            }  # fmt: skip
    assert met == {200, 400, 403, 404, 409, 422}
