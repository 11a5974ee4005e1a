"""Nothing that people say or are lies in clear: at rest, in logs, in public answers; and all of it is in their export.

Every personal value of a lively life in the safe is a marker of its own. Each octet at rest, each line of log and each
public route is searched for every marker, in every way it may be written; then the holder's own export must hold them.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from api import rules
from api.app import create_app
from identity.base import ProvenIdentity
from identity.embedded_client import NAME
from vault.bootstrap import open_vault
from vault.domain.actors import Actor, Role
from vault.observability.logs import JsonLines, TextLines
from vault.people.personas import Persona, Personas
from vault.people.safe_opening import open_safe_within
from vault.service import Vault
from vault.settings import Settings

TYPE = "acte-de-naissance"
SOON = (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
# What is said, by where it is said; each a word that stands nowhere else.
OWN = [
    "holder", "name", "act-title", "act-file", "act-case", "act-content", "piece-title", "piece-file", "piece-content",
    "label", "case-reference", "case-title", "case-words", "case-holder", "case-step", "request-words", "request-basis",
    "request-case", "request-way", "decline-reason", "withdraw-reason", "mandatary", "mandate-basis", "share-recipient",
    "share-words", "mail", "note-words", "note-answer", "report-words", "report-answer", "read-words",
    "requisition-words", "identity-name", "identity-mail", "device",
]  # fmt: skip
# Said of somebody, and not the holder's to take away: who an agent is, whose order it was.
NOT_OWN = ["agent", "auditor", "requisition-authority", "requisition-reference", "subject", "id-token", "sid"]


def word(place: str) -> str:
    """The marker of a place: letters and digits alone, so that no encoding of texts changes it."""
    return f"zq{place.replace('-', '')}7xv"


NUMBER = "+37799123479"


class Life:
    """A holder's life in a safe."""

    def __init__(self, vault: Vault, act_pdf: bytes) -> None:
        self.vault = vault
        self.app = create_app(vault)
        self.client = TestClient(
            self.app, base_url="http://127.0.0.1", raise_server_exceptions=False, client=("127.0.0.1", 50000)
        )
        self.secrets: list[str] = []
        self._number = 0
        self.safe = self._open_safe()
        self._enter(
            Actor(word("holder"), Role.HOLDER, word("name"), self.safe),
            Actor(word("mandatary"), Role.HOLDER, "", None),
            Actor(word("agent"), Role.AGENT, "", administration_id="employeur-specimen", service="paie"),
            Actor(word("auditor"), Role.AUDITOR),
        )
        self.logged_in()
        act = self.issued(act_pdf)
        piece = self.deposited()
        self.labelled(act)
        self.case(act)
        self.asked_and_answered(act)
        mandate = self.mandated()
        self.shared(act)
        self.told()
        self.noted(act)
        self.requisitioned()
        self.looked(act, piece, mandate)

    # --- asking

    def send(self, who: str, method: str, path: str, body: object = None, **headers: str):
        self._number += 1
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.vault.personas.named(who).token
        known = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"k{self._number}"}
        return self.client.request(method, path, json=body, headers={**known, **said})

    def ok(self, who: str, method: str, path: str, body: object = None, **headers: str):
        answer = self.send(who, method, path, body, **headers)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    def mine(self, method: str, path: str, body: object = None, **headers: str):
        return self.ok(word("holder"), method, path, body, **headers)

    # --- living

    def _open_safe(self) -> str:
        from vault.db.repositories import Safes

        parts = self.vault.parts
        with parts.database.writing() as connection:
            return open_safe_within(
                connection, parts.records, Safes(parts.keyring), word("holder"), word("name"),
                "2026-01-01T00:00:00.000Z",
            )  # fmt: skip

    def _enter(self, *actors: Actor) -> None:
        made = [Persona(actor, f"dev-{number}-{'t' * 30}", "") for number, actor in enumerate(actors)]
        self.vault.personas = Personas((*self.vault.personas.all(), *made))

    def logged_in(self) -> None:
        login = self.vault.people.login
        proven = ProvenIdentity(
            NAME, "https://id.example", word("subject"), word("identity-name"), f"{word('identity-mail')}@example.org",
            "high", datetime.now(UTC), word("sid"), word("id-token"), {"role": "holder", "holder": word("holder")},
        )  # fmt: skip
        signed = login.accounts.sign_in(proven)
        self.secrets.append(login.sessions.open(signed, proven, word("device")))

    def issued(self, act_pdf: bytes) -> str:
        content = act_pdf + f"\n%{word('act-content')}\n".encode()
        said = {
            "holder": word("holder"), "title": word("act-title"), "file_name": f"{word('act-file')}.pdf",
            "document_type": TYPE, "case": word("act-case"),
        }  # fmt: skip
        return self._upload("agent-etat-civil", "/v1/acts", said, content)

    def deposited(self) -> str:
        said = {
            "title": word("piece-title"),
            "file_name": f"{word('piece-file')}.txt",
            "document_type": "justificatif",
        }
        return self._upload(
            word("holder"),
            "/v1/attachments",
            said,
            f"{word('piece-content')} {word('attribute-words')}".encode(),
        )

    def _upload(self, who: str, path: str, said: dict[str, str], content: bytes) -> str:
        described = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
        token = self.vault.personas.named(who).token
        self._number += 1
        headers = {
            "Authorization": f"Bearer {token}", "Idempotency-Key": f"k{self._number}", "Probans-Document": described,
        }  # fmt: skip
        answer = self.client.post(path, content=content, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def labelled(self, act: str) -> None:
        self.mine("PUT", f"/v1/documents/{act}/labels", {"labels": [word("label")]})

    def case(self, act: str) -> None:
        made = self.ok("agent-etat-civil", "POST", "/v1/cases", {
            "holder": word("holder"), "reference": word("case-reference"), "type": "inscription",
            "title": {"fr": word("case-title"), "en": ""}, "state": "depose",
            "words": {"fr": word("case-words"), "en": ""},
        })  # fmt: skip
        self.ok("agent-etat-civil", "POST", f"{made['self']}/steps", {
            "state": "instruction", "words": {"fr": word("case-step"), "en": ""},
            "held_by": {"fr": word("case-holder"), "en": ""}, "appointment_at": SOON,
        })  # fmt: skip
        self.ok("agent-etat-civil", "POST", f"{made['self']}/documents", {"document": act, "role": "needed"})

    def asked_and_answered(self, act: str) -> None:
        asked = {
            "holder": word("holder"), "administration": "employeur-specimen", "purpose": "paie",
            "words": word("request-words"), "legal_basis": word("request-basis"), "case": word("request-case"),
            "document_types": [TYPE], "actions": ["describe", "read"], "access_days": 30, "answer_by": SOON,
            "otherwise": {"way": "counter", "fr": word("request-way"), "en": "At the counter."},
        }  # fmt: skip
        first, second = (self.ok(word("agent"), "POST", "/v1/requests", asked) for _ in range(2))
        self.mine("POST", f"{first['self']}/answer", {"answer": "accept", "documents": [act]})
        self.mine("POST", f"{second['self']}/answer", {"answer": "decline", "reason": word("decline-reason")})
        spoken = {"Probans_Purpose": "paie", "Probans_Purpose_Words": word("read-words")}
        assert self.send(word("agent"), "GET", f"/v1/documents/{act}/original", **spoken).status_code == 200
        (consent,) = self.mine("GET", f"/v1/safes/{self.safe}/consents")["items"]
        self.mine("POST", f"/v1/consents/{consent['id']}/withdrawal", {"reason": word("withdraw-reason")})
        assert self.send(word("agent"), "GET", f"/v1/documents/{act}/original", **spoken).status_code == 404

    def mandated(self) -> str:
        made = self.mine("POST", "/v1/mandates", {
            "mandatary": word("mandatary"), "kind": "proxy", "scope": ["read"], "basis": word("mandate-basis"),
            "ends_at": SOON,
        })  # fmt: skip
        return made["id"]

    def shared(self, act: str) -> None:
        made = self.mine("POST", "/v1/shares", {
            "documents": [act], "purpose": "housing", "words": word("share-words"),
            "recipient": word("share-recipient"), "ends_at": SOON, "views": 3, "form": "original",
        })  # fmt: skip
        code, secret = made["code"], made["secret"]
        opened = self.client.post("/v1/shares/opening", json={"code": code, "secret": secret})
        assert opened.status_code in {200, 201}, opened.text
        token = next(
            value for name, value in opened.json().items() if "token" in name and isinstance(value, str)
        )
        for told in (code, secret, token):
            self.secrets += [told, re.sub(r"[\s-]", "", told)]
        self.client.post("/v1/shares/opening", json={"code": code, "secret": "0" * len(secret)})
        bearer = {"Authorization": f"Bearer {token}"}
        assert self.client.get(f"/v1/shared/documents/{act}/original", headers=bearer).status_code == 200

    def told(self) -> None:
        contacts = [
            {"channel": "mail", "address": f"{word('mail')}@example.org"}, {"channel": "sms", "address": NUMBER},
        ]  # fmt: skip
        answer = self.send(word("holder"), "PUT", f"/v1/safes/{self.safe}/contacts", {"contacts": contacts})
        if not answer.is_success:  # there is no gateway for numbers here
            self.mine("PUT", f"/v1/safes/{self.safe}/contacts", {"contacts": contacts[:1]})
        (contact, *_) = self.mine("GET", f"/v1/safes/{self.safe}/contacts")["contacts"]
        self.send(word("holder"), "POST", f"/v1/safes/{self.safe}/contacts/{contact['id']}/code")
        self.mine("PUT", f"/v1/safes/{self.safe}/preferences", {"language": "fr", "events": {}})

    def noted(self, act: str) -> None:
        note = self.mine("POST", f"/v1/documents/{act}/notes", {"words": word("note-words")})
        said = {"finding": "kept", "words": word("note-answer")}
        self.ok("agent-etat-civil", "POST", f"{note['self']}/answer", said)
        line = self.mine("GET", f"/v1/documents/{act}/journal")["items"][-1]["entry"]
        report = self.mine("POST", f"/v1/journal/{line}/report", {"words": word("report-words")})
        self.ok("delegue", "POST", f"{report['self']}/answer", {"words": word("report-answer")})

    def requisitioned(self) -> None:
        self.ok("delegue", "POST", "/v1/requisitions", {
            "holder": word("holder"), "auditor": word("auditor"), "authority": word("requisition-authority"),
            "reference": word("requisition-reference"), "words": word("requisition-words"), "ends_at": SOON,
        })  # fmt: skip

    def looked(self, act: str, piece: str, mandate: str) -> None:
        under = {"Probans_Mandate": mandate}
        assert self.send(word("mandatary"), "GET", f"/v1/documents/{act}", **under).status_code == 200
        for path in ("original", "evidence", "receipt?wait=5", "keys"):
            assert self.send(word("holder"), "GET", f"/v1/documents/{piece}/{path}").status_code == 200, path
        # What goes wrong says no more: names where none belong, of what is not there, and not JSON.
        self.send(word("holder"), "GET", f"/v1/documents/{word('act-title')}")
        self.send(word("holder"), "POST", "/v1/shares", {word("share-words"): word("name")})
        self.client.get("/v1/safes/x/documents", params={"q": word("act-title")})
        self.client.post("/v1/cases", content=word("case-words").encode())

    @property
    def markers(self) -> list[str]:
        return [*map(word, [*OWN, *NOT_OWN]), NUMBER, NUMBER[1:], *self.secrets]


class Lines(logging.Handler):
    """Keeps everything that any log says, with all that is attached to it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("http"):
            return  # the client of these tests, which says what it asks
        attached = {name: value for name, value in record.__dict__.items() if name not in {"msg", "args"}}
        self.lines.append(f"{self.format(record)} {attached!r}")
        # And as an operator gets it, in either form.
        self.lines += [JsonLines().format(record), TextLines().format(record)]


@pytest.fixture(scope="module")
def log() -> Iterator[Lines]:
    lines, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(lines)
    root.setLevel(before)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes, log: Lines) -> Iterator[Life]:
    vault = open_vault(Settings(data=tmp_path_factory.mktemp("life") / "data", publish_interval=0.05))
    lived = Life(vault, act_pdf)
    with vault.parts.database.reading() as connection:
        size = connection.exec_driver_sql("SELECT size FROM ledger_head").scalar_one()
    assert vault.publisher.wait(size, 30.0)
    yield lived
    vault.close()


def forms(marker: str) -> set[bytes]:
    """Ways in which a text may be written."""
    plain = marker.encode()
    wide = marker.encode("utf-16-le")
    found = {plain.lower(), quote(marker).lower().encode(), plain.hex().encode(), wide.lower()}
    for lead in range(3):  # base64 of it wherever it stands in a text
        coded = base64.b64encode(bytes(lead) + plain + b"\0\0")
        found.add(coded[4 if lead else 0 :][: 4 * ((len(plain) + lead) // 3) - (4 if lead else 0)])
    return found


def told(octets: bytes, markers: list[str]) -> list[str]:
    caseless = octets.lower()
    return [marker for marker in markers if any(form in octets or form in caseless for form in forms(marker))]


def at_rest(vault: Vault) -> Iterator[tuple[str, bytes]]:
    for path in sorted(vault.settings.data.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def test_nothing_at_rest_is_in_clear(life: Life) -> None:
    searched, size = 0, 0
    for name, octets in at_rest(life.vault):
        assert told(name.encode(), life.markers) == [], name
        assert told(octets, life.markers) == [], name
        searched, size = searched + 1, size + len(octets)
    assert searched > 50
    assert size > 1_000_000


def test_no_line_of_log_is_about_anybody(life: Life, log: Lines) -> None:
    assert len(log.lines) > 20
    text = "\n".join(log.lines).encode()
    assert told(text, life.markers) == []
    # Nor does it name documents or safes beside routes; those that say what failed name what an operator looks up.
    access = "\n".join(line for line in log.lines if "probans.access" in line)
    assert life.safe not in access


def test_no_public_answer_is_about_anybody(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    # Development lists its made-up people to choose from, on this machine alone.
    made_up = [each for each in life.vault.personas.all() if not each.actor.id.startswith("zq")]
    monkeypatch.setattr(
        life.vault, "personas", Personas([each for each in made_up if "zq" not in each.actor.name])
    )
    asked = 0
    paths = [path for method, path in rules.routes_of(life.app) if method == "GET"]
    public = [path for path in paths if rules.RULES["GET", path] == rules.PUBLIC and "{" not in path]
    ledger = life.vault.settings.data / "ledger"
    published = [f"/ledger/{path.relative_to(ledger)}" for path in ledger.rglob("*") if path.is_file()]
    fixed = ["/confiance/roots.pem", "/v1/administrations/employeur-specimen/services"]
    for path in [*public, *published, *fixed]:
        answer = life.client.get(path)
        said = answer.content + repr(answer.headers).encode()
        assert told(said, life.markers) == [], path
        asked += answer.status_code == 200
    assert asked > 20


def test_a_marker_in_any_form_is_found(tmp_path: Path) -> None:
    """The tests above see what they are there to see."""
    marker = word("share-recipient")
    for octets in (
        marker.encode(), marker.upper().encode(), marker.encode().hex().encode(), marker.encode("utf-16-le"),
        *(base64.b64encode(b"x" * lead + marker.encode() + b"yz") for lead in range(6)),
    ):  # fmt: skip
        assert told(b"\0\1" + octets + b"\2", [marker]) == [marker], octets
    assert told(b"nothing of that", [marker, *map(word, OWN)]) == []


def test_all_of_it_is_in_the_holders_export(life: Life) -> None:
    """What is nowhere in clear is in the copy that the holder takes away, but what is somebody else's."""
    exports = life.vault.people.rights.exports
    holder = replace(life.vault.personas.named(word("holder")).actor, authenticated_at=datetime.now(UTC))
    export = exports.ask(holder, life.safe, "mine").document_id
    archive = zipfile.ZipFile(io.BytesIO(b"".join(exports.archive(holder, export).chunks)))
    everything = b"\n".join(
        [*(archive.read(name) for name in archive.namelist()), *map(str.encode, archive.namelist())]
    )
    lacking = [place for place in OWN if word(place).encode() not in everything]
    assert lacking == []
    assert [place for place in NOT_OWN if word(place).encode() in everything] == []
    assert told(everything, life.secrets) == []
    # Making it has left nothing in clear either.
    for name, octets in at_rest(life.vault):
        assert told(octets, life.markers) == [], name
