"""Searches and journals are read from a server that follows, never behind what the decision knew."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.services.postgresql import Server
from vault.bootstrap import open_vault
from vault.documents.searching import EVERYTHING, Search
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import NotFound
from vault.ledger import replica
from vault.rights.journal_lines import Filters, JournalLines
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.create("safe")
    yield server
    server.remove()


@pytest.fixture
def standby(server: Server) -> Iterator[Server]:
    standby = server.standby()
    yield standby
    standby.remove()


@pytest.fixture
def vault(server: Server, standby: Server, tmp_path: Path) -> Iterator[Vault]:
    settings = Settings(
        data=tmp_path / "data",
        database_url=server.url("safe"),
        database_reads_url=standby.url("safe"),
        publish_interval=0.02,
    )
    with closing(open_vault(settings, background=False)) as vault:
        yield vault


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the reads was on the standby."""
    seen: list[bool] = []
    for kind, name in ((Search, "_found"), (JournalLines, "page")):
        original = getattr(kind, name)

        def noted(
            self: object, connection: Connection, original: Callable[..., object] = original, **rest: object
        ) -> object:
            seen.append(bool(connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar()))
            return original(self, connection, **rest)

        monkeypatch.setattr(kind, name, noted)
    return seen


def deposit(vault: Vault, key: str) -> str:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", key, "p.txt")
    return vault.submissions.deposit(holder, new, iter((key.encode(),)), Transfer(key)).document_id


def listed(vault: Vault) -> list[str]:
    holder = vault.personas.named("camille").actor
    assert holder.safe_id is not None
    found = vault.reading._search.page(holder, holder.safe_id, None, 50, EVERYTHING)
    return [document.private.title for document in found.documents if document.private is not None]


def journal(vault: Vault) -> int:
    holder = vault.personas.named("camille").actor
    assert holder.safe_id is not None
    return len(vault.people.journal.lines.of_safe(holder, holder.safe_id, Filters(), 50))


def caught_up(server: Server, standby: Server) -> None:
    deadline = time.monotonic() + 30
    ((written,),) = server.execute("SELECT pg_current_wal_flush_lsn()::text")
    while not standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_searches_and_journals_are_read_from_the_follower(
    server: Server, standby: Server, vault: Vault, places: list[bool]
) -> None:
    deposit(vault, "one")
    caught_up(server, standby)
    assert listed(vault) == ["one"]
    lines = journal(vault)
    assert lines
    assert places == [True, True]
    # Who may see it was decided on the first server: somebody else is refused without asking the other.
    stranger = vault.personas.named("dominique").actor
    holder = vault.personas.named("camille").actor
    with pytest.raises(NotFound):
        vault.reading._search.page(stranger, holder.safe_id or "", None, 50, EVERYTHING)
    assert len(places) == 2


def test_a_follower_that_lags_is_passed_over(
    server: Server, standby: Server, vault: Vault, places: list[bool]
) -> None:
    deposit(vault, "one")
    caught_up(server, standby)
    standby.execute("SELECT pg_wal_replay_pause()")
    deposit(vault, "two")
    assert listed(vault) == ["two", "one"], "what was answered is seen"
    assert places == [False]
    standby.execute("SELECT pg_wal_replay_resume()")
    caught_up(server, standby)
    assert listed(vault) == ["two", "one"]
    assert places == [False, True]


def test_a_follower_that_is_down_is_passed_over_and_asked_again_when_it_is_back(
    server: Server,
    standby: Server,
    vault: Vault,
    places: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(replica, "_REST_S", 0.5)
    deposit(vault, "one")
    standby.stop(signal.SIGQUIT)
    for _ in range(3):
        assert listed(vault) == ["one"]
    assert caplog.text.count("passed over") == 1
    standby.start()
    caught_up(server, standby)
    time.sleep(0.6)
    assert listed(vault) == ["one"]
    assert places[-1] is True
    # Lost in the middle: the first server does it over.
    standby.stop(signal.SIGQUIT)
    assert listed(vault) == ["one"]
    assert places[-1] is False
    assert vault.health()["database"].ok


def test_a_follower_of_another_ledger_or_without_our_tables_is_passed_over(
    server: Server, tmp_path: Path, places: list[bool]
) -> None:
    server.create("other")
    server.create("empty")
    plain = Settings(data=tmp_path / "data", database_url=server.url("safe"), publish_interval=0.02)
    another = Settings(
        data=tmp_path / "other", database_url=server.url("other"), origin="other.example/ledger/1"
    )
    with closing(open_vault(another, background=False)) as there:
        for number in range(4):
            deposit(there, f"other{number}")
    for name in ("other", "empty"):
        settings = plain.model_copy(update={"database_reads_url": server.url(name)})
        with closing(open_vault(settings, background=False)) as here:
            deposit(here, "one")
            places.clear()
            assert listed(here) == ["one"]
            assert journal(here)
            assert places == [False, False]


def test_a_follower_whose_schema_has_not_followed_is_passed_over(
    server: Server, standby: Server, vault: Vault, places: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit(vault, "one")
    caught_up(server, standby)
    original = Search._hits

    def newer(self: Search, connection: Connection, *rest: object) -> tuple[list[str], int | None]:
        if places[-1]:
            connection.exec_driver_sql("SELECT of_tomorrow FROM documents")
        return original(self, connection, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Search, "_hits", newer)
    assert listed(vault) == ["one"]
    assert places == [True, False]
