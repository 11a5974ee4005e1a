"""One safe with made-up people, who log in by the embedded provider as everybody does, and what they ask each other."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from itertools import count, pairwise
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from vault.authorization.purposes import Purpose, Service
from vault.bootstrap import open_vault
from vault.domain.actors import Actor, Assurance
from vault.domain.documents import NewDocument
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.domain.transfer import Transfer
from vault.people.mandates import NewMandate
from vault.people.pseudonyms import pseudonym_of
from vault.service import Vault
from vault.settings import Settings

TYPE = "acte-de-naissance"
VOID = frozenset({"input", "meta", "link", "br", "img", "hr", "path", "circle"})


class Page(HTMLParser):
    """A page as the tests look at it; raises where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = text
        self._open: list[str] = []
        self.headings: list[int] = []
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open, tag
        assert self._open.pop() == tag, (tag, self._open)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.tags
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]

    def forms(self) -> list[dict[str, list[str]]]:
        """The forms with their hidden fields, each under "action" too."""
        found = []
        for part in re.findall(r"<form .*?</form>", self.text, re.DOTALL):
            action = re.search(r'action="([^"]*)"', part)[1]  # type: ignore[index]
            fields: dict[str, list[str]] = {"action": [html.unescape(action)]}
            for tag in re.findall(r"<input [^>]*>", part):
                if 'type="hidden"' in tag:
                    name = re.search(r'name="([^"]*)"', tag)[1]  # type: ignore[index]
                    value = re.search(r'value="([^"]*)"', tag)[1]  # type: ignore[index]
                    fields.setdefault(name, []).append(html.unescape(value))
            found.append(fields)
        return found


def sound(answer: httpx.Response) -> Page:
    """Demand that a page is well made, says its language, is operable without script and asks nobody else."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8", answer.text[:200]
    page = Page(answer.text)
    (root,) = page.all("html")
    assert root["lang"] == answer.headers["content-language"]
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert not page.all("style")
    assert not page.all("script")
    # No level of heading is left out on the way down; the summary of errors stands before the heading of the page.
    levels = page.headings[1:] if page.headings[:2] == [2, 1] else page.headings
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids)), sorted(ids)
    for tag, attrs in page.tags:
        assert not [key for key in attrs if key.startswith("on") or key == "style"], (tag, attrs)
        for key in ("href", "src", "action", "formaction"):
            assert re.match(r"/(?!/)|#|$", attrs.get(key) or ""), (tag, attrs)
        for key in ("for", "aria-labelledby", "aria-describedby"):
            assert set((attrs.get(key) or "").split()) <= set(ids), (tag, attrs)
        if (attrs.get("href") or "").startswith("#"):
            assert attrs["href"][1:] in ids, attrs  # type: ignore[index]
    labelled = {attrs["for"] for attrs in page.all("label")}
    for tag in ("input", "select", "textarea"):
        for attrs in page.all(tag):
            assert attrs.get("type") == "hidden" or attrs["id"] in labelled, attrs
    for form in page.all("form"):
        assert form["method"] in {"post", "get"}
    return page


@dataclass
class Browser:
    """A person's browser: keeps cookies, follows nothing by itself."""

    http: TestClient
    pages: list[str] = field(default_factory=list)

    def get(self, path: str) -> httpx.Response:
        answer = self.http.get(path)
        self.pages.append(path)
        return answer

    def page(self, path: str) -> Page:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.headers.get("location"))
        return sound(answer)

    def send(self, path: str, token: str | None = None, **fields: Any) -> httpx.Response:
        """Send a form by hand, with the token of this browser."""
        if token is None:
            token = re.search(r'name="form_token" value="([^"]+)"', self.http.get("/").text)[1]  # type: ignore[index]
        return self.http.post(path, data={"form_token": token, "key": f"key-{next(KEYS)}", **fields})

    def fill(self, page: Page, action: str, **fields: Any) -> httpx.Response:
        """Send the form of a page with this action, its hidden fields and these."""
        (form, *_) = [each for each in page.forms() if each["action"] == [action]]
        hidden = {name: values for name, values in form.items() if name != "action"}
        return self.http.post(action, data={**hidden, **fields})

    def follow(self, answer: httpx.Response) -> Page:
        """Go where a form led, and demand a page that says what was done."""
        assert answer.status_code == 303, (answer.status_code, answer.text[-3000:])
        page = self.page(answer.headers["location"])
        assert [attrs for _, attrs in page.tags if attrs.get("role") == "status"]
        return page

    def become(self, persona: str, level: str = "high") -> Browser:
        """Log in at the embedded provider."""
        token = re.search(r'name="form_token" value="([^"]+)"', self.http.get("/connexion").text)[1]  # type: ignore[index]
        begun = self.http.post("/connexion/developpement", data={"form_token": token, "retour": "/espace"})
        url = html.unescape(re.search(r'content="0; url=([^"]+)"', begun.text)[1])  # type: ignore[index]
        asked = Page(self.http.get(url).text)
        sent = self.fill(asked, "/dev-identity/authorize", persona=persona, assurance=level)
        done = self.http.get(sent.headers["location"])
        assert done.status_code == 303, done.text
        return self


