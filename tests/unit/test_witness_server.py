"""Our own witness: the reference witnesses' answers to the same requests, and every way to be refused."""

from __future__ import annotations

import base64
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.merkle import Tree
from vault.clock import SystemClock
from vault.core import faults
from vault.errors import SettingsRefused
from vault.ledger import witness_server
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import MAX_NOTE, Note, encode
from vault.ledger.policy import Policy, origins
from vault.ledger.vkeys import Algorithm, VerifierKey
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_protocol import (
    MAX_REQUEST,
    AddCheckpoint,
    Answer,
    read_conflict,
    read_cosignatures,
)
from vault.ledger.witness_server import WitnessServer

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "ledger"
ORIGIN = "safe.example/ledger/1"
NAME = "witness.example/w9"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOG = LedgerKeys.new(ORIGIN)
LOGS = Policy.from_vkeys("\n".join(LOG.vkeys))
KEYS = WitnessKeys.new(NAME)
SPAWN = multiprocessing.get_context("spawn")


TREE, FORK = Tree(LOG, NOW), Tree(LOG, NOW, 1)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness(tmp_path / "witness.db", KEYS, LOGS, SystemClock())
    yield made
    faults.install(None)
    made.close()


def cosigners(answer: Answer, note: bytes) -> dict[str, int]:
    """Algorithms and times of the cosignatures of an answer, each verified."""
    assert answer.status == 200, answer
    checkpoint = Checkpoint.parse(note)
    found = {}
    for line in read_cosignatures(answer, checkpoint):
        (key,) = [key for key in (KEYS.ed25519, KEYS.ml_dsa_44) if key.id == line.key_id]
        found[key.algorithm.name] = key.verify(line.signature, checkpoint.signed) or 0
    return found


# --- vectors of the reference witnesses


def vectors(folder: str) -> list[str]:
    return sorted(path.stem for path in (VECTORS / folder).glob("*.request"))


@pytest.mark.parametrize("folder", ["witness-lite", "witness-aics"])
def test_the_answers_of_reference_witnesses(folder: str, tmp_path: Path) -> None:
    """The same requests in the same order: same statuses, types, sizes; bodies of refusals as litewitness says them.

    The two differ only in the words of refusals, where the specification is silent: we follow litewitness.
    """
    lines = (VECTORS / folder / "vkeys.txt").read_text().splitlines()
    keys = WitnessKeys.new("witness.example/w1")
    witness = Witness(tmp_path / "w.db", keys, Policy.from_vkeys("\n".join(lines[:2])), SystemClock())
    assert len(vectors(folder)) == 11
    for name in vectors(folder):
        request = (VECTORS / folder / f"{name}.request").read_bytes()
        status, media_type, body = (VECTORS / folder / f"{name}.response").read_bytes().split(b"\n", 2)
        answer = witness.add_checkpoint(request)
        assert (answer.status, answer.media_type.encode()) == (int(status), media_type), name
        if answer.status == 200:
            note = request.partition(b"\n\n")[2]
            theirs = VerifierKey.parse(lines[2])
            (reference,) = read_cosignatures(Answer(200, "", body), Checkpoint.parse(note))
            mine = read_cosignatures(answer, Checkpoint.parse(note))
            assert theirs.verify(reference.signature, Checkpoint.parse(note).signed)
            assert [line.name for line in mine] == [reference.name] * 2
            for line, key in zip(mine, (keys.ed25519, keys.ml_dsa_44), strict=True):
                assert key.verify(line.signature, Checkpoint.parse(note).signed)
            assert len(mine[0].signature) == len(reference.signature)
        elif answer.status == 409 or folder == "witness-lite":
            assert answer.body == body, name
    witness.close()


@pytest.mark.parametrize("folder", ["witness-lite", "witness-aics"])
def test_requests_of_the_vectors_are_read_and_written_again(folder: str) -> None:
    for name in vectors(folder):
        data = (VECTORS / folder / f"{name}.request").read_bytes()
        assert AddCheckpoint.parse(data).encode() == data


@pytest.mark.parametrize("folder", ["witness-lite", "witness-aics"])
def test_checkpoints_cosigned_by_reference_witnesses_meet_a_quorum(folder: str) -> None:
    lines = (VECTORS / folder / "vkeys.txt").read_text().splitlines()
    note = (VECTORS / folder / "checkpoint-600-cosigned").read_bytes()
    text = f"log {lines[0]}\nlog {lines[1]}\nwitness one {lines[2]} https://w.example/\nquorum one\n"
    policy = Policy.parse(text)
    report = verify_checkpoint(note, policy)
    assert (report.size, report.witnesses) == (600, ("one",))
    assert (policy.text(), policy.urls) == (text, {"one": "https://w.example/"})
    bare = encode(Note.parse(note).text, Note.parse(note).signatures[:-1])
    with pytest.raises(LedgerProofRefused) as caught:
        verify_checkpoint(bare, policy)
    assert (caught.value.code, caught.value.indeterminate) == ("WITNESS_QUORUM_UNMET", True)


