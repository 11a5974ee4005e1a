"""Settings written in a file: read as systemd and containers read them, and nothing of the environment with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault.config.env_file import read_settings_file
from vault.errors import SettingsRefused
from vault.settings import Settings


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_is_written_counts_and_the_environment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBANS_MAX_PAGES", "7")
    monkeypatch.setenv("PROBANS_DATABASE_URL", "sqlite:///elsewhere")
    text = "\n# comment\nPROBANS_DATA=/srv/safe\nexport PROBANS_ORIGIN='a b/ledger/1'\n  PROBANS_VERIFY_FETCH=true \n"
    text += 'PROBANS_MAIL_FROM="a=b$HOME#c"\r\nPROBANS_PUBLISH_INTERVAL=0.5\nPROBANS_TSA_URL=\n'
    settings = Settings.from_file(written(tmp_path, text))
    assert (settings.data, settings.origin, settings.verify_fetch) == (
        Path("/srv/safe"),
        "a b/ledger/1",
        True,
    )
    assert (settings.mail_from, settings.publish_interval, settings.tsa_url) == ("a=b$HOME#c", 0.5, "")
    assert (settings.max_pages, settings.database_url) == (20_000, "")
    assert isinstance(settings.check(), Settings)
    assert Settings.from_file(None).max_pages == 20_000
    assert Settings().max_pages == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PROBANS_DATA\n", "line 1"),
        ("DATA=x\n", "line 1"),
        ("PROBANS_DATA=x\nPROBANS_DATA=y\n", "once more"),
        ("PROBANS_NO_SUCH=x\n", "NO_SUCH"),
        ("PROBANS_MAX_PAGES=many\n", "MAX_PAGES"),
        (b"\xff\n", "cannot be used"),
        (b"#" * (1 << 20) + b"\n", "too large"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(SettingsRefused, match=said) as caught:
        Settings.from_file(written(tmp_path, text))
    assert caught.value.code == "SETTINGS_REFUSED"


def test_no_value_is_shown(tmp_path: Path) -> None:
    path = written(tmp_path, "PROBANS_MAX_PAGES=hunter2\n")
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_file(path)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsRefused) as caught:
        read_settings_file(written(tmp_path, "hunter2\n"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsRefused):
        read_settings_file(tmp_path / "absent")
