"""Accounts: two identities of one person linked with proof of both, and what survives the loss of the database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from identity.base import ClaimMap, ProvenIdentity, ProviderConfig
from tests.services.database import lose
from vault.bootstrap import open_parts, open_vault
from vault.clock import SystemClock
from vault.composition.parts import Parts
from vault.core import faults
from vault.db import models
from vault.db.repositories import Safes
from vault.domain.actors import Role
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Conflict, Forbidden, LedgerError, NotFound, Unauthenticated
from vault.people.accounts import Accounts
from vault.people.qualities import granted_roles, quality_of
from vault.settings import Settings


class Killed(BaseException):
    """Ends what runs as a kill would."""


def config(name: str, **claims: object) -> ProviderConfig:
    return ProviderConfig(name, f"https://{name}.example", "c", claims=ClaimMap(**claims))  # type: ignore[arg-type]


CONFIGS = {
    each.name: each
    for each in (
        config("un", attributes={"holder": "h"}),
        config("deux", attributes={"holder": "h"}),
        config(
            "agents",
            fixed={"role": "agent", "administration": "mairie-specimen"},
            attributes={"service": "s"},
        ),
        config(
            "mixte",
            attributes={"role": "r", "administration": "a"},
            values={"role": {"A": "agent", "X": "system"}},
        ),
        config("vague", attributes={"role": "r"}),
    )
}


def proven(provider: str, subject: str, **attributes: str) -> ProvenIdentity:
    return ProvenIdentity(
        provider, f"https://{provider}.example", subject, subject.title(), f"{subject}@x.example", "substantial",
        datetime.now(UTC), "", "", attributes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safe that was started once, to be copied."""
    folder = tmp_path_factory.mktemp("begun") / "data"
    open_vault(Settings(data=folder, publish_interval=0.05)).close()
    return folder


@pytest.fixture
def settings(tmp_path: Path, begun: Path) -> Settings:
    shutil.copytree(begun, tmp_path / "data")
    return Settings(data=tmp_path / "data", publish_interval=0.05)


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Parts, Accounts]]:
    parts = open_parts(settings)
    try:
        yield parts, Accounts(parts.database, parts.keyring, parts.records, SystemClock(), CONFIGS)
    finally:
        parts.close()


@pytest.fixture
def accounts(settings: Settings) -> Iterator[Accounts]:
    with opened(settings) as (_, accounts):
        yield accounts


def count(accounts: Accounts, table: str) -> int:
    with accounts._database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(models.metadata.tables[table])) or 0


# Roles


def test_a_provider_grants_what_its_configuration_spells_out() -> None:
    assert granted_roles(CONFIGS["un"]) == {Role.HOLDER}
    assert granted_roles(CONFIGS["agents"]) == {Role.AGENT}
    assert granted_roles(CONFIGS["mixte"]) == {Role.AGENT}
    assert granted_roles(CONFIGS["vague"]) == set()
    assert granted_roles(config("faux", fixed={"role": "mandatary"})) == set()


@pytest.mark.parametrize(
    ("provider", "attributes"),
    [
        ("un", {"role": "agent", "administration": "mairie-specimen"}),
        ("un", {"role": "operator"}),
        ("mixte", {}),
        ("mixte", {"role": "holder"}),
        ("mixte", {"role": "system"}),
        ("mixte", {"role": "agent"}),
        ("vague", {"role": "auditor"}),
        ("agents", {"role": "agent", "administration": "mairie-specimen", "service": "../x"}),
    ],
)
def test_whatever_else_is_claimed_is_refused(provider: str, attributes: dict[str, str]) -> None:
    with pytest.raises(Forbidden) as caught:
        quality_of(CONFIGS[provider], attributes, "sub-1")
    assert caught.value.code == "LOGIN_ROLE_REFUSED"


def test_an_administration_that_is_unknown_here_has_no_agents(accounts: Accounts) -> None:
    with pytest.raises(Forbidden):
        accounts.sign_in(proven("mixte", "a", role="agent", administration="ailleurs"))
    with pytest.raises(Forbidden):
        accounts.sign_in(replace(proven("un", "a"), provider="inconnu"))
    assert count(accounts, "accounts") == 0


# Linking


def test_linked_identities_lead_to_one_account_and_one_safe(accounts: Accounts) -> None:
    first = accounts.sign_in(proven("un", "anne", holder="H1")).account
    accounts.link(first.id, proven("deux", "anne2", holder="H2"))
    accounts.link(first.id, proven("deux", "anne2", holder="H2"))
    assert accounts.sign_in(proven("deux", "anne2", holder="H2")).account.id == first.id
    assert [each.provider for each in accounts.identities(first.id)] == ["un", "deux"]
    assert (count(accounts, "accounts"), count(accounts, "account_identities")) == (1, 2)
    with accounts._database.reading() as connection:
        # Administrations reach the person by either identifier.
        assert accounts._safes.of_holder(connection, "H1") == first.safe_id
        assert accounts._safes.of_holder(connection, "H2") == first.safe_id


