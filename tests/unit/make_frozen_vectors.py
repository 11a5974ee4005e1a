"""Wrote the frozen vectors of the ledger's own formats: `python tests/unit/make_frozen_vectors.py FOLDER`.

Done once for version 1, before its first release; from then on the files are never made again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from signing.dev_pki import DevPki
from timestamping.authority import EmbeddedAuthority
from vault.clock import rfc3339
from vault.ledger import tree
from vault.ledger.anchor import Anchor, Links, token_digest
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.destruction import destruction_opening
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, RecordEntry, encode, leaf_hash
from vault.ledger.genesis import stated_keys
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import Note, NoteSignature
from vault.ledger.note import encode as encode_note
from vault.ledger.opening import ALL, Opening
from vault.ledger.policy import Policy
from vault.ledger.receipt import format_receipt
from vault.ledger.tags import tag
from vault.ledger.tree import inclusion_proof
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import AddCheckpoint, Answer, read_cosignatures

ORIGIN, WITNESS = "frozen.example/ledger/1", "frozen.example/witness"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SIZES = (4, 7, 10)


def seed(name: str) -> bytes:
    """Return a seed that everybody can compute, so that nobody takes the key for a real one."""
    return hashlib.sha256(f"probans frozen test key, never use: {name}".encode()).digest()


SEEDS = {
    name: seed(name).hex()
    for name in (
        "log-ed25519",
        "log-ml-dsa-44",
        "witness-ed25519",
        "witness-ml-dsa-44",
        "other-ed25519",
        "other-ml-dsa-44",
    )
}


def private(name: str) -> tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
    return (
        Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEEDS[f"{name}-ed25519"])),
        MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(SEEDS[f"{name}-ml-dsa-44"])),
    )


@dataclass
class Fixed:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        return self.at


class Log:
    """Entries of one log, and trees of any size of it."""

    def __init__(self, bodies: Sequence[bytes], keys: LedgerKeys) -> None:
        self.bodies, self.keys = list(bodies), keys

    def tile(self, level: int, index: int, width: int) -> bytes:
        assert (level, index) == (0, 0)
        return b"".join(leaf_hash(body) for body in self.bodies[:width])

    def note(self, size: int) -> bytes:
        return self.keys.sign_checkpoint(size, tree.root(self, size), NOW + timedelta(minutes=size))

    def proof(self, old: int, size: int) -> tuple[bytes, ...]:
        return tuple(tree.consistency_proof(self, old, size)) if 0 < old < size else ()

    def request(self, old: int, size: int) -> bytes:
        return AddCheckpoint(old, self.proof(old, size), self.note(size)).encode()


DIGESTS = {name: hashlib.sha256(f"frozen {name}".encode()).hexdigest() for name in "ABC"}
SEALED = {"signature": "51" * 32, "token": "52" * 32, "seal_certificate": "53" * 32}
DESCRIBED = {
    "size": 8,
    "media_type": "application/pdf",
    "document_type": "attestation",
    "issuer": "mairie-specimen",
}
# document, chain, event, more of the document part, more of the context; in the order of the ledger.
EVENTS: tuple[tuple[str, str, str, dict[str, object], dict[str, str]], ...] = (
    ("A", "status", "document.received", {**DESCRIBED}, {}),
    ("A", "status", "document.issued", {**DESCRIBED, "parts": SEALED}, {}),
    ("A", "access", "document.read", {"action": "original"}, {"purpose": "délivrance"}),
    ("A", "access", "document.read-refused", {"action": "original"}, {"reason": "FORBIDDEN"}),
    ("A", "status", "document.superseded", {"superseded_by_sha256": DIGESTS["C"]}, {}),
    ("A", "status", "document.revoked", {}, {"reason": "error"}),
    ("A", "status", "document.destroyed", {}, {}),
    ("B", "status", "document.deposited", {**DESCRIBED, "parts": {**SEALED, "manifest": "54" * 32}}, {}),
    ("B", "status", "document.destroyed", {}, {}),
)


def opening_of(seq: int, name: str, event: str, more: dict[str, object], why: dict[str, str]) -> Opening:
    if event == "document.destroyed":
        return destruction_opening(seed(f"status {name}"), f"doc_{name}", DIGESTS[name])
    document = {"event": event, "document_id": f"doc_{name}", "sha256": DIGESTS[name], **more}
    parties = {"holder": "hold_1", "actor": "agent-état-civil", "mandate": ""}
    context = {
        "purpose": "",
        "case": "n° 1",
        "consent": "",
        "title": "Pièce « 1 »",
        "file_name": "pièce.pdf",
        **why,
    }
    first, second, third = (seed(f"salt {seq} {part}") for part in range(3))
    return Opening(document, parties, context, (first, second, third))


def record_bodies(folder: Path, keys: LedgerKeys) -> list[bytes]:
    """Make the entries and write them with their openings and tags."""
    opened = {
        "origin": ORIGIN,
        "generation": 1,
        "keys": stated_keys(keys, [{"purpose": "act-seal", "sha256": "5e" * 32}]),
        "previous": "",
    }
    bodies = [encode(LogEntry(0, GENESIS_PREV, rfc3339(NOW), LogEvent.OPENED, opened))]
    counters: Counter[tuple[str, str]] = Counter()
    written = []
    for seq, (name, chain, event, more, why) in enumerate(EVENTS, 1):
        opening = opening_of(seq, name, event, more, why)
        counter = counters[name, chain]
        counters[name, chain] += 1
        key = seed(f"{chain} {name}")
        marked = tag(key, counter)
        time = rfc3339(NOW + timedelta(minutes=seq))
        bodies.append(encode(RecordEntry(seq, leaf_hash(bodies[-1]), time, marked, opening.commitment())))
        written.append({"seq": seq, "event": event, "chain": chain, "key": key.hex(), "counter": counter,
                        "tag": marked.hex(), "commitment": opening.commitment().hex(),
                        "document_id": f"doc_{name}", "sha256": DIGESTS[name]})  # fmt: skip
        for shown, reveal in (("holder", ALL), ("document", frozenset({"document"}))):
            (folder / f"openings/{seq}.{shown}.json").write_bytes(opening.to_json(reveal))
    for seq, body in enumerate(bodies):
        (folder / f"entries/{seq}.json").write_bytes(body)
    write_json(folder / "entries.json", written)
    return bodies


def witness_life(folder: Path, log: Log, fork: Log) -> None:
    """Ask a witness in every way, and write what it answered."""
    other, stranger = (
        LedgerKeys(ORIGIN, *private("other")),
        LedgerKeys("other.example/log", *private("other")),
    )
    text, (first, second) = Note.parse(log.note(7)).text, Note.parse(log.note(7)).signatures
    foreign = Note.parse(Log(log.bodies, other).note(7)).signatures
    damaged = NoteSignature(first.name, first.key_id, bytes([first.signature[0] ^ 1]) + first.signature[1:])
    bad = tuple(bytes(32) for _ in log.proof(4, 7))
    requests = {
        "400-empty": b"",
        "400-no-note": b"old 0\n\n",
        "400-leading-zero": log.request(0, 4).replace(b"old 0", b"old 00"),
        "400-old-too-large": log.request(0, 4).replace(b"old 0", b"old 9223372036854775808"),
        "400-64-hashes": AddCheckpoint(4, (bytes(32),) * 64, log.note(7)).encode(),
        "400-short-hash": b"old 0\nAAAA\n\n" + log.note(4),
        "400-cut": log.request(0, 4)[:-1],
        "400-old-beyond-size": AddCheckpoint(9, (), log.note(4)).encode(),
        "404-unknown-log": AddCheckpoint(0, (), Log(log.bodies, stranger).note(4)).encode(),
        "403-other-keys": AddCheckpoint(0, (), Log(log.bodies, other).note(4)).encode(),
        "403-damaged": AddCheckpoint(0, (), encode_note(text, [damaged, second])).encode(),
        "403-ed25519-alone": AddCheckpoint(0, (), encode_note(text, [first])).encode(),
        "403-ml-dsa-alone": AddCheckpoint(0, (), encode_note(text, [second])).encode(),
        "403-one-of-another": AddCheckpoint(0, (), encode_note(text, [first, foreign[1]])).encode(),
        "409-nothing-seen-yet": log.request(4, 7),
        "422-proof-from-nothing": AddCheckpoint(0, (bytes(32),), log.note(4)).encode(),
        "422-empty-tree-other-root": AddCheckpoint(0, (), log.keys.sign_checkpoint(0, bytes(32), NOW)).encode(),
        "200-empty-tree": log.request(0, 0),
        "200-first": log.request(0, 4),
        "200-again": log.request(4, 4),
        "409-again-from-nothing": log.request(0, 4),
        "409-stale": AddCheckpoint(2, log.proof(2, 7), log.note(7)).encode(),
        "409-back": log.request(2, 2),
        "400-back": AddCheckpoint(4, (), log.note(2)).encode(),
        "422-other-root": fork.request(4, 4),
        "409-fork-from-nothing": fork.request(0, 4),
        "422-fork": fork.request(4, 7),
        "422-fork-true-proof": AddCheckpoint(4, log.proof(4, 7), fork.note(7)).encode(),
        "422-no-proof": AddCheckpoint(4, (), log.note(7)).encode(),
        "422-wrong-proof": AddCheckpoint(4, bad, log.note(7)).encode(),
        "422-proof-too-long": AddCheckpoint(4, (*log.proof(4, 7), bytes(32)), log.note(7)).encode(),
        "200-growth": log.request(4, 7),
        "200-growth-lines-of-others": AddCheckpoint(
            7, log.proof(7, 10), encode_note(Note.parse(log.note(10)).text, [
                NoteSignature("x.example", b"\0\0\0\1", bytes(70)), *Note.parse(log.note(10)).signatures
            ])
        ).encode(),
        "409-growth-again": log.request(4, 7),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        witness = Witness(
            Path(scratch) / "w.db",
            WitnessKeys(WITNESS, *private("witness")),
            Policy.from_vkeys("\n".join(log.keys.vkeys)),
            Fixed(NOW + timedelta(hours=1)),
        )
        for number, (name, body) in enumerate(requests.items(), 1):
            answer = witness.add_checkpoint(body)
            assert str(answer.status) == name[:3], (name, answer)
            stem = folder / f"witness/{number:02}-{name}"
            stem.with_suffix(".request").write_bytes(body)
            stem.with_suffix(".response").write_bytes(
                f"{answer.status}\n{answer.media_type}\n".encode() + answer.body
            )
        witness.close()


def cosigned(folder: Path, name: str, note: bytes) -> bytes:
    """Return a checkpoint with the cosignatures of an answer."""
    (path,) = (folder / "witness").glob(f"*-{name}.response")
    _, media_type, body = path.read_bytes().split(b"\n", 2)
    lines = read_cosignatures(Answer(200, media_type.decode(), body), Checkpoint.parse(note))
    parsed = Note.parse(note)
    return encode_note(parsed.text, [*parsed.signatures, *lines])


def anchors(folder: Path, notes: dict[int, bytes]) -> None:
    """Date three checkpoints, each token named by the next anchor."""
    with tempfile.TemporaryDirectory() as scratch:
        pki = DevPki.open(Path(scratch), NOW)
        clock = Fixed(NOW)
        authority = EmbeddedAuthority(
            pki.timestamp, (pki.timestamp.certificate, *pki.timestamp.chain), "2.25.1", clock
        )
        (folder / "roots.pem").write_bytes(pki.roots_pem())
        tokens: list[bytes] = []
        for size, note in notes.items():
            digests = [token_digest(token) for token in tokens]
            links = (
                Links(digests[-1], digests[0], digests[0] if size == SIZES[-1] else None)
                if digests
                else Links()
            )
            anchor = Anchor.of(note, links)
            clock.at = NOW + timedelta(hours=size)
            tokens.append(authority.token(anchor.imprint).der)
            crls = [x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in pki.crls(clock.at)]
            (folder / f"anchors/{size}").write_bytes(anchor.encode())
            (folder / f"anchors/{size}.tst").write_bytes(tokens[-1])
            (folder / f"anchors/{size}.crls").write_bytes(b"".join(crls))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    for name in ("entries", "openings", "witness", "anchors", "receipts"):
        (folder / name).mkdir(parents=True)
    keys = LedgerKeys(ORIGIN, *private("log"))
    witness_keys = WitnessKeys(WITNESS, *private("witness"))
    write_json(folder / "keys.json", {"never use": "frozen test keys, known to everybody", "seeds": SEEDS,
               "origin": ORIGIN, "witness": WITNESS, "witness_time": rfc3339(NOW + timedelta(hours=1))})  # fmt: skip
    bodies = record_bodies(folder, keys)
    log = Log(bodies, keys)
    fork = Log([*bodies[:2], *(body.replace(b'"v":1}', b'"v":2}') for body in bodies[2:])], keys)
    witness_life(folder, log, fork)
    lines = [f"log {vkey}" for vkey in keys.vkeys]
    lines += [f"witness {name} {vkey}" for name, vkey in zip(("ed", "ml"), witness_keys.vkeys, strict=True)]
    (folder / "policy").write_text("\n".join([*lines, "group both all ed ml", "quorum both", ""]))
    notes = {size: log.note(size) for size in SIZES}
    for size, note in notes.items():
        (folder / f"checkpoint-{size}").write_bytes(note)
    whole = cosigned(folder, "200-growth-lines-of-others", notes[10])
    (folder / "checkpoint-10-cosigned").write_bytes(whole)
    for seq in range(10):
        proof = inclusion_proof(log, seq, 10)
        (folder / f"receipts/{seq}.tlog-proof").write_bytes(format_receipt(seq, proof, whole))
    anchors(folder, notes)
    digests = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    lines = [f"{digest}  {name}" for name, digest in sorted(digests.items())]
    (folder / "SHA256SUMS").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
