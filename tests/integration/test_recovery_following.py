"""An older copy of the database says what was so when it was made: recovery brings it up to what was so at the end."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from identity.base import ClaimMap, ProvenIdentity, ProviderConfig
from tests.services.database import Copy, lose
from vault.authorization.purposes import Purpose, Purposes, Service
from vault.bootstrap import open_parts, open_vault
from vault.clock import SystemClock
from vault.db import models
from vault.domain.contacts import Choice, Choices, When
from vault.domain.documents import NewDocument
from vault.domain.notices import Event
from vault.domain.transfer import Transfer
from vault.people.accounts import Accounts
from vault.recovery.rebuilding import RecoveryReport
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.usefixtures("each_database")
CONFIGS = {
    name: ProviderConfig(name, f"https://{name}.example", "c", claims=ClaimMap(attributes={"holder": "h"}))
    for name in ("un", "deux")
}
LATER = "2999-01-01T00:00:00.000Z"


def proven(provider: str, subject: str, name: str = "") -> ProvenIdentity:
    return ProvenIdentity(
        provider, f"https://{provider}.example", subject, name or subject, f"{subject}@x.example", "substantial",
        datetime.now(UTC), "", "", {"h": "H1"},
    )  # fmt: skip


class Place:
    """A safe of which a copy was made in the middle of its life."""

    def __init__(self, settings: Settings, heard: list[str]) -> None:
        self.settings, self._heard = settings, heard
        self.vault: Vault = open_vault(settings, background=False)

    def close(self) -> None:
        self.vault.close()

    def reopen(self) -> None:
        self.vault = open_vault(self.settings, background=False)

    @property
    def accounts(self) -> Accounts:
        parts = self.vault.parts
        return Accounts(parts.database, parts.keyring, parts.records, SystemClock(), CONFIGS)

    def deposit(self, key: str) -> str:
        holder = self.vault.personas.named("camille").actor
        new = NewDocument("camille", "Pièce", "p.txt")
        return self.vault.submissions.deposit(holder, new, iter((key.encode(),)), Transfer(key)).document_id

    def contacts(self, *addresses: str) -> None:
        holder = self.vault.personas.named("camille").actor
        contacts = self.vault.notifying.contacts
        for each in contacts.replace(holder, holder.safe_id or "", [("mail", one) for one in addresses]):
            if each.confirmed_at is None:
                self._sent()  # codes that left when contacts were added
                contacts.send_code(holder, holder.safe_id or "", each.id)
                (code,) = re.findall(r"\n([0-9A-Z]{5}-[0-9A-Z]{5})\n", self._sent().partition("--")[0])
                contacts.confirm(holder, holder.safe_id or "", each.id, code)

    def _sent(self) -> str:
        """Let everything leave that waits; return it."""
        self._heard.clear()
        for postman in self.vault.notifying.postmen:
            while postman.send_due():
                pass
        return "".join(self._heard)

    def known_contacts(self) -> set[tuple[str, str]]:
        holder = self.vault.personas.named("camille").actor
        found = self.vault.notifying.contacts.of(holder, holder.safe_id or "")
        return {(each.address, each.state.value) for each in found}

    def label(self, document: str, *labels: str) -> None:
        self.vault.people.labels.put(self.vault.personas.named("camille").actor, document, list(labels))

    def labels(self) -> dict[str, int]:
        holder = self.vault.personas.named("camille").actor
        found = self.vault.people.labels.of_safe(holder, holder.safe_id or "")
        return {each.label: each.documents for each in found}

    def choose(self, language: str) -> None:
        holder = self.vault.personas.named("camille").actor
        choices = Choices(language, {Event.CASE: Choice(When.NEVER)})
        self.vault.notifying.contacts.choose(holder, holder.safe_id or "", choices)

    def language(self) -> str:
        holder = self.vault.personas.named("camille").actor
        return self.vault.notifying.contacts.choices(holder, holder.safe_id or "").language

    def service(self, name: str) -> None:
        said = Service("mairie-specimen", "voirie", name, name, (Purpose("instruction", "Dossier", "Case"),))
        parts = self.vault.parts
        Purposes(parts.database, parts.records, parts.clock).register(said)

    def count(self, table: object) -> int:
        with self.vault.parts.database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener, logger = Listener(), logging.getLogger("probans.notices")
    before = logger.level
    logger.setLevel("INFO")
    logger.addHandler(listener)
    made = Place(Settings(data=tmp_path / "data", publish_interval=0.02), heard)
    yield made
    made.close()
    logger.removeHandler(listener)
    logger.setLevel(before)


def recovered(settings: Settings) -> RecoveryReport:
    parts = open_parts(settings)
    try:
        return parts.recovery().run(parts.clock)
    finally:
        parts.close()


def copied(place: Place) -> tuple[Copy, list[str], str, str]:
    """Live until the copy is made; return it, two documents, an account and its second identity."""
    documents = [place.deposit(key) for key in ("a", "b")]
    place.contacts("kept@example.org", "erased@example.org")
    place.choose("en")
    place.label(documents[0], "un", "deux")
    place.label(documents[1], "trois")
    place.service("Voirie")
    account = place.accounts.sign_in(proven("un", "anne")).account.id
    place.accounts.link(account, proven("deux", "anne2"))
    stranger = place.accounts.sign_in(proven("deux", "bruno")).account.id
    _, second = place.accounts.identities(account)
    times = dict.fromkeys(("authenticated_at", "created_at", "seen_at", "ends_at"), LATER)
    session = {
        "session_ix": bytes(32),
        "id": "ses_1",
        "account_id": stranger,
        "provider": "un",
        "sealed": b"x",
    }
    row = {**session, **times, "subject_ix": bytes(32)}
    with place.vault.parts.database.writing() as connection:
        connection.execute(insert(models.sessions), row)
    place.close()
    copy = Copy(place.settings.database_address, place.settings.data.parent)
    place.reopen()
    return copy, documents, account, second.id


def test_what_changed_since_the_copy_is_as_it_was_at_the_end(place: Place) -> None:
    copy, documents, account, second = copied(place)
    place.contacts("kept@example.org", "new@example.org")  # the other is erased by that
    place.choose("fr")
    place.label(documents[0], "deux", "quatre")
    place.label(documents[1])
    place.service("Voirie et réseaux")
    place.accounts.unlink(account, second)
    place.accounts.sign_in(proven("un", "anne", "Anne Renommée"))
    late = place.deposit("c")
    contacts, labels = place.known_contacts(), place.labels()
    assert labels == {"deux": 1, "quatre": 1}
    place.close()

    copy.put_back()
    report = recovered(place.settings)
    assert report.findings == []
    assert report.followed >= 7
    assert recovered(place.settings) == RecoveryReport(), "repeating it finds nothing to do"
    place.reopen()
    assert place.known_contacts() == contacts == {
        ("kept@example.org", "confirmed"), ("new@example.org", "confirmed")
    }  # fmt: skip
    assert place.labels() == labels
    assert place.language() == "fr"
    assert [each.provider for each in place.accounts.identities(account)] == ["un"]
    assert place.accounts.get(account).name == "Anne Renommée"
    assert place.count(models.sessions) == 0, "who had logged out since is not in again"
    with place.vault.parts.database.reading() as connection:
        names = connection.scalars(
            select(models.services.c.name_fr).where(models.services.c.service == "voirie")
        ).all()
    assert names == ["Voirie et réseaux"]
    holder = place.vault.personas.named("camille").actor
    assert b"".join(place.vault.reading.original(holder, late, "").read(0, None)) == b"c"


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_where_records_are_lost_nothing_is_taken_for_erased(place: Place, harm: str) -> None:
    copy, _, account, _ = copied(place)
    place.deposit("c")
    before = place.known_contacts()
    safe = place.vault.personas.named("camille").actor.safe_id
    place.close()
    records = [path for path in (place.settings.data / "records").rglob("*") if path.is_file()]
    for path in records:
        if path.name.startswith("cnt_") or path.name == safe:
            path.unlink() if harm == "lost" else path.write_bytes(b"PBR1")
    copy.put_back()
    report = recovered(place.settings)
    assert any("erased since this copy may be back" in line for line in report.findings)
    place.reopen()
    assert place.known_contacts() == before
    assert len(place.accounts.identities(account)) == 2


def test_a_database_that_is_up_to_date_is_left_alone(place: Place) -> None:
    """A code that waits and a bounce are in no record."""
    copied(place)
    holder = place.vault.personas.named("camille").actor
    contacts = place.vault.notifying.contacts
    contacts.replace(holder, holder.safe_id or "", [("mail", "waits@example.org")])
    with place.vault.parts.database.reading() as connection:
        before = connection.execute(select(models.notice_contacts)).all()
        sessions = connection.execute(select(models.sessions)).all()
    place.close()
    assert recovered(place.settings).followed == 0
    place.reopen()
    with place.vault.parts.database.reading() as connection:
        assert connection.execute(select(models.notice_contacts)).all() == before
        assert connection.execute(select(models.sessions)).all() == sessions


def test_an_older_copy_of_the_records_brings_nothing_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a database that is up to date."""
    monkeypatch.setattr("vault.recovery.following._SLACK", timedelta(0))
    _, documents, account, second = copied(place)
    place.close()
    older = place.settings.data.parent / "older-records"
    shutil.copytree(place.settings.data / "records", older)
    place.reopen()
    place.contacts("kept@example.org", "new@example.org")
    place.label(documents[0])
    place.accounts.unlink(account, second)
    place.deposit("c")
    contacts = place.known_contacts()
    place.close()
    shutil.copytree(older, place.settings.data / "records", dirs_exist_ok=True)
    for _ in range(2):
        assert recovered(place.settings) == RecoveryReport()
    place.reopen()
    assert place.known_contacts() == contacts
    assert place.labels() == {"trois": 1}
    assert [each.provider for each in place.accounts.identities(account)] == ["un"]
    # Nor does a later loss of the database.
    place.close()
    lose(place.settings.database_address)
    assert recovered(place.settings).findings == []
    place.reopen()
    assert place.known_contacts() == contacts
    assert place.labels() == {"trois": 1}