def test_an_account_with_an_empty_safe_goes_into_the_other(accounts: Accounts) -> None:
    safes = count(accounts, "safes")
    first = accounts.sign_in(proven("un", "anne")).account
    second = accounts.sign_in(proven("deux", "anne2", holder="H2")).account
    accounts.link(first.id, proven("deux", "anne2", holder="H2"))
    assert count(accounts, "accounts") == 1
    assert count(accounts, "safes") == safes + 1
    assert accounts.sign_in(proven("deux", "anne2")).account.id == first.id
    names = set(accounts._records.names())
    assert first.id in names
    assert not {second.id, second.safe_id} & names
    with pytest.raises(NotFound):
        accounts.get(second.id)


def test_an_account_without_safe_takes_the_safe_of_the_other(accounts: Accounts) -> None:
    agent = accounts.sign_in(proven("agents", "b", role="agent", administration="mairie-specimen")).account
    holder = accounts.sign_in(proven("un", "b", holder="HB")).account
    assert agent.safe_id is None
    accounts.link(agent.id, proven("un", "b", holder="HB"))
    merged = accounts.sign_in(proven("un", "b", holder="HB"))
    assert (merged.account.id, merged.account.safe_id, merged.account.holder) == (
        agent.id,
        holder.safe_id,
        "HB",
    )
    assert merged.quality.role is Role.HOLDER


def test_accounts_that_both_hold_something_stay_two(settings: Settings) -> None:
    vault = open_vault(settings)
    try:
        parts = vault.parts
        accounts = Accounts(parts.database, parts.keyring, parts.records, SystemClock(), CONFIGS)
        first = accounts.sign_in(proven("un", "anne")).account
        second = accounts.sign_in(proven("deux", "anne2")).account
        actor = replace(vault.personas.named("camille").actor, id=second.holder, safe_id=second.safe_id)
        vault.submissions.deposit(
            actor, NewDocument(second.holder, "a", "a.xml"), iter((b"<a/>",)), Transfer("k")
        )
        with pytest.raises(Conflict) as caught:
            accounts.link(first.id, proven("deux", "anne2"))
        assert caught.value.code == "ACCOUNT_NOT_EMPTY"
        assert accounts.sign_in(proven("deux", "anne2")).account.id == second.id
        # The other way round nothing is lost: the first one's safe is empty.
        accounts.link(second.id, proven("un", "anne"))
        assert accounts.sign_in(proven("un", "anne")).account.safe_id == second.safe_id
        # A safe that waits for its person counts as well.
        waiting = vault.personas.named("dominique").actor
        new = NewDocument("dominique", "a", "a.xml")
        vault.submissions.deposit(waiting, new, iter((b"<a/>",)), Transfer("k"))
        with pytest.raises(Conflict):
            accounts.link(second.id, proven("deux", "dom", holder="dominique"))
    finally:
        vault.close()


def test_another_provider_s_word_alone_opens_no_safe_of_somebody(accounts: Accounts) -> None:
    first = accounts.sign_in(proven("un", "anne", holder="H1")).account
    with pytest.raises(Conflict) as caught:
        accounts.sign_in(proven("deux", "autre", holder="H1"))
    assert caught.value.code == "LINK_NEEDED"
    assert count(accounts, "accounts") == 1
    accounts.link(first.id, proven("deux", "autre", holder="H1"))
    assert accounts.sign_in(proven("deux", "autre", holder="H1")).account.id == first.id


def test_an_account_with_two_ways_and_a_safe_keeps_them_both(accounts: Accounts) -> None:
    first = accounts.sign_in(proven("un", "anne")).account
    second = accounts.sign_in(proven("deux", "bea")).account
    accounts.link(second.id, proven("un", "bea2"))
    with pytest.raises(Conflict):
        accounts.link(first.id, proven("un", "bea2"))
    assert len(accounts.identities(second.id)) == 2


def test_one_way_to_log_in_always_stays(accounts: Accounts) -> None:
    account = accounts.sign_in(proven("un", "anne")).account
    (own,) = accounts.identities(account.id)
    with pytest.raises(Conflict) as caught:
        accounts.unlink(account.id, own.id)
    assert caught.value.code == "LAST_IDENTITY"
    accounts.link(account.id, proven("deux", "anne2"))
    accounts.unlink(account.id, own.id)
    with pytest.raises(NotFound):
        accounts.unlink(account.id, own.id)
    assert accounts.sign_in(proven("deux", "anne2")).account.id == account.id
    assert accounts.sign_in(proven("un", "anne")).account.id != account.id


