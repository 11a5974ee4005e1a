"""What may happen to the database of a safe: it is lost, or an older copy takes its place."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from tests.services.postgresql import CHOSEN, execute


def lose(address: str) -> None:
    """Leave an empty database, as on a new machine. Nobody uses it.

    Args:
        address: of SQLAlchemy, such as `Settings.database_address`.
    """
    url = make_url(address)
    assert url.database is not None
    if url.get_backend_name() == "postgresql":
        _swap(url.database, "template0")
        return
    path = Path(url.database)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


class Copy:
    """A backup of a database, which may be in use meanwhile."""

    def __init__(self, address: str, folder: Path) -> None:
        """Make it.

        Args:
            address: of the database.
            folder: where files of the copy go.
        """
        url = make_url(address)
        assert url.database is not None
        self._address, self._name, self._file = address, url.database, folder / "backup.db"
        self._server = url.get_backend_name() == "postgresql"
        if self._server:
            _tell(
                f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{self._name}'"
            )
            _tell(f'CREATE DATABASE "{self._name}-backup" TEMPLATE "{self._name}"')
        else:
            _copy(Path(url.database), self._file)

    def put_back(self) -> None:
        """Put it in the place of the database, which nobody uses."""
        if self._server:
            _swap(self._name, f"{self._name}-backup")
        else:
            lose(self._address)
            _copy(self._file, Path(self._name))


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)


def _swap(name: str, template: str) -> None:
    _tell(f'DROP DATABASE "{name}" WITH (FORCE)')
    _tell(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _tell(sql: str) -> None:
    execute(Path(os.environ[CHOSEN]), sql)
