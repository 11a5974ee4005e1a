"""Notes, vkeys, policies, checkpoints, receipts and key files: what is accepted and every way of refusal."""

from __future__ import annotations

import base64
import multiprocessing
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vault.errors import SettingsRefused
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint, checkpoint_text, verify_checkpoint
from vault.ledger.entry import RecordEntry, encode, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import ED25519_FILE, ML_DSA_FILE, LedgerKeys
from vault.ledger.note import Note, NoteSignature
from vault.ledger.note import encode as encode_note
from vault.ledger.policy import Policy, policy_text
from vault.ledger.receipt import format_receipt, parse_receipt, verify_receipt
from vault.ledger.vkeys import Algorithm, VerifierKey, ed25519_cosigned_message, ml_dsa_44_cosigned_message

ORIGIN = "safe.example/ledger/1"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.parse(policy_text(KEYS.vkeys))
ROOT = bytes(range(32))
NOTE = KEYS.sign_checkpoint(7, ROOT, NOW)


class Witness:
    """A cosigner with one key."""

    def __init__(self, name: str, algorithm: Algorithm) -> None:
        self.name, self.algorithm = name, algorithm
        self.ed25519, self.ml_dsa = Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()
        public = self.ml_dsa if algorithm is Algorithm.ML_DSA_44 else self.ed25519
        self.key = VerifierKey(name, algorithm, public.public_key().public_bytes_raw())

    def cosign(self, data: bytes, time: int = 1_800_000_000) -> bytes:
        checkpoint = Checkpoint.parse(data)
        if self.algorithm is Algorithm.ML_DSA_44:
            message = ml_dsa_44_cosigned_message(
                self.name, time, checkpoint.origin, 0, checkpoint.size, checkpoint.root
            )
            value = self.ml_dsa.sign(message)
        else:
            value = self.ed25519.sign(ed25519_cosigned_message(checkpoint.note.text, time))
        return data + NoteSignature(self.name, self.key.id, time.to_bytes(8, "big") + value).line()


W1 = Witness("w1.example", Algorithm.ED25519_COSIGNATURE)
W2 = Witness("w2.example", Algorithm.ML_DSA_44)


def refused(data: bytes, policy: Policy = POLICY) -> tuple[str, bool]:
    with pytest.raises(LedgerProofRefused) as caught:
        verify_checkpoint(data, policy)
    return caught.value.code, caught.value.indeterminate


def witnessed(*lines: str) -> Policy:
    known = [f"log {vkey}" for vkey in KEYS.vkeys]
    known += [f"witness one {W1.key.vkey}", f"witness two {W2.key.vkey}"]
    return Policy.parse("\n".join([*known, *lines]))


# --- checkpoints


def test_own_checkpoint_verifies() -> None:
    report = verify_checkpoint(NOTE, POLICY)
    assert (report.origin, report.size, report.root) == (ORIGIN, 7, ROOT)
    assert report.witnesses == ()
    assert report.algorithms == ("ED25519", "ML_DSA_44")
    assert report.log_time == int(NOW.timestamp())
    assert Checkpoint.parse(NOTE).note.text == checkpoint_text(ORIGIN, 7, ROOT)


def test_both_algorithms_are_demanded() -> None:
    text, lines = Note.parse(NOTE).text, Note.parse(NOTE).signatures
    for kept in ([], [0], [1]):
        data = encode_note(text, [lines[i] for i in kept] or [NoteSignature("x", b"abcd", b"e")])
        assert refused(data) == ("LOG_SIGNATURE_MISSING", True)
    # A policy that lists only one of them is content with that one.
    only = Policy.from_vkeys(KEYS.vkeys[0])
    assert verify_checkpoint(encode_note(text, lines[:1]), only).algorithms == ("ED25519",)
    # An invalid line counts more than a missing one.
    wrong = NoteSignature(lines[0].name, lines[0].key_id, bytes(64))
    assert refused(encode_note(text, [wrong])) == ("LOG_SIGNATURE_INVALID", False)