# --- judging


def test_growth_with_restarts_from_nothing(tmp_path: Path) -> None:
    old = 0
    for size in [0, 1, 2, 3, 7, 8, 255, 256, 257, 300, 300, 512, 600]:
        witness = Witness(tmp_path / "w.db", KEYS, LOGS, SystemClock())
        assert witness.head(ORIGIN) == (old, TREE.root(old))
        answer = witness.add_checkpoint(TREE.request(old, size))
        assert set(cosigners(answer, TREE.note(size))) == {"ED25519_COSIGNATURE", "ML_DSA_44"}
        old = size
        witness.close()
    assert stat.S_IMODE((tmp_path / "w.db").stat().st_mode) == 0o600


def test_every_refusal(witness: Witness) -> None:
    assert witness.note(ORIGIN) is None
    assert witness.add_checkpoint(TREE.request(0, 300)).status == 200
    assert witness.note(ORIGIN) == witness.note(ORIGIN)
    other = LedgerKeys.new(ORIGIN)
    stranger = LedgerKeys.new("other.example/ledger/1")
    lines = Note.parse(TREE.note(400)).signatures
    proof = TREE.proof(300, 400)
    damaged = (bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:])

    def ask(old: int, path: tuple[bytes, ...], note: bytes) -> tuple[int, bytes]:
        answer = witness.add_checkpoint(AddCheckpoint(old, path, note).encode())
        return answer.status, answer.body

    note = TREE.note(400)
    assert ask(300, proof, TREE.note(400, stranger)) == (404, b"unknown log\n")
    assert ask(300, proof, TREE.note(400, other)) == (403, b"invalid signature\n")
    # Both of the log's algorithms are demanded, each valid.
    for kept in (lines[:1], lines[1:]):
        assert ask(300, proof, encode(Note.parse(note).text, kept))[0] == 403
    mixed = [lines[0], Note.parse(TREE.note(400, other)).signatures[1]]
    assert ask(300, proof, encode(Note.parse(note).text, mixed))[0] == 403
    assert ask(401, (), note) == (400, b"invalid input\n")
    assert ask(0, (), note) == (409, b"300\n")
    assert ask(299, TREE.proof(299, 400), note) == (409, b"300\n")
    assert ask(300, (), note) == (422, b"bad consistency proof\n")
    assert ask(300, damaged, note)[0] == 422
    assert ask(300, proof[:-1], note)[0] == 422
    assert ask(300, (*proof, proof[0]), note)[0] == 422
    assert ask(300, proof, FORK.note(400))[0] == 422
    assert ask(300, FORK.proof(300, 400), FORK.note(400))[0] == 422
    # The same size with another root.
    assert ask(300, (), FORK.note(300)) == (422, b"bad consistency proof\n")
    assert ask(300, proof[:1], TREE.note(300))[0] == 422
    # Rolling back.
    assert ask(300, (), TREE.note(200))[0] == 400
    assert ask(200, (), TREE.note(200)) == (409, b"300\n")
    assert ask(0, (), TREE.note(200)) == (409, b"300\n")
    # None of that moved it.
    assert witness.head(ORIGIN) == (300, TREE.root(300))
    assert ask(300, proof, note)[0] == 200


def test_an_empty_tree_has_one_root(witness: Witness) -> None:
    wrong = AddCheckpoint(0, (), LOG.sign_checkpoint(0, bytes(32), NOW)).encode()
    assert witness.add_checkpoint(wrong).status == 422
    assert witness.add_checkpoint(AddCheckpoint(0, (bytes(32),), TREE.note(3)).encode()).status == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old 0\n\n",
        b"old  0\n\nx",
        b"old 00\n\n%s",
        b"old -1\n\n%s",
        b"old +0\n\n%s",
        b"Old 0\n\n%s",
        b"old 9223372036854775808\n\n%s",
        b"old 0\r\n\r\n%s",
        b"old 0\nAAAA\n\n%s",
        b"old 0\n" + base64.b64encode(bytes(33)) + b"\n\n%s",
        b"old 0\n\xff\n\n%s",
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\n%s",
        b"old 0\n\n\n%s",
    ],
)
def test_bodies_that_are_no_request(witness: Witness, body: bytes) -> None:
    whole = body.replace(b"%s", TREE.note(3))
    assert witness.add_checkpoint(whole) == Answer(400, "text/plain; charset=utf-8", b"invalid input\n")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 4000))
