"""The client of witnesses: what it sends, what it believes, and every answer that must not be believed."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vault.clock import SystemClock
from vault.errors import SettingsRefused
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import LedgerKeys, sign_with_all
from vault.ledger.note import Note, encode
from vault.ledger.policy import Policy
from vault.ledger.vkeys import VerifierKey
from vault.ledger.witness import Witness
from vault.ledger.witness_client import Extension, WitnessClient, WitnessFork, WitnessUnavailable
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import MAX_ANSWER, AddCheckpoint, Answer, conflict, cosigned

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "ledger"
ORIGIN = "safe.example/ledger/1"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOG, KEYS = LedgerKeys.new(ORIGIN), WitnessKeys.new("witness.example/w9")
PUBLIC = (KEYS.ed25519, KEYS.ml_dsa_44)


class Log:
    """A tree of 50 leaves; another `seed` is another history from leaf 5 on."""

    def __init__(self, seed: int = 0) -> None:
        self.leaves = [tree.leaf_hash(b"%d" % i if i < 5 else b"%d/%d" % (seed, i)) for i in range(50)]

    def tile(self, level: int, index: int, width: int) -> bytes:
        assert (level, index) == (0, 0)
        return b"".join(self.leaves[:width])

    def root(self, size: int) -> bytes:
        return tree.root(self, size)

    def note(self, size: int) -> bytes:
        return LOG.sign_checkpoint(size, self.root(size), NOW)

    def extend(self, size: int) -> Callable[[int], Extension]:
        return lambda old: Extension(self.root(old), tuple(tree.consistency_proof(self, old, size)))


TREE, FORK = Log(), Log(1)


class Server:
    """Answers as told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[AddCheckpoint] = []
        self.answer: Callable[[bytes], Answer] = lambda _: Answer(500, "", b"")
        self.raw: bytes | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/prefix/add-checkpoint"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append(AddCheckpoint.parse(body))
                if outer.raw is not None:
                    self.wfile.write(outer.raw)
                    return
                answer = outer.answer(body)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/prefix"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def client(server: Server) -> Iterator[WitnessClient]:
    made = WitnessClient(server.url + "/", PUBLIC, timeout=2)
    yield made
    made.close()


def sign(body: bytes) -> Answer:
    note = AddCheckpoint.parse(body).note
    return cosigned(KEYS.cosign(Checkpoint.parse(note).signed, NOW))


def unavailable(client: WitnessClient, size: int = 9, known: int = 0) -> str:
    with pytest.raises(WitnessUnavailable) as caught:
        client.submit(TREE.note(size), known, TREE.extend(size))
    assert caught.value.code == "WITNESS_UNAVAILABLE"
    assert client.url in caught.value.detail
    return caught.value.detail.removeprefix(client.url + ": ")


def forked(client: WitnessClient, size: int = 9, known: int = 0) -> WitnessFork:
    with pytest.raises(WitnessFork) as caught:
        client.submit(TREE.note(size), known, TREE.extend(size))
    return caught.value


def test_with_our_own_witness(server: Server, client: WitnessClient, tmp_path: Path) -> None:
    logs = Policy.from_vkeys("\n".join(LOG.vkeys))
    witness = Witness(tmp_path / "w.db", KEYS, logs, SystemClock())
    server.answer = witness.add_checkpoint
    # What is believed of the witness may be wrong either way.
    for size, known in [(3, 0), (9, 3), (9, 9), (20, 0), (30, 25), (31, 40), (31, 0)]:
        found = client.submit(TREE.note(size), known, TREE.extend(size))
        assert [item.key for item in found] == list(PUBLIC)
        assert all(item.time > 1_700_000_000 for item in found)
        note = TREE.note(size) + b"".join(item.line.line() for item in found)
        policy = Policy(logs=logs.logs, witnesses={"w": KEYS.ml_dsa_44}, quorum="w")
        assert verify_checkpoint(note, policy).witnesses == ("w",)
    assert witness.head(ORIGIN)[0] == 31
    # Another history of this log, larger, of the same size, smaller.
    for size, code, theirs in [(40, "WITNESS_FORK", 31), (31, "WITNESS_FORK", 31), (20, "WITNESS_AHEAD", 31)]:
        with pytest.raises(WitnessFork) as caught:
            client.submit(FORK.note(size), 0, FORK.extend(size))
        alarm = caught.value
        assert (alarm.code, alarm.ours, alarm.theirs) == (code, (size, FORK.root(size)), theirs)
        assert f"size {size}, root {FORK.root(size).hex()}" in alarm.detail
        assert f"size {theirs}" in alarm.detail
        if code == "WITNESS_FORK":
            assert alarm.not_root == FORK.root(31)
            assert f"root other than {FORK.root(31).hex()}" in alarm.detail
    assert witness.head(ORIGIN) == (31, TREE.root(31))
    witness.close()


