"""The access journal over HTTP: lines, filters, pages, exports, reports, purposes; and who may not see it."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import delete
from starlette.testclient import TestClient
from typer.testing import CliRunner

from signing.trust import TrustStore
from vault.cli.main import build
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.domain.matters import MatterKind
from vault.errors import NotFound
from vault.evidence.findings import Outcome, Verdict
from vault.evidence.journal_line import MEDIA_TYPE
from vault.evidence.ledger_source import FolderLedger
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy
from vault.matters.steps import NewMatter, Said
from vault.recovery.records import read_records
from vault.rights.journal_lines import Filters
from vault.rights.journal_rows import Line
from vault.service import Vault

WORDS = "Pièce illisible au guichet n° 2"
keys = (f"journal-{number}" for number in count())


@pytest.fixture
def story(client: TestClient, bearer, describe, act_pdf: bytes) -> str:
    """An act of Camille's of the test's own, read by its agent and in vain by somebody else's."""
    said = {
        "holder": "camille",
        "title": "Acte =1+1",
        "file_name": "acte.pdf",
        "document_type": "acte-de-naissance",
    }
    made = client.post(
        "/v1/acts",
        content=act_pdf,
        headers=bearer("agent-etat-civil", Idempotency_Key=next(keys), Probans_Document=describe(**said)),
    )
    document = made.json()["id"]
    read = client.get(
        f"/v1/documents/{document}/original",
        headers=bearer("agent-etat-civil", Probans_Purpose="controle", Probans_Purpose_Words=quote(WORDS)),
    )
    assert read.status_code == 200
    refused = client.get(
        f"/v1/documents/{document}/original", headers=bearer("agent-paie", Probans_Purpose="paie")
    )
    assert refused.status_code == 404
    assert client.get(f"/v1/documents/{document}", headers=bearer("camille")).status_code == 200
    return document


@pytest.fixture
def get(client: TestClient, bearer) -> Callable[..., httpx.Response]:
    def do(path: str, persona: str = "camille", **headers: str) -> httpx.Response:
        return client.get(path, headers=bearer(persona, **headers))

    return do


@pytest.fixture(scope="module")
def safe_id(safe: Vault) -> str:
    found = safe.personas.named("camille").actor.safe_id
    assert found is not None
    return found


def lines_of(answer: httpx.Response) -> list[dict]:
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_a_document_shows_who_when_why_and_in_what_quality(get, story) -> None:
    lines = lines_of(get(f"/v1/documents/{story}/journal"))
    assert [line["event"] for line in lines] == [
        "document.read", "document.read-refused", "document.read", "document.issued",
    ]  # fmt: skip
    own, refused, read = lines[:3]
    assert own["who"]["you"] is True
    assert own["who"]["label"] == "vous"
    assert read["granted"] is True
    assert read["action"] == "read"
    assert read["purpose"] == {"code": "controle", "label": "Contrôle d’une pièce", "words": WORDS}
    assert read["who"]["organisation"] == {"id": "mairie-specimen", "name": "Mairie de Valombre (spécimen)"}
    assert read["who"]["service"] == {"id": "etat-civil", "name": "État civil"}
    assert read["who"]["agent"].startswith("agt_")
    assert "agent-etat-civil" not in json.dumps(lines)
    assert refused["granted"] is False
    assert refused["who"]["organisation"]["id"] == "employeur-specimen"
    assert read["title"] == "Acte =1+1"
    entries = [line["entry"] for line in lines]
    assert entries == sorted(entries, reverse=True)


def test_the_words_follow_the_language(get, story) -> None:
    answer = get(f"/v1/documents/{story}/journal?limit=3", Accept_Language="en")
    assert answer.headers["Content-Language"] == "en"
    assert lines_of(answer)[2]["purpose"]["label"] == "Checking a document"


def test_pages_have_every_line_once(get, safe_id, story) -> None:
    whole = lines_of(get(f"/v1/safes/{safe_id}/journal?limit=100"))
    paged, cursor = [], ""
    while True:
        answer = get(f"/v1/safes/{safe_id}/journal?limit=2{cursor}")
        paged += lines_of(answer)
        if answer.json()["next"] is None:
            break
        cursor = f"&cursor={answer.json()['next']}"
        if len(paged) >= len(whole):
            break
    assert paged[: len(whole)] == whole


