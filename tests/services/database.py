"""What may happen to the database of a safe that is stopped: it is lost, or an older copy takes its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sqlalchemy import make_url

from tests.services.postgresql import CHOSEN, execute
from vault.settings import Settings


def lose(settings: Settings) -> None:
    """Leave no database, as on a new machine."""
    if (name := _name(settings)) is not None:
        _swap(name, "template0")
        return
    for file in settings.data.glob("probans.db*"):
        file.unlink()


class Copy:
    """A backup of a safe's database."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Make it.

        Args:
            settings: of a safe that is stopped.
            folder: where files of the copy go.
        """
        self._settings, self._folder = settings, folder / "backup.db"
        if (name := _name(settings)) is not None:
            _server(f'CREATE DATABASE "{name}-backup" TEMPLATE "{name}"')
        else:
            shutil.copy(settings.data / "probans.db", self._folder)

    def put_back(self) -> None:
        """Put it in the place of the database."""
        if (name := _name(self._settings)) is not None:
            _swap(name, f"{name}-backup")
        else:
            lose(self._settings)
            shutil.copy(self._folder, self._settings.data / "probans.db")


def _name(settings: Settings) -> str | None:
    return make_url(settings.database_url).database if settings.database_url else None


def _swap(name: str, template: str) -> None:
    _server(f'DROP DATABASE "{name}" WITH (FORCE)')
    _server(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _server(sql: str) -> None:
    execute(Path(os.environ[CHOSEN]), sql)
