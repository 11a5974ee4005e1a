"""A safe whose objects, ledger and records lie in an S3 gateway of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.s3 import S3Client
from tests.services.versitygw import Gateway
from vault.bootstrap import open_vault
from vault.documents.typesetting import render, specimen_data
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings


@dataclass
class Place:
    """Where a safe's three stores lie.

    Attributes:
        gateway: the service.
        bucket: with Object Lock.
        plain: without versioning.
        settings: of the safe.
    """

    gateway: Gateway
    bucket: str
    plain: str
    settings: Settings

    @property
    def client(self) -> S3Client:
        return self.gateway.client()

    def file(self, key: str) -> Path:
        """Where the gateway keeps the newest version of a name."""
        return self.gateway.folder / "data" / self.bucket / key


def place_at(gateway: Gateway, folder: Path, **changes: object) -> Place:
    for name, text in (("access", gateway.access_key), ("secret", gateway.secret_key)):
        (folder / name).write_text(text + "\n")
    bucket, plain = gateway.bucket(locked=True), gateway.bucket(locked=False)
    named = {
        "data": folder / "data",
        "publish_interval": 0.05,
        "store_endpoint": gateway.endpoint,
        "store_bucket": bucket,
        "store_plain_bucket": plain,
        "store_access_key_file": folder / "access",
        "store_secret_key_file": folder / "secret",
        **changes,
    }
    return Place(gateway, bucket, plain, Settings(**named))  # type: ignore[arg-type]


@pytest.fixture
def place(versitygw_server: Gateway, tmp_path: Path) -> Place:
    return place_at(versitygw_server, tmp_path)


@pytest.fixture(scope="session")
def specimen() -> bytes:
    name = "acte-de-naissance"
    return render(name, specimen_data(name), at=datetime(2026, 1, 15, tzinfo=UTC))


@pytest.fixture
def vault(place: Place) -> Iterator[Vault]:
    opened = open_vault(place.settings)
    yield opened
    opened.close()


def issue(vault: Vault, octets: bytes, key: str = "k1") -> str:
    """Issue an act to Camille; return its identifier."""
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte de naissance", "acte.pdf", "acte-de-naissance")
    return vault.issuing.issue(agent, "mairie-specimen", new, iter((octets,)), Transfer(key)).document_id


def deposit(vault: Vault, octets: bytes = b"<a>\xc3\xa9</a>", key: str = "d1") -> str:
    """Submit an attachment to Camille's safe; return its identifier."""
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", "demande.xml")
    return vault.submissions.deposit(holder, new, iter((octets,)), Transfer(key)).document_id