def test_filters(get, safe_id, story) -> None:
    here = f"/v1/safes/{safe_id}/journal"
    refused = lines_of(get(f"{here}?document={story}&granted=false"))
    assert [line["event"] for line in refused] == ["document.read-refused"]
    every = lines_of(get(f"{here}?document={story}&limit=100"))
    middle = every[1]["time"]
    later = lines_of(get(f"{here}?document={story}&from={middle}&limit=100"))
    earlier = lines_of(get(f"{here}?document={story}&to={middle}&limit=100"))
    assert later + earlier == every
    assert all(line["time"] >= middle for line in later)
    assert lines_of(get(f"{here}?document=doc_00000000000000000000000000")) == []
    assert lines_of(get(f"{here}?from=2999-01-01T00:00:00Z")) == []
    assert lines_of(get(f"{here}?to=2000-01-01T00:00:00Z")) == []


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "to=2026-01-15", "cursor=x", "cursor=-1", "granted=perhaps", "limit=0", "limit=101"],
)
def test_bad_filters_are_refused(get, safe_id, query) -> None:
    answer = get(f"/v1/safes/{safe_id}/journal?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID")


@pytest.mark.parametrize("persona", ["dominique", "agent-etat-civil", "auditeur", "exploitant", "delegue"])
def test_nobody_else_sees_a_journal_or_a_line(get, story, safe_id, persona) -> None:
    entry = lines_of(get(f"/v1/documents/{story}/journal"))[0]["entry"]
    unknown = get("/v1/safes/safe_00000000000000000000000000/journal", persona).json()
    for path in (
        f"/v1/documents/{story}/journal",
        f"/v1/safes/{safe_id}/journal",
        f"/v1/safes/{safe_id}/journal.csv",
        f"/v1/journal/{entry}/proof",
        f"/v1/journal/{entry}/proof?key=true",
    ):
        answer = get(path, persona)
        assert answer.status_code == 404
        # What one may not see looks like what is not there.
        assert {**answer.json(), "request_id": ""} == {**unknown, "request_id": ""}


def test_a_refused_look_at_a_documents_journal_is_a_line_of_it(get, story) -> None:
    assert get(f"/v1/documents/{story}/journal", "dominique").status_code == 404
    lines = lines_of(get(f"/v1/documents/{story}/journal?granted=false&limit=100"))
    mine = [line for line in lines if line["action"] == "journal" and line["who"]["role"] == "holder"]
    assert len(mine) == 1
    assert mine[0]["who"]["you"] is False


@pytest.mark.parametrize(
    ("purpose", "words", "code"),
    [
        ("", "", "PURPOSE_REQUIRED"),
        ("Contrôle", "", "PURPOSE_REQUIRED"),
        ("paie", "", "PURPOSE_UNKNOWN"),
        ("controle", "a\r\nX-Injected: 1", "FIELD_INVALID"),
        ("controle", "nom\u202efdp.exe", "FIELD_INVALID"),
        ("controle", "\x00", "FIELD_INVALID"),
        ("controle", "x" * 301, "FIELD_INVALID"),
    ],
)
def test_agents_name_a_purpose_of_their_service(get, story, purpose, words, code) -> None:
    path = f"/v1/documents/{story}?purpose={quote(purpose)}&words={quote(words)}"
    answer = get(path, "agent-etat-civil")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    in_header = get(
        f"/v1/documents/{story}?purpose={quote(purpose)}",
        "agent-etat-civil",
        Probans_Purpose_Words=quote(words),
    )
    assert in_header.json()["code"] == code