def test_who_is_not_of_the_account_is_another_person(accounts: Accounts) -> None:
    account = accounts.sign_in(proven("un", "anne")).account
    for other in (proven("un", "personne"), proven("deux", "anne")):
        with pytest.raises(Unauthenticated) as caught:
            accounts.demand_same(account.id, other)
        assert caught.value.code == "OTHER_PERSON"


def test_a_changed_name_is_written_and_the_account_has_that_of_its_oldest_identity(
    accounts: Accounts,
) -> None:
    account = accounts.sign_in(proven("un", "anne")).account
    accounts.link(account.id, proven("deux", "anne2"))
    accounts.sign_in(replace(proven("deux", "anne2"), name="Autre"))
    assert accounts.get(account.id).name == "Anne"
    accounts.sign_in(replace(proven("un", "anne"), name="Anne-Marie"))
    assert accounts.get(account.id).name == "Anne-Marie"
    assert [each.name for each in accounts.identities(account.id)] == ["Anne-Marie", "Autre"]


# Linking over HTTP


def test_linking_needs_a_fresh_proof_of_both_in_one_session(browser, new_browser, login_vault, clock) -> None:
    login = login_vault.people.login
    browser.log_in("lea", acr="2")
    account = login.sessions.find(browser.session).account_id
    clock.ahead = timedelta(minutes=11)
    late = browser.post("/acces/relier", fournisseur="ailleurs")
    assert late.headers["location"].startswith("/acces/renforcer?")
    clock.ahead = timedelta()
    url = browser.leads(browser.post("/acces/relier", fournisseur="ailleurs"))
    assert "prompt=login" in url
    # The second proof in another browser, or after the session ended, links nothing.
    path = browser.op.code(url, "lea-bis")
    assert new_browser().get(path).status_code == 400
    value = browser.session
    browser.http.cookies.delete("probans_session")
    assert browser.get(path).headers["location"] == "/connexion?retour=%2F"
    browser.http.cookies.set("probans_session", value, domain="127.0.0.1", path="/")
    # A session of somebody else in the same browser does not take the link over.
    url = browser.leads(browser.post("/acces/relier", fournisseur="ailleurs"))
    browser.log_in("lea-autre")
    assert browser.get(browser.op.code(url, "lea-bis")).headers["location"] == "/connexion?retour=%2F"
    assert len(login.accounts.identities(account)) == 1
    # An old login at the provider is no proof.
    browser.log_in("lea")
    url = browser.leads(browser.post("/acces/relier", fournisseur="ailleurs"))
    old = int(datetime.now(UTC).timestamp()) - 4000
    assert browser.get(browser.op.code(url, "lea-bis", auth_time=old)).status_code == 401
    # Both, fresh.
    before = browser.session
    url = browser.leads(browser.post("/acces/relier", fournisseur="ailleurs"))
    assert browser.get(browser.op.code(url, "lea-bis")).headers["location"] == "/acces"
    assert browser.session != before
    other = new_browser()
    other.log_in("lea-bis")
    assert login.sessions.find(other.session).account_id == account
    # Taking it away ends the sessions it opened.
    second = login.accounts.identities(account)[1]
    assert browser.post("/acces/delier", identite=second.id).status_code == 303
    assert login.sessions.find(other.session) is None
    assert login.sessions.find(browser.session) is not None


# Loss of the database


def recover(settings: Settings) -> list[str]:
    parts = open_parts(settings)
    try:
        return parts.recovery().run(SystemClock()).findings
    finally:
        parts.close()


@pytest.fixture
def crash() -> Iterator[Callable[[str], None]]:
    def at(name: str, after: int = 1) -> None:
        left = [after]

        def hook(point: str) -> None:
            if point == name:
                left[0] -= 1
                if not left[0]:
                    raise Killed

        faults.install(hook)

    yield at
    faults.install(None)


@pytest.mark.usefixtures("each_database")
def test_accounts_and_identities_survive_the_database(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "own", publish_interval=0.05)
    open_vault(settings).close()
    with opened(settings) as (_, accounts):
        first = accounts.sign_in(proven("un", "anne", holder="H1")).account
        accounts.link(first.id, proven("deux", "anne2", holder="H2"))
        camille = accounts.sign_in(proven("un", "c", holder="camille")).account
        agent = accounts.sign_in(
            proven("agents", "g", role="agent", administration="mairie-specimen")
        ).account
        gone = accounts.sign_in(proven("deux", "vide")).account
        accounts.link(camille.id, proven("deux", "vide"))
        accounts.unlink(camille.id, accounts.identities(camille.id)[0].id)
    lose(settings.database_address)
    assert recover(settings) == []
    with opened(settings) as (parts, accounts):
        assert count(accounts, "accounts") == 3
        assert accounts.sign_in(proven("deux", "anne2")).account.safe_id == first.safe_id
        assert accounts.sign_in(proven("deux", "vide")).account.id == camille.id
        assert accounts.get(agent.id).name == "G"
        with pytest.raises(NotFound):
            accounts.get(gone.id)
        with parts.database.reading() as connection:
            assert Safes(parts.keyring).of_holder(connection, "H2") == first.safe_id
            assert Safes(parts.keyring).of_holder(connection, "camille") == camille.safe_id


