"""A standby that lagged behind when it was promoted: nothing is written to it, and nothing forks."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.services.postgresql import Server
from vault.bootstrap import open_vault
from vault.db.engine import Database
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import LedgerError, SettingsRefused, Unavailable
from vault.ledger.chain import verify_chain
from vault.ledger.stored import entries, read_head
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def standby(server: Server) -> Iterator[Server]:
    server.create("safe")
    standby = server.standby()
    yield standby
    standby.remove()


def deposit(vault: Vault, key: str) -> str:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", "p.txt")
    return vault.submissions.deposit(holder, new, iter((key.encode(),)), Transfer(key)).document_id


def soon(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def has_all(server: Server, standby: Server) -> bool:
    ((written,),) = server.execute("SELECT pg_current_wal_flush_lsn()::text")
    ((same,),) = standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
    return bool(same)


def head(server: Server) -> int:
    ((size,),) = server.execute("SELECT size FROM ledger_head", "safe")
    return int(size)


def refused(vault: Vault) -> str:
    """Return why a deposit is refused, once there is a server to ask."""
    deadline = time.monotonic() + 30
    while True:
        try:
            deposit(vault, "after")
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        except LedgerError as error:
            return error.code


def test_a_standby_that_lagged_when_it_was_promoted_is_refused_and_the_right_one_is_taken_again(
    server: Server, standby: Server, tmp_path: Path
) -> None:
    both = f"{server.url('safe')}&host={standby.folder}&target_session_attrs=read-write"
    settings = Settings(data=tmp_path / "data", database_url=both, publish_interval=0.02)
    with closing(open_vault(settings, background=False)) as vault:
        kept = [deposit(vault, "before")]
        soon(lambda: has_all(server, standby))
        # It follows no more: what is committed and answered from now on is not on it.
        standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        standby.execute("SELECT pg_reload_conf()")
        soon(lambda: not server.execute("SELECT 1 FROM pg_stat_replication"))
        kept.append(deposit(vault, "not-on-the-standby"))
        ahead = head(server)
        # Published: what a process that starts anew can know it by.
        soon(lambda: vault.receipts.published_size() == ahead)
        server.stop(signal.SIGQUIT)
        standby.execute("SELECT pg_promote()")
        assert [refused(vault) for _ in range(3)] == ["LEDGER_BEHIND"] * 3
        # Nor is anything read there: whose rights ended meanwhile, it does not know.
        holder = vault.personas.named("camille").actor
        with pytest.raises(LedgerError, match="recover"):
            vault.reading.describe(holder, kept[0], "")
        # Nor by a process that starts now and knows nothing of what this one committed.
        with pytest.raises(LedgerError) as told:
            open_vault(settings, background=False)
        assert told.value.code == "LEDGER_BEHIND"
        assert head(standby) < ahead
        behind = head(standby)
        time.sleep(0.5)
        assert head(standby) == behind, "nothing was written meanwhile"
        standby.stop()
        server.start()
        with suppress(Unavailable):
            deposit(vault, "after")
        kept.append(deposit(vault, "after"))
        soon(lambda: vault.receipts.published_size() == head(server))
        holder = vault.personas.named("camille").actor
        for document_id, key in zip(kept, ("before", "not-on-the-standby", "after"), strict=True):
            assert b"".join(vault.reading.original(holder, document_id, "").read(0, None)) == key.encode()
        with vault.parts.database.reading() as connection:
            found = read_head(connection)
            report = verify_chain(body for _, body, _ in entries(connection, 0, found.size))
        assert (report.size, report.last_leaf) == (found.size, found.last_leaf)


def test_production_starts_only_where_commits_wait_for_the_standby(
    server: Server, standby: Server, tmp_path: Path
) -> None:

    production = Settings(data=tmp_path, environment="production").database_limits
    assert production.replicated
    with pytest.raises(SettingsRefused, match="synchronous_standby_names"):
        Database.open(server.url("safe"), tmp_path, production)
    server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    server.execute("SELECT pg_reload_conf()")
    soon(lambda: bool(server.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")))
    database = Database.open(server.url("safe"), tmp_path, production)
    database.migrate()
    # Changed while the service runs: the next connection finds it out, and nothing is written.
    server.execute("ALTER SYSTEM RESET synchronous_standby_names")
    server.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)
    database.engine.dispose()
    with pytest.raises(Unavailable, match="synchronous_standby_names"), database.writing():
        pass
    database.close()
