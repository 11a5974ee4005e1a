"""Keys in PKCS#11 tokens: PINs are spared, keys stay, and a token that is away, new or stuck harms nobody."""

from __future__ import annotations

import ctypes
import hashlib
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Mechanism, TokenFlag

from signing import tokens as tokens_module
from signing import tokens_keys, tokens_session
from signing.errors import KeyUnusable, SigningUnavailable
from signing.secret_files import Secret
from signing.signers import RSA_PKCS1, CheckedSigner, SoftSigner, verifies
from signing.tokens import KINDS, KeyMissing, Pkcs11Token, TokenPlace
from signing.tokens_caller import OneCaller
from tests.services.softhsm import Tokens

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.needs("softhsm2")


@pytest.fixture(autouse=True)
def _no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_session, "_PAUSE_S", 0.0)


@pytest.fixture
def place(softhsm_tokens: Tokens) -> TokenPlace:
    return softhsm_tokens.new(f"unit-{secrets.token_hex(4)}")


@pytest.fixture
def token(softhsm_tokens: Tokens, place: TokenPlace) -> Iterator[Pkcs11Token]:
    opened = Pkcs11Token.open(place, softhsm_tokens.secret(), seconds=2.0)
    yield opened
    opened.close()


@pytest.fixture
def signer(token: Pkcs11Token) -> CheckedSigner:
    token.generate("p256", "seal", b"\x01")
    return token.signer("seal")


def test_keys_are_made_so_that_they_stay(
    token: Pkcs11Token, softhsm_tokens: Tokens, place: TokenPlace
) -> None:
    for number, kind in enumerate(("p256", "ed25519", "aes-256", "rsa-3072")):
        made = token.generate(kind, f"key {kind}", bytes((7, number)))
        assert (made.kind, made.label, made.key_id, made.extractable) == (
            kind,
            f"key {kind}",
            bytes((7, number)),
            False,
        )
        assert (made.public is None) == (kind == "aes-256")
    found = token.keys()
    assert [each.kind for each in found] == ["aes-256", "ed25519", "p256", "rsa-3072"]
    # Another program says the same.
    listed = subprocess.run(
        [
            "pkcs11-tool",
            "--module",
            place.module,
            "--token-label",
            place.label,
            "--login",
            "--pin",
            Tokens.pin,
            "-O",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=softhsm_tokens.environment,
    ).stdout
    assert listed.count("Access:     sensitive, always sensitive, never extractable, local") == 4


def test_no_key_takes_the_place_of_another(token: Pkcs11Token) -> None:
    token.generate("p256", "one", b"\x01")
    for label, key_id in (("one", b"\x02"), ("two", b"\x01"), ("", b"\x03"), ("three", b"")):
        with pytest.raises(KeyUnusable):
            token.generate("p256", label, key_id)
    with pytest.raises(KeyUnusable, match="rsa-3072"):
        token.generate("rsa-1024", "small", b"\x09")
    assert len(token.keys()) == 1
    assert set(KINDS) == set(tokens_keys._MAKERS)


def test_a_key_that_could_leave_is_destroyed_again(
    token: Pkcs11Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_keys, "_STAYS", {**tokens_keys._STAYS, pkcs11.Attribute.EXTRACTABLE: True})
    with pytest.raises(KeyUnusable, match="may leave it"):
        token.generate("p256", "loose", b"\x01")
    assert token.keys() == []


def test_keys_are_found_by_label_or_identifier(token: Pkcs11Token) -> None:
    token.generate("p256", "one", b"\x01")
    token.generate("aes-256", "wrap", b"\x02")
    assert token.signer("one").public_key() == token.signer(key_id=b"\x01").public_key()
    for wrong in (
        {"label": "two"},
        {"key_id": b"\x09"},
        {"label": "one", "key_id": b"\x09"},
        {"label": "wrap"},
    ):
        with pytest.raises(KeyMissing):
            token.signer(**wrong)  # type: ignore[arg-type]
    with pytest.raises(KeyUnusable):
        token.signer()


def test_public_halves_come_from_the_certificate_where_the_token_has_none(token: Pkcs11Token) -> None:
    public = token.generate("p256", "one", b"\x01").public
    token._session.run(
        lambda held: (
            held.token.open(rw=True)
            .get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label="one")
            .destroy()
        )
    )
    token.close()
    with pytest.raises(KeyUnusable, match="certificate"):
        token.signer("one")
    signer = token.signer("one", public=public)
    assert public is not None
    assert verifies(public, signer.algorithm, signer.sign(b"x"), hashlib.sha256(b"x").digest())


