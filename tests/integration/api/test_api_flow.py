"""The main job over HTTP: issue, submit, read, prove, revoke, supersede."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from typer.testing import CliRunner

from signing.trust import TrustStore
from vault.cli.main import build
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy


def test_an_act_is_issued_read_and_proven_by_a_stranger(client, issue, bearer, tmp_path):
    answer = issue(
        "flow-1", title="Acte né à Noël", file_name="acte né.pdf", document_type="acte-de-naissance"
    )
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == body["links"]["self"] == f"/v1/documents/{body['id']}"
    assert (body["reception"], body["sealing"], body["status"]) == ("received", "sealed", "valid")

    holder = bearer("camille")
    shown = client.get(body["links"]["self"], headers=holder).json()
    assert shown["title"] == "Acte né à Noël"
    assert shown["administration"] == {"id": "mairie-specimen", "name": "Mairie de Valombre (spécimen)"}
    assert shown["published"] is True
    assert shown["entry"] == body["entry"]

    original = client.get(body["links"]["original"], headers=holder)
    assert original.headers["content-type"] == "application/pdf"
    assert original.headers["content-disposition"] == (
        "attachment; filename=\"acte ne.pdf\"; filename*=UTF-8''acte%20n%C3%A9.pdf"
    )
    assert hashlib.sha256(original.content).hexdigest() == shown["sha256"]
    assert len(original.content) == shown["size"]

    evidence = client.get(body["links"]["evidence"], headers=holder)
    assert evidence.headers["content-type"] == "application/vnd.etsi.asic-e+zip"
    trust = client.get("/v1/trust").json()
    (tmp_path / "a.asice").write_bytes(evidence.content)
    verdict = verify_file(
        tmp_path / "a.asice",
        trust=TrustStore.from_pem(trust["roots_pem"].encode()),
        tsa_trust=None,
        policy=Policy.from_vkeys("".join(f"{key}\n" for key in trust["vkeys"])),
    )
    assert verdict.exit_code == 0

    judged = client.post("/v1/verifications", content=evidence.content)
    assert judged.headers["content-type"] == "application/json"
    assert judged.json()["verdict"] == "PASSED"
    assert set(judged.json()) == {"verdict", "reasons", "signatures", "ledger", "status", "checks"}

    receipt = client.get(body["links"]["receipt"], params={"wait": 5}, headers=holder)
    assert receipt.text.startswith("c2sp.org/tlog-proof@v1\n")


def test_a_form_does_the_same_as_a_raw_body(client, bearer, act_pdf):
    document = json.dumps({"holder": "camille"}).encode()
    answer = client.post(
        "/v1/acts",
        headers=bearer("agent-etat-civil", Idempotency_Key="form-1"),
        files=[
            ("document", (None, document, "application/json")),
            ("file", ("né.pdf", act_pdf, "application/pdf")),
        ],
    )
    assert answer.status_code == 201
    shown = client.get(answer.json()["links"]["self"], headers=bearer("camille")).json()
    assert shown["file_name"] == shown["title"] == "né.pdf"
    assert shown["findings"] == []


def test_an_attachment_comes_back_octet_for_octet(client, deposit, bearer):
    content = bytes(range(256)) * 40
    answer = deposit("att-1", content, file_name="données.bin", title="Données")
    assert answer.status_code == 201
    assert client.get(answer.json()["links"]["original"], headers=bearer("camille")).content == content


def test_a_lying_type_is_reported_to_the_reader(client, bearer, describe):
    headers = bearer("camille", Idempotency_Key="lie", Probans_Document=describe(file_name="p.pdf"))
    headers["Content-Type"] = "application/pdf"
    answer = client.post("/v1/attachments", content=b"\x89PNG\r\n\x1a\n" + b"x" * 50, headers=headers)
    shown = client.get(answer.json()["links"]["self"], headers=bearer("camille", Accept_Language="en")).json()
    assert [finding["code"] for finding in shown["findings"]] == ["TYPE_DIFFERS"]
    assert "announced" in shown["findings"][0]["title"]


def test_the_same_request_gives_the_same_answer_and_no_second_document(client, deposit, bearer, safe):
    home = f"/v1/safes/{safe.personas.named('dominique').actor.safe_id}/documents?limit=100"
    before = client.get(home, headers=bearer("dominique")).json()["items"]
    first = deposit("same", persona="dominique")
    again = deposit("same", persona="dominique")
    assert again.status_code == first.status_code == 201
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = deposit("same", b"<b/>", persona="dominique")
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    listed = client.get(home, headers=bearer("dominique")).json()["items"]
    assert [item["id"] for item in listed] == [first.json()["id"], *(item["id"] for item in before)]
    # The key belongs to its caller: somebody else's is another one.
    assert deposit("same", persona="camille").json()["id"] != first.json()["id"]


def test_superseding_and_revoking_an_act(client, issue, bearer, safe):
    first = issue("old").json()["id"]
    second = issue("new", supersedes=first).json()["id"]
    holder = bearer("camille")
    shown = client.get(f"/v1/documents/{first}", headers=holder).json()
    assert (shown["status"], shown["superseded_by"]) == ("superseded", second)

    path, agent = f"/v1/acts/{second}/revocation", bearer("agent-etat-civil", Idempotency_Key="rev")
    answer = client.post(path, json={"reason": "error"}, headers=agent)
    assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    assert client.post(path, json={"reason": "error"}, headers=agent).content == answer.content
    refused = client.post(path, json={"reason": "fraud"}, headers=agent)
    assert refused.json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert client.get(f"/v1/documents/{second}", headers=holder).json()["status"] == "revoked"

    octets = client.get(f"/v1/documents/{second}/original", headers=holder).content
    asked = {"sha256": hashlib.sha256(octets).hexdigest()}
    found = client.post("/v1/verifications/hash", json=asked).json()
    assert (found["value"], found["issuer"]) == ("revoked", "Mairie de Valombre (spécimen)")


def test_without_login_an_attachment_is_as_unknown_as_anything(client, deposit, bearer):
    content = b"<secret>demande</secret>"
    deposit("quiet", content)
    known = {"sha256": hashlib.sha256(content).hexdigest()}
    unknown = {"sha256": hashlib.sha256(b"nothing").hexdigest()}
    nobody = client.post("/v1/verifications/hash", json=known)
    assert nobody.content == client.post("/v1/verifications/hash", json=unknown).content
    assert nobody.json()["value"] == "unknown"
    mine = client.post("/v1/verifications/hash", json=known, headers=bearer("camille"))
    assert mine.json()["value"] == "valid"


def test_lists_go_on_from_their_cursor(client, deposit, bearer, safe):
    for number in range(5):
        deposit(f"list-{number}", f"<n>{number}</n>".encode(), persona="dominique")
    path = f"/v1/safes/{safe.personas.named('dominique').actor.safe_id}/documents"
    whole = client.get(path, headers=bearer("dominique"), params={"limit": 100}).json()["items"]
    seen, answer = [], client.get(path, headers=bearer("dominique"), params={"limit": 2})
    while True:
        seen += answer.json()["items"]
        if answer.json()["next"] is None:
            break
        link = answer.headers["link"].partition(">")[0].lstrip("<")
        answer = client.get(link, headers=bearer("dominique"))
    assert [item["id"] for item in seen] == [item["id"] for item in whole]


def test_others_see_what_is_theirs_to_see(client, issue, bearer):
    body = issue("rights").json()
    path = body["links"]["self"]
    assert client.get(path).status_code == 401
    assert client.get(path, headers=bearer("dominique")).json()["code"] == "NOT_FOUND"
    assert client.get(path, headers=bearer("agent-paie", Probans_Purpose="x")).json()["code"] == "NOT_FOUND"
    assert client.get(path, headers=bearer("agent-etat-civil")).json()["code"] == "PURPOSE_REQUIRED"
    agent = client.get(path, headers=bearer("agent-etat-civil"), params={"purpose": "controle"})
    assert agent.json()["holder"] == "camille"
    auditor = client.get(path, headers=bearer("auditeur", Probans_Purpose="audit")).json()
    assert {auditor[name] for name in ("title", "file_name", "holder", "case", "safe", "sha256")} == {None}
    refused = client.get(f"{path}/original", headers=bearer("auditeur", Probans_Purpose="audit"))
    assert refused.json()["code"] == "NOT_FOUND"
    twice = client.get(path, headers=bearer("auditeur", Probans_Purpose="audit"), params={"purpose": "other"})
    assert twice.json()["code"] == "FIELD_INVALID"


def test_a_holder_follows_reads_with_keys_that_nobody_else_gets(client, issue, bearer, safe, soon, tmp_path):
    """Through the interface and the published files alone: the service's word that nobody read is not needed."""
    links = issue("keys").json()["links"]
    path, agent = f"{links['self']}/keys", bearer("agent-etat-civil", Probans_Purpose="controle")
    assert client.get(links["self"], headers=agent).status_code == 200
    for persona in ("agent-etat-civil", "agent-paie", "auditeur", "dominique", "exploitant"):
        refused = client.get(path, headers=bearer(persona, Probans_Purpose="controle"))
        assert (refused.status_code, refused.json()["code"]) == (404, "NOT_FOUND"), persona
    assert client.get(path).json()["code"] == "UNAUTHENTICATED"

    answer = client.get(path, headers=bearer("camille"))
    assert answer.headers["cache-control"] == "no-store"
    keys = answer.json()
    assert keys["access_key"] != keys["status_key"]
    for other in ("self", "evidence", "receipt"):
        assert keys["access_key"].encode() not in client.get(links[other], headers=agent).content

    size = int(safe.health()["database"].note.split()[0])
    soon(lambda: int(client.get("/ledger/checkpoint").text.split("\n")[1]) >= size)
    (tmp_path / "ledger.vkeys").write_text("\n".join(client.get("/v1/trust").json()["vkeys"]))
    command = keys["watch"].replace("LEDGER", str(safe.settings.data / "ledger"))
    command = command.replace("ledger.vkeys", str(tmp_path / "ledger.vkeys"))
    command = command.replace("watch.state", str(tmp_path / "watch.state"))
    done = CliRunner().invoke(build(), [*command.split()[1:], "--once"])
    assert done.exit_code == 0, done.output
    counters = re.findall(r"key ([0-9a-f]+) :.*counter (\d+)", done.output)
    seen = {key_id: [int(n) for key, n in counters if key == key_id] for key_id, _ in counters}
    # The reception; the agent's read, five refusals, the agent's two downloads, and this read of the keys.
    assert sorted(seen.values(), key=len) == [[0], list(range(9))]