def test_garbage_never_breaks_it(witness: Witness, garbage: bytes, at: int) -> None:
    good = TREE.request(0, 3)
    for body in (garbage, good[:at] + garbage + good[at:], good[:at] + garbage, garbage + good):
        if body != good:
            assert witness.add_checkpoint(body).status in {200, 400, 403, 404}
    assert witness.head(ORIGIN)[0] in {0, 3}


def test_several_logs_are_kept_apart(tmp_path: Path) -> None:
    second = LedgerKeys.new("second.example/log")
    policy = Policy.from_vkeys("\n".join([*LOG.vkeys, *second.vkeys]))
    assert origins(policy) == (ORIGIN, "second.example/log")
    witness = Witness(tmp_path / "w.db", KEYS, policy, SystemClock())
    assert witness.add_checkpoint(TREE.request(0, 9)).status == 200
    assert witness.add_checkpoint(AddCheckpoint(0, (), FORK.note(7, second)).encode()).status == 200
    assert (witness.head(ORIGIN)[0], witness.head("second.example/log")[0]) == (9, 7)
    witness.close()


# --- many at once, and stops


def test_many_submitters_never_get_two_roots_of_one_size(witness: Witness) -> None:
    signed: dict[int, set[bytes]] = {}
    order: list[int] = []
    lock = threading.Lock()

    def submit(seed: int) -> None:
        mine = random.Random(seed)
        which = (TREE, FORK)[seed % 2]
        for _ in range(60):
            old = witness.head(ORIGIN)[0]
            size = min(600, old + mine.randrange(4))
            answer = witness.add_checkpoint(which.request(old, size))
            assert answer.status in {200, 409, 422}
            if answer.status == 200:
                with lock:
                    signed.setdefault(size, set()).add(which.root(size))
                    order.append(size)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit, range(4)))
    assert all(len(roots) == 1 for roots in signed.values())
    assert witness.head(ORIGIN)[0] == max(signed)


@pytest.mark.parametrize("point", ["witness.before-commit", "witness.before-answer"])
def test_nothing_is_cosigned_that_is_not_kept(tmp_path: Path, point: str) -> None:
    witness = Witness(tmp_path / "w.db", KEYS, LOGS, SystemClock())
    witness.add_checkpoint(TREE.request(0, 10))

    def stop(name: str) -> None:
        if name == point:
            raise RuntimeError("stopped")

    faults.install(stop)
    with pytest.raises(RuntimeError):
        witness.add_checkpoint(TREE.request(10, 20))
    faults.install(None)
    witness.close()
    fresh = Witness(tmp_path / "w.db", KEYS, LOGS, SystemClock())
    kept = point == "witness.before-answer"
    assert fresh.head(ORIGIN)[0] == (20 if kept else 10)
    if kept:
        # What was kept binds it, whether or not the answer arrived; the same again is answered.
        assert fresh.add_checkpoint(FORK.request(20, 20)).status == 422
        assert fresh.add_checkpoint(TREE.request(20, 20)).status == 200
    fresh.close()


def _serve(folder: str, port: int, vkeys: list[str]) -> None:
    keys = WitnessKeys.open(Path(folder) / "keys", NAME)
    witness = Witness(Path(folder) / "w.db", keys, Policy.from_vkeys("\n".join(vkeys)), SystemClock())
    WitnessServer(witness, "127.0.0.1", port).serve_forever()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_killed_at_any_moment_it_never_cosigns_two_roots_of_one_size(tmp_path: Path) -> None:
    port, chance = _free_port(), random.Random(7)
    signed: dict[int, set[bytes]] = {}
    for _ in range(4):
        process = SPAWN.Process(target=_serve, args=(str(tmp_path), port, LOG.vkeys))
        process.start()
        alive = threading.Event()

        def kill(pid: int, after: float, alive: threading.Event = alive) -> None:
            alive.wait(30)
            threading.Event().wait(after)
            os.kill(pid, signal.SIGKILL)

        assert process.pid is not None
        killer = threading.Thread(target=kill, args=(process.pid, chance.uniform(0.05, 0.4)))
        killer.start()
        while killer.is_alive():
            for which in chance.sample([TREE, FORK], 2):
                try:
                    old = int(
                        requests.get(f"http://127.0.0.1:{port}/", timeout=5).text.split("log ")[1].split()[1]
                    )
                    alive.set()
                    size = old + chance.randrange(3)
                    answer = requests.post(
                        f"http://127.0.0.1:{port}/add-checkpoint", data=which.request(old, size), timeout=5
                    )
                except requests.RequestException:
                    continue
                assert answer.status_code in {200, 409, 422}
                if answer.status_code == 200:
                    signed.setdefault(size, set()).add(which.root(size))
        killer.join()
        process.join(30)
    assert len(signed) > 5
    assert {size: len(roots) for size, roots in signed.items() if len(roots) > 1} == {}
    with sqlite3.connect(tmp_path / "w.db") as connection:
        ((size, root),) = connection.execute("SELECT size, root FROM heads").fetchall()
    assert size >= max(signed)
    assert root in {TREE.root(size), FORK.root(size)}
    connection.close()


