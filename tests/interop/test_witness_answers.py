"""Our witness and the real litewitness, asked the same in the same order: the same answers.

Where the two differ, the table below says how and why; anything else that differs is a fault of ours.
"""

from __future__ import annotations

import base64
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.e2e.harness.litewitness import Litewitness
from tests.services.merkle import Tree
from vault.clock import SystemClock
from vault.ledger.checkpoint import Checkpoint, checkpoint_text
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import Note, NoteSignature, encode
from vault.ledger.policy import Policy
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import PATH, AddCheckpoint, Answer, read_cosignatures
from vault.ledger.witness_server import WitnessServer

pytestmark = pytest.mark.needs("litewitness")

ORIGIN = "safe.example/ledger/1"
LOG = LedgerKeys.new(ORIGIN)
NOW = datetime.now(UTC)
TEXT = "text/plain; charset=utf-8"
MALFORMED = "it calls a note that cannot be read its own failure (500); we call it a bad request"
NAMELESS = "it looks an empty origin up; we do not read such a note"
WORDS = "the words of a refusal that the specification leaves open"


TREE, FORK = Tree(LOG, NOW, 0, 250), Tree(LOG, NOW, 1, 250)


@dataclass(frozen=True)
class Reply:
    status: int
    media_type: str
    body: bytes