def test_only_the_logs_own_lines_are_sent(server: Server, client: WitnessClient) -> None:
    server.answer = sign
    note = TREE.note(9)
    stranger = WitnessKeys.new("other.example").cosign(Checkpoint.parse(note).signed, NOW)
    more = encode(Note.parse(note).text, [*Note.parse(note).signatures, *stranger])
    client.submit(more, 0, TREE.extend(9))
    assert server.asked[0].note == note
    assert len(AddCheckpoint(0, (bytes(32),) * 63, note).encode()) < 10_240  # the limit of litewitness


def test_of_many_pairs_as_much_is_sent_as_every_witness_takes(server: Server, client: WitnessClient) -> None:
    """litewitness answers 500 beyond 10,240 octets: it took none of a log that changed its keys twice."""
    server.answer = sign
    for count, post_quantum in [(1, 1), (2, 2), (3, 2), (8, 1)]:
        pairs = [LOG, *(LedgerKeys.new(ORIGIN) for _ in range(count - 1))]
        note = sign_with_all(pairs, 9, TREE.root(9), NOW)
        client.submit(note, 0, TREE.extend(9))
        sent = Note.parse(server.asked[-1].note)
        newest = [pair.ml_dsa_44.id for pair in pairs[:post_quantum]]
        assert [line.key_id for line in sent.signatures] == [
            key.id for pair in pairs for key in pair.held() if key.id in newest or key == pair.ed25519
        ]
        assert len(AddCheckpoint(2**62, (bytes(32),) * 63, sent.encode()).encode()) <= 10_240


@pytest.mark.parametrize("folder", ["witness-lite", "witness-aics"])
def test_answers_of_reference_witnesses(folder: str, server: Server) -> None:
    """The client takes each answer of the vectors for what it is."""
    lines = (VECTORS / folder / "vkeys.txt").read_text().splitlines()
    client = WitnessClient(server.url, [VerifierKey.parse(lines[2])], timeout=5)
    meant = {200: 0, 400: 0, 403: 0, 404: 0, 409: 0, 422: 0}
    for path in sorted((VECTORS / folder).glob("*.request")):
        status, media_type, body = path.with_suffix(".response").read_bytes().split(b"\n", 2)
        answer = Answer(int(status), media_type.decode(), body)
        server.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        request = AddCheckpoint.parse(path.read_bytes())
        meant[int(status)] += 1
        checkpoint = Checkpoint.parse(request.note)
        if int(status) == 200:
            # The tree itself is not at hand: the proof of the vector is.
            (found,) = client.submit(
                request.note, checkpoint.size, lambda _, c=checkpoint: Extension(c.root, ())
            )  # type: ignore[misc]
            assert found.key.vkey == lines[2]
        elif int(status) in {400, 403, 404}:
            with pytest.raises(WitnessUnavailable):
                client.submit(request.note, checkpoint.size, lambda _, c=checkpoint: Extension(c.root, ()))  # type: ignore[misc]
        else:
            with pytest.raises(WitnessFork):
                client.submit(request.note, checkpoint.size, lambda _, c=checkpoint: Extension(c.root, ()))  # type: ignore[misc]
    assert all(meant.values())
    client.close()


def test_our_proof_is_checked_before_anybody_is_accused(server: Server, client: WitnessClient) -> None:
    server.answer = lambda _: Answer(422, "text/plain", b"")
    with pytest.raises(LedgerProofRefused):
        client.submit(TREE.note(9), 6, lambda _: Extension(bytes(32), ()))
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, "", b""), "it cannot read the request"),
        (Answer(403, "", b""), "it does not accept the log's signatures"),
        (Answer(404, "", b""), "it does not know this log"),
        (Answer(500, "", b""), "it answers 500"),
        (Answer(302, "", b""), "it answers 302"),
        (Answer(204, "", b""), "it answers 204"),
        (Answer(409, "text/plain", b"3\n"), "its conflict cannot be read"),
        (Answer(409, "text/x.tlog.size", b"three\n"), "its conflict cannot be read"),
        (conflict(0), "it contradicts itself"),
        (Answer(200, "", b""), "its answer cannot be read"),
        (Answer(200, "", b"nothing of the kind\n"), "its answer cannot be read"),
        (Answer(200, "", b"x" * (MAX_ANSWER + 1)), "its answer has no end"),
    ],
)
def test_answers_that_bring_nothing(
    server: Server, client: WitnessClient, answer: Answer, reason: str
) -> None:
    server.answer = lambda _: answer
    assert unavailable(client).startswith(reason)


