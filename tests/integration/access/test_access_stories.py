"""Two stories over REST, from their first line to their last: a request from case to decision, and a share code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.access.facts import EMPLOYER, PURPOSE, TYPE, soon
from tests.integration.access.test_access_measured import plain
from tests.integration.access.world import World
from tests.services.clocks import Shifted
from vault.audit.contents import audit_safe
from vault.bootstrap import open_vault
from vault.settings import Settings

# `probans verify` in a process of its own that can reach nothing: whatever asks the network fails at once.
OFFLINE = """
import socket, sys
def refused(*_, **__): raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = socket.create_connection = refused
from vault.cli.main import run
run()
"""
WORDS = "Vérification du dossier d’embauche"


class Rest:
    """What each person does, over HTTP alone."""

    def __init__(self, world: World, clock: Shifted) -> None:
        self.world, self.clock = world, clock

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask as a persona, with the token of an opened share, or as nobody."""
        token = who if not who or who.startswith("psb_") else self.world.token(who)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said |= {"Idempotency-Key": self.world.key()} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        return self.world.client.request(method, path, json=body, headers=said)

    def get(self, who: str, path: str) -> Any:
        """Read and demand that it works."""
        answer = self.ask(who, "GET", path)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    def post(self, who: str, path: str, body: Any = None) -> Any:
        """Write and demand that it works."""
        answer = self.ask(who, "POST", path, {} if body is None else body)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    def journal(self, document: str) -> list[dict[str, Any]]:
        """What the holder sees of a document."""
        found = self.get("camille", f"/v1/documents/{document}/journal?limit=100")["items"]
        return list(found)


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes) -> Iterator[Rest]:
    clock = Shifted()
    folder = tmp_path_factory.mktemp("story")
    vault = open_vault(
        Settings(data=folder / "data", publish_interval=0.05, rate_lookups=0, rate_tokens=0),
        clock,
        background=False,
    )
    made = World(vault, act_pdf)
    yield Rest(made, clock)
    made.client.close()
    vault.close()