@pytest.mark.parametrize("header", ["100 % sûr", "%zz", "%ff", "50%"])
def test_a_header_that_is_not_percent_encoded_is_refused(client, bearer, story, header) -> None:
    headers = bearer("agent-etat-civil", Probans_Purpose="controle")
    raw = [
        *((k.encode(), v.encode()) for k, v in headers.items()),
        (b"Probans-Purpose-Words", header.encode()),
    ]
    answer = client.get(f"/v1/documents/{story}", headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID")


def test_a_purpose_of_another_service_is_a_refused_line(get, story) -> None:
    assert get(f"/v1/documents/{story}?purpose=paie", "agent-etat-civil").status_code == 422
    lines = lines_of(get(f"/v1/documents/{story}/journal?granted=false&limit=100"))
    assert any(
        line["purpose"]
        and line["purpose"]["code"] == "paie"
        and line["who"]["organisation"]["id"] == "mairie-specimen"
        for line in lines
    )


def test_services_and_purposes_are_public(client) -> None:
    answer = client.get("/v1/administrations/mairie-specimen/services").json()["items"]
    assert {each["service"] for each in answer} == {"", "etat-civil"}
    assert "controle" in {purpose["code"] for purpose in answer[1]["purposes"]}
    assert client.get("/v1/administrations/nobody/services").json() == {"items": []}


# --- proofs


@pytest.fixture
def judge(safe: Vault, tmp_path: Path) -> Callable[..., Verdict]:
    roots = TrustStore.from_pem(safe.trust.roots_pem)

    def do(data: bytes) -> Verdict:
        path = tmp_path / "line.json"
        path.write_bytes(data)
        ledger = FolderLedger(safe.settings.data / "ledger")
        return verify_file(path, trust=roots, policy=Policy.parse(safe.trust.policy.encode()), ledger=ledger)

    return do


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in verdict.checks}


def test_each_line_has_a_proof_that_is_verified_offline(get, story, judge) -> None:
    for line in lines_of(get(f"/v1/documents/{story}/journal?limit=100")):
        answer = get(f"{line['proof']}?key=true&wait=10")
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == MEDIA_TYPE
        verdict = judge(answer.content)
        assert verdict.verdict is Outcome.PASSED, verdict.reasons
        assert outcomes(verdict)["line.tag"] is Outcome.PASSED
        assert outcomes(verdict)["line.published"] is Outcome.PASSED
        assert verdict.line is not None
        assert verdict.line.event == line["event"]


def test_the_key_is_there_only_when_asked_for(get, story, judge) -> None:
    keys = get(f"/v1/documents/{story}/keys").json()
    line = next(
        each
        for each in lines_of(get(f"/v1/documents/{story}/journal?limit=100"))
        if each["event"] == "document.read"
    )
    answer = get(f"{line['proof']}?wait=10")
    assert answer.status_code == 200, answer.text
    kept = answer.content
    assert keys["access_key"].encode() not in kept
    assert keys["access_key"].encode() in get(f"{line['proof']}?key=true&wait=10").content
    assert outcomes(judge(kept))["line.tag"] is Outcome.UNCHECKED


def test_a_line_with_an_outside_date(get, story, judge, safe) -> None:
    line = lines_of(get(f"/v1/documents/{story}/journal"))[0]
    assert get(f"{line['proof']}?wait=10").status_code == 200  # published, so that the date covers it
    safe.anchoring.anchor(force=True)
    verdict = judge(get(f"{line['proof']}?wait=10").content)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert verdict.ledger is not None
    assert verdict.ledger.anchor == "PASSED"
    assert verdict.ledger.dated is not None


@pytest.mark.parametrize("entry", ["0", "999999999", "-1", "x", "9" * 30])
def test_no_proof_of_what_is_no_line(get, entry) -> None:
    assert get(f"/v1/journal/{entry}/proof").status_code in {404, 422}


# --- exports