def test_unknown_log() -> None:
    assert refused(LedgerKeys.new("other.example/log").sign_checkpoint(1, ROOT, NOW)) == ("LOG_UNKNOWN", True)


def test_lines_of_unknown_keys_are_ignored() -> None:
    stranger = Note.parse(LedgerKeys.new(ORIGIN).sign_checkpoint(7, ROOT, NOW)).signatures
    mixed = encode_note(Note.parse(NOTE).text, [*stranger, *Note.parse(NOTE).signatures])
    assert verify_checkpoint(mixed, POLICY).size == 7


def test_a_key_signs_once() -> None:
    lines = Note.parse(NOTE).signatures
    data = encode_note(Note.parse(NOTE).text, [*lines, lines[0]])
    assert refused(data) == ("FORMAT_FAILURE", False)


def test_extension_lines_are_refused() -> None:
    text = checkpoint_text(ORIGIN, 7, ROOT) + b"more\n"
    checkpoint = Checkpoint.parse(encode_note(text, Note.parse(NOTE).signatures))
    assert checkpoint.extensions == ("more",)
    assert refused(checkpoint.note.encode()) == ("FORMAT_FAILURE", False)


@pytest.mark.parametrize(
    "text",
    [
        b"\n7\n" + base64.b64encode(ROOT) + b"\n",
        b"o\n07\n" + base64.b64encode(ROOT) + b"\n",
        b"o\n+7\n" + base64.b64encode(ROOT) + b"\n",
        b"o\n-7\n" + base64.b64encode(ROOT) + b"\n",
        b"o\n7 \n" + base64.b64encode(ROOT) + b"\n",
        "o\n٧\n".encode() + base64.b64encode(ROOT) + b"\n",
        b"o\n9223372036854775808\n" + base64.b64encode(ROOT) + b"\n",
        b"o\n7\n" + base64.b64encode(ROOT[:31]) + b"\n",
        b"o\n7\n" + base64.b64encode(ROOT + b"x") + b"\n",
        b"o\n7\n" + base64.b64encode(ROOT).rstrip(b"=") + b"\n",
        b"o\n7\n" + base64.b64encode(ROOT)[:-2] + b"9=\n",
        b"o\n7\n" + base64.urlsafe_b64encode(b"\xff" * 32) + b"\n",
        b"o\n7\n",
        b"o\n7\n" + base64.b64encode(ROOT) + b"\n\nx\n",
        b"o\x00\n7\n" + base64.b64encode(ROOT) + b"\n",
        b"o\t\n7\n" + base64.b64encode(ROOT) + b"\n",
        b"\xff\n7\n" + base64.b64encode(ROOT) + b"\n",
    ],
)
def test_texts_that_are_no_checkpoint(text: bytes) -> None:
    data = encode_note(text, Note.parse(NOTE).signatures)
    assert refused(data) == ("FORMAT_FAILURE", False)


@pytest.mark.parametrize(
    "line",
    [
        "\u2014 a b YWJjZGU=",
        "\u2014  YWJjZGU=",
        "\u2014 a+b YWJjZGU=",
        "\u2014 a\u00a0b YWJjZGU=",
        "\u2014 a YWJjZA==",
        "\u2014 a YWJjZGU",
        "\u2014 a YWJjZGV=",
        "\u2014 a",
        "\u2014a YWJjZGU=",
        "- a YWJjZGU=",
        "\u2013 a YWJjZGU=",
        " ",
    ],
)
def test_signature_lines_that_are_refused(line: str) -> None:
    with pytest.raises(LedgerProofRefused) as caught:
        Note.parse(NOTE + line.encode() + b"\n")
    assert caught.value.code == "FORMAT_FAILURE"


