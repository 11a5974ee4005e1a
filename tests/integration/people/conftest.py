"""A safe whose clock tests put forward, with everybody in it and short ways to act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.services.clocks import Shifted
from tests.services.database import lose
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.db.repositories import Documents, opening_role
from vault.domain.actors import Actor, Role
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import VaultError
from vault.ledger.opening import RevealedOpening
from vault.people.mandates import NewMandate
from vault.service import Vault
from vault.settings import Settings

TOWN, EMPLOYER = "mairie-specimen", "employeur-specimen"
KEYS = (f"key-{number}" for number in count())


class World:
    """A safe with two holders, two administrations, an officer and an operator."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.clock = settings, Shifted()
        self.open()

    def open(self) -> None:
        self.vault: Vault = open_vault(self.settings, self.clock, background=False)
        self.people = self.vault.people
        named = self.vault.personas.named
        self.camille, self.dominique = named("camille").actor, named("dominique").actor
        self.registrar, self.payroll = named("agent-etat-civil").actor, named("agent-paie").actor
        self.officer, self.operator = named("delegue").actor, named("exploitant").actor

    @property
    def safe_id(self) -> str:
        """Camille's."""
        return str(self.camille.safe_id)

    def key(self) -> str:
        return next(KEYS)

    def proven(self, actor: Actor) -> Actor:
        """The actor, who has just logged in."""
        return replace(actor, authenticated_at=self.clock.now())

    def issue(self, of_type: str = "acte-de-naissance", holder: str = "camille", **more: object) -> str:
        title = str(more.pop("title", "Acte"))
        new = NewDocument(holder, title, "acte.txt", document_type=of_type, **more)  # type: ignore[arg-type]
        key = self.key()
        chunks = iter((key.encode(),))
        return self.vault.issuing.issue(self.registrar, TOWN, new, chunks, Transfer(key)).document_id

    def deposit(
        self,
        actor: Actor | None = None,
        holder: str = "camille",
        chunks: Iterator[bytes] | None = None,
        **more: object,
    ) -> str:
        key = self.key()
        title = str(more.pop("title", "Pièce"))
        new = NewDocument(holder, title, "piece.txt", **more)  # type: ignore[arg-type]
        octets = chunks or iter((key.encode(),))
        return self.vault.submissions.deposit(actor or self.camille, new, octets, Transfer(key)).document_id

    def wanted(self, **changes: object) -> NewMandate:
        new = NewMandate(
            "camille", "dominique", "proxy", ("read", "deposit", "answer", "share"), "Procuration",
            None, self.clock.now() + timedelta(days=60),
        )  # fmt: skip
        return replace(new, **changes)  # type: ignore[arg-type]

    def mandate(self, by: Actor | None = None, **changes: object) -> Actor:
        """Give a mandate; return who acts under it."""
        new = self.wanted(**changes)
        given = self.people.mandates.grant(by or self.camille, new, self.key())
        own = self.dominique.safe_id if new.mandatary == "dominique" else None
        return Actor(new.mandatary, Role.MANDATARY, safe_id=own, mandate_id=given.document_id)

    def guardian(self, **changes: object) -> Actor:
        return self.mandate(self.registrar, kind="guardian", **changes)

    def read(self, document: str, actor: Actor | None = None, purpose: str = "instruction-dossier") -> bytes:
        return b"".join(self.vault.reading.original(actor or self.camille, document, purpose).read(0, None))

    def journal(self, document: str) -> list[tuple[str, str, str]]:
        """What the access journal says of a document: event, action, mandate."""
        parts, documents = self.vault.parts, Documents(self.vault.parts.keyring)
        with parts.database.reading() as connection:
            key = documents.key(connection, document)
            found = documents.entries(connection, document, "access")
        assert key is not None
        said = []
        for entry in found:
            assert entry.opening is not None
            opening = RevealedOpening.parse(key.open(opening_role("access", entry.counter), entry.opening))
            assert opening.document is not None
            assert opening.parties is not None
            said.append((entry.event, str(opening.document["action"]), str(opening.parties["mandate"])))
        return said

    def audited(self) -> None:
        """Demand that an audit finds nothing."""
        parts = self.vault.parts
        report = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
        assert report.problems == []

    def lose_and_recover(self) -> None:
        """Lose the database, rebuild it from what is left, and go on."""
        self.vault.publisher.publish_last()
        self.vault.close()
        lose(self.settings.database_address)
        parts = open_parts(self.settings, self.clock)
        assert parts.recovery().run(self.clock).findings == []
        parts.close()
        self.open()


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(VaultError) as caught:
        work()
    return caught.value.code


@pytest.fixture
def refused() -> Callable[[Callable[[], object]], str]:
    """Return the code with which something is refused."""
    return code_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A safe that the tests of a module share."""
    made = World(Settings(data=tmp_path_factory.mktemp("safe") / "data", publish_interval=0.05))
    yield made
    made.vault.close()


@pytest.fixture
def aside(tmp_path: Path) -> Iterator[World]:
    """A safe of the test's own."""
    made = World(Settings(data=tmp_path / "data", publish_interval=0.05, retention_days=0))
    yield made
    made.vault.close()


@pytest.fixture
def everywhere(each_database: str, tmp_path: Path) -> Iterator[World]:
    """A safe of the test's own, on each kind of database."""
    made = World(Settings(data=tmp_path / "data", publish_interval=0.05, retention_days=0))
    yield made
    made.vault.close()
