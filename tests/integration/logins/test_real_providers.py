"""The whole application with two providers that others wrote: logins, proof anew, links, logout on both sides, down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from tests.services import oidc_provider
from tests.services.oidc_provider import SECRET, BackChannel, Service, client, key_set
from vault.bootstrap import open_vault
from vault.domain.actors import Assurance, Role
from vault.service import Vault
from vault.settings import Settings

from .conftest import Browser as Ours

pytestmark = pytest.mark.needs("oidc-provider")
HOME = "http://127.0.0.1:9"
NAMES = ("mconnect", "portail")


@pytest.fixture(scope="module")
def back_channel() -> Iterator[BackChannel]:
    listening = BackChannel()
    yield listening
    listening.stop()


@pytest.fixture(scope="module")
def services(back_channel: BackChannel) -> Iterator[dict[str, Service]]:
    told = {
        "backchannel_logout_uri": back_channel.url,
        "backchannel_logout_session_required": True,
        "post_logout_redirect_uris": [f"{HOME}/deconnexion"],
    }
    running = {
        name: Service(
            [client(f"{HOME}/connexion/retour/{name}", **told)], [key_set("first"), key_set("second")]
        )
        for name in NAMES
    }
    yield running
    for service in running.values():
        service.stop()


@pytest.fixture(scope="module")
def vault(services: dict[str, Service], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder: Path = tmp_path_factory.mktemp("real")
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    (folder / "providers.toml").write_text(
        "\n".join(
            f'''[[provider]]
name = "{name}"
issuer = "{services[name].issuer}"
client_id = "probans-test"
client_secret_file = "{folder / "secret"}"
label_fr = "{name}"
label_en = "{name}"
acr_default = "weak"
[provider.acr]
weak = "low"
usual = "substantial"
strong = "high"
'''
            for name in NAMES
        )
    )
    opened = open_vault(
        Settings(
            data=folder / "data",
            address=HOME,
            identity_providers=folder / "providers.toml",
            publish_interval=0.05,
            rate_logins=0,
            assurance="substantial",
        )
    )
    yield opened
    opened.close()


class Person:
    """A person with a browser: one session at the providers, one here."""

    def __init__(self, http: TestClient, login: str) -> None:
        self.ours = Ours(http, None)  # type: ignore[arg-type]
        self.theirs = oidc_provider.Browser(login=login, acr="usual")

    def follow(self, page, name: str):
        """Go through the provider's pages and come back with its answer."""
        back = f"{HOME}/connexion/retour/{name}"
        answer = self.theirs.go(self.ours.leads(page), back)
        return self.ours.get(f"/connexion/retour/{name}?{urlencode(answer)}")

    def log_in(self, name: str, back: str = "/acces"):
        return self.follow(self.ours.post(f"/connexion/{name}", retour=back), name)

    def actor(self, vault: Vault):
        found = vault.people.login.sessions.find(self.ours.session)
        return None if found is None else found.actor

    def account(self, vault: Vault) -> str:
        return vault.people.login.sessions.find(self.ours.session).account_id  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def app(vault: Vault):
    return create_app(vault)


@pytest.fixture
def person(app) -> Callable[[str], Person]:
    def make(login: str) -> Person:
        http = TestClient(
            app,
            base_url=HOME,
            headers={"Accept": "text/html"},
            follow_redirects=False,
            client=("127.0.0.1", 50_000),
            raise_server_exceptions=False,
        )
        return Person(http, login)

    return make


