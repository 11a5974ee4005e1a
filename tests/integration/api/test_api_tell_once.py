"""Tell us once over REST: the way of a request, and what hostile callers send."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vault.cli.main import build

keys = (f"once-{number}" for number in count())
PURPOSE = "instruction-dossier"


def soon(days: float = 7) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def wanted(**changes: object) -> dict[str, object]:
    return {
        "holder": "camille",
        "purpose": PURPOSE,
        "words": "Pour établir votre contrat.",
        "legal_basis": "Code du travail, article 12",
        "document_types": ["acte-de-naissance"],
        "actions": ["describe", "read"],
        "access_days": 30,
        "answer_by": soon(),
        "otherwise": {"way": "counter", "fr": "Au guichet.", "en": "At the counter."},
        **changes,
    }


@pytest.fixture
def send(client, bearer):
    def do(persona: str, path: str, body: object, key: str | None = None):
        headers = bearer(persona, Idempotency_Key=key or next(keys))
        return client.post(path, json=body, headers=headers)

    return do


@pytest.fixture
def get(client, bearer):
    def do(persona: str, path: str, **params: str):
        return client.get(path, headers=bearer(persona), params=params)

    return do


@pytest.fixture
def act(issue) -> str:
    key = next(keys)
    said = issue(key, content=key.encode(), file_name="a.txt", document_type="acte-de-naissance")
    assert said.status_code == 201, said.text
    return str(said.json()["id"])


def test_the_way_of_a_request(safe, send, get, client, bearer, act, tmp_path: Path) -> None:
    own = safe.personas.named("camille").actor.safe_id
    made = send("agent-paie", "/v1/requests", wanted())
    assert made.status_code == 201
    request = made.json()["id"]
    assert made.headers["Location"] == f"/v1/requests/{request}"

    seen = get("camille", f"/v1/requests/{request}").json()
    assert (seen["state"], seen["administration"]["id"], seen["otherwise"]["way"]) == (
        "open", "employeur-specimen", "counter",
    )  # fmt: skip
    assert request in {
        each["id"] for each in get("camille", f"/v1/safes/{own}/requests", state="open").json()["items"]
    }
    offered = get("camille", f"/v1/requests/{request}/candidates").json()["items"]
    assert offered[0]["document"] == act
    assert offered[0]["issuer"].startswith("Mairie")

    answered = send("camille", f"/v1/requests/{request}/answer", {"answer": "accept", "documents": [act]})
    assert answered.status_code == 200, answered.text
    told = get("agent-paie", f"/v1/requests/{request}").json()
    assert (told["state"], told["missing_types"]) == ("accepted", [])
    (consent,) = told["consents"]
    listed = get("agent-paie", "/v1/administrations/employeur-specimen/requests", state="accepted").json()
    assert request in {each["id"] for each in listed["items"]}
    assert "safe" not in json.dumps(told)

    read = get("agent-paie", f"/v1/documents/{act}/original", purpose=PURPOSE)
    assert read.status_code == 200
    other = get("agent-paie", f"/v1/documents/{act}/original", purpose="audit")
    assert (other.status_code, other.json()["code"]) == (422, "PURPOSE_NOT_CONSENTED")

    shown = get("agent-paie", f"/v1/consents/{consent}").json()
    assert (shown["state"], shown["service"], shown["document"]["id"]) == ("live", "paie", act)
    paper = get("agent-paie", shown["paper"])
    assert paper.headers["content-type"] == "application/vnd.etsi.asic-e+zip"
    _passes(safe, paper.content, tmp_path)

    back = send("camille", f"/v1/consents/{consent}/withdrawal", {})
    assert back.status_code == 200
    refused = get("agent-paie", f"/v1/documents/{act}/original", purpose=PURPOSE)
    assert refused.status_code == 404
    shown = get("camille", f"/v1/consents/{consent}").json()
    assert (shown["state"], shown["withdrawn_at"] is not None) == ("withdrawn", True)
    _passes(safe, get("agent-paie", shown["withdrawal_paper"]).content, tmp_path)
    again = send("camille", f"/v1/consents/{consent}/withdrawal", {})
    assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")
    assert consent in {each["id"] for each in get("camille", f"/v1/safes/{own}/consents").json()["items"]}


def _passes(safe, container: bytes, folder: Path) -> None:
    paper, roots = folder / "paper.asice", folder / "roots.pem"
    paper.write_bytes(container)
    roots.write_bytes(safe.trust.roots_pem)
    done = CliRunner().invoke(build(), ["verify", str(paper), "--trust", str(roots), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["verdict"] == "PASSED"
    with zipfile.ZipFile(paper) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".json"))
        content = archive.read(name)
        forged = io.BytesIO()
        with zipfile.ZipFile(forged, "w") as changed:
            for each in archive.infolist():
                data = archive.read(each)
                changed.writestr(
                    each, data.replace(b"camille", b"camelia") if each.filename == name else data
                )
    assert b"camille" in content
    paper.write_bytes(forged.getvalue())
    assert CliRunner().invoke(build(), ["verify", str(paper), "--trust", str(roots)]).exit_code != 0


def test_an_attribute_in_place_of_a_document(safe, send, get, issue, tmp_path: Path) -> None:
    codes = [each["code"] for each in get("camille", "/v1/attributes").json()["items"]]
    assert "of-age" in codes
    key = next(keys)
    said = issue(
        key, content=key.encode(), file_name="a.txt", document_type="acte-de-naissance",
        attributes={"of-age": "yes"},
    )  # fmt: skip
    act = said.json()["id"]
    assert get("camille", f"/v1/documents/{act}").json()["attributes"] == {"of-age": "yes"}
    asked = wanted(attribute="of-age", document_types=[], actions=[], access_days=0)
    request = send("agent-paie", "/v1/requests", asked).json()["id"]
    assert get("camille", f"/v1/requests/{request}/candidates").json()["items"][0]["value"] == "yes"
    assert send("camille", f"/v1/requests/{request}/answer", {"answer": "attest"}).status_code == 200
    (statement,) = get("agent-paie", f"/v1/requests/{request}").json()["statements"]
    shown = get("agent-paie", f"/v1/statements/{statement}").json()
    assert (shown["value"], shown["source"], shown["salt"]) == ("yes", None, None)
    own = get("camille", f"/v1/statements/{statement}").json()
    assert own["salt"]
    assert own["source"] not in json.dumps(shown)
    _passes(safe, get("agent-paie", shown["paper"]).content, tmp_path)
    listed = get("camille", f"/v1/safes/{safe.personas.named('camille').actor.safe_id}/statements").json()
    assert statement in {each["id"] for each in listed["items"]}
    assert get("agent-paie", f"/v1/documents/{own['source']}/original", purpose=PURPOSE).status_code == 404


def test_a_document_deposited_just_before(send, get, deposit) -> None:
    request = send("agent-paie", "/v1/requests", wanted(document_types=["justificatif-domicile"])).json()[
        "id"
    ]
    here = deposit(next(keys), content=b"facture", file_name="f.txt", document_type="justificatif-domicile")
    document = here.json()["id"]
    assert send(
        "camille", f"/v1/requests/{request}/answer", {"answer": "accept", "documents": [document]}
    ).is_success
    assert get("agent-paie", f"/v1/documents/{document}/original", purpose=PURPOSE).content == b"facture"


def test_known_and_unknown_holders_are_answered_alike(send, get) -> None:
    known, unknown = (
        send("agent-paie", "/v1/requests", wanted(holder=name)) for name in ("camille", "nobody-here")
    )
    assert known.status_code == unknown.status_code == 201
    assert known.headers.keys() == unknown.headers.keys()
    shown = [get("agent-paie", answer.headers["Location"]).json() for answer in (known, unknown)]
    for each in shown:
        for name in ("id", "holder", "entry", "made_at"):
            each.pop(name)
    shown[0]["answer_by"] = shown[1]["answer_by"]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": "accepted"}, "state"),
        ({"safe": "safe_x"}, "safe"),
        ({"otherwise": {"way": "counter", "fr": "x", "en": "y", "html": "<b>"}}, "otherwise.html"),
        ({"otherwise": None}, "otherwise"),
        ({"access_days": "30"}, "access_days"),
        ({"actions": ["destroy"]}, "actions.0"),
        ({"answer_by": "demain"}, "answer_by"),
        ({"answer_by": soon(-1)}, "answer_by"),
        ({"assurance": "LOW"}, "assurance"),
        ({"words": "a\r\nSet-Cookie: x=1"}, "words"),
        ({"words": "\u202etxet"}, "words"),
        ({"service": "accueil"}, "service"),
    ],
)
def test_members_that_are_refused(send, changes: dict[str, object], field: str) -> None:
    answer = send("agent-paie", "/v1/requests", wanted(**changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID")
    assert answer.json()["params"]["field"] == field


def test_a_request_without_the_other_way_or_a_purpose_is_none(send) -> None:
    body = wanted()
    del body["otherwise"]
    assert send("agent-paie", "/v1/requests", body).json()["params"]["field"] == "otherwise"
    assert send("agent-paie", "/v1/requests", wanted(purpose="")).json()["code"] == "PURPOSE_REQUIRED"


def test_twin_requests_are_one(send) -> None:
    body, key = wanted(), next(keys)
    first, again = (send("agent-paie", "/v1/requests", body, key) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = send("agent-paie", "/v1/requests", {**body, "case": "DEM-2"}, key)
    assert other.json()["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_answers_with_unknown_members_are_refused(send, act) -> None:
    request = send("agent-paie", "/v1/requests", wanted()).json()["id"]
    place = f"/v1/requests/{request}/answer"
    for more in ({"actor": "dominique"}, {"mandate": "mdt_1"}, {"actions": ["evidence"]}, {"service": ""}):
        answer = send("camille", place, {"answer": "accept", "documents": [act], **more})
        assert answer.json()["code"] == "FIELD_INVALID"
    assert send("camille", place, {"answer": "yes"}).json()["code"] == "FIELD_INVALID"
    late = {"answer": "accept", "documents": [act], "ends_at": soon(31)}
    assert send("camille", place, late).json()["params"]["field"] == "ends_at"


def test_what_is_not_ones_own_is_not_there(send, get, act) -> None:
    request = send("agent-paie", "/v1/requests", wanted()).json()["id"]
    give = {"answer": "accept", "documents": [act]}
    for persona in ("dominique", "agent-etat-civil", "auditeur", "exploitant", "delegue"):
        assert get(persona, f"/v1/requests/{request}").json()["code"] == "NOT_FOUND"
        assert get(persona, f"/v1/requests/{request}/candidates").json()["code"] == "NOT_FOUND"
        assert send(persona, f"/v1/requests/{request}/answer", give).json()["code"] == "NOT_FOUND"
        assert send(persona, f"/v1/requests/{request}/cancellation", {}).json()["code"] == "NOT_FOUND"
    assert send("camille", f"/v1/requests/{request}/cancellation", {}).json()["code"] == "NOT_FOUND"
    assert send("agent-paie", f"/v1/requests/{request}/answer", give).json()["code"] == "NOT_FOUND"
    assert (
        send("agent-paie", f"/v1/requests/{request}/cancellation", {"reason": "Complet."}).status_code == 200
    )
    ended = send("camille", f"/v1/requests/{request}/answer", give)
    assert (ended.status_code, ended.json()["code"]) == (409, "REQUEST_ENDED")