KEYS = count()


@dataclass
class World:
    """The safe, and what people in it do by its services."""

    vault: Vault
    pdf: bytes

    def actor(self, name: str) -> Actor:
        """A persona with an identity proven right now."""
        actor = self.vault.personas.named(name).actor
        return replace(
            actor,
            id=pseudonym_of(self.vault.parts.keyring, actor) or actor.id,
            assurance=Assurance.HIGH,
            authenticated_at=self.vault.parts.clock.now(),
        )

    def key(self) -> str:
        return f"world-{next(KEYS)}"

    def issue(self, holder: str = "camille", title: str = "Acte de naissance", **more: Any) -> str:
        new = NewDocument(holder, title, "acte.pdf", TYPE, **more)
        done = self.vault.issuing.issue(
            self.actor("agent-etat-civil"), "mairie-specimen", new, iter((self.pdf,)), Transfer(self.key())
        )
        return done.document_id

    def request(self, holder: str = "camille", **changes: Any) -> str:
        now = self.vault.parts.clock.now()
        members: dict[str, Any] = {
            "holder": holder,
            "purpose": "contrat-de-travail",
            "words": "Pour établir votre contrat.",
            "legal_basis": "Code du travail, article 12",
            "answer_by": now + timedelta(days=7),
            "otherwise": OtherWay("counter", "Au guichet, 3 rue de la Gare.", "At the counter."),
            "document_types": (TYPE,),
            "actions": ("describe", "read", "evidence"),
            "access_days": 30,
            **changes,
        }
        if members.get("attribute"):
            members |= {"document_types": (), "actions": (), "access_days": 0}
        made = self.vault.people.tell_once.requests.make(
            self.actor("agent-paie"), "employeur-specimen", NewRequest(**members), self.key()
        )
        return made.document_id

    def consent(self, document: str, holder: str = "camille") -> str:
        request = self.request(holder)
        once = self.vault.people.tell_once
        once.answers.answer(self.actor(holder), request, NewAnswer(Answer.ACCEPT, (document,)), self.key())
        return once.requests.see(self.actor(holder), request).consents[0].id

    def mandate(
        self, holder: str, mandatary: str, *scope: str, days: int = 30, types: Sequence[str] = ()
    ) -> str:
        new = NewMandate(
            holder, mandatary, "proxy", scope, "Procuration", None,
            self.vault.parts.clock.now() + timedelta(days=days), tuple(types),
        )  # fmt: skip
        return self.vault.people.mandates.grant(self.actor(holder), new, self.key()).document_id

    def lines(self, holder: str = "camille") -> Sequence[Any]:
        from vault.rights.journal_lines import Filters

        actor = self.actor(holder)
        return self.vault.people.journal.lines.of_safe(actor, actor.safe_id or "", Filters(), 100)


@pytest.fixture(scope="session")
def space_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    opened = open_vault(
        Settings(
            data=tmp_path_factory.mktemp("space") / "data",
            publish_interval=0.05,
            max_upload_bytes=300_000,
            rate_logins=0,
            assurance="substantial",
            mail_host="127.0.0.1",
            mail_port=9,
            mail_security="none",
            mail_from="coffre@safe.example",
            address="http://127.0.0.1",
        )
    )
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def world(space_vault: Vault, act_pdf: bytes) -> World:
    service = Service(
        "employeur-specimen", "paie", "Service de la paie", "Payroll",
        (
            Purpose("contrat-de-travail", "Établir un contrat de travail", "Draw up a contract"),
            Purpose("controle", "Contrôle interne", "Internal check"),
        ),
    )  # fmt: skip
    space_vault.people.journal.purposes.register(service)
    return World(space_vault, act_pdf)


@pytest.fixture(scope="session")
def space_app(space_vault: Vault):
    return create_app(space_vault)


@pytest.fixture
def new_browser(space_app) -> Callable[[], Browser]:
    def make() -> Browser:
        return Browser(
            TestClient(
                space_app,
                base_url="http://127.0.0.1",
                headers={"Accept": "text/html"},
                follow_redirects=False,
                client=("127.0.0.1", 50_000),
                raise_server_exceptions=False,
            )
        )

    return make


@pytest.fixture
def camille(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser().become("camille")


@pytest.fixture
def dominique(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser().become("dominique")


@pytest.fixture
def agent(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser().become("agent-paie")


def in_trouble(answer: httpx.Response, field: str) -> Page:
    """Demand a page with the summary of errors in front, which leads to the field, and the field marked."""
    assert answer.status_code in {409, 422}, (answer.status_code, answer.text[-2000:])
    page = sound(answer)
    (summary,) = [attrs for _, attrs in page.tags if attrs.get("role") == "alert"]
    assert "autofocus" in summary
    if field:
        assert page.all("a", href=f"#{field}")
        assert f'id="{field}-error"' in answer.text
    return page


@pytest.fixture(scope="session")
def trouble() -> Callable[[httpx.Response, str], Page]:
    return in_trouble


@pytest.fixture(scope="session")
def looked() -> Callable[[httpx.Response], Page]:
    return sound
