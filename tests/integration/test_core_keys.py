"""Lost, changed or misplaced keys stop the service in words; nothing is made anew in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault.bootstrap import open_parts, open_vault
from vault.errors import SettingsRefused
from vault.settings import Settings

KEYS = ("key-encryption.key", "index.key", "pki/root.p12", "ledger/ledger-ed25519.pem")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "data")
    open_vault(settings, background=False).close()
    return settings


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("without_database", [False, True])
def test_a_lost_key_is_not_drawn_anew(settings: Settings, name: str, without_database: bool) -> None:
    file = settings.keys_folder / name
    content = file.read_bytes()
    file.unlink()
    if without_database:
        for each in settings.data.glob("probans.db*"):
            each.unlink()
    for opening in (open_parts, open_vault):
        with pytest.raises(SettingsRefused) as caught:
            opening(settings)
        assert caught.value.code in {"KEYS_MISSING", "LEDGER_KEYS_MISSING"}
        assert not file.exists()
    file.write_bytes(content)
    file.chmod(0o600)
    open_parts(settings).close()


@pytest.mark.parametrize("name", KEYS[:3])
def test_a_damaged_key_file_is_told_in_words(settings: Settings, name: str) -> None:
    (settings.keys_folder / name).write_bytes(b"nothing of a key")
    with pytest.raises(SettingsRefused) as caught:
        open_vault(settings)
    assert caught.value.code == "KEYS_UNUSABLE"


def test_a_key_file_others_can_read_is_refused(settings: Settings) -> None:
    (settings.keys_folder / "key-encryption.key").chmod(0o644)
    with pytest.raises(SettingsRefused, match="600"):
        open_vault(settings)


def test_anchors_that_cannot_be_read_are_told_by_their_setting(settings: Settings, tmp_path: Path) -> None:
    for content in (None, b"no certificate"):
        path = tmp_path / "anchors.pem"
        if content is not None:
            path.write_bytes(content)
        changed = settings.model_copy(update={"tsa_trust": path, "tsa_url": "http://127.0.0.1:9/tsa"})
        with pytest.raises(SettingsRefused, match="PROBANS_TSA_TRUST"):
            open_vault(changed)


def test_a_start_that_fails_closes_what_it_opened(settings: Settings) -> None:
    (settings.keys_folder / "index.key").write_bytes(b"short")
    starts, before = 8, len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(starts):
        with pytest.raises(SettingsRefused):
            open_vault(settings)
    # Other tests' services, in the same process, may open one or two meanwhile: each start would leave one.
    assert len(list(Path("/proc/self/fd").iterdir())) < before + starts