class Pair:
    """Both witnesses, asked one after the other; ours knows the log's Ed25519 key alone, as litewitness does."""

    def __init__(self, folder: Path) -> None:
        self.lite = Litewitness(LOG)
        keys = WitnessKeys.new("ours.example/w1")
        self.witness = Witness(folder / "w.db", keys, Policy.from_vkeys(LOG.vkeys[0]), SystemClock())
        self.server = WitnessServer(self.witness, "127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.urls = (self.lite.url, f"http://127.0.0.1:{self.server.server_address[1]}")
        self.keys = (self.lite.vkey, keys.ed25519)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.witness.close()
        self.lite.close()

    @property
    def size(self) -> int:
        return self.witness.head(ORIGIN)[0]

    def ask(self, body: bytes | None, method: str = "POST", path: str = PATH) -> tuple[Reply, Reply]:
        """Return both replies, litewitness' first; each cosignature is verified."""
        replies = []
        for url, key in zip(self.urls, self.keys, strict=True):
            found = requests.request(method, url + path, data=body, timeout=20, allow_redirects=False)
            reply = Reply(found.status_code, found.headers.get("Content-Type", ""), found.content)
            if reply.status == 200 and method == "POST":
                checkpoint = Checkpoint.parse((body or b"").partition(b"\n\n")[2])
                lines = read_cosignatures(Answer(200, "", reply.body), checkpoint)
                (line,) = [each for each in lines if each.key_id == key.id]
                stated = key.verify(line.signature, checkpoint.signed)
                assert abs((stated or 0) - datetime.now(UTC).timestamp()) < 60
            replies.append(reply)
        return replies[0], replies[1]

    def same(self, body: bytes, status: int) -> None:
        """Ask; both must answer with this status, the same type, and (cosignatures apart) the same octets."""
        theirs, ours = self.ask(body)
        assert (theirs.status, ours.status) == (status, status), (theirs, ours)
        assert theirs.media_type == ours.media_type
        assert status == 200 or theirs.body == ours.body


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def alone(text: str) -> bytes:
    """The first request with a text of which only the signature is good."""
    return AddCheckpoint(0, (), signed(text.encode())).encode()


def signed(text: bytes) -> bytes:
    """A note of any text with a valid 0x01 line of the log."""
    return encode(text, [NoteSignature(ORIGIN, LOG.ed25519.id, LOG._ed25519.sign(text))])


def test_every_answer_in_a_log_s_life(pair: Pair) -> None:
    first, second = Note.parse(TREE.note(200)).signatures
    text = Note.parse(TREE.note(200)).text
    proof = TREE.proof(100, 200)
    damaged = (bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:])
    another, stranger = LedgerKeys.new(ORIGIN), LedgerKeys.new("other.example/log")
    # Before the first: no log, no key, no such size.
    pair.same(TREE.request(0, 3, stranger), 404)
    pair.same(AddCheckpoint(9, (), TREE.note(3, stranger)).encode(), 404)
    pair.same(
        AddCheckpoint(0, (), encode(checkpoint_text("x.example", 3, TREE.root(3)), [first])).encode(), 404
    )
    pair.same(TREE.request(0, 3, another), 403)
    pair.same(AddCheckpoint(9, (), TREE.note(3, another)).encode(), 403)
    pair.same(AddCheckpoint(0, (), encode(text, [second])).encode(), 403)
    wrong = NoteSignature(first.name, first.key_id, bytes([first.signature[0] ^ 1]) + first.signature[1:])
    pair.same(AddCheckpoint(0, (), encode(text, [wrong])).encode(), 403)
    pair.same(AddCheckpoint(5, (), TREE.note(3)).encode(), 400)
    pair.same(AddCheckpoint(1, TREE.proof(1, 3), TREE.note(3)).encode(), 409)
    # Growth, from the empty tree; the same once more; further.
    for old, size in ((0, 0), (0, 0), (0, 100), (100, 100)):
        pair.same(TREE.request(old, size), 200)
    # Wrong about what it saw last.
    for old, size in ((0, 100), (0, 200), (99, 200), (50, 50), (0, 50)):
        pair.same(TREE.request(old, size), 409)
    pair.same(AddCheckpoint(100, (), TREE.note(50)).encode(), 400)
    # Another history.
    pair.same(FORK.request(100, 100), 422)
    pair.same(FORK.request(0, 100), 409)
    for path, note in (
        ((), TREE.note(200)),
        (damaged, TREE.note(200)),
        (proof[:-1], TREE.note(200)),
        ((*proof, proof[0]), TREE.note(200)),
        (proof, FORK.note(200)),
        (FORK.proof(100, 200), FORK.note(200)),
        (proof[:1], TREE.note(100)),
        ((bytes(32),) * 63, TREE.note(200)),
    ):
        pair.same(AddCheckpoint(100, path, note).encode(), 422)
    assert pair.size == 100
    # Lines of other keys are nobody's business.
    more = NoteSignature("x.example", b"\0\0\0\1", bytes(70))
    broken = NoteSignature(second.name, second.key_id, bytes(2428))
    pair.same(AddCheckpoint(100, proof, encode(text, [more, first, broken])).encode(), 200)
    assert pair.size == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old  0\n\n%s",
        b"old -1\n\n%s",
        b"Old 0\n\n%s",
        b"size 0\n\n%s",
        b"old 0 \n\n%s",
        b" old 0\n\n%s",
        b"old x\n\n%s",
        b"old 9223372036854775808\n\n%s",
        b"old 18446744073709551616\n\n%s",
        b"old 0\r\n\r\n%s",
        b"old 0\nAAAA\n\n%s",
        b"old 0\n\xff\n\n%s",
        b"old 0\n%s",
        b"old 0\n" + base64.b64encode(bytes(33)) + b"\n\n%s",
        b"old 0\n" + base64.b64encode(bytes(32)).rstrip(b"=") + b"\n\n%s",
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\n%s",
    ],
)
def test_requests_that_cannot_be_read(pair: Pair, body: bytes) -> None:
    pair.same(body.replace(b"%s", TREE.note(3)), 400)
    assert pair.size == 0