@pytest.mark.parametrize("octet", [octet for octet in range(32) if octet != 10])
def test_no_control_character_stands_in_a_note(octet: int) -> None:
    note = encode_note(b"origin\n7\nx\n", [NoteSignature("name", bytes(4), b"x")])
    Note.parse(note)
    for at in (0, 3, len(note) // 2, len(note) - 1):
        with pytest.raises(LedgerProofRefused) as caught:
            Note.parse(note[:at] + bytes([octet]) + note[at:])
        assert caught.value.code == "FORMAT_FAILURE"


def test_limits_of_a_note() -> None:
    line = NoteSignature("x", b"abcd", b"e").line()
    assert verify_checkpoint(NOTE + line * 30, POLICY)
    assert refused(NOTE + line * 63) == ("FORMAT_FAILURE", False)
    assert refused(NOTE + NoteSignature("x", b"abcd", bytes(600_000)).line()) == ("FORMAT_FAILURE", False)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(NOTE) - 1), st.integers(0, 7))
@example(0, 0)
@example(len(NOTE) - 1, 0)
@example(len(ORIGIN) + 1, 0)
def test_any_flipped_bit_is_refused_with_a_code(at: int, bit: int) -> None:
    flipped = bytearray(NOTE)
    flipped[at] ^= 1 << bit
    code, _ = refused(bytes(flipped))
    assert code in {"FORMAT_FAILURE", "LOG_SIGNATURE_INVALID", "LOG_SIGNATURE_MISSING", "LOG_UNKNOWN"}
    if len(ORIGIN) < at < len(checkpoint_text(ORIGIN, 7, ROOT)) - 1:
        assert code in {"FORMAT_FAILURE", "LOG_SIGNATURE_INVALID"}


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_refused_with_a_code(data: bytes) -> None:
    for attempt in (data, NOTE[:100] + data, data + NOTE, NOTE + data):
        assert refused(attempt)[0] in {"FORMAT_FAILURE", "LOG_UNKNOWN", "LOG_SIGNATURE_INVALID"}


# --- witnesses


def test_quorums() -> None:
    one, two, both = W1.cosign(NOTE), W2.cosign(NOTE), W2.cosign(W1.cosign(NOTE))
    everyone = witnessed("group both all one two", "quorum both")
    anyone = witnessed("group some any one two", "quorum some")
    assert verify_checkpoint(both, everyone).witnesses == ("one", "two")
    assert verify_checkpoint(both, everyone).witness_times == (1_800_000_000, 1_800_000_000)
    for part in (NOTE, one, two):
        assert refused(part, everyone) == ("WITNESS_QUORUM_UNMET", True)
    assert verify_checkpoint(one, anyone).witnesses == ("one",)
    assert verify_checkpoint(two, anyone).witnesses == ("two",)
    assert refused(NOTE, anyone) == ("WITNESS_QUORUM_UNMET", True)
    assert verify_checkpoint(two, witnessed("quorum two")).witnesses == ("two",)
    assert refused(one, witnessed("quorum two")) == ("WITNESS_QUORUM_UNMET", True)
    assert verify_checkpoint(both, witnessed("quorum none")).witnesses == ("one", "two")


def test_a_witness_cannot_stand_in_for_the_log() -> None:
    text = Note.parse(NOTE).text
    alone = encode_note(text, Note.parse(W2.cosign(W1.cosign(NOTE))).signatures[2:])
    assert refused(alone, witnessed("quorum none")) == ("LOG_SIGNATURE_MISSING", True)


def test_a_false_cosignature_fails_the_note() -> None:
    other = KEYS.sign_checkpoint(8, ROOT, NOW)
    for witness in (W1, W2):
        stolen = Note.parse(witness.cosign(other)).signatures[2]
        assert refused(NOTE + stolen.line(), witnessed("quorum none")) == ("WITNESS_SIGNATURE_INVALID", False)
        # Without that witness in the policy the line means nothing.
        assert verify_checkpoint(NOTE + stolen.line(), POLICY).witnesses == ()


def test_a_cosignature_without_time_does_not_count() -> None:
    for witness, name in ((W1, "one"), (W2, "two")):
        data = witness.cosign(NOTE, time=0)
        assert refused(data, witnessed(f"quorum {name}")) == ("WITNESS_QUORUM_UNMET", True)