def test_a_person_logs_in_proves_more_and_logs_out(vault, person):
    someone = person("elodie")
    someone.theirs.acr = "weak"
    done = someone.log_in("mconnect")
    assert (done.status_code, done.headers["location"]) == (303, "/acces")
    actor = someone.actor(vault)
    assert (actor.role, actor.assurance) == (Role.HOLDER, Assurance.LOW)
    assert actor.safe_id is not None
    assert "elodie" in someone.ours.get("/espace").text
    # A share demands a substantial proof.
    asked = someone.ours.get("/espace/partages/nouveau")
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/acces/renforcer?niveau=substantial")
    time.sleep(1)  # the provider counts whole seconds
    before, someone.theirs.acr = someone.ours.session, "usual"
    sent = someone.ours.post(
        "/acces/renforcer", retour="/espace/partages/nouveau", niveau="substantial", fournisseur="mconnect"
    )
    done = someone.follow(sent, "mconnect")
    assert (done.status_code, done.headers["location"]) == (303, "/espace/partages/nouveau")
    assert someone.theirs.prompts[-1]["prompt"]["name"] == "login"
    assert someone.actor(vault).assurance is Assurance.SUBSTANTIAL
    assert vault.people.login.sessions.find(before) is None
    assert someone.ours.get("/espace/partages/nouveau").status_code == 200
    # Here, then there, then back here.
    url = someone.ours.leads(someone.ours.post("/deconnexion"))
    assert someone.actor(vault) is None
    assert someone.theirs.log_out(url).startswith(HOME)


def test_two_identities_of_one_person_are_linked_with_a_proof_of_both(vault, person):
    someone, same = person("felix"), person("felix-portail")
    someone.log_in("mconnect")
    account, safe = someone.account(vault), someone.actor(vault).safe_id
    time.sleep(1)
    someone.theirs.login = "felix-portail"
    done = someone.follow(someone.ours.post("/acces/relier", fournisseur="portail"), "portail")
    assert (done.status_code, done.headers["location"]) == (303, "/acces"), done.text
    linked = vault.people.login.accounts.identities(account)
    assert [each.provider for each in linked] == ["mconnect", "portail"]
    same.log_in("portail")
    assert (same.account(vault), same.actor(vault).safe_id) == (account, safe)
    other = person("gaston")
    other.log_in("portail")
    assert other.account(vault) != account


def test_the_provider_ends_the_session_and_forged_messages_do_not(vault, person, back_channel):
    someone, bystander = person("helene"), person("irene")
    someone.log_in("portail")
    bystander.log_in("portail")
    back_channel.came.clear()
    back_channel.tokens.clear()
    # Logged out at the provider by another of its clients, or by itself: the message comes on the back channel.
    url = someone.ours.leads(someone.ours.post("/deconnexion"))
    again = person("helene")
    again.theirs = someone.theirs
    again.log_in("portail")
    assert again.actor(vault) is not None
    someone.theirs.log_out(url)
    assert back_channel.came.wait(10)
    token = back_channel.tokens[-1]

    def send(text: str, name: str = "portail"):
        return bystander.ours.http.post(f"/connexion/{name}/back-channel", data={"logout_token": text})

    head, body, signature = token.split(".")
    assert send(f"{head}.{body}.{signature[::-1]}").status_code == 400
    assert send(token, "mconnect").status_code == 400
    assert again.actor(vault) is not None
    assert send(token).status_code == 200
    assert again.actor(vault) is None
    assert bystander.actor(vault) is not None
    assert send(token).status_code == 400


def test_the_provider_changes_its_keys(vault, person, services):
    person("jules").log_in("mconnect")
    services["mconnect"].rotate()
    someone = person("jules")
    assert someone.log_in("mconnect").status_code == 303
    assert someone.actor(vault) is not None


def test_a_provider_that_is_down_is_told_and_the_other_still_serves(vault, person, services):
    someone = person("karim")
    page = someone.ours.post("/connexion/mconnect", retour="/acces")
    url = someone.ours.leads(page)
    answer = someone.theirs.go(url, f"{HOME}/connexion/retour/mconnect")
    services["mconnect"].stop()
    told = someone.ours.get(f"/connexion/retour/mconnect?{urlencode(answer)}")
    assert told.status_code == 503
    assert "guichet" in told.text
    assert someone.actor(vault) is None
    assert person("karim").log_in("portail").status_code == 303