# name: request, litewitness' status, ours, why.
_ROOT = base64.b64encode(TREE.root(3)).decode()
DIFFERENT: dict[str, tuple[bytes, int, int, str]] = {
    "leading zero": (
        TREE.request(0, 3).replace(b"old 0", b"old 00"), 200, 400, "one spelling of a number"
    ),
    "plus sign": (TREE.request(0, 3).replace(b"old 0", b"old +0"), 200, 400, "one spelling of a number"),
    "extension line": (
        AddCheckpoint(0, (), signed(checkpoint_text(ORIGIN, 3, TREE.root(3)) + b"more\n")).encode(),
        200, 400, "our 0x06 line would not cover it",
    ),
    "proof from nothing": (
        AddCheckpoint(0, (bytes(32),), TREE.note(3)).encode(),
        200,
        422,
        "it does not look at a proof from size 0; the specification asks for none",
    ),
    "an empty tree with another root": (
        AddCheckpoint(0, (), LOG.sign_checkpoint(0, bytes(32), NOW)).encode(),
        200,
        422,
        "an empty tree has one root",
    ),
    "no note": (b"old 0\n\n", 404, 400, NAMELESS),
    "empty line before": (b"old 0\n\n\n" + TREE.note(3), 404, 400, NAMELESS),
    "no origin": (alone(f"\n3\n{_ROOT}\n"), 404, 400, NAMELESS),
    "after the note": (TREE.request(0, 3) + b"x", 500, 400, MALFORMED),
    "cut": (TREE.request(0, 3)[:-1], 500, 400, MALFORMED),
    "no signatures": (b"old 0\n\n" + Note.parse(TREE.note(3)).text, 500, 400, MALFORMED),
    "size with a zero": (alone(f"{ORIGIN}\n03\n{_ROOT}\n"), 500, 400, MALFORMED),
    "size below zero": (alone(f"{ORIGIN}\n-3\n{_ROOT}\n"), 500, 400, MALFORMED),
    "size too large": (
        alone(f"{ORIGIN}\n{2**63}\n{_ROOT}\n"), 500, 400, MALFORMED
    ),
    "short root": (alone(f"{ORIGIN}\n3\nAAAA\n"), 500, 400, MALFORMED),
    "two lines": (alone(f"{ORIGIN}\n3\n"), 500, 400, MALFORMED),
    "huge": (b"old 0\n\n" + b"x" * 2_000_000, 500, 400, MALFORMED),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_where_the_two_differ_and_why(pair: Pair, name: str) -> None:
    body, theirs, ours, why = DIFFERENT[name]
    replies = pair.ask(body)
    assert (replies[0].status, replies[1].status) == (theirs, ours), why
    words = {400: b"invalid input\n", 422: b"bad consistency proof\n"}
    assert replies[1] == Reply(ours, TEXT, words[ours])


def test_other_paths_and_methods(pair: Pair) -> None:
    for method, path, status in (
        *((method, PATH, 405) for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")),
        *((method, "/other", 404) for method in ("GET", "POST", "PUT", "DELETE")),
        ("POST", PATH + "/", 404),
        ("GET", "/", 200),
    ):
        theirs, ours = pair.ask(b"x" if method in {"POST", "PUT"} else None, method, path)
        assert (theirs.status, ours.status) == (status, status), (method, path)
        if status != 200:
            assert theirs.media_type == ours.media_type == TEXT
            assert theirs.body.lower() in {ours.body, b"404 page " + ours.body}, WORDS
    # A query changes nothing.
    theirs, ours = pair.ask(TREE.request(0, 3), path=f"{PATH}?x=1")
    assert (theirs.status, ours.status) == (200, 200)


@pytest.mark.parametrize("seed", range(3))
def test_any_course_of_requests(pair: Pair, seed: int) -> None:
    """True and false growth, wrong old sizes, damaged proofs and signatures, in any order."""
    chance = random.Random(seed)
    seen: set[int] = set()
    another = LedgerKeys.new(ORIGIN)
    for _ in range(150):
        now = pair.size
        old = chance.choice([now, now, now, 0, chance.randrange(250)])
        size = min(249, chance.choice([now, now + chance.randrange(1, 9), chance.randrange(250)]))
        which = chance.choice([TREE, TREE, FORK])
        proof = list(which.proof(old, size))
        if proof and chance.random() < 0.2:
            proof[chance.randrange(len(proof))] = chance.randbytes(32)
        if old and chance.random() < 0.1:
            proof = proof[:-1] if chance.random() < 0.5 else [*proof, chance.randbytes(32)]
        note = which.note(size, another if chance.random() < 0.05 else LOG)
        theirs, ours = pair.ask(AddCheckpoint(old, tuple(proof), note).encode())
        assert (theirs.status, theirs.media_type) == (ours.status, ours.media_type), (old, size, now)
        assert theirs.status == 200 or theirs.body == ours.body
        seen.add(ours.status)
    assert seen == {200, 400, 403, 409, 422}
