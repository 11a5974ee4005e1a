"""Contract of `KeyWrapper`, run against keys in memory, in a file and in a token."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from signing import tokens_session
from signing.tokens import Pkcs11Token
from storage.base import KeyWrapper
from storage.errors import KeyRefused, StorageUnavailable
from storage.keys import LocalKeyWrapper
from storage.keys_token import TokenKeyWrapper
from tests.services.softhsm import Tokens

KEY, AAD = secrets.token_bytes(32), b"document 1"
FIRST, SECOND = b"kek-0001", b"kek-0002"

Make = Callable[[bytes], KeyWrapper]


@pytest.fixture(scope="module")
def token(softhsm_tokens: Tokens) -> Pkcs11Token:
    opened = Pkcs11Token.open(softhsm_tokens.new("wrapping"), softhsm_tokens.secret(), seconds=2.0)
    for name in (FIRST, SECOND):
        opened.generate("aes-256", name.decode(), name)
    return opened


@pytest.fixture(params=["memory", "file", pytest.param("softhsm2", marks=pytest.mark.needs("softhsm2"))])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes wrappers that hold the same two keys, with one or the other as the active one."""
    if request.param == "softhsm2":
        held: Pkcs11Token = request.getfixturevalue("token")
        return lambda active: TokenKeyWrapper(held.cipher(), active)
    keys = {FIRST: bytes(32), SECOND: bytes(31) + b"\x01"}
    if request.param == "memory":
        return lambda active: LocalKeyWrapper(keys, active)

    def in_file(active: bytes) -> KeyWrapper:
        named = ", ".join(f'"{name.hex()}": "{key.hex()}"' for name, key in keys.items())
        path = tmp_path / f"kek-{active.hex()}"
        path.write_text(
            f'{{"active": "{active.hex()}", "format": "probans/key-encryption-keys/v1", "keys": {{{named}}}}}\n'
        )
        path.chmod(0o600)
        return LocalKeyWrapper.load(path)

    return in_file


def test_what_is_wrapped_is_unwrapped(make: Make) -> None:
    wrapper = make(FIRST)
    wrapped = wrapper.wrap(KEY, AAD)
    assert wrapper.unwrap(wrapped, AAD) == KEY
    assert (wrapped[0], wrapped[1:9], len(wrapped)) == (1, FIRST, 1 + 8 + 12 + 32 + 16)
    assert KEY not in wrapped


def test_no_two_wrapped_forms_are_alike(make: Make) -> None:
    wrapper = make(FIRST)
    assert len({wrapper.wrap(KEY, AAD)[9:21] for _ in range(20)}) == 20


def test_every_key_at_hand_unwraps(make: Make) -> None:
    old, new = make(FIRST), make(SECOND)
    before, after = old.wrap(KEY, AAD), new.wrap(KEY, AAD)
    assert (before[1:9], after[1:9]) == (FIRST, SECOND)
    assert new.unwrap(before, AAD) == old.unwrap(after, AAD) == KEY


def test_nothing_else_is_unwrapped(make: Make) -> None:
    wrapper = make(FIRST)
    wrapped = wrapper.wrap(KEY, AAD)
    for octets in range(0, len(wrapped), 3):
        changed = bytearray(wrapped)
        changed[octets] ^= 0x40
        with pytest.raises(KeyRefused):
            wrapper.unwrap(bytes(changed), AAD)
    for other in (b"document 2", b"", AAD + b"\0"):
        with pytest.raises(KeyRefused):
            wrapper.unwrap(wrapped, other)
    for cut in (b"", wrapped[:1], wrapped[:9], wrapped[:21], wrapped[:36], wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(KeyRefused):
            wrapper.unwrap(cut, AAD)
    # The key of another name: a swapped identifier finds a key that does not fit.
    with pytest.raises(KeyRefused):
        wrapper.unwrap(wrapped[:1] + SECOND + wrapped[9:], AAD)
    assert wrapper.unwrap(wrapped, AAD) == KEY


def test_an_active_key_that_is_not_there_is_refused(make: Make) -> None:
    for wrong in (b"kek-9999", b"short", b""):
        with pytest.raises(KeyRefused):
            make(wrong)


@pytest.mark.needs("softhsm2")
def test_a_token_that_is_away_is_no_wrong_key(
    token: Pkcs11Token, softhsm_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_session, "_PAUSE_S", 0.0)
    wrapper = TokenKeyWrapper(token.cipher(), FIRST)
    wrapped = wrapper.wrap(KEY, AAD)
    token.close()
    with softhsm_tokens.away():
        for ask in (lambda: wrapper.wrap(KEY, AAD), lambda: wrapper.unwrap(wrapped, AAD)):
            with pytest.raises(StorageUnavailable):
                ask()
        with pytest.raises(StorageUnavailable):
            TokenKeyWrapper(token.cipher(), FIRST)
    assert wrapper.unwrap(wrapped, AAD) == KEY


@pytest.mark.needs("softhsm2")
def test_the_keys_of_a_token_do_not_leave_it(token: Pkcs11Token) -> None:
    found = token.keys()
    assert {FIRST, SECOND} <= {each.key_id for each in found}
    assert not any(each.extractable for each in found)


class Liar:
    """A token that encrypts with nothing."""

    def encrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return data

    def decrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return data


def test_a_token_that_does_not_encrypt_is_not_used() -> None:
    with pytest.raises(StorageUnavailable):
        TokenKeyWrapper(Liar(), FIRST)