@pytest.mark.parametrize(("point", "after"), [("safes.recorded", 1), ("accounts.recorded", 1)])
def test_an_opening_that_is_killed_leaves_nothing_in_the_way(
    settings: Settings, crash: Callable[..., None], point: str, after: int
) -> None:
    with opened(settings) as (parts, accounts):
        crash(point, after)
        with pytest.raises(Killed):
            accounts.sign_in(proven("un", "anne", holder="H1"))
        faults.install(None)
        assert count(accounts, "accounts") == 0
        left = {name for name in parts.records.names() if name.startswith(("acc_", "safe_"))}
        account = accounts.sign_in(proven("un", "anne", holder="H1")).account
    # Lost before the next start could sweep: the account that was committed and its safe fit each other.
    copy = {file: file.read_bytes() for file in (settings.data / "records").rglob("*") if file.is_file()}
    lose(settings.database_address)
    assert recover(settings) == []
    with opened(settings) as (parts, accounts):
        again = accounts.sign_in(proven("un", "anne", holder="H1")).account
        assert again.safe_id is not None
        with parts.database.reading() as connection:
            assert Safes(parts.keyring).of_holder(connection, "H1") == again.safe_id
        assert count(accounts, "account_identities") == 1
    # And with the sweep of a start between, it is the very same.
    for file, content in copy.items():
        file.write_bytes(content)
    lose(settings.database_address)
    recover(settings)
    vault = open_vault(settings)
    with vault.parts.database.reading() as connection:
        stands = set(connection.scalars(select(models.accounts.c.id)))
    names = {name for name in vault.parts.records.names() if name.startswith("acc_")}
    vault.close()
    assert names == stands
    assert left
    assert account.id.startswith("acc_")


@pytest.mark.parametrize("act", ["link", "unlink"])
def test_a_change_of_links_that_is_killed_changed_nothing_and_can_be_done_again(
    settings: Settings, crash: Callable[..., None], act: str
) -> None:
    with opened(settings) as (_, accounts):
        account = accounts.sign_in(proven("un", "anne")).account
        other = accounts.sign_in(proven("deux", "bea")).account
        if act == "unlink":
            accounts.link(account.id, proven("deux", "bea"))

        def do() -> None:
            if act == "link":
                accounts.link(account.id, proven("deux", "bea"))
            else:
                accounts.unlink(account.id, accounts.identities(account.id)[1].id)

        before = [each.id for each in accounts.identities(account.id)]
        crash("accounts.recorded")
        with pytest.raises(Killed):
            do()
        faults.install(None)
        assert [each.id for each in accounts.identities(account.id)] == before
        if act == "link":
            assert accounts.sign_in(proven("deux", "bea")).account.id == other.id
    # The database is lost right then: whoever logs in finds one account, and everything can go on.
    lose(settings.database_address)
    assert recover(settings) == []
    with opened(settings) as (_, accounts):
        assert accounts.sign_in(proven("un", "anne")).account.id == account.id
        accounts.sign_in(proven("deux", "bea"))
        accounts.link(account.id, proven("deux", "bea"))
        assert accounts.sign_in(proven("deux", "bea")).account.id == account.id


def test_rows_that_were_exchanged_do_not_open(accounts: Accounts) -> None:
    first = accounts.sign_in(proven("un", "anne")).account
    second = accounts.sign_in(proven("un", "bea")).account
    table = models.accounts
    with accounts._database.writing() as connection:
        row = connection.execute(select(table).where(table.c.id == second.id)).mappings().one()
        values = {"wrapped_key": row["wrapped_key"], "sealed": row["sealed"]}
        connection.execute(table.update().where(table.c.id == first.id).values(values))
    with pytest.raises(LedgerError) as caught:
        accounts.get(first.id)
    assert caught.value.code == "ROW_DAMAGED"


def test_nothing_of_a_person_stands_in_clear(settings: Settings) -> None:
    with opened(settings) as (_, accounts):
        accounts.sign_in(proven("un", "zacharie", holder="NUMERO-NATIONAL"))
    for file in settings.data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for word in (b"zacharie", b"Zacharie", b"NUMERO-NATIONAL", b"x.example"):
                assert word not in content, file
