"""Whatever goes wrong leaves as problem+json with a stable code, and says nothing it should not."""

from __future__ import annotations

import json
import logging
from itertools import cycle, product

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from api.app import create_app
from api.errors import PROBLEM_TYPE, wanted_language
from api.metrics import Metrics
from api.shared_series import SLOT_OCTETS
from storage.errors import ObjectMissing, StorageUnavailable
from vault.errors import LedgerError
from vault.messages.catalogue import CATALOGUE
from vault.observability.logs import JsonLines

MEMBERS = {
    "type",
    "title",
    "status",
    "code",
    "action",
    "title_fr",
    "action_fr",
    "title_en",
    "action_en",
    "request_id",
}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    described = app.openapi()["paths"]
    return [(method.upper(), path) for path, methods in described.items() for method in methods]


def is_problem(answer) -> bool:
    body = answer.json()
    return (
        answer.headers["content-type"] == PROBLEM_TYPE
        and set(body) >= MEMBERS
        and body["status"] == answer.status_code
        and body["code"] in CATALOGUE
        and body["type"] == f"/erreurs#{body['code']}"
    )


GARBAGE = (
    b"",
    b"\xff\x00\xfe",
    b"{}",
    b'{"a":1,"a":2}',
    b"[" * 5000,
    b'{"reason":NaN}',
    b"--x\r\n\r\n",
    b"null",
)
TYPES = (
    "application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/octet-stream",
    "\x7f",
)


def test_every_route_answers_garbage_with_a_problem(app, client, bearer):
    told = set()
    people = cycle(("camille", "agent-etat-civil", "auditeur"))
    for (method, path), body, kind in product(routes(app), GARBAGE, TYPES):
        who = next(people)
        address = (
            path.replace("{document_id}", "doc_%F0%9F%92%A9")
            .replace("{safe_id}", "..")
            .replace("{path}", "a/b")
        )
        headers = bearer(who, Idempotency_Key="\x7fkey" if kind == "\x7f" else "g", Probans_Document="e30")
        headers["Content-Type"] = kind
        answer = client.request(
            method, address, content=body, headers=headers, params={"limit": "x", "wait": "nan"}
        )
        assert answer.status_code < 500, (method, path, body, kind, answer.text)
        if path == "/v1/token":  # its errors have the form that RFC 6749 gives them
            assert answer.json()["error"] in {"invalid_request", "invalid_client"}
        elif answer.status_code >= 400 and method != "HEAD":
            assert is_problem(answer), (method, path, answer.text)
            told.add(answer.json()["code"])
        assert "Traceback" not in answer.text
    assert told >= {
        "NOT_FOUND",
        "FIELD_INVALID",
        "BODY_INVALID",
        "JSON_INVALID",
        "JSON_DUPLICATE_KEY",
        "EMPTY_FILE",
    }


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_by_name(app, client, method):
    known = routes(app)
    others = {path for _, path in known if (method, path) not in known}
    assert len(others) > 50
    for path in sorted(others):
        answer = client.request(method, path.replace("{path}", "checkpoint"))
        assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"]