def test_a_wrong_pin_is_tried_once(
    place: TokenPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pin"
    file.write_text("wrong pin\n")
    file.chmod(0o600)
    tried: list[str] = []
    session = tokens_session.TokenSession(place, Secret.in_file(file), 2.0)

    def opened() -> None:
        session.run(lambda _: tried.append("in"))

    with pytest.raises(KeyUnusable, match="refuses the PIN: PinIncorrect") as first:
        opened()
    for _ in range(3):
        with pytest.raises(KeyUnusable, match="not tried again") as again:
            opened()
    # Nor by somebody else in this process.
    with pytest.raises(KeyUnusable, match="not tried again"):
        Pkcs11Token.open(place, Secret.in_file(file))
    for caught in (first, again):
        assert "wrong pin" not in str(caught.value) + repr(caught.value) + repr(session)
    file.write_text(Tokens.pin + "\r\nsecond line\n")
    opened()
    assert tried == ["in"]
    session.close()


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_the_last_try_is_left_to_people(place: TokenPlace, flag: TokenFlag) -> None:
    asked: list[str] = []

    class Library:
        def get_token(self, **_: object) -> Any:
            return SimpleNamespace(
                flags=flag | TokenFlag.LOGIN_REQUIRED, open=lambda **_: asked.append("login")
            )

    session = tokens_session.TokenSession(place, Secret.of(Tokens.pin), 2.0)
    with pytest.raises(KeyUnusable, match="one try"):
        session._log_in(Library())
    assert asked == []


def test_a_token_that_stays_away_does_not_disturb_the_others_for_ever(
    signer: CheckedSigner, place: TokenPlace, softhsm_tokens: Tokens, token: Pkcs11Token
) -> None:
    absent = tokens_session.TokenSession(TokenPlace(place.module, "absent"), softhsm_tokens.secret(), 2.0)
    before = token._session._module.epoch
    for _ in range(20):
        with pytest.raises(SigningUnavailable, match="in no slot"):
            absent.run(lambda _: None)
        assert signer.sign(b"x")
    assert token._session._module.epoch - before == 4 + 2


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_an_open_pin_file_is_refused(place: TokenPlace, tmp_path: Path, mode: int) -> None:
    file = tmp_path / "pin"
    file.write_text(Tokens.pin)
    file.chmod(mode)
    with pytest.raises(KeyUnusable, match="closed to other users"):
        Pkcs11Token.open(place, Secret.in_file(file))


def test_a_pin_that_is_not_there(place: TokenPlace, tmp_path: Path) -> None:
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    (tmp_path / "bin").chmod(0o600)
    for name in ("none", "empty", "bin"):
        with pytest.raises(KeyUnusable):
            Pkcs11Token.open(place, Secret.in_file(tmp_path / name))
    assert "pin" not in repr(Secret.of("pin"))


def test_no_such_module_or_token(place: TokenPlace, softhsm_tokens: Tokens, tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="no PKCS#11 module"):
        Pkcs11Token.open(TokenPlace(tmp_path / "none.so", "x"), softhsm_tokens.secret())
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(KeyUnusable, match="cannot be loaded"):
        Pkcs11Token.open(TokenPlace(tmp_path / "text.so", "x"), softhsm_tokens.secret())
    with pytest.raises(SigningUnavailable, match="in no slot"):
        Pkcs11Token.open(TokenPlace(place.module, "another"), softhsm_tokens.secret())


def test_tokens_are_found_by_serial_number(
    softhsm_tokens: Tokens, place: TokenPlace, token: Pkcs11Token
) -> None:
    serial = token._session.run(lambda held: held.token.serial).decode()
    other = Pkcs11Token.open(TokenPlace(place.module, serial=serial), softhsm_tokens.secret())
    token.generate("p256", "one", b"\x01")
    found = other.keys()
    assert [each.label for each in found] == ["one"]


def test_a_token_made_anew_has_not_the_key(
    signer: CheckedSigner, token: Pkcs11Token, softhsm_tokens: Tokens, place: TokenPlace
) -> None:
    softhsm_tokens.remove(place.label)
    softhsm_tokens.new(place.label)
    with pytest.raises(SigningUnavailable, match="no such key"):
        signer.sign(b"x")
    # One of the same name is another key all the same: nothing is signed with it unseen.
    token.generate("p256", "seal", b"\x01")
    with pytest.raises(SigningUnavailable, match="does not verify"):
        signer.sign(b"x")
    assert token.signer("seal").sign(b"x")


def test_a_module_that_was_finalised_is_initialised_again(
    signer: CheckedSigner, place: TokenPlace, softhsm_tokens: Tokens
) -> None:
    second = Pkcs11Token.open(softhsm_tokens.new(f"unit-{secrets.token_hex(4)}"), softhsm_tokens.secret())
    second.generate("ed25519", "other", b"\x01")
    other = second.signer("other")
    assert ctypes.CDLL(str(place.module)).C_Finalize(None) == 0
    # Session numbers begin again at one: neither may sign in the session of the other.
    for _ in range(3):
        assert signer.sign(b"x")
        assert other.sign(b"x")


def test_a_logged_out_session_is_opened_again(signer: CheckedSigner, token: Pkcs11Token) -> None:
    for spoil in (
        lambda held: held.session.close(),
        lambda held: ctypes.CDLL(str(token._session.place.module)).C_CloseAllSessions(
            ctypes.c_ulong(held.token.slot.slot_id)
        ),
    ):
        token._session.run(spoil, again=False)
        assert signer.sign(b"x")


def test_what_the_token_cannot_do_is_said(token: Pkcs11Token, signer: CheckedSigner) -> None:
    def wrong(held: tokens_session.Held) -> bytes:
        key = held.find(pkcs11.ObjectClass.PRIVATE_KEY, "seal", b"")
        return bytes(key.sign(bytes(32), mechanism=Mechanism.RSA_PKCS))

    with pytest.raises((KeyUnusable, SigningUnavailable), match="token 'unit-"):
        token._session.run(wrong)
    assert signer.sign(b"x")


def test_a_token_without_pss_says_so(token: Pkcs11Token, monkeypatch: pytest.MonkeyPatch) -> None:
    token.generate("rsa-3072", "rsa", b"\x01")
    held = token._session._held
    assert held is not None
    held.mechanisms -= {Mechanism.RSA_PKCS_PSS}
    signer = token.signer("rsa")
    assert signer.algorithm == RSA_PKCS1
    digest = hashlib.sha256(b"x").digest()
    assert verifies(signer.public_key(), RSA_PKCS1, signer.sign(b"x"), digest)
    held.mechanisms = frozenset()
    with pytest.raises(KeyUnusable, match="cannot sign"):
        token.signer("rsa")


def test_calls_that_come_back_late_are_over(token: Pkcs11Token, signer: CheckedSigner) -> None:
    go, done = threading.Event(), threading.Event()
    late: list[str] = []

    def slow(_: object) -> None:
        go.wait(10)
        late.append("came back")
        done.set()

    with pytest.raises(SigningUnavailable, match="in time"):
        token._session.run(slow, seconds=0.2)
    assert token.stuck
    begun = time.monotonic()
    for _ in range(50):
        with pytest.raises(SigningUnavailable, match="has not come back"):
            signer.sign(b"x")
    assert time.monotonic() - begun < 0.5
    go.set()
    assert done.wait(5)
    deadline = time.monotonic() + 5
    while token.stuck and time.monotonic() < deadline:
        time.sleep(0.01)
    assert signer.sign(b"x")
    assert late == ["came back"]


def test_those_who_wait_are_told_when_a_call_is_given_up() -> None:
    caller, go = OneCaller("test"), threading.Event()
    told: list[float] = []
    begun = time.monotonic()

    def wait() -> None:
        with pytest.raises(SigningUnavailable):
            caller.call(lambda: None, 30.0)
        told.append(time.monotonic() - begun)

    def hang() -> None:
        with pytest.raises(SigningUnavailable):
            caller.call(lambda: go.wait(20), 0.5)

    threads = [threading.Thread(target=each) for each in (hang, wait, wait)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(10)
    go.set()
    assert len(told) == 2
    assert max(told) < 5


def test_a_turn_that_did_not_come_leaves_the_others_alone() -> None:
    caller, go = OneCaller("test"), threading.Event()
    first = threading.Thread(target=lambda: caller.call(lambda: go.wait(20), 20.0))
    first.start()
    time.sleep(0.05)
    with pytest.raises(SigningUnavailable, match="busy"):
        caller.call(lambda: pytest.fail("its time was over"), 0.1)
    assert not caller.stuck
    go.set()
    first.join(10)
    assert caller.call(lambda: "well", 1.0) == "well"


def _child(
    code: str, tokens: Tokens, *arguments: str, seconds: float = 30.0
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**tokens.environment, "PYTHONPATH": str(ROOT)},
        timeout=seconds,
    )


_OPEN = """
import os, sys, time
from pathlib import Path
from signing.errors import SigningUnavailable
from signing.secret_files import Secret
from signing.tokens import Pkcs11Token, TokenPlace
place = TokenPlace(Path(sys.argv[1]), sys.argv[2])
token = Pkcs11Token.open(place, Secret.in_file(Path(sys.argv[3])), seconds=float(sys.argv[4]))
signer = token.signer("seal")
"""


def test_a_forked_process_opens_its_own(
    signer: CheckedSigner, place: TokenPlace, softhsm_tokens: Tokens
) -> None:
    code = (
        _OPEN
        + """
first = signer.sign(b"x")
child = os.fork()
good = all(signer.sign(b"x") for _ in range(20))
if child == 0:
    os._exit(0 if good else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), good)
"""
    )
    done = _child(code, softhsm_tokens, str(place.module), place.label, str(softhsm_tokens.pin_file), "5")
    assert done.stdout == "0 True\n", done.stderr


def test_a_process_ends_though_its_token_hangs(
    signer: CheckedSigner, place: TokenPlace, softhsm_tokens: Tokens, tmp_path: Path
) -> None:
    code = (
        _OPEN
        + """
print("open", flush=True)
sys.stdin.readline()
try:
    signer.sign(b"x")
except SigningUnavailable as error:
    print(error.code, token.stuck)
"""
    )
    arguments = (str(place.module), place.label, str(softhsm_tokens.pin_file), "0.5")
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**softhsm_tokens.environment, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with softhsm_tokens.hanging():
            out, _ = process.communicate("go\n", timeout=10)
    assert (out, process.returncode) == ("KEY_UNAVAILABLE True\n", 0)


def test_eight_threads_use_two_tokens_of_one_module(softhsm_tokens: Tokens, signer: CheckedSigner) -> None:
    other = Pkcs11Token.open(softhsm_tokens.new(f"unit-{secrets.token_hex(4)}"), softhsm_tokens.secret())
    other.generate("aes-256", "wrap", b"12345678")
    cipher = other.cipher()
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(25):
                if number % 2:
                    signer.sign(os.urandom(32))
                else:
                    nonce, data = os.urandom(12), os.urandom(32)
                    sealed = cipher.encrypt(b"12345678", nonce, data, b"aad")
                    assert cipher.decrypt(b"12345678", nonce, sealed, b"aad") == data
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_what_the_module_says_of_a_tag_does_not_matter(token: Pkcs11Token) -> None:
    token.generate("aes-256", "wrap", b"12345678")
    cipher = token.cipher()
    sealed = cipher.encrypt(b"12345678", b"n" * 12, b"k" * 32, b"a")
    with pytest.raises(ValueError, match="authenticate"):
        cipher.decrypt(b"12345678", b"n" * 12, sealed, b"b")
    with pytest.raises(LookupError):
        cipher.decrypt(b"87654321", b"n" * 12, sealed, b"a")


@pytest.mark.parametrize(
    "lie",
    [
        b"",
        bytes(64),
        b"\x30\x06\x02\x01\x01\x02\x01\x01",
        os.urandom(64),
        os.urandom(72),
        SoftSigner(ec.generate_private_key(ec.SECP256R1())).sign(b"data"),
    ],
    ids=["nothing", "zeros", "another form", "noise", "longer noise", "another key's"],
)
def test_a_wrong_signature_is_never_given_out(lie: bytes) -> None:
    soft = SoftSigner(ec.generate_private_key(ec.SECP256R1()))
    liar = CheckedSigner(soft.public_key(), soft.algorithm, lambda _: lie, "key 'x'")
    with pytest.raises(SigningUnavailable, match="does not verify") as caught:
        liar.sign(b"data")
    assert caught.value.code == "KEY_UNAVAILABLE"


def test_the_mechanisms_are_those_over_digests() -> None:
    found: Any = dict(tokens_module._MECHANISMS)
    assert found["rsassa-pss-sha256"] == (Mechanism.RSA_PKCS_PSS, (Mechanism.SHA256, pkcs11.MGF.SHA256, 32))
    assert found["ecdsa-p256-sha256"] == (Mechanism.ECDSA, None)
