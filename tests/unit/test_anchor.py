"""Anchors: their one form, the log's signatures, the token over them, the chain of tokens."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from timestamping.authority import EmbeddedAuthority
from timestamping.errors import TokenRefused
from timestamping.verify import Rfc3161Verifier
from vault.clock import SystemClock
from vault.ledger.anchor import FIRST, Anchor, Links, token_digest, verify_anchor
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import Note, NoteSignature
from vault.ledger.policy import Policy

ORIGIN = "safe.example/ledger/1"
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.from_vkeys("\n".join(KEYS.vkeys))
NOTE = KEYS.sign_checkpoint(7, bytes(range(32)), datetime.now(UTC))
DIGESTS = st.binary(min_size=32, max_size=32)


class Outside:
    """An authority with its own PKI."""

    def __init__(self, pki: DevPki) -> None:
        self.crls = pki.crls(datetime.now(UTC))
        key = pki.timestamp
        self.authority = EmbeddedAuthority(key, (key.certificate, *key.chain), "2.25.1", SystemClock())
        self.verifier = Rfc3161Verifier(TrustStore(pki.roots()))

    def stamp(self, anchor: bytes) -> bytes:
        return self.authority.token(hashlib.sha256(anchor).digest()).der


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(DevPki.open(tmp_path_factory.mktemp("outside"), datetime.now(UTC)))


def code(error: pytest.ExceptionInfo[LedgerProofRefused]) -> str:
    return error.value.code


def test_the_octets_are_those_of_the_format() -> None:
    made = Anchor.of(NOTE, Links(b"\x11" * 32, b"\x22" * 32, b"\x33" * 32)).encode()
    text, _, signatures = NOTE.partition(b"\n\n")
    assert made == (
        b"probans/anchor/v1\n"
        b"previous " + b"11" * 32 + b"\n"
        b"previous-month " + b"22" * 32 + b"\n"
        b"previous-year " + b"33" * 32 + b"\n" + text + b"\n" + signatures
    )
    first = Anchor.of(NOTE, Links())
    assert first.encode().startswith(b"probans/anchor/v1\nprevious " + b"0" * 64 + b"\n" + ORIGIN.encode())
    assert first.links.previous == FIRST
    assert first.note == NOTE
    assert first.imprint == hashlib.sha256(first.encode()).digest()


@settings(max_examples=50)
@given(previous=DIGESTS, month=st.none() | DIGESTS, year=st.none() | DIGESTS)
def test_what_is_written_is_read(previous: bytes, month: bytes | None, year: bytes | None) -> None:
    links = Links(previous, month, year)
    read = Anchor.parse(Anchor.of(NOTE, links).encode())
    assert read.links == links
    assert (read.checkpoint.size, read.checkpoint.root) == (7, bytes(range(32)))


def test_witnesses_are_left_out() -> None:
    note = Note.parse(NOTE)
    cosigned = Note(note.text, (*note.signatures, NoteSignature("witness.example", b"abcd", bytes(72))))
    assert Anchor.of(cosigned.encode(), Links()) == Anchor.of(NOTE, Links())
    alone = Note(note.text, (NoteSignature("witness.example", b"abcd", bytes(72)),))
    with pytest.raises(LedgerProofRefused):
        Anchor.of(alone.encode(), Links())


GOOD = Anchor.of(NOTE, Links(b"\x11" * 32, b"\x22" * 32)).encode()
WITNESS = NoteSignature("witness.example", b"abcd", bytes(72)).line()


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"probans/anchor/v1\n",
        GOOD.replace(b"/v1\n", b"/v2\n"),
        b"\n" + GOOD,
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"x",
        GOOD + WITNESS,
        GOOD.replace(b"11" * 32, b"AA" * 32),
        GOOD.replace(b"11" * 32, b"11" * 31),
        GOOD.replace(b"previous 11", b"previous  11"),
        GOOD.replace(b"previous-month", b"previous-week"),
        GOOD.replace(b"previous-month", b"previous-year").replace(b"previous ", b"previous-month "),
        GOOD.replace(b"previous-month " + b"22" * 32, (b"previous-month " + b"22" * 32 + b"\n") * 2),
        GOOD.replace(b"\n7\n", b"\n07\n"),
        GOOD.replace(b"\n7\n", b"\n7\n\n"),
        GOOD.replace(b"\n7\n", b"\n7\nextension\n"),
        GOOD.replace("\u2014 ".encode(), b"\n" + "\u2014 ".encode(), 1),
        GOOD.replace("\u2014 ".encode(), "extension\n\u2014 ".encode(), 1),
        GOOD[: GOOD.index("\u2014".encode())],
        GOOD.replace(b"\n", b"\r\n"),
        GOOD + b"\x00" * 70_000,
        b"\xff" + GOOD,
    ],
)
def test_any_other_form_is_refused(bad: bytes) -> None:
    with pytest.raises(LedgerProofRefused) as error:
        Anchor.parse(bad)
    assert code(error) == "FORMAT_FAILURE"


@settings(max_examples=200)
@given(data=st.binary(max_size=300))
def test_hostile_octets_end_in_one_error(data: bytes) -> None:
    with pytest.raises(LedgerProofRefused):
        Anchor.parse(b"probans/anchor/v1\nprevious " + data)


def test_an_anchor_is_dated(outside: Outside) -> None:
    anchor = Anchor.of(NOTE, Links()).encode()
    token = outside.stamp(anchor)
    report = verify_anchor(anchor, token, POLICY, outside.verifier, crls=outside.crls)
    assert (report.origin, report.size, report.root) == (ORIGIN, 7, bytes(range(32)))
    assert abs((report.gen_time - datetime.now(UTC)).total_seconds()) < 60
    assert report.links.previous == FIRST
    following = Anchor.of(NOTE, Links(token_digest(token))).encode()
    assert hashlib.sha256(token).hexdigest().encode() in following


def test_each_flipped_octet_of_an_anchor_is_seen(outside: Outside) -> None:
    anchor = Anchor.of(NOTE, Links()).encode()
    token = outside.stamp(anchor)
    for at in range(0, len(anchor), 41):
        changed = anchor[:at] + bytes([anchor[at] ^ 1]) + anchor[at + 1 :]
        with pytest.raises((LedgerProofRefused, TokenRefused)):
            verify_anchor(changed, token, POLICY, outside.verifier, crls=outside.crls)


def test_what_is_signed_by_others_is_refused(outside: Outside) -> None:
    anchor = Anchor.of(NOTE, Links()).encode()
    token = outside.stamp(anchor)
    strangers = LedgerKeys.new(ORIGIN)
    with pytest.raises(LedgerProofRefused) as error:
        verify_anchor(anchor, token, Policy(()), outside.verifier, crls=outside.crls)
    assert (code(error), error.value.indeterminate) == ("LOG_UNKNOWN", True)
    policy = Policy.from_vkeys("\n".join(strangers.vkeys))
    with pytest.raises(LedgerProofRefused) as error:
        verify_anchor(anchor, token, policy, outside.verifier, crls=outside.crls)
    assert (code(error), error.value.indeterminate) == ("LOG_SIGNATURE_MISSING", True)
    swapped = Note.parse(NOTE)
    false = strangers.sign_checkpoint(7, bytes(32), datetime.now(UTC))
    mine = NoteSignature(ORIGIN, KEYS.ed25519.id, Note.parse(false).signatures[0].signature)
    forged = Anchor.of(Note(swapped.text, (mine, swapped.signatures[1])).encode(), Links()).encode()
    with pytest.raises(LedgerProofRefused) as error:
        verify_anchor(forged, outside.stamp(forged), POLICY, outside.verifier, crls=outside.crls)
    assert code(error) == "LOG_SIGNATURE_INVALID"


def test_a_quorum_of_witnesses_is_a_matter_of_receipts(outside: Outside) -> None:
    witness = LedgerKeys.new("witness.example")
    vkeys = [f"log {key}" for key in KEYS.vkeys]
    text = "\n".join([*vkeys, f"witness w {witness.ml_dsa_44.vkey}", "quorum w", ""])
    anchor = Anchor.of(NOTE, Links()).encode()
    verify_anchor(anchor, outside.stamp(anchor), Policy.parse(text), outside.verifier, crls=outside.crls)


def test_the_token_must_be_over_the_anchor_by_a_trusted_authority(outside: Outside) -> None:
    anchor = Anchor.of(NOTE, Links()).encode()
    with pytest.raises(TokenRefused) as error:
        verify_anchor(anchor, outside.stamp(b"else"), POLICY, outside.verifier, crls=outside.crls)
    assert error.value.code == "HASH_FAILURE"
    with pytest.raises(TokenRefused) as error:
        verify_anchor(anchor, outside.stamp(anchor), POLICY, Rfc3161Verifier(TrustStore([])))
    assert error.value.code == "NO_CERTIFICATE_CHAIN_FOUND"
    with pytest.raises(TokenRefused) as error:
        verify_anchor(anchor, outside.stamp(anchor), POLICY, outside.verifier)
    assert error.value.code == "TRY_LATER"
