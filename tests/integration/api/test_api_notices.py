"""Notifications over REST and over the wire: what a holder sets, what leaves, what comes back."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings

HOOK = "the-secret-of-a-gateway"
LOCAL = "prenom.nom.personnel"
ADDRESS = f"{LOCAL}@example.org"
TITLE = "Jugement de divorce"
CASE = "DEM-2026-TRES-PRIVE"
FILE = "jugement-exemple.pdf"


class Tap:
    """A mail server that keeps every octet it gets."""

    def __init__(self) -> None:
        self.octets = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                with wire, suppress(OSError):
                    self._talk(wire)

    def _talk(self, wire: socket.socket) -> None:
        stream = wire.makefile("rb")
        wire.sendall(b"220 tap\r\n")
        in_data = False
        while line := stream.readline():
            self.octets += line
            if in_data:
                in_data = line != b".\r\n"
                if not in_data:
                    wire.sendall(b"250 OK\r\n")
            elif line.upper().startswith(b"DATA"):
                in_data = True
                wire.sendall(b"354 go\r\n")
            else:
                wire.sendall(b"250 OK\r\n")

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    made = Tap()
    yield made
    made.close()


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory, tap: Tap) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("notices")
    (folder / "hook").write_text(HOOK)
    opened = open_vault(
        Settings(
            data=folder / "data", publish_interval=0.05, mail_host="127.0.0.1", mail_port=tap.port,
            mail_security="none", mail_from="coffre@safe.example", address="https://coffre.example",
            notice_hook_secret_file=folder / "hook",
        ),
        background=False,
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def app(safe: Vault) -> Any:
    return create_app(safe)


@pytest.fixture
def bearer(safe: Vault) -> Callable[..., dict[str, str]]:
    def headers(persona: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {safe.personas.named(persona).token}"}

    return headers


def path_of(safe: Vault, rest: str, persona: str = "camille") -> str:
    return f"/v1/safes/{safe.personas.named(persona).actor.safe_id}/{rest}"


def sent_by(safe: Vault, tap: Tap) -> bytes:
    """Hand on and send what waits; return what left meanwhile."""
    before = len(tap.octets)
    while safe.notifying.courier.deliver_waiting():
        pass
    for postman in safe.notifying.postmen:
        postman.send_due()
    return tap.octets[before:]


def confirmed(safe: Vault, client: TestClient, bearer: Any, tap: Tap) -> dict[str, Any]:
    """Camille's one contact, confirmed over REST."""
    body = {"contacts": [{"channel": "mail", "address": ADDRESS}]}
    answer = client.put(path_of(safe, "contacts"), json=body, headers=bearer("camille"))
    assert answer.status_code == 200, answer.text
    (contact,) = answer.json()["contacts"]
    if contact["state"] != "confirmed":
        where = path_of(safe, f"contacts/{contact['id']}")
        octets = sent_by(safe, tap)
        if not octets:
            assert client.post(f"{where}/code", headers=bearer("camille")).status_code == 202
            octets = sent_by(safe, tap)
        code = re.findall(rb"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", octets)[-1].decode()
        wrong = client.post(f"{where}/confirmation", json={"code": "00000-00000"}, headers=bearer("camille"))
        assert (wrong.status_code, wrong.json()["code"]) == (422, "CODE_REFUSED")
        done = client.post(f"{where}/confirmation", json={"code": code}, headers=bearer("camille"))
        assert done.status_code == 200, done.text
        contact = done.json()
    assert contact["state"] == "confirmed"
    return dict(contact)


def without_bounces(safe: Vault, client: TestClient, bearer: Any, tap: Tap) -> None:
    """Confirm Camille's one contact, another one if reports came for it: a letter has left that did not come back."""
    if confirmed(safe, client, bearer, tap)["bounces"]:
        client.put(path_of(safe, "contacts"), json={"contacts": []}, headers=bearer("camille"))
        assert confirmed(safe, client, bearer, tap)["bounces"] == 0


def issued(safe: Vault, key: str, act: bytes) -> str:
    agent = safe.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", TITLE, FILE, "acte-de-naissance", CASE)
    outcome = safe.issuing.issue(agent, "mairie-specimen", new, iter((act,)), Transfer(key))
    return outcome.document_id