def test_cosignatures_that_are_not_believed(server: Server, client: WitnessClient) -> None:
    other = WitnessKeys.new(KEYS.name)
    note = Checkpoint.parse(TREE.note(9))
    good = KEYS.cosign(note.signed, NOW)
    elsewhere = KEYS.cosign(Checkpoint.parse(FORK.note(9)).signed, NOW)
    timeless = KEYS.cosign(note.signed, datetime(1970, 1, 1, tzinfo=UTC))
    for lines, reason in [
        (other.cosign(note.signed, NOW), "no cosignature is of the keys"),
        (elsewhere, "its cosignature does not verify"),
        ([good[0], elsewhere[1]], "its cosignature does not verify"),
        (timeless, "its cosignature states no time"),
    ]:
        server.answer = lambda _, lines=lines: cosigned(lines)  # type: ignore[misc]
        assert unavailable(client).startswith(reason)
    # Lines of other keys beside a good one are ignored.
    server.answer = lambda _: cosigned([*other.cosign(note.signed, NOW), good[0]])
    (found,) = client.submit(TREE.note(9), 0, TREE.extend(9))
    assert found.line == good[0]
    # An answer that smuggles in a text of its own.
    smuggled = good[0].line() + b"\nother text\n\n" + good[1].line()
    server.answer = lambda _: Answer(200, "", smuggled)
    assert unavailable(client).startswith("its answer cannot be read")


def test_a_witness_that_never_settles(server: Server, client: WitnessClient) -> None:
    sizes = iter(range(1, 100))
    server.answer = lambda _: conflict(next(sizes))
    assert unavailable(client, known=0) == "its size changes with every answer"
    assert len(server.asked) == 4


def test_both_forms_of_a_fork_at_one_size(server: Server, client: WitnessClient) -> None:
    for answer in (conflict(9), Answer(422, "text/plain", b"bad\n")):
        server.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        alarm = forked(client, 9, known=9)
        assert (alarm.code, alarm.theirs, alarm.not_root) == ("WITNESS_FORK", 9, TREE.root(9))


def test_nobody_answers() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    client = WitnessClient(url, PUBLIC, timeout=0.5)
    assert unavailable(client).startswith("it cannot be reached")


def test_who_does_not_finish(server: Server) -> None:
    client = WitnessClient(server.url, PUBLIC, timeout=0.3)
    gone = threading.Event()

    def drip(_: bytes) -> Answer:
        gone.wait(1)
        return Answer(200, "", b"")

    server.answer = drip
    assert unavailable(client) == "it does not answer in time"
    gone.set()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"", b"H"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"a"),
    ],
)
def test_octets_that_come_now_and_then_hold_nobody(head: bytes, drip: bytes, *, tls: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            wire, _ = server.accept()
            with wire, suppress(OSError):
                wire.sendall(b"\x16\x03\x03\x40\x00" if tls else head)
                while True:
                    wire.sendall(b"\x02" if tls else drip)
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        scheme = "https" if tls else "http"
        client = WitnessClient(f"{scheme}://127.0.0.1:{server.getsockname()[1]}", PUBLIC, timeout=0.4)
        began = time.monotonic()
        assert unavailable(client)
        assert time.monotonic() - began < 3
        client.close()


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", b"\xff" * 99]
)
def test_who_speaks_another_language(server: Server, client: WitnessClient, raw: bytes) -> None:
    server.raw = raw
    assert re.match("it cannot be reached|its answer cannot be read|it answers", unavailable(client))


@pytest.mark.parametrize("url", ["", "witness.example", "file:///etc/passwd", "http://", "http://[::1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        WitnessClient(url, PUBLIC)
    assert caught.value.code == "WITNESS_SETTINGS_INVALID"


def test_a_logs_key_is_no_witness() -> None:
    for keys in ([LOG.ed25519], []):
        with pytest.raises(SettingsRefused):
            WitnessClient("http://w.example", keys)