def test_nested_groups() -> None:
    policy = witnessed("group a any one", "group b all two a", "quorum b")
    assert verify_checkpoint(W2.cosign(W1.cosign(NOTE)), policy).witnesses == ("one", "two")
    assert refused(W1.cosign(NOTE), policy) == ("WITNESS_QUORUM_UNMET", True)


# --- policies


def test_policy_text_comes_back() -> None:
    policy = witnessed("group both 2 one two", "quorum both")
    assert Policy.parse(policy.text()) == policy
    assert Policy.parse(policy_text(KEYS.vkeys)) == Policy.from_vkeys("\n".join(KEYS.vkeys) + "\n")


def test_policy_syntax_that_is_allowed() -> None:
    text = (
        f"# a comment é\n\n \t log\t{KEYS.vkeys[0]}  https://x/ \n\twitness é {W1.key.vkey} u\n  quorum é \n"
    )
    policy = Policy.parse(text)
    assert policy.quorum == "é"
    assert Policy.parse(text.encode("latin-1")).logs == policy.logs


LOG, WITNESS = f"log {KEYS.vkeys[0]}", f"witness one {W1.key.vkey}"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [LOG],
        [LOG, LOG, "quorum none"],
        [LOG, "quorum none", "quorum none"],
        [LOG, "quorum one"],
        [LOG, "quorum one", WITNESS],
        [LOG, WITNESS, f"witness two {W1.key.vkey}", "quorum none"],
        [LOG, WITNESS, f"witness one {W2.key.vkey}", "quorum none"],
        [LOG, f"witness none {W1.key.vkey}", "quorum none"],
        [LOG, WITNESS, "group one any one", "quorum none"],
        [LOG, WITNESS, "group none any one", "quorum none"],
        [LOG, WITNESS, "group g any", "quorum none"],
        [LOG, WITNESS, "group g 2 one", "quorum none"],
        [LOG, WITNESS, "group g 0 one", "quorum none"],
        [LOG, WITNESS, "group g 01 one", "quorum none"],
        [LOG, WITNESS, "group g -1 one", "quorum none"],
        [LOG, WITNESS, "group g ١ one", "quorum none"],
        [LOG, WITNESS, "group g some one", "quorum none"],
        [LOG, WITNESS, "group g 1 one one", "quorum none"],
        [LOG, WITNESS, "group g any one", "group h any one", "quorum h"],
        [LOG, WITNESS, "group g any none", "quorum none"],
        [LOG, WITNESS, "group g any h", "group h any one", "quorum g"],
        [LOG, "unknown line", "quorum none"],
        [f"log {W1.key.vkey}", "quorum none"],
        [f"witness w {KEYS.vkeys[0]}", "quorum none"],
        ["log", "quorum none"],
        [f"{LOG} url more", "quorum none"],
        ["log x+00000000+AAAA", "quorum none"],
        [LOG + "\x0b", "quorum none"],
        [LOG, "quorum none\r"],
        [f"log {KEYS.vkeys[1]}", f"witness w {KEYS.vkeys[1]}", "quorum w"],
    ],
)
def test_policies_that_are_refused(lines: list[str]) -> None:
    with pytest.raises(LedgerProofRefused) as caught:
        Policy.parse("\n".join(lines))
    assert caught.value.code == "POLICY_INVALID"


def test_files_of_vkeys_that_are_refused() -> None:
    for text in ("garbage", W1.key.vkey, KEYS.vkeys[0] + "\n" + KEYS.vkeys[0], f"log {KEYS.vkeys[0]}"):
        with pytest.raises(LedgerProofRefused) as caught:
            Policy.from_vkeys(text)
        assert caught.value.code == "POLICY_INVALID"