# --- HTTP


@contextmanager
def serving(witness: Witness) -> Iterator[str]:
    server = WitnessServer(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_over_http(witness: Witness) -> None:
    with serving(witness) as url, requests.Session() as session:
        answer = session.post(f"{url}/add-checkpoint", data=TREE.request(0, 30), timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert cosigners(Answer(200, "", answer.content), TREE.note(30))
        answer = session.post(f"{url}/add-checkpoint", data=TREE.request(0, 40), timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (
            409,
            "text/x.tlog.size",
            b"30\n",
        )
        assert session.get(f"{url}/add-checkpoint", timeout=10).status_code == 405
        assert session.get(f"{url}/other", timeout=10).status_code == 404
        assert session.post(f"{url}/other", data=b"x", timeout=10).status_code == 404
        about = session.get(url, timeout=10).text
        assert about == "".join(f"witness {vkey}\n" for vkey in KEYS.vkeys) + (
            f"log {ORIGIN} 30 {TREE.root(30).hex()}\n"
        )


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 99999999",
        f"Content-Length: {MAX_REQUEST + 1}",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length: 3\r\nContent-Length: 4",
        "Transfer-Encoding: chunked",
        "X: y",
    ],
)
def test_bodies_without_an_end_are_refused_unread(witness: Witness, head: str) -> None:
    with serving(witness) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(f"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            answer = connection.makefile("rb").read()  # to the end: it hangs up
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in answer


def test_a_huge_note_is_refused(witness: Witness) -> None:
    body = b"old 0\n\n" + b"x" * (MAX_NOTE + 1)
    with serving(witness) as url:
        assert requests.post(f"{url}/add-checkpoint", data=body, timeout=10).status_code == 400


def test_who_drips_is_cut(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_server, "_REQUEST_S", 0.3)
    with serving(witness) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 500\r\n\r\n")
            connection.settimeout(0.05)
            for _ in range(200):
                try:
                    connection.sendall(b"o")
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            else:
                pytest.fail("it listens for ever")
        assert requests.get(url, timeout=10).status_code == 200


def test_more_connections_than_places(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_server, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(witness_server, "_REQUEST_S", 0.5)
    with serving(witness) as url:
        port = int(url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(6)]
        assert requests.get(url, timeout=20).status_code == 200
        for connection in idle:
            connection.close()


# --- settings


def test_a_log_is_not_its_own_witness(tmp_path: Path) -> None:
    key = KEYS.ml_dsa_44
    shared = VerifierKey(ORIGIN, Algorithm.ML_DSA_44, key.public)
    policy = Policy(logs=(LOG.ed25519, shared))
    with pytest.raises(SettingsRefused) as caught:
        Witness(tmp_path / "w.db", KEYS, policy, SystemClock())
    assert caught.value.code == "LOG_AND_WITNESS_KEY"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "w.db").write_bytes(b"not a database" * 500)
    with pytest.raises(SettingsRefused) as caught:
        Witness(tmp_path / "w.db", KEYS, LOGS, SystemClock())
    assert caught.value.code == "WITNESS_FILE_UNUSABLE"


def test_keys_are_kept(tmp_path: Path) -> None:
    first = WitnessKeys.open(tmp_path / "keys", NAME)
    assert WitnessKeys.open(tmp_path / "keys", NAME).vkeys == first.vkeys
    assert [VerifierKey.parse(vkey).algorithm for vkey in first.vkeys] == [4, 6]
    for path in (tmp_path / "keys").glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SettingsRefused):
        WitnessKeys.new("two words")


def test_conflicts_are_read_strictly() -> None:
    assert read_conflict(Answer(409, "text/x.tlog.size", b"12\n")) == 12
    for media_type, body in [
        ("text/plain", b"12\n"),
        ("text/x.tlog.size", b"12"),
        ("text/x.tlog.size", b"012\n"),
        ("text/x.tlog.size", b"-1\n"),
        ("text/x.tlog.size", b"\n"),
        ("text/x.tlog.size", b"9223372036854775808\n"),
    ]:
        with pytest.raises(LedgerProofRefused):
            read_conflict(Answer(409, media_type, body))
