"""A copy of everything: what is in it, who may have it, what becomes of it when something goes wrong."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import random
import zipfile
from datetime import timedelta

import httpx
import pytest

from vault.access import Action
from vault.domain.matters import MatterKind
from vault.errors import Conflict
from vault.rights.everything_else import FOLDERS, HIDDEN


@pytest.fixture
def camille_safe(safe) -> str:
    return safe.personas.named("camille").actor.safe_id


@pytest.fixture
def ask(client, bearer, camille_safe):
    def do(key: str, persona: str = "camille", safe_id: str | None = None):
        headers = bearer(persona, Idempotency_Key=key)
        return client.post(f"/v1/safes/{safe_id or camille_safe}/exports", headers=headers)

    return do


@pytest.fixture
def unlimited(monkeypatch):
    """The tests of this module share a safe, and ask more often than a person may."""
    monkeypatch.setattr("vault.rights.exports.MAX_A_DAY", 1000)


def opened(answer) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def folder_of(archive: zipfile.ZipFile, document_id: str) -> str:
    (name,) = (n for n in archive.namelist() if n.endswith(f"-{document_id}/document.json"))
    return name.removesuffix("document.json")


@pytest.mark.usefixtures("unlimited")
def test_everything_is_in_it_and_checks_out(client, bearer, issue, deposit, ask, act_pdf, tmp_path, safe):
    act = issue("rights-act").json()["id"]
    attachment = deposit("rights-attachment", content=b"<mine>\xc3\xa9</mine>").json()["id"]
    asked = ask("rights-1")
    assert asked.status_code == 201, asked.text
    here = asked.headers["Location"]
    before = client.get(here, headers=bearer("camille")).json()
    assert (before["state"], before["documents"], before["done"]) == ("asked", None, 0)
    answer = client.get(f"{here}/archive", headers=bearer("camille"))
    archive = opened(answer)
    assert answer.headers["content-type"] == "application/zip"
    after = client.get(here, headers=bearer("camille")).json()
    assert after["state"] == "delivered"
    assert after["documents"] == after["done"] >= 2
    assert after["missing"] == 0
    # Every member stands in the index with its digest, in the order of the archive.
    index = json.loads(archive.read("index.json"))
    assert [each["file"] for each in index["files"]] == archive.namelist()[:-1]
    assert index["missing"] == []
    for each in index["files"]:
        data = archive.read(each["file"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["size"], each["sha256"]), each["file"]
    # The originals are those that the interface gives, the bundles pass.
    for document_id in (act, attachment):
        folder = folder_of(archive, document_id)
        told = json.loads(archive.read(f"{folder}document.json"))
        assert told["content"] == "here"
        (original,) = (n for n in archive.namelist() if n.startswith(f"{folder}original/"))
        given = client.get(f"/v1/documents/{document_id}/original", headers=bearer("camille")).content
        assert archive.read(original) == given
        assert told["sha256"] == hashlib.sha256(given).hexdigest()
        bundle = archive.read(f"{folder}dossier-de-preuve.asice")
        verdict = client.post("/v1/verifications", content=bundle).json()
        assert verdict["verdict"] == "PASSED", verdict["reasons"]
    keys = json.loads(archive.read("cles-de-suivi.json"))
    mine = client.get(f"/v1/documents/{act}/keys", headers=bearer("camille")).json()
    assert keys[act] == {"status": mine["status_key"], "access": mine["access_key"]}
    assert json.loads(archive.read("coffre.json"))["holder"] == "camille"
    for text in ("LISEZMOI.txt", "README.txt"):
        said = archive.read(text).decode()
        for name in ("index.json", "cles-de-suivi.json", "dossier-de-preuve.asice", "confiance/roots.pem"):
            assert name in said
        # What the text names is what there may be, and the other way round.
        for folder, _ in FOLDERS.values():
            assert f"\n{folder}/" in said
    assert archive.read("confiance/roots.pem") == safe.trust.roots_pem
    # The journal, twice the same.
    lines = json.loads(archive.read("journal/journal-1.json"))
    rows = list(csv.DictReader(io.StringIO(archive.read("journal/journal-1.csv").decode("utf-8-sig"))))
    assert [str(line["entry"]) for line in lines] == [row["entry"] for row in rows]
    taken = [line for line in lines if line["purpose"] == "acces-aux-donnees" and line["document"] == act]
    assert [(line["event"], line["action"]) for line in taken] == [("document.read", "export")]


@pytest.mark.usefixtures("unlimited")
def test_each_document_that_leaves_has_one_line_and_the_export_two(client, bearer, issue, ask):
    act = issue("rights-line").json()["id"]
    here = ask("rights-lines").headers["Location"]
    export = here.rpartition("/")[2]
    for _ in range(2):  # the second archive comes within the window of the first
        opened(client.get(f"{here}/archive", headers=bearer("camille")))
    lines = client.get(f"/v1/documents/{act}/journal", headers=bearer("camille")).json()["items"]
    reads = [line for line in lines if line["event"] == "document.read"]
    assert [(line["action"], line["purpose"]["code"]) for line in reads] == [("export", "acces-aux-donnees")]
    mine = client.get(
        f"/v1/safes/{client.get(here, headers=bearer('camille')).json()['safe']}/journal?limit=100",
        headers=bearer("camille"),
    ).json()["items"]
    events = [line["event"] for line in mine if line["matter"] == export]
    assert events == ["export.delivered", "export.delivered", "export.asked"]


@pytest.mark.parametrize("persona", ["dominique", "agent-etat-civil", "auditeur", "exploitant"])
@pytest.mark.usefixtures("unlimited")
def test_nobody_else_has_it(client, bearer, ask, persona):
    here = ask("rights-own").headers["Location"]
    absent = client.get("/v1/exports/xpt_00000000000000000000000000", headers=bearer(persona)).json()
    for path in (here, f"{here}/archive"):
        answer = client.get(path, headers=bearer(persona))
        assert answer.status_code == 404
        assert {**answer.json(), "request_id": ""} == {**absent, "request_id": ""}
    assert ask(f"rights-{persona}", persona=persona).status_code == 404
    assert client.get(f"{here}/archive").status_code == 401


@pytest.mark.usefixtures("unlimited")
def test_the_same_request_is_one_export(ask):
    first, again = ask("rights-same"), ask("rights-same")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ask("").json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"


def test_there_are_not_too_many_in_a_day(ask, monkeypatch):
    monkeypatch.setattr("vault.rights.exports.MAX_A_DAY", 1)
    ask("rights-few-1")
    answer = ask("rights-few-2")
    assert (answer.status_code, answer.json()["code"]) == (429, "EXPORT_LIMIT")


@pytest.mark.usefixtures("unlimited")
def test_an_export_of_a_journal_is_none_of_everything(client, bearer, safe):
    whose = safe.personas.named("dominique").actor.safe_id
    assert client.get(f"/v1/safes/{whose}/journal.csv", headers=bearer("dominique")).status_code == 200
    with safe.parts.database.reading() as connection:
        found = safe.people.matters.rows.find(connection, MatterKind.EXPORT, safe_id=whose)
    journal = next(each for each in found if each.private["what"] == "journal")
    for path in ("", "/archive"):
        answer = client.get(f"/v1/exports/{journal.id}{path}", headers=bearer("dominique"))
        assert answer.json()["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("unlimited")
def test_an_archive_that_nobody_takes_to_its_end_leaves_nothing(safe, ask, client, bearer):
    rights, actor = safe.people.rights.exports, safe.personas.named("camille").actor
    here = ask("rights-cut").headers["Location"]
    export = here.rpartition("/")[2]
    for taken in (0, 1, 7):
        made = rights.archive(actor, export)
        with pytest.raises(Conflict, match="TWIN_RUNNING"):
            rights.archive(actor, export)
        for _ in range(taken):
            next(made.chunks)
        made.chunks.close()
        state = client.get(here, headers=bearer("camille")).json()["state"]
        assert state == "running"
    abandoned = rights.archive(actor, export)
    next(abandoned.chunks)
    del abandoned
    # More than a process makes at once: each place was given back.
    opened(client.get(f"{here}/archive", headers=bearer("camille")))
    assert client.get(here, headers=bearer("camille")).json()["state"] == "delivered"


@pytest.mark.usefixtures("unlimited")
def test_it_opens_for_its_time_alone(ask, client, bearer, monkeypatch):
    monkeypatch.setattr("vault.rights.exports.OPEN_FOR", timedelta(0))
    here = ask("rights-over").headers["Location"]
    answer = client.get(f"{here}/archive", headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (410, "EXPORT_ENDED")
    assert client.get(here, headers=bearer("camille")).json()["state"] == "ended"


def test_every_kind_of_matter_is_either_taken_along_or_not_the_holders():
    left_out = set(MatterKind) - set(FOLDERS)
    assert left_out == {MatterKind.REQUISITION}, "its paper is its authority's; the journal has its lines"
    assert {action for _, action in FOLDERS.values()} <= set(Action)
    assert {"tag_key", "secret", "salt"} <= HIDDEN


def test_a_client_that_goes_away_leaves_the_next_one_room(start, soon):
    running = start(workers=2)
    with httpx.Client(base_url=running.url, timeout=60) as client:
        headers = running.headers("Camille")
        for number in range(4):
            said = base64.urlsafe_b64encode(json.dumps({"file_name": f"{number}.bin"}).encode()).decode()
            made = client.post(
                "/v1/attachments",
                content=random.Random(number).randbytes(6 << 20),
                headers={**headers, "Idempotency-Key": f"big-{number}", "Probans-Document": said.rstrip("=")},
            )
            assert made.status_code == 201, made.text
        document = client.get(f"/v1/documents/{made.json()['id']}", headers=headers).json()
        asked = client.post(
            f"/v1/safes/{document['safe']}/exports", headers={**headers, "Idempotency-Key": "cut"}
        )
        place = f"{asked.headers['Location']}/archive"
        with client.stream("GET", place, headers=headers) as answer:
            assert answer.status_code == 200
            leaving = answer.iter_raw(1000)
            assert next(leaving)
            # Somebody else, on any process, is told to wait while it leaves.
            assert httpx.get(running.url + place, headers=headers).json()["code"] == "TWIN_RUNNING"
        # The client has closed its connection in the middle.
        soon(lambda: client.get(place, headers=headers).status_code == 200)
        whole = zipfile.ZipFile(io.BytesIO(client.get(place, headers=headers).content))
        assert whole.testzip() is None
        assert len([name for name in whole.namelist() if "/original/" in name]) == 4
    assert running.stop() == 0
    assert " error=" not in running.errors.read_text(), "an exception was told"