def test_vkeys_that_are_refused() -> None:
    good = KEYS.vkeys[0]
    name, identifier, blob = good.split("+", 2)
    assert VerifierKey.parse(good).vkey == good
    raw = base64.b64decode(blob)
    for wrong in (
        f"{name}x+{identifier}+{blob}",
        f"{name}+{identifier.upper()}+{blob}" if identifier.upper() != identifier else "x",
        f"{name}+00000000+{blob}",
        f"{name} +{identifier}+{blob}",
        f"+{identifier}+{blob}",
        f"{name}+{identifier}+{blob[:-1]}",
        f"{name}+{identifier}+{base64.b64encode(raw[:-1]).decode()}",
        f"{name}+{identifier}+{base64.b64encode(bytes([2]) + raw[1:]).decode()}",
        f"{name}+{identifier}+",
        f"{good}\n",
        "",
    ):
        with pytest.raises(LedgerProofRefused) as caught:
            VerifierKey.parse(wrong)
        assert caught.value.code == "FORMAT_FAILURE"


# --- receipts

LEAVES = [encode(RecordEntry(seq, bytes(32), "2026-11-22T12:00:00.000Z", ROOT, ROOT)) for seq in range(7)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


class Leaves:
    def tile(self, level: int, index: int, width: int) -> bytes:
        assert (level, index) == (0, 0)
        return b"".join(HASHES[:width])


SIGNED = KEYS.sign_checkpoint(7, tree.root(Leaves(), 7), NOW)


def receipt_of(index: int, extra: bytes | None = None) -> bytes:
    return format_receipt(index, tree.inclusion_proof(Leaves(), index, 7), SIGNED, extra)


def test_receipts_verify() -> None:
    for index, leaf in enumerate(LEAVES):
        report = verify_receipt(receipt_of(index), leaf, POLICY)
        assert (report.index, report.leaf, report.checkpoint.size) == (index, HASHES[index], 7)
    parsed = parse_receipt(receipt_of(2, b"\0extra"))
    assert (parsed.index, parsed.extra, parsed.note) == (2, b"\0extra", SIGNED)


def test_an_entry_at_another_index_than_its_number() -> None:
    """A log that repeats an old entry at a new place: the path is right, the number is not."""
    leaves = [*HASHES[:6], HASHES[2]]

    class Replayed:
        def tile(self, level: int, index: int, width: int) -> bytes:
            return b"".join(leaves[:width])

    note = KEYS.sign_checkpoint(7, tree.root(Replayed(), 7), NOW)
    receipt = format_receipt(6, tree.inclusion_proof(Replayed(), 6, 7), note)
    assert verify_receipt(receipt, LEAVES[2], POLICY, entry=False).index == 6
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(receipt, LEAVES[2], POLICY)
    assert (caught.value.code, caught.value.params["expected"], caught.value.params["found"]) == (
        "INDEX_MISMATCH",
        2,
        6,
    )


RECEIPT = receipt_of(3)


@settings(max_examples=300)
@given(st.integers(0, len(RECEIPT) - 1), st.integers(0, 7))
def test_any_flipped_bit_of_a_receipt_is_refused(at: int, bit: int) -> None:
    flipped = bytearray(RECEIPT)
    flipped[at] ^= 1 << bit
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(bytes(flipped), LEAVES[3], POLICY)
    assert caught.value.code in {
        "FORMAT_FAILURE",
        "INDEX_MISMATCH",
        "INCLUSION_PROOF_INVALID",
        "LOG_SIGNATURE_INVALID",
        "LOG_SIGNATURE_MISSING",
        "LOG_UNKNOWN",
    }


@settings(max_examples=100)
@given(st.integers(0, len(LEAVES[3]) - 1), st.integers(0, 7))
def test_any_flipped_bit_of_the_entry_is_refused(at: int, bit: int) -> None:
    flipped = bytearray(LEAVES[3])
    flipped[at] ^= 1 << bit
    with pytest.raises(LedgerProofRefused):
        verify_receipt(RECEIPT, bytes(flipped), POLICY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1\n", b"@v2\n"),
        (b"@v1\n", b"@v1\r\n"),
        (b"index 3", b"index 03"),
        (b"index 3", b"index  3"),
        (b"index 3", b"Index 3"),
        (b"index 3", b"index -3"),
        (b"index 3", b"index 9223372036854775808"),
        (b"index 3", b"extra !\nindex 3"),
        (b"index 3", b"extra YQ==\nextra YQ==\nindex 3"),
        (b"index 3\n", b"index 3\nYQ==\n"),
        (b"index 3\n", b"index 3\n\xff\n"),
        (b"index 3\n", b"index 3\n" + (base64.b64encode(ROOT) + b"\n") * 64),
        (b"\n\n", b"\n"),
        (RECEIPT, b"c2sp.org/tlog-proof@v1\n\n" + SIGNED),
        (RECEIPT, b""),
        (RECEIPT, b"x" * 2_000_000),
    ],
)
def test_receipts_that_are_refused(old: bytes, new: bytes) -> None:
    assert old in RECEIPT
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(RECEIPT.replace(old, new, 1), LEAVES[3], POLICY)
    assert caught.value.code == "FORMAT_FAILURE"