def test_a_receipt_that_is_not_ready_says_so(client, issue, bearer, safe, monkeypatch):
    link = issue("pending").json()["links"]["receipt"]
    monkeypatch.setattr(safe.reading, "receipt", lambda *_: None)
    answer = client.get(link, headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (409, "RECEIPT_PENDING")
    assert answer.headers["retry-after"] == "1"


def test_the_ledger_is_served_as_published(client, issue, safe, soon):
    entry = issue("ledger").json()["entry"]
    soon(lambda: int(client.get("/ledger/checkpoint").text.split("\n")[1]) > entry)
    checkpoint = client.get("/ledger/checkpoint")
    assert checkpoint.text.startswith(f"{safe.settings.origin}\n")
    assert checkpoint.headers["content-type"].startswith("text/plain")
    assert checkpoint.headers["cache-control"] == "no-cache"
    size = int(checkpoint.text.split("\n")[1])
    tile = f"/ledger/tile/0/000.p/{size}" if size < 256 else "/ledger/tile/0/000"
    found = client.get(tile)
    assert found.status_code == 200
    assert len(found.content) == 32 * min(size, 256)
    assert found.headers["cache-control"].startswith("public, max-age=")
    for path in (
        "tile/0/999",
        "../keys/index.key",
        "..%2Fkeys%2Findex.key",
        "keys",
        "tile/64/000",
        "tile/0/0",
        "",
    ):
        assert client.get(f"/ledger/{path}").json()["code"] == "NOT_FOUND"


def test_the_timestamp_authority_answers_over_http(client):
    kind = {"Content-Type": "application/timestamp-query"}
    answer = client.post("/tsa", content=b"not a request", headers=kind)
    assert answer.headers["content-type"] == "application/timestamp-reply"
    assert answer.content[:1] == b"\x30"
    assert client.post("/tsa", content=b"x").json()["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert client.post("/tsa", content=b"x" * 70_000, headers=kind).json()["code"] == "TOO_LARGE"


def test_health_and_counters(client, safe, monkeypatch):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert set(ready.json()["parts"]) >= {"database", "storage", "ledger"}
    text = client.get("/metrics").text
    assert 'probans_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert "probans_processes 1" in text

    def broken() -> str:
        raise OSError("gone")

    monkeypatch.setattr(safe.parts.objects, "durability", broken)
    down = client.get("/readyz")
    storage = down.json()["parts"]["storage"]
    assert (down.status_code, storage["ok"], storage["note"]) == (503, False, "INTERNAL")
    assert storage["since"].endswith("Z")


@pytest.mark.parametrize("route", ["/v1/acts", "/v1/attachments"])
def test_writes_want_a_caller_and_a_key(client, bearer, route):
    assert client.post(route, content=b"x").status_code == 401
    refused = client.post(route, content=b"x", headers=bearer("camille"))
    assert (refused.status_code, refused.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
