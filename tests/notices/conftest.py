"""A small world for notifications: a database with one safe and one act in it, a clock that is set by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from storage.filesystem import FilesystemRecordStore
from storage.keys import LocalKeyWrapper
from tests.services.postgresql import address
from vault.authorization.ties import Ties
from vault.clock import rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.contacts import ContactRows
from vault.db.engine import Database
from vault.db.matters import MatterRows
from vault.db.repositories import Safes
from vault.domain.actors import Actor, Role
from vault.domain.contacts import Contact, ContactState
from vault.domain.notices import ChannelName, Letter, Notice, payload
from vault.notices.contacts import Contacts
from vault.notices.deliveries import Deliveries
from vault.notices.postman import Postman
from vault.notices.spreading import Spreader
from vault.outbox import OutboxCourier
from vault.records.book import RecordBook

LINK = "https://coffre.example/"
DOUBT_AFTER = 3


@dataclass
class HandClock:
    """Stands still until it is moved."""

    time: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_by(self, **much: float) -> None:
        self.time += timedelta(**much)


@dataclass
class Desk:
    """A channel that keeps what it gets, and fails as it is told: one failure for each letter, in order."""

    letters: list[Letter] = field(default_factory=list)
    failures: list[Exception | None] = field(default_factory=list)
    before: Callable[[Letter], None] = lambda letter: None
    longest_s: float = 20.0
    rests: int = 0

    def send(self, letter: Letter) -> None:
        self.before(letter)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.letters.append(letter)

    def rest(self) -> None:
        self.rests += 1

    @property
    def texts(self) -> list[str]:
        return [letter.words.text for letter in self.letters]


class World:
    """Everything between outbox and channel."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.database = Database.open(address(folder), folder / "run")
        self.database.migrate()
        wrapper = LocalKeyWrapper.create(folder / "kek")
        self.keyring = Keyring(wrapper, b"k" * 32)
        self.records = RecordBook(FilesystemRecordStore(folder / "records"), wrapper)
        self.rows = ContactRows(self.keyring)
        self.deliveries = Deliveries(self.keyring, self.clock, jitter=lambda: 0.5)
        ties = Ties(MatterRows(self.keyring), self.clock)
        self.contacts = Contacts(
            self.database, self.rows, self.deliveries, self.records, self.clock, list(ChannelName), ties
        )
        self.holder = self.new_holder("safe_" + "a" * 26, "camille", "Camille Exemple")
        self.document = self.new_document("doc_" + "b" * 26, "act")
        self.courier = self.twin_courier()
        self.mail, self.sms = Desk(), Desk()
        self.mail_postman = self.postman(self.mail, ChannelName.MAIL)
        self.sms_postman = self.postman(self.sms, ChannelName.SMS)

    def twin_courier(self) -> OutboxCourier:
        spreader = Spreader(self.rows, self.deliveries, self.clock, 16)
        return OutboxCourier(self.database, spreader, self.clock)

    def postman(self, channel: Any, name: ChannelName) -> Postman:
        return Postman(
            self.database,
            self.rows,
            self.deliveries,
            channel,
            name,
            self.clock,
            link=LINK,
            doubt_after=DOUBT_AFTER,
        )

    def new_holder(self, safe_id: str, holder: str, name: str) -> Actor:
        with self.database.writing() as connection:
            row = Safes(self.keyring).new_row(safe_id, holder, name, rfc3339(self.clock.now()))
            connection.execute(insert(models.safes), dict(row))
        return Actor(id=holder, role=Role.HOLDER, safe_id=safe_id)

    def new_document(self, document_id: str, kind: str, safe_id: str | None = None) -> str:
        now = rfc3339(self.clock.now())
        row = {
            "id": document_id, "kind": kind, "safe_id": safe_id or self.holder.safe_id, "document_type": "",
            "media_type": "application/pdf", "size": 1, "reception": "received", "sealing": "sealed",
            "scan": "unscanned", "status": "valid", "created_at": now, "retain_until": now, "first_seq": 1,
            "next_status": 1, "next_access": 0,
        }  # fmt: skip
        with self.database.writing() as connection:
            connection.execute(insert(models.documents), row)
        return document_id

    def announce(self, *topics: str, document: str | None = None) -> None:
        now = rfc3339(self.clock.now())
        with self.database.writing() as connection:
            for topic in topics:
                text = payload(Notice(topic, document_id=document or self.document))
                connection.execute(
                    insert(models.outbox), {"topic": topic, "payload": text, "created_at": now}
                )

    def put(self, topic: str, text: str) -> None:
        """Put any payload in the outbox."""
        with self.database.writing() as connection:
            row = {"topic": topic, "payload": text, "created_at": rfc3339(self.clock.now())}
            connection.execute(insert(models.outbox), row)

    def confirmed(self, *pairs: tuple[str, str], holder: Actor | None = None) -> list[Contact]:
        """Make these the contacts, with their codes sent back; what was sent for that is forgotten."""
        actor = holder or self.holder
        assert actor.safe_id
        for contact in self.contacts.replace(actor, actor.safe_id, list(pairs)):
            with self.database.reading() as connection:
                code = self.rows.code_to_send(connection, contact.id)
            if contact.state is ContactState.PENDING and code:
                self.contacts.confirm(actor, actor.safe_id, contact.id, code)
        for postman in (self.mail_postman, self.sms_postman):
            while postman.send_due():
                pass
        self.mail.letters.clear()
        self.sms.letters.clear()
        return self.contacts.of(actor, actor.safe_id)

    def ended(self) -> list[tuple[str, str]]:
        """(state, code) of every delivery that is no code, oldest first."""
        table = models.deliveries
        query = select(table.c.state, table.c.last_code).where(table.c.kind != "code")
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(table.c.created_at, table.c.id)).all()
        return [(row.state, row.last_code) for row in found]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to copy: making them takes longer than most tests."""
    folder = tmp_path_factory.mktemp("template")
    database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "run")
    database.migrate()
    database.close()
    return folder / "safe.db"


@pytest.fixture
def world(tmp_path: Path, migrated: Path) -> Iterator[World]:
    """The world on SQLite."""
    shutil.copy(migrated, tmp_path / "safe.db")
    made = World(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def any_world(tmp_path: Path, each_database: str) -> Iterator[World]:
    """The world on each kind of database."""
    made = World(tmp_path)
    yield made
    made.database.close()