def test_no_octet_that_leaves_says_who_or_what(
    safe: Vault, client: TestClient, bearer: Any, tap: Tap, act_pdf: bytes
) -> None:
    contact = confirmed(safe, client, bearer, tap)
    before = len(tap.octets)
    document = issued(safe, "n1", act_pdf)
    with safe.parts.database.reading() as connection:
        rows = [str(row) for row in connection.exec_driver_sql("SELECT id FROM deliveries").scalars()]
    octets = sent_by(safe, tap)
    assert b"document est disponible" in octets
    assert b"https://coffre.example" in octets
    assert tap.octets[before:] == octets
    # The envelope and the line To say where it goes; nothing else does.
    kept = b"".join(
        line
        for line in octets.splitlines(keepends=True)
        if not line.lower().startswith((b"rcpt to:", b"to:"))
    )
    assert kept != octets
    names = (
        "camille",
        "exemple",
        "dominique",
        "mairie",
        "valombre",
        "divorce",
        "jugement",
        "naissance",
        "agent",
    )
    safe_id = str(safe.personas.named("camille").actor.safe_id)
    forbidden = [
        *names, LOCAL, LOCAL.replace(".", ""), TITLE, CASE, FILE, document, document[4:], safe_id, safe_id[5:],
        contact["id"], contact["id"][4:], hashlib.sha256(act_pdf).hexdigest(), socket.gethostname(), *rows,
    ]  # fmt: skip
    # `example` is in the addresses of this test's service itself.
    plain = kept.replace(b"safe.example", b"").replace(b"coffre.example", b"").lower()
    for decoded in (plain, plain.replace(b"=\r\n", b"")):
        for word in forbidden:
            assert word.lower().encode() not in decoded, word


def test_who_deposits_is_not_told(safe: Vault, client: TestClient, bearer: Any, tap: Tap) -> None:
    confirmed(safe, client, bearer, tap)
    holder = safe.personas.named("camille").actor
    safe.submissions.deposit(
        holder, NewDocument("camille", "Pièce", "a.xml"), iter((b"<a/>",)), Transfer("n2")
    )
    assert sent_by(safe, tap) == b""


def test_preferences_over_rest(safe: Vault, client: TestClient, bearer: Any) -> None:
    where = path_of(safe, "preferences", "dominique")
    found = client.get(where, headers=bearer("dominique")).json()
    assert found["language"] == "fr"
    assert found["events"]["sharing"]["when"] == "daily"
    chosen = {"language": "en", "events": {"document": {"when": "never", "channels": []}}}
    assert client.put(where, json=chosen, headers=bearer("dominique")).status_code == 200
    after = client.get(where, headers=bearer("dominique")).json()
    assert after["events"] == {**found["events"], "document": {"when": "never", "channels": []}}
    assert after["language"] == "en"


@pytest.mark.parametrize(
    ("rest", "body", "field"),
    [
        ("contacts", {"contacts": [{"channel": "fax", "address": "1"}]}, "contacts.0.channel"),
        ("contacts", {"contacts": [{"channel": "mail", "address": ADDRESS, "x": 1}]}, "contacts.0.x"),
        ("contacts", {}, "contacts"),
        ("preferences", {"language": "de"}, "language"),
        (
            "preferences",
            {"language": "fr", "events": {"gossip": {"when": "now", "channels": []}}},
            "events.gossip",
        ),
    ],
)
def test_bad_bodies_name_the_field(
    safe: Vault, client: TestClient, bearer: Any, rest: str, body: Any, field: str
) -> None:
    answer = client.put(path_of(safe, rest), json=body, headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID")
    assert answer.json()["params"]["field"].startswith(field)


def test_a_bad_address_is_said_without_repeating_it(safe: Vault, client: TestClient, bearer: Any) -> None:
    body = {"contacts": [{"channel": "mail", "address": "not an address"}]}
    answer = client.put(path_of(safe, "contacts", "dominique"), json=body, headers=bearer("dominique"))
    assert (answer.status_code, answer.json()["code"]) == (422, "ADDRESS_REFUSED")
    assert "not an address" not in answer.text


@pytest.mark.parametrize("persona", ["dominique", "agent-etat-civil", "auditeur", "exploitant"])
def test_contacts_of_others_are_not_there(safe: Vault, client: TestClient, bearer: Any, persona: str) -> None:
    for method, rest, body in (
        ("GET", "contacts", None),
        ("PUT", "contacts", {"contacts": []}),
        ("DELETE", "contacts/cnt_" + "0" * 26, None),
        ("POST", f"contacts/cnt_{'0' * 26}/code", None),
        ("POST", f"contacts/cnt_{'0' * 26}/confirmation", {"code": "x"}),
        ("GET", "preferences", None),
        ("PUT", "preferences", {"language": "fr"}),
    ):
        answer = client.request(method, path_of(safe, rest), json=body, headers=bearer(persona))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), (method, rest)
        assert client.request(method, path_of(safe, rest), json=body).status_code == 401