def verify(rest: Rest, file: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Judge a file with what the service publishes for verifiers, and without the service."""
    given: list[str] = []
    for option, name in (("--trust", "roots.pem"), ("--policy", "ledger.policy")):
        path = file.parent / name
        path.write_bytes(rest.ask("", "GET", f"/confiance/{name}").content)
        given += [option, str(path)]
    command = [sys.executable, "-c", OFFLINE, "verify", str(file), *given, *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=file.parent)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_request_from_case_to_decision(rest: Rest, tmp_path: Path) -> None:
    act = rest.world.issue("camille")
    # The employer opens a case, and asks within it for a document that the town hall issued long ago.
    case = rest.post(
        "agent-paie", "/v1/cases",
        {
            "holder": "camille", "reference": "EMB-2026-7", "type": "embauche",
            "title": {"fr": "Embauche", "en": "Hiring"}, "state": "depose",
            "words": {"fr": "Dossier reçu.", "en": "File received."},
        },
    )["id"]  # fmt: skip
    asked = rest.post(
        "agent-paie", "/v1/requests",
        {
            "holder": "camille", "purpose": PURPOSE, "words": WORDS, "legal_basis": "Code du travail, article 12",
            "document_types": [TYPE], "actions": ["describe", "read"], "access_days": 30, "answer_by": soon(),
            "otherwise": {"way": "counter", "fr": "Au guichet.", "en": "At the counter."}, "case": "EMB-2026-7",
        },
    )["id"]  # fmt: skip
    original = f"/v1/documents/{act}/original?purpose={PURPOSE}"
    assert rest.ask("agent-paie", "GET", original).status_code == 404

    # The holder sees who asks, why, until when and how else; and consents.
    shown = rest.get("camille", f"/v1/requests/{asked}")
    assert (shown["administration"]["id"], shown["purpose"], shown["otherwise"]["way"]) == (
        EMPLOYER, PURPOSE, "counter",
    )  # fmt: skip
    offered = rest.get("camille", f"/v1/requests/{asked}/candidates")["items"]
    assert act in {each["document"] for each in offered}
    rest.post("camille", f"/v1/requests/{asked}/answer", {"answer": "accept", "documents": [act]})
    (consent,) = rest.get("agent-paie", f"/v1/requests/{asked}")["consents"]
    paper = tmp_path / "consent.asice"
    paper.write_bytes(rest.ask("camille", "GET", f"/v1/consents/{consent}/paper").content)
    assert verify(rest, paper)[0] == 0

    # The agent reads, and must say why; a colleague of another service does not.
    assert rest.ask("agent-paie", "GET", f"/v1/documents/{act}/original").json()["code"] == "PURPOSE_REQUIRED"
    read = rest.ask("agent-paie", "GET", original)
    assert (read.status_code, read.content) == (200, rest.ask("camille", "GET", original).content)
    assert rest.ask("agent-atelier", "GET", original).status_code == 404
    rest.post("agent-paie", f"/v1/cases/{case}/documents", {"document": act, "role": "needed"})

    # The holder sees the line: who, why, by which consent.
    line = next(
        each for each in rest.journal(act)
        if each["granted"] and each["action"] == "read" and each["who"]["role"] == "agent"
    )  # fmt: skip
    assert (line["who"]["organisation"]["id"], line["who"]["service"]["id"]) == (EMPLOYER, "paie")
    assert (line["purpose"]["code"], line["consent"]) == (PURPOSE, consent)
    assert "agent-paie" not in json.dumps(line)
    refused = [each for each in rest.journal(act) if not each["granted"]]
    assert {each["who"]["service"]["id"] for each in refused} >= {"paie", "atelier"}

    # Takes its proof, and has it judged without the service.
    proof = tmp_path / "line.json"
    proof.write_bytes(rest.ask("camille", "GET", f"{line['proof']}?wait=10").content)
    code, verdict = verify(rest, proof)
    assert (code, verdict["verdict"]) == (0, "PASSED"), verdict
    assert consent in json.dumps(verdict)
    said = json.loads(proof.read_bytes())
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(said).replace(consent, consent[:-1] + ("0" if consent[-1] != "0" else "1")))
    assert verify(rest, forged)[0] == 1

    # Withdraws: the next read is refused, and recorded.
    rest.post("camille", f"/v1/consents/{consent}/withdrawal", {"reason": "Le contrat est signé."})
    assert rest.ask("agent-paie", "GET", original).status_code == 404
    last = rest.journal(act)[0]
    assert (last["event"], last["granted"], last["who"]["service"]["id"]) == (
        "document.read-refused",
        False,
        "paie",
    )
    proof.write_bytes(rest.ask("camille", "GET", f"{last['proof']}?wait=10").content)
    assert verify(rest, proof)[0] == 0
    paper.write_bytes(rest.ask("camille", "GET", f"/v1/consents/{consent}/withdrawal/paper").content)
    assert verify(rest, paper)[0] == 0

    # The case is decided, and the holder sees it; the ledger holds all of it.
    rest.post(
        "agent-paie", f"/v1/cases/{case}/closure",
        {"state": "acceptee", "words": {"fr": "Embauche acceptée.", "en": "Hiring accepted."}},
    )  # fmt: skip
    steps = rest.get("camille", f"/v1/cases/{case}")["steps"]
    assert [each["state"] for each in steps] == ["depose", "acceptee"]
    parts = rest.world.vault.parts
    assert not audit_safe(parts.database, parts.keyring, parts.objects, parts.records).problems


def opened(rest: Rest, share: dict[str, Any], **changes: str) -> httpx.Response:
    said = {"code": share["code"], "secret": share["secret"], **changes}
    return rest.ask("", "POST", "/v1/shares/opening", said)


def shared(rest: Rest, document: str, *, views: int = 3, **changes: Any) -> dict[str, Any]:
    body = {
        "documents": [document], "purpose": "housing", "words": "Dossier de location", "recipient": "Agence SPÉCIMEN",
        "ends_at": soon(30), "views": views, "form": "watermark", **changes,
    }  # fmt: skip
    return dict(rest.post("camille", "/v1/shares", body))


def refusal(rest: Rest) -> tuple[Any, ...]:
    """What a code that nobody has is answered."""
    return plain(opened(rest, {"code": "0000-0000-0000-0000-0000", "secret": "0000-0000"}))


def test_a_share_code_from_its_making_to_its_withdrawal(rest: Rest, act_pdf: bytes, tmp_path: Path) -> None:
    act = rest.world.issue("camille", content=act_pdf, file_name="acte.pdf")
    share = shared(rest, act)
    nobody = refusal(rest)
    assert nobody[0] in {403, 404}

    # Used: the landlord sees what is certified, and gets a marked copy, not the original.
    first = opened(rest, share)
    assert first.status_code == 200, first.text
    token = first.json()["access_token"]
    (certified,) = first.json()["documents"]
    assert certified["status"] == "valid"
    assert "Valombre" in certified["issuer"]
    here = f"/v1/shared/documents/{act}"
    copy = rest.ask(token, "GET", f"{here}/copy")
    assert copy.content.startswith(b"%PDF-")
    original = rest.ask("camille", "GET", f"/v1/documents/{act}/original").content
    assert copy.content != original
    assert rest.ask(token, "GET", f"{here}/original").status_code == 404
    assert rest.ask(token, "GET", f"{here}/evidence").status_code == 404
    other = rest.world.issue("camille")
    assert rest.ask(token, "GET", f"/v1/shared/documents/{other}").status_code == 404
    assert rest.ask(token, "GET", f"/v1/documents/{act}").status_code == 401

    # The holder sees each of it, by which share; nobody reads the code or the secret anywhere.
    lines = rest.journal(act)
    # A share of which one document is told is a line of that document too.
    assert {each["event"] for each in lines} >= {"share.created", "share.opened", "document.read"}
    read = next(
        each for each in lines if each["event"] == "document.read" and each["who"]["role"] == "bearer"
    )
    assert (read["share"], read["purpose"]["code"]) == (share["id"], "housing")
    assert share["secret"] not in json.dumps([*lines, rest.get("camille", f"/v1/shares/{share['id']}")])
    assert share["code"] not in json.dumps([*lines, rest.get("camille", f"/v1/shares/{share['id']}")])
    assert rest.get("camille", f"/v1/shares/{share['id']}")["views_used"] == 1
    proof = tmp_path / "read.json"
    proof.write_bytes(rest.ask("camille", "GET", f"{read['proof']}?wait=10").content)
    assert verify(rest, proof)[0] == 0

    # Guessed: wrong secrets are answered like a code that nobody has, and locked.
    for number in range(10):
        assert plain(opened(rest, share, secret=f"{number:04d}-0000")) == nobody
    assert plain(opened(rest, share)) == nobody, "locked: the right secret counts no longer"
    near = share["code"][:-1] + ("0" if share["code"][-1] != "0" else "1")
    assert plain(opened(rest, share, code=near)) == nobody
    rest.clock.ahead += timedelta(minutes=20)
    assert rest.get("camille", f"/v1/shares/{share['id']}")["refused"] == 11
    rest.world.vault.people.sharing.openings.record_refusals()
    assert rest.journal(act)[0]["event"] == "share.refused"

    # Used up: the third view is the last.
    assert opened(rest, share).status_code == 200
    last = opened(rest, share)
    assert last.status_code == 200
    assert plain(opened(rest, share)) == nobody
    token = last.json()["access_token"]
    assert rest.ask(token, "GET", f"{here}/copy").status_code == 200

    # Withdrawn: who reads at this moment reads no more.
    rest.post("camille", f"/v1/shares/{share['id']}/withdrawal")
    assert rest.ask(token, "GET", f"{here}/copy").status_code in {401, 404}
    assert plain(opened(rest, share)) == nobody


def test_a_share_ends_by_the_clock_and_so_does_what_it_opened(rest: Rest) -> None:
    act = rest.world.issue("camille")
    now = rest.clock.now()
    share = shared(
        rest, act, form="original", ends_at=(now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    )  # fmt: skip
    first = opened(rest, share).json()["access_token"]
    here = f"/v1/shared/documents/{act}/original"
    assert rest.ask(first, "GET", here).status_code == 200
    rest.clock.ahead += timedelta(minutes=11)
    assert rest.ask(first, "GET", here).status_code == 401
    second = opened(rest, share)
    assert second.status_code == 200
    rest.clock.ahead += timedelta(minutes=45)
    third = opened(rest, share)
    assert third.status_code == 200
    # Ten minutes are longer than what is left of the hour.
    rest.clock.ahead += timedelta(minutes=5)
    assert rest.ask(third.json()["access_token"], "GET", here).status_code in {401, 404}
    assert plain(opened(rest, share)) == refusal(rest)
    assert rest.get("camille", f"/v1/shares/{share['id']}")["status"] == "ended"


def test_what_is_revoked_is_not_given_as_valid(rest: Rest) -> None:
    act = rest.world.issue("camille")
    share = shared(rest, act, form="original", evidence=True)
    token = opened(rest, share).json()["access_token"]
    revoked = rest.ask("agent-etat-civil", "POST", f"/v1/acts/{act}/revocation", {"reason": "error"})
    assert revoked.is_success
    seen = rest.ask(token, "GET", f"/v1/shared/documents/{act}")
    assert seen.json()["status"] == "revoked"
    for part in ("original", "evidence"):
        answer = rest.ask(token, "GET", f"/v1/shared/documents/{act}/{part}")
        assert (answer.status_code, answer.json()["code"]) == (409, "DOCUMENT_NOT_IN_FORCE")
