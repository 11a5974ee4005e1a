"""A whole safe on the embedded default, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vault.bootstrap import open_vault
from vault.documents.typesetting import render, specimen_data
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture(scope="session")
def act_pdf() -> bytes:
    """The specimen act, not sealed."""
    name = "acte-de-naissance"
    return render(name, specimen_data(name), at=datetime(2026, 1, 15, tzinfo=UTC))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A running safe."""
    opened = open_vault(Settings(data=tmp_path / "data", publish_interval=0.05))
    yield opened
    opened.close()


@pytest.fixture
def issue(vault: Vault, act_pdf: bytes) -> Callable[..., Outcome]:
    """Issue the specimen (or other octets) to Camille."""

    def do(key: str = "k1", content: bytes = act_pdf, **changes: object) -> Outcome:
        agent = vault.personas.named("agent-etat-civil").actor
        fields: dict[str, object] = {
            "holder": "camille",
            "title": "Acte de naissance",
            "file_name": "acte.pdf",
            "document_type": "acte-de-naissance",
            **changes,
        }
        new = NewDocument(**fields)  # type: ignore[arg-type]
        return vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key))

    return do


@pytest.fixture
def deposit(vault: Vault) -> Callable[..., Outcome]:
    """Submit octets to Camille's safe."""

    def do(key: str = "d1", content: bytes = b"<a>\xc3\xa9</a>", name: str = "demande.xml") -> Outcome:
        holder = vault.personas.named("camille").actor
        new = NewDocument("camille", "Pièce", name)
        return vault.submissions.deposit(holder, new, iter((content,)), Transfer(key))

    return do