def test_erasing_over_rest(safe: Vault, client: TestClient, bearer: Any) -> None:
    body = {"contacts": [{"channel": "sms", "address": "+33612345678"}]}
    made = client.put(path_of(safe, "contacts", "dominique"), json=body, headers=bearer("dominique")).json()
    where = path_of(safe, f"contacts/{made['contacts'][0]['id']}", "dominique")
    assert client.delete(where, headers=bearer("dominique")).status_code == 204
    assert client.delete(where, headers=bearer("dominique")).status_code == 404
    assert client.get(path_of(safe, "contacts", "dominique"), headers=bearer("dominique")).json() == {
        "contacts": []
    }


def last_token(tap: Tap) -> str:
    return re.findall(rb"mail FROM:<coffre\+([0-9a-z]{26})@", tap.octets, re.IGNORECASE)[-1].decode()


@pytest.mark.parametrize(
    "shown",
    [None, "Bearer", "Bearer ", "Bearer wrong", f"Basic {HOOK}", HOOK, f"Bearer {HOOK}x", f"Bearer {HOOK[:-1]}",
     "Bearer \u00e9".encode()],
)  # fmt: skip
def test_the_hook_wants_its_secret(
    safe: Vault, client: TestClient, bearer: Any, tap: Tap, shown: str | bytes | None
) -> None:
    without_bounces(safe, client, bearer, tap)
    headers: Any = {} if shown is None else {"Authorization": shown}
    body = {"reference": last_token(tap), "status": "5.1.1"}
    answer = client.post("/v1/notices/bounces", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    found = client.get(path_of(safe, "contacts"), headers=bearer("camille")).json()["contacts"]
    assert found[0]["bounces"] == 0


def test_persons_tokens_are_no_gateways_secret(client: TestClient, bearer: Any) -> None:
    body = {"reference": "0" * 26}
    for persona in ("camille", "exploitant"):
        assert client.post("/v1/notices/bounces", json=body, headers=bearer(persona)).status_code == 401


def test_a_bounce_over_the_hook_is_shown_to_the_holder(
    safe: Vault, client: TestClient, bearer: Any, tap: Tap, act_pdf: bytes
) -> None:
    without_bounces(safe, client, bearer, tap)
    headers = {"Authorization": f"Bearer {HOOK}"}
    unknown = client.post("/v1/notices/bounces", json={"reference": "0" * 26}, headers=headers)
    known = client.post(
        "/v1/notices/bounces", json={"reference": last_token(tap), "status": "5.1.1"}, headers=headers
    )
    assert (unknown.status_code, unknown.content) == (known.status_code, known.content) == (204, b"")
    (contact,) = client.get(path_of(safe, "contacts"), headers=bearer("camille")).json()["contacts"]
    assert (contact["state"], contact["bounces"]) == ("confirmed", 1)


def test_without_a_secret_there_is_no_hook(tmp_path: Path) -> None:
    opened = open_vault(Settings(data=tmp_path / "data"), background=False)
    try:
        plain = TestClient(create_app(opened), base_url="http://127.0.0.1")
        for shown in ("Bearer ", "Bearer x"):
            answer = plain.post(
                "/v1/notices/bounces", json={"reference": "0" * 26}, headers={"Authorization": shown}
            )
            assert answer.status_code == 404
    finally:
        opened.close()


def test_a_report_through_the_command_line(safe: Vault, client: TestClient, bearer: Any, tap: Tap) -> None:
    without_bounces(safe, client, bearer, tap)
    report = (
        f"To: coffre+{last_token(tap)}@safe.example\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\nAction: failed\r\nStatus: 5.2.1\r\n\r\n--b--\r\n"
    ).encode()
    arguments = ["notices", "bounce", "--data", str(safe.settings.data)]
    for content, said in (
        (report, "noté / noted\n"),
        (report, "sans effet / without effect\n"),
        (b"nonsense", ""),
    ):
        done = CliRunner().invoke(build(["notices"]), arguments, input=content)
        assert (done.exit_code, done.stdout) == (0, said), done.output
    (contact,) = client.get(path_of(safe, "contacts"), headers=bearer("camille")).json()["contacts"]
    assert contact["bounces"] == 1