@pytest.fixture
def window_over(safe: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export begins a line of its own, whatever was exported before it."""
    monkeypatch.setattr(safe.people.journal.exports, "_window", timedelta(0))


@pytest.mark.usefixtures("window_over")
def test_a_csv_no_spreadsheet_takes_for_formulas(get, safe_id, story) -> None:
    answer = get(f"/v1/safes/{safe_id}/journal.csv")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["event"] == "export.journal"
    assert rows[0]["entry"] == answer.headers["Probans-Entry"]
    assert rows[0]["who_fr"] == "le titulaire"
    mine = [row for row in rows if row["document"] == story]
    assert {row["title"] for row in mine} == {"Acte =1+1"}
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


@pytest.mark.usefixtures("window_over")
def test_json_lines_are_the_same_lines(get, safe_id, story) -> None:
    answer = get(f"/v1/safes/{safe_id}/journal.json?document={story}")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    listed = lines_of(get(f"/v1/documents/{story}/journal?limit=100"))
    assert [line["entry"] for line in lines] == [line["entry"] for line in listed]
    assert lines[-1]["what_fr"] == "Acte délivré"


@pytest.mark.usefixtures("window_over")
def test_a_sealed_pdf(get, safe_id) -> None:
    answer = get(f"/v1/safes/{safe_id}/journal.pdf")
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"%PDF-")
    assert b"/ByteRange" in answer.content
    assert lines_of(get(f"/v1/safes/{safe_id}/journal?limit=1"))[0]["event"] == "export.journal"


def test_the_same_export_within_the_window_is_one_line(get, safe_id) -> None:
    first = get(f"/v1/safes/{safe_id}/journal.csv").headers["Probans-Entry"]
    assert get(f"/v1/safes/{safe_id}/journal.csv").headers["Probans-Entry"] == first
    assert get(f"/v1/safes/{safe_id}/journal.exe").status_code == 422


# --- reports


@pytest.fixture
def post(client: TestClient, bearer) -> Callable[..., httpx.Response]:
    def do(path: str, persona: str, key: str, **body: object) -> httpx.Response:
        return client.post(path, json=body or None, headers=bearer(persona, Idempotency_Key=key))

    return do


def test_a_report_from_question_to_answer_and_back(get, post, story) -> None:
    entry = lines_of(get(f"/v1/documents/{story}/journal?limit=100"))[-2]["entry"]
    path = f"/v1/journal/{entry}/report"
    assert post(path, "dominique", "r0", words="Pourquoi ?").status_code == 404
    assert post(path, "camille", "r1", words=" ").json()["code"] == "FIELD_INVALID"
    made = post(path, "camille", "r2", words="Pourquoi cet accès ?")
    assert made.status_code == 201, made.text
    report = made.json()["self"]
    assert post(path, "camille", "r2", words="Pourquoi cet accès ?").json() == made.json()
    again = post(path, "camille", "r3", words="Et encore ?")
    assert (again.status_code, again.json()["code"]) == (409, "REPORT_EXISTS")

    assert report.split("/")[-1] in {each["id"] for each in lines_of(get("/v1/reports", "delegue"))}
    seen = get(report, "delegue").json()
    assert seen["state"] == "open"
    assert seen["line"]["entry"] == entry
    assert seen["line"]["title"] is None
    assert "Acte =1+1" not in json.dumps(seen)
    assert seen["exchanges"][0]["words"] == "Pourquoi cet accès ?"
    for persona in ("dominique", "agent-etat-civil", "auditeur", "exploitant"):
        assert get(report, persona).status_code == 404
        assert post(f"{report}/answer", persona, "r4", words="Rien").status_code == 404
        assert post(f"{report}/taking", persona, "r4").status_code == 404
    assert post(f"{report}/closing", "delegue", "r4").status_code == 404

    assert post(f"{report}/reopening", "camille", "r5", words="Non").json()["code"] == "STATE_CONFLICT"
    assert post(f"{report}/taking", "delegue", "r6").status_code == 200
    assert post(f"{report}/answer", "delegue", "r7", words="Contrôle prévu par la loi.").status_code == 200
    assert post(f"{report}/reopening", "camille", "r8", words="Laquelle ?").status_code == 200
    assert post(f"{report}/answer", "delegue", "r9", words="Le code civil.").status_code == 200
    assert post(f"{report}/closing", "camille", "r10").status_code == 200
    done = get(report, "camille").json()
    assert done["state"] == "closed"
    assert [each["verb"] for each in done["exchanges"]] == [
        "opened", "taken", "answered", "reopened", "answered", "closed",
    ]  # fmt: skip
    assert done["line"]["title"] == "Acte =1+1"
    events = [line["event"] for line in lines_of(get(f"/v1/documents/{story}/journal?limit=6"))]
    assert events == [
        "report.closed", "report.answered", "report.reopened", "report.answered", "report.taken", "report.opened",
    ]  # fmt: skip
    # Closed, the access may be reported anew.
    assert post(path, "camille", "r11", words="Encore ?").status_code == 201


def test_who_has_no_safe_has_no_reports(get) -> None:
    for persona in ("agent-etat-civil", "auditeur", "exploitant"):
        assert get("/v1/reports", persona).status_code == 404
    assert lines_of(get("/v1/reports", "dominique")) == []


# --- mandataries


def mandate(safe: Vault, safe_id: str, scope: list[str], types: list[str]) -> Actor:
    holder = safe.personas.named("camille").actor
    matters = safe.people.matters
    key = matters.draw(MatterKind.MANDATE)
    private = {"mandatary": "tiers", "scope": scope, "document_types": types}
    new = NewMatter(key, MatterKind.MANDATE, holder, private, safe_id)
    safe.writer.run(lambda tx: matters.begin(tx, new, "mandate.granted", Said("camille")))
    return Actor("tiers", Role.MANDATARY, mandate_id=key.document_id)


def test_a_mandate_for_other_types_shows_nothing_of_this_one(safe, safe_id, story) -> None:
    lines = safe.people.journal.lines
    every = lines.of_safe(mandate(safe, safe_id, ["read"], []), safe_id, Filters(), 500)
    assert story in {line.document_id for line in every}
    assert any(line.event == "mandate.granted" for line in every)
    other = mandate(safe, safe_id, ["read"], ["type-que-personne-ne-depose"])
    assert list(lines.of_safe(other, safe_id, Filters(), 500)) == []
    with pytest.raises(NotFound):
        lines.of_document(other, story, Filters(), 10)
    with pytest.raises(NotFound):
        safe.people.journal.exports.export(other, safe_id, "csv", Filters())
    with pytest.raises(NotFound):
        lines.of_safe(mandate(safe, safe_id, ["share"], []), safe_id, Filters(), 10)


# --- the operator's console


def test_support_stands_in_the_journal_while_the_service_runs(get, story, safe, tmp_path) -> None:
    ran = CliRunner().invoke(
        build(["bundle", "services"]),
        [
            "bundle",
            story,
            "--data",
            str(safe.settings.data),
            "--out",
            str(tmp_path / "b.asice"),
            "--reason",
            "Ticket 12",
        ],
    )
    assert ran.exit_code == 0, ran.output
    line = lines_of(get(f"/v1/documents/{story}/journal?limit=1"))[0]
    assert (line["who"]["role"], line["who"]["label"]) == ("operator", "l’exploitant du service")
    assert line["purpose"] == {"code": "support", "label": "Intervention technique", "words": "Ticket 12"}
    assert line["action"] == "evidence"
    assert (tmp_path / "b.asice").stat().st_size > 0
    silent = CliRunner().invoke(
        build(["bundle", "services"]),
        ["bundle", story, "--data", str(safe.settings.data), "--out", str(tmp_path / "c.asice")],
    )
    assert silent.exit_code == 0
    assert "aucun journal" in silent.output
    assert lines_of(get(f"/v1/documents/{story}/journal?limit=1")) == [line]


def test_an_operator_registers_services(client, safe) -> None:
    words = ["services", "set", "employeur-specimen", "voirie", "--data", str(safe.settings.data)]
    named = ["--name", "Voirie|Roads"]
    app = build(["bundle", "services"])
    for purpose, code in (
        ("travaux", 1),
        ("Travaux=a|b", 1),
        ("travaux=Travaux|", 1),
        ("travaux=Travaux|Works", 0),
    ):
        ran = CliRunner().invoke(app, [*words, *named, "--purpose", purpose])
        assert ran.exit_code == code, ran.output
    assert "FIELD_INVALID" in CliRunner().invoke(app, [*words, "--name", "x", "--purpose", "a=b|c"]).output
    unknown = CliRunner().invoke(
        app,
        ["services", "set", "nobody", "*", *named, "--purpose", "a=b|c", "--data", str(safe.settings.data)],
    )
    assert "UNKNOWN_ADMINISTRATION" in unknown.output
    listed = CliRunner().invoke(app, ["services", "list", "--data", str(safe.settings.data)]).output
    assert "voirie  Voirie / Roads" in listed
    found = client.get("/v1/administrations/employeur-specimen/services").json()["items"]
    assert {
        "service": "voirie",
        "name_fr": "Voirie",
        "name_en": "Roads",
        "purposes": [{"code": "travaux", "fr": "Travaux", "en": "Works"}],
    } in found


def test_services_are_recovered(safe) -> None:
    before = safe.people.journal.purposes.all()
    with safe.parts.database.writing() as connection:
        connection.execute(delete(models.services))
        for change in read_records(safe.parts.records).registry:
            if any(table == "services" for table, _ in change.inserts):
                change.apply(connection, 0, "")
    assert safe.people.journal.purposes.all() == before


# --- large journals


def invented(count: int) -> Callable[..., list[Line]]:
    """Stand for a database with so many lines; every cell is hostile to a spreadsheet."""

    def page(connection: object, safe_id: str, filters: Filters, limit: int) -> list[Line]:
        newest = count if filters.before is None else min(count, filters.before)
        return [
            Line(seq, "2026-01-15T09:00:00.000Z", "document.read", "access", seq, granted=True, role="agent",
                 organisation="mairie-specimen", purpose="controle", words='=HYPERLINK("http://x")', title="\t@x",
                 recipient="-1", case="+1")
            for seq in range(newest - 1, max(-1, newest - 1 - limit), -1)
        ]  # fmt: skip

    return page


def test_a_large_journal_leaves_in_flat_memory(safe, safe_id, monkeypatch) -> None:
    exports = safe.people.journal.exports
    monkeypatch.setattr(safe.people.journal.lines, "page", invented(10_000))
    monkeypatch.setattr(exports, "_recent", lambda *_: 10_000)
    holder = safe.personas.named("camille").actor
    for form in ("csv", "json"):
        file = exports.export(holder, safe_id, form, Filters())
        tracemalloc.start()
        total = sum(len(chunk) for chunk in file.chunks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total > 2_000_000
        assert peak < 1_500_000, (form, total, peak)


def test_a_large_pdf_says_what_it_left_out(safe, safe_id, monkeypatch) -> None:
    exports = safe.people.journal.exports
    monkeypatch.setattr("vault.rights.journal_exports.MAX_PDF_LINES", 30)
    monkeypatch.setattr(safe.people.journal.lines, "page", invented(100))
    monkeypatch.setattr(exports, "_recent", lambda *_: 100)
    file = exports.export(safe.personas.named("camille").actor, safe_id, "pdf", Filters(granted=True))
    assert b"".join(file.chunks).startswith(b"%PDF-")


def test_cells_of_a_spreadsheet(safe, safe_id, monkeypatch) -> None:
    exports = safe.people.journal.exports
    monkeypatch.setattr(safe.people.journal.lines, "page", invented(3))
    monkeypatch.setattr(exports, "_recent", lambda *_: 3)
    file = exports.export(safe.personas.named("camille").actor, safe_id, "csv", Filters())
    rows = list(csv.DictReader(io.StringIO(b"".join(file.chunks).decode("utf-8-sig"))))
    assert [row["words"] for row in rows] == ['\'=HYPERLINK("http://x")'] * 3
    assert {(row["title"], row["recipient"], row["case"]) for row in rows} == {("'\t@x", "'-1", "'+1")}


# --- bodies


@pytest.mark.parametrize(
    "body",
    [
        '{"words":"x","state":"closed"}',
        '{"words":1}',
        '{"words":"a","words":"b"}',
        "[]",
        "",
        '{"words":"\\u0000"}',
    ],
)
def test_a_report_takes_nothing_but_words(client, bearer, body) -> None:
    answer = client.post(
        "/v1/journal/1/report", content=body, headers=bearer("camille", Idempotency_Key="mass-1")
    )
    assert answer.status_code in {400, 422}
