"""The token that holds the keys is away: files are taken in, wait, and are sealed when it is back; nothing pretends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signing import keys
from signing.base import KeyPurpose
from signing.errors import SigningUnavailable
from signing.signers import SoftSigner
from timestamping.errors import AuthorityUnavailable
from vault.backends.tsa import dating
from vault.bootstrap import open_vault
from vault.domain.documents import Outcome
from vault.errors import Refused
from vault.maintenance import healing
from vault.service import Vault
from vault.settings import Settings


class Switched(SoftSigner):
    """A key that can be away."""

    away = False

    def sign(self, data: bytes) -> bytes:
        if Switched.away:
            raise SigningUnavailable("the token is away")
        return super().sign(data)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    monkeypatch.setattr(keys, "SoftSigner", Switched)
    monkeypatch.setattr(Switched, "away", False)
    opened = open_vault(Settings(data=tmp_path / "data", publish_interval=0.05), background=False)
    yield opened
    opened.close()


def test_files_wait_for_the_key_and_are_sealed_in_order(
    vault: Vault,
    issue: Callable[..., Outcome],
    deposit: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = issue("before")
    monkeypatch.setattr(Switched, "away", True)
    act, attachment = issue("k1"), deposit("d1")
    assert [each.status_code for each in (sealed, act, attachment)] == [201, 202, 202]
    assert vault.healer.heal() == 0
    # A file that no key could seal is refused all the same.
    with pytest.raises(Refused):
        issue("k2", content=b"%PDF-1.7\nnot a PDF")
    monkeypatch.setattr(Switched, "away", False)
    assert vault.healer.heal() == 2
    assert [vault.healer.heal() for _ in range(2)] == [0, 0]
    holder = vault.personas.named("camille").actor
    for outcome in (act, attachment):
        assert vault.reading.bundle(holder, outcome.document_id, "").size
    assert issue("k1").replayed


def test_one_key_that_is_away_holds_up_no_other(
    vault: Vault,
    issue: Callable[..., Outcome],
    deposit: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Acts and attachments have keys of their own; what waits for one lets what waits for the other pass."""
    monkeypatch.setattr(Switched, "away", True)
    outcomes = [issue("k1"), deposit("d1"), issue("k2"), deposit("d2")]
    assert {each.status_code for each in outcomes} == {202}
    monkeypatch.setattr(Switched, "away", False)
    signs, asked = keys.SealKey.sign, []

    def sign(key: keys.SealKey, data: bytes) -> bytes:
        if key.purpose is KeyPurpose.ACT_SEAL:
            asked.append(key)
            raise SigningUnavailable("the token of acts is away")
        return signs(key, data)

    with monkeypatch.context() as patched:
        patched.setattr(keys.SealKey, "sign", sign)
        assert vault.healer.heal() == 2, "both attachments, behind and between the acts"
        tried = len(asked)
        assert vault.healer.heal() == 0
        assert len(asked) == tried + 1, "one try at each turn tells enough"
        # A try that lasted is not repeated at once: it would keep the healer from the others.
        patched.setattr(healing, "_SLOW_S", 0.0)
        assert vault.healer.heal() == 0
        tried = len(asked)
        monkeypatch.setattr(vault.healer, "_apart", dict.fromkeys(vault.healer._apart, math.inf))
        assert vault.healer.heal() == 0
        assert len(asked) == tried
    monkeypatch.setattr(vault.healer, "_apart", dict.fromkeys(vault.healer._apart, 0.0))
    assert vault.healer.heal() == 2


def test_a_slow_key_comes_after_the_others(
    vault: Vault,
    issue: Callable[..., Outcome],
    deposit: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Switched, "away", True)
    for number in range(3):
        assert {issue(f"k{number}").status_code, deposit(f"d{number}").status_code} == {202}
    monkeypatch.setattr(Switched, "away", False)
    signs, order = keys.SealKey.sign, []

    def sign(key: keys.SealKey, data: bytes) -> bytes:
        if key.purpose is not KeyPurpose.TIMESTAMP:
            order.append(key.purpose)
        if key.purpose is KeyPurpose.ACT_SEAL:
            time.sleep(1.1)
        return signs(key, data)

    monkeypatch.setattr(keys.SealKey, "sign", sign)
    assert vault.healer.heal() == 6
    # The first act shows that its key is slow.
    slow, quick = KeyPurpose.ACT_SEAL, KeyPurpose.RECEPTION_SEAL
    assert order == [slow, quick, quick, quick, slow, slow]


def test_the_service_starts_while_the_key_that_dates_is_away(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switched, "away", True)
    authority = dating(vault.parts).authority
    with pytest.raises(AuthorityUnavailable):
        authority.token(bytes(32))
    monkeypatch.setattr(Switched, "away", False)
    assert authority.token(bytes(32)).own_authority
