"""The ledger's Ed25519 key in a token: made, used, changed, and away for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.services.softhsm import Tokens
from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import SettingsRefused, Unavailable
from vault.ledger.checkpoint import verify_checkpoint
from vault.ledger.keys import ED25519_FILE, LedgerKeys
from vault.ledger.token_key import FORMAT, read_place, read_token_key
from vault.service import Vault
from vault.settings import Settings

ORIGIN = "probans.example/ledger/1"


@pytest.fixture
def settings(tmp_path: Path, softhsm_tokens: Tokens) -> Settings:
    place = softhsm_tokens.new(f"ledger-{tmp_path.name}"[:32])
    named = {"module": str(place.module), "token": place.label, "pin_file": str(softhsm_tokens.pin_file)}
    (tmp_path / "token.json").write_text(json.dumps(named))
    return Settings(data=tmp_path / "data", publish_interval=0.05, ledger_key_token=tmp_path / "token.json")


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    opened = open_vault(settings, background=False)
    yield opened
    opened.close()


def deposit(vault: Vault, key: str) -> None:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", f"{key}.xml")
    vault.submissions.deposit(holder, new, iter((b"<a/>",)), Transfer(key))


@pytest.mark.needs("softhsm2")
def test_checkpoints_are_signed_in_the_token_and_keys_are_changed_there(
    vault: Vault, settings: Settings, softhsm_tokens: Tokens
) -> None:
    folder = settings.keys_folder / "ledger"
    written = json.loads((folder / ED25519_FILE).read_bytes())
    assert written["format"] == FORMAT
    assert b"PRIVATE" not in (folder / ED25519_FILE).read_bytes()
    deposit(vault, "a")
    size = vault.publisher.publish()
    old = vault.parts.trusted
    assert verify_checkpoint(vault.log_file("checkpoint"), old).size == size
    changed = vault.rotation.rotate(timedelta(days=1))
    assert changed.vkeys[0] != old.logs[0].vkey
    note = vault.log_file("checkpoint")
    assert verify_checkpoint(note, vault.parts.trusted).size == verify_checkpoint(note, old).size
    files = [path.read_bytes() for path in folder.rglob(ED25519_FILE)]
    assert len({json.loads(each)["key_id"] for each in files}) == 2
    # Another process, whose token answers.
    other = open_vault(settings, background=False)
    try:
        deposit(other, "b")
        assert other.publisher.publish() > size
    finally:
        other.close()


def refusal(vault: Vault) -> str:
    """Publish until it is refused: while the service's own publisher is at it, nothing is done here."""
    for _ in range(200):
        try:
            vault.publisher.publish()
        except Unavailable as error:
            return error.code
        time.sleep(0.05)
    return ""


@pytest.mark.needs("softhsm2")
def test_while_the_token_is_away_entries_are_written_and_published_afterwards(
    settings: Settings, softhsm_tokens: Tokens
) -> None:
    vault = open_vault(settings, background=False)
    vault.close()
    with softhsm_tokens.away():
        # The key has a name even so: the service starts.
        vault = open_vault(settings, background=False)
        deposit(vault, "a")
        assert refusal(vault) == "KEY_UNAVAILABLE"
        assert vault.publisher.failure is None, "it is tried again"
    try:
        note = vault.publisher.wait(2, 30)
        assert note is not None, "by itself, once the token is back"
        assert verify_checkpoint(note, vault.parts.trusted).size >= 2
    finally:
        vault.close()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"format": "x"}',
        json.dumps(
            {"format": FORMAT, "module": "m", "pin_file": "p", "key_id": "00", "public": "00"}
        ).encode(),
        json.dumps(
            {"format": FORMAT, "module": "m", "pin_file": "p", "key_id": "00", "public": "00" * 32, "more": 1}
        ).encode(),
        b"[" * 50_000,
    ],
)
def test_a_file_in_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(SettingsRefused) as caught:
        read_token_key(content)
    assert caught.value.code == "LEDGER_KEYS_UNREADABLE"


def test_a_file_that_others_may_change_is_refused(tmp_path: Path) -> None:
    LedgerKeys.open(tmp_path, ORIGIN)
    named = {"format": FORMAT, "module": "m", "pin_file": "p", "key_id": "00", "public": "00" * 32}
    (tmp_path / ED25519_FILE).write_text(json.dumps(named))
    (tmp_path / ED25519_FILE).chmod(0o644)
    with pytest.raises(SettingsRefused) as caught:
        LedgerKeys.open(tmp_path, ORIGIN)
    assert caught.value.code == "LEDGER_KEYS_EXPOSED"


def test_a_token_is_named_in_whole(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    for content in ("", "[]", '{"module": "m"}', '{"module": "m", "pin_file": "p", "pin": "1"}'):
        path.write_text(content)
        with pytest.raises(SettingsRefused):
            read_place(path)
    path.write_text('{"module": "m", "pin_file": "p", "token": "t"}')
    assert read_place(path)["pin_file"] == str(tmp_path / "p")
