"""A safe on servers: PostgreSQL and an S3 service, named by a file of settings as an operator writes it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.services.postgresql import Server
from tests.services.versitygw import Gateway
from vault.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
PROBANS = (sys.executable, "-c", "from vault.cli.main import run; run()")


@dataclass
class Place:
    """Where a safe lies.

    Attributes:
        file: its settings.
        settings: the same, read.
    """

    file: Path
    settings: Settings

    @classmethod
    def at(cls, folder: Path, **named: object) -> Place:
        """Write the settings of a place whose data folder is in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "settings"
        named = {"data": folder / "data", **named}
        lines = [f"PROBANS_{name.upper()}={value}" for name, value in named.items()]
        file.write_text("# of the new place\n" + "\n".join(lines) + "\n")
        return cls(file, Settings.from_file(file))

    @property
    def environment(self) -> dict[str, str]:
        """The same as an environment, beside what is not ours."""
        lines = (line.partition("=") for line in self.file.read_text().splitlines() if "=" in line)
        return bare() | {name: value for name, _, value in lines}


def on_servers(server: Server, gateway: Gateway, folder: Path, database: str) -> Place:
    """Return a place on PostgreSQL and the S3 service."""
    folder.mkdir(parents=True)
    for name, secret in (("access", gateway.access_key), ("secret", gateway.secret_key)):
        (folder / name).write_text(secret + "\n")
    return Place.at(
        folder,
        database_url=server.create(database),
        store_endpoint=gateway.endpoint,
        store_bucket=gateway.bucket(locked=True),
        store_plain_bucket=gateway.bucket(locked=False),
        store_access_key_file=folder / "access",
        store_secret_key_file=folder / "secret",
    )


def bare() -> dict[str, str]:
    """Return the environment without settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PROBANS_")}


def run(
    *words: str, program: tuple[str, ...] = PROBANS, place: Place | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, in a place's environment if one is given."""
    return subprocess.run(
        [*program, *words],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=REPOSITORY,
        env=bare() if place is None else place.environment,
    )