# --- key files


def test_key_files(tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "ledger"
    made = LedgerKeys.open(folder, ORIGIN)
    assert {path.name for path in folder.iterdir()} == {ED25519_FILE, ML_DSA_FILE}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    again = LedgerKeys.open(folder, ORIGIN, create=False)
    assert again.vkeys == made.vkeys
    assert verify_checkpoint(again.sign_checkpoint(1, ROOT, NOW), Policy.from_vkeys("\n".join(made.vkeys)))
    # The other origin is another log with another identity, even with the same key files.
    assert LedgerKeys.open(folder, "x/2").vkeys != made.vkeys


def refused_folder(folder: Path, *, create: bool = True, origin: str = ORIGIN) -> str:
    with pytest.raises(SettingsRefused) as caught:
        LedgerKeys.open(folder, origin, create=create)
    return caught.value.code


def test_key_folders_that_are_refused(tmp_path: Path) -> None:
    assert refused_folder(tmp_path, create=False) == "LEDGER_KEYS_MISSING"
    assert refused_folder(tmp_path, origin="a b") == "LEDGER_ORIGIN_INVALID"
    assert refused_folder(tmp_path, origin="x" * 256) == "LEDGER_ORIGIN_INVALID"
    first, second = tmp_path / ED25519_FILE, tmp_path / ML_DSA_FILE
    second.chmod(0o640)
    assert refused_folder(tmp_path) == "LEDGER_KEYS_EXPOSED"
    second.chmod(0o600)
    good = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert refused_folder(tmp_path) == "LEDGER_KEYS_UNREADABLE"
    second.write_bytes(b"garbage")
    assert refused_folder(tmp_path) == "LEDGER_KEYS_UNREADABLE"
    second.unlink()
    assert refused_folder(tmp_path) == "LEDGER_KEYS_MISSING", "a lost key must not be replaced in silence"
    second.write_bytes(good)
    second.chmod(0o600)
    LedgerKeys.open(tmp_path, ORIGIN)


def test_a_crash_while_keys_are_made_is_begun_again(tmp_path: Path) -> None:
    before = LedgerKeys.open(tmp_path, ORIGIN)
    (tmp_path / ED25519_FILE).unlink()  # the file that is written last
    (tmp_path / f".{ED25519_FILE}.new").write_bytes(b"half")
    after = LedgerKeys.open(tmp_path, ORIGIN)
    assert not set(before.vkeys) & set(after.vkeys)
    assert {path.name for path in tmp_path.iterdir()} == {ED25519_FILE, ML_DSA_FILE}


def _open_and_tell(folder: str, pipe: object) -> None:
    pipe.send(LedgerKeys.open(Path(folder), ORIGIN).vkeys)  # type: ignore[attr-defined]
    os._exit(0)


def test_two_processes_make_the_same_keys(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    told, processes = [], []
    for _ in range(2):
        receiving, sending = spawn.Pipe(duplex=False)
        processes.append(spawn.Process(target=_open_and_tell, args=(str(tmp_path), sending)))
        processes[-1].start()
        sending.close()
        told.append(receiving)
    first, second = (pipe.recv() for pipe in told)
    for process in processes:
        process.join(60)
    assert first == second