def test_words_follow_the_language(client):
    french = client.get("/v1/nothing")
    assert french.headers["content-language"] == "fr"
    assert french.json()["title"] == french.json()["title_fr"]
    english = client.get("/v1/nothing", headers={"Accept-Language": "de, en-GB;q=0.8, fr;q=0.7"})
    assert english.headers["content-language"] == "en"
    assert (
        english.json()["title"]
        == english.json()["title_en"]
        == "There is nothing at this address, or nothing you may see."
    )
    assert "accept-language" in english.headers["vary"].lower()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "fr"), ("", "fr"), ("en", "en"), ("en;q=0", "fr"), ("en;q=nan", "fr"), ("en;q=x", "fr"),
        ("en;q=9", "fr"), ("fr;q=0.1,en;q=0.2", "en"), ("*", "fr"), (",,;;", "fr"), ("EN-us", "en"),
    ],
)  # fmt: skip
def test_language_choice(header, language):
    assert wanted_language(header) == language


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("Camille Exemple, 12 rue Haute"), 500, "INTERNAL"),
        (RecursionError("Camille Exemple"), 500, "INTERNAL"),
        (StorageUnavailable("/secret/place"), 503, "STORAGE_UNAVAILABLE"),
        (ObjectMissing("/secret/place"), 500, "ORIGINAL_DAMAGED"),
        (OperationalError("select secret", {}, Exception()), 503, "DATABASE_UNAVAILABLE"),
    ],
)
def test_inner_failures_say_nothing_of_the_inside(
    client, bearer, safe, monkeypatch, caplog, error, status, code
):
    def fail(*_args):
        raise error

    monkeypatch.setattr(safe.reading, "describe", fail)
    monkeypatch.setattr(logging.getLogger("probans"), "propagate", True)
    with caplog.at_level(logging.INFO):
        answer = client.get("/v1/documents/doc_x", headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert is_problem(answer)
    assert ("retry-after" in answer.headers) == (status == 503)
    for hidden in ("Camille", "secret", "Error"):
        assert hidden not in answer.text
    reference = answer.json()["request_id"]
    assert reference == answer.headers["x-request-id"]
    logged = "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("probans"))
    assert f"{reference} {type(error).__name__}" in logged
    assert "Camille" not in logged
    assert "doc_x" not in logged


def test_what_only_an_operator_can_mend_is_told_to_the_operator(client, bearer, safe, monkeypatch, caplog):
    def fail(*_args):
        raise LedgerError("CHAIN_BROKEN", "entry 7 does not follow entry 6")

    monkeypatch.setattr(safe.reading, "describe", fail)
    monkeypatch.setattr(logging.getLogger("probans"), "propagate", True)
    answer = client.get("/v1/documents/doc_x", headers=bearer("camille"))
    assert answer.status_code == 500
    assert "entry 7" not in answer.text
    assert "CHAIN_BROKEN (entry 7 does not follow entry 6)" in caplog.text


def test_a_failure_in_mid_download_is_not_a_whole_answer(client, deposit, bearer, safe, monkeypatch):
    from dataclasses import replace

    link = deposit("midway").json()["links"]["original"]
    download = safe.reading.original(safe.personas.named("camille").actor, link.split("/")[3], "")

    def read(_offset, _length):
        yield b"<a>"
        raise StorageUnavailable("gone")

    monkeypatch.setattr(safe.reading, "original", lambda *_: replace(download, read=read))
    answer = client.get(link, headers=bearer("camille"))
    assert len(answer.content) < int(answer.headers["content-length"])


def test_tokens_that_name_nobody(client, safe):
    good = safe.personas.named("camille").token
    for header in (
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {good}",
        good,
        f"Bearer {good}x",
        "Bearer " + "x" * 600,
        "Bearer \xe9",
    ):
        answer = client.get("/v1/documents/doc_x", headers={"Authorization": header.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), header
        assert answer.headers["www-authenticate"].startswith("Bearer")
    # A bad token is refused where none is needed, too.
    assert client.post("/v1/verifications/hash", headers={"Authorization": "Bearer x"}).status_code == 401
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", "Bearer x")]
    assert client.get("/v1/documents/doc_x", headers=twice).json()["code"] == "FIELD_INVALID"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[::1",
        "192.0.2.1",
        "a@127.0.0.1",
        "127.0.0.1:x",
    ],
)
def test_foreign_host_names_are_refused(client, host):
    answer = client.get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "HOST_REFUSED")


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "LOCALHOST:80", "[::1]:8000", "127.8.8.8"])
def test_names_of_this_machine_are_accepted(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_too_many_requests_at_once_are_told_to_come_back(safe):
    metrics = Metrics()
    client = TestClient(create_app(safe, metrics, max_in_flight=2), base_url="http://127.0.0.1")
    metrics.begin()
    metrics.begin()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (503, "BUSY")
    assert answer.headers["retry-after"]
    metrics.end("GET", "-", 200, 0.0)
    assert client.get("/healthz").status_code == 200
    assert metrics.in_flight == 1


def test_every_answer_carries_the_security_headers(app, client):
    for method, path in [
        *routes(app),
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/static/style.css"),
        ("GET", "/docs"),
    ]:
        headers = client.request(method, path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        readers = "cross-origin" if path.startswith("/ledger/") else "same-origin"
        assert headers["cross-origin-resource-policy"] == readers
        assert "cache-control" in headers


def test_the_access_log_names_no_one(client, issue, bearer, monkeypatch, caplog):
    link = issue("logged", title="Titre secret").json()["links"]["self"]
    monkeypatch.setattr(logging.getLogger("probans"), "propagate", True)
    caplog.clear()
    with caplog.at_level(logging.INFO, "probans.access"):
        client.get(f"{link}?purpose=consultation", headers=bearer("camille"))
        client.get("/v1/camille/secret?q=camille")
    records = [record for record in caplog.records if record.name == "probans.access"]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    assert [line["route"] for line in lines] == ["/v1/documents/{document_id}", "-"]
    assert [line["status"] for line in lines] == [200, 404]
    fixed = {"time", "level", "logger", "message"}
    assert set(lines[0]) == fixed | {"request", "method", "route", "status", "ms", "octets", "whole"}
    assert lines[0]["octets"] > 100


def test_counters_of_several_processes_are_added():
    block = bytearray(2 * SLOT_OCTETS)
    first, second = Metrics(block, 0), Metrics(block, 1)
    for metrics in (first, second, second):
        metrics.begin()
        metrics.end("GET", "/healthz", 200, 0.01)
    second.begin()
    for metrics in (first, second):
        text = metrics.text()
        assert 'probans_requests_total{method="GET",route="/healthz",status="200"} 3' in text
        assert "probans_processes 2" in text
    assert "probans_requests_in_flight 1" in first.text()
    block[SLOT_OCTETS + 9] ^= 1
    assert "probans_processes 1" in first.text()


def test_a_process_that_replaces_another_goes_on_from_its_counters():
    block = bytearray(SLOT_OCTETS)
    first = Metrics(block, 0)
    first.begin()
    first.end("GET", "/healthz", 200, 0.01)
    first.begin()
    text = Metrics(block, 0).text()
    assert 'probans_requests_total{method="GET",route="/healthz",status="200"} 1' in text
    assert "probans_requests_in_flight 0" in text
