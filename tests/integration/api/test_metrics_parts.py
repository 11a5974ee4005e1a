"""What `/metrics` says, read by a strict reader: parts of each process made one, and the work that waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from api.app import create_app
from api.metric_families import FAMILIES, joined
from api.metrics import Metrics
from api.middleware import Guard
from api.shared_series import SLOT_OCTETS
from tests.services import exposition
from tests.services.timestamps import Outside, until
from vault.bootstrap import open_vault
from vault.clock import rfc3339
from vault.db import models
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.observability import work_figures
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside("ailleurs", days=20)
    yield made
    made.close()


@pytest.fixture
def safe(tmp_path: Path, outside: Outside) -> Iterator[Vault]:
    chosen = Settings(
        data=tmp_path / "data", publish_interval=0.02, tsa_url=outside.url, tsa_trust=outside.anchors(tmp_path),
        tsa_timeout=2.0, tsa_pause=1.0,
    )  # fmt: skip
    vault = open_vault(chosen, background=False)
    yield vault
    vault.close()


def asked(client: TestClient) -> dict[str, exposition.Family]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return exposition.read(answer.text)


def issue(vault: Vault, content: bytes, key: str) -> int:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
    return vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key)).status_code


def test_parts_and_queues_are_told(
    safe: Vault, outside: Outside, act_pdf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.process_series._KEPT_S", 0.0)
    client = TestClient(create_app(safe), base_url="http://127.0.0.1")
    client.get("/v1/documents/doc_x")
    client.get("/v1/documents/doc_y?secret=1")
    who = {"dates": "documents", "authority": "tsa"}
    assert issue(safe, act_pdf, "k1") == 201
    found = asked(client)
    assert {family.name for family in FAMILIES} <= set(found)
    requests = found["probans_requests_total"]
    assert requests.value(method="GET", route="/v1/documents/{document_id}", status="401") == 2
    tokens = found["probans_timestamp_tokens_total"].value(**who)
    assert tokens >= 1
    assert found["probans_timestamp_authority_state"].value(**who) == 0
    assert abs(found["probans_timestamp_drift_seconds"].value(**who)) < 5
    assert found["probans_timestamp_certificate_days_left"].value(**who) == 19
    assert found["probans_thread_alive"].value(thread="ledger") == 1
    assert found["probans_thread_alive"].value(thread="publisher") == 1
    assert found["probans_database_connections"].value(what="most") >= 4
    assert found["probans_waiting"].value(queue="sealing") == 0
    assert found["probans_waiting"].value(queue="outbox") >= 1

    outside.mode = "down"
    assert [issue(safe, act_pdf, f"w{number}") for number in range(3)] == [202] * 3
    found = asked(client)
    assert found["probans_waiting"].value(queue="sealing") == 3
    assert 0 <= found["probans_waiting_oldest_seconds"].value(queue="sealing") < 60
    assert found["probans_timestamp_authority_state"].value(**who) == 2
    assert found["probans_timestamp_failures_total"].value(**who) == 3
    outside.mode = "well"
    until(lambda: safe.healer.heal() or None)
    until(lambda: not safe.healer.heal())
    until(lambda: asked(client)["probans_waiting"].value(queue="sealing") == 0)
    for task in safe.tasks.tasks:
        safe.tasks.run(task)
    found = asked(client)
    runs = found["probans_task_runs_total"].samples
    assert {dict(labels)["task"]: count for (_, labels), count in runs.items()} == dict.fromkeys(
        (task.name for task in safe.tasks.tasks), 1.0
    )
    assert found["probans_waiting"].value(queue="outbox") == 0


def test_letters_and_verdicts_are_counted_without_reading_everything(
    safe: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_figures, "MOST", 5)
    now = datetime.now(UTC)

    def letter(number: int, state: str, ended: timedelta | None) -> dict[str, object]:
        return {
            "id": f"dlv_{number}", "channel": "mail", "kind": "single", "event": "document", "state": state,
            "attempts": 1, "unsure": 0, "created_at": rfc3339(now - timedelta(hours=2)),
            "next_try_at": rfc3339(now) if ended is None else None,
            "ended_at": None if ended is None else rfc3339(now - ended), "token_ix": bytes([number]) * 32,
        }  # fmt: skip

    hour = timedelta(hours=1)
    rows = [letter(n, "waiting", None) for n in range(9)]
    rows += [letter(10, "failed", hour), letter(11, "bounced", hour), letter(12, "sent", hour)]
    rows += [letter(13, "failed", 30 * hour)]
    with safe.parts.database.writing() as connection:
        connection.execute(insert(models.deliveries), rows)
        connection.execute(
            insert(models.document_scans),
            [
                {"document_id": f"doc_{n}", "verdict": "pending", "engine": "", "looked_at": rfc3339(now),
                 "reason": "", "found": ""} for n in range(3)
            ],
        )  # fmt: skip
    found = work_figures.work_figures(safe.parts.database, safe.parts.clock)
    assert found.letters["mail"].size == 5
    assert 7100 < (found.letters["mail"].age or 0) < 7300
    assert found.letters["sms"] == work_figures.Queue(0, None)
    assert found.failed == {"bounced": 1, "expired": 0, "unsure": 0, "failed": 1}
    assert found.scans == {"pending": 3, "infected": 0}


def test_processes_are_made_one_by_what_the_family_means() -> None:
    far = 'probans_timestamp_drift_seconds{dates="documents",authority="a"}'
    left = 'probans_timestamp_certificate_days_left{dates="documents",authority="a"}'
    state = 'probans_timestamp_authority_state{dates="documents",authority="a"}'
    tokens = 'probans_timestamp_tokens_total{dates="documents",authority="a"}'
    block = bytearray(2 * SLOT_OCTETS)
    first, second = Metrics(block, 0), Metrics(block, 1)
    first.watch(lambda: {far: 2.0, left: 20.0, state: 0.0, tokens: 5.0, "unknown": 1.0})
    second.watch(lambda: {far: -30.0, left: 9.0, state: 2.0, tokens: 7.0})
    second.text()
    for text in (first.text(), second.text()):
        found = exposition.read(text)
        who = {"dates": "documents", "authority": "a"}
        assert found["probans_timestamp_drift_seconds"].value(**who) == -30
        assert found["probans_timestamp_certificate_days_left"].value(**who) == 9
        assert found["probans_timestamp_authority_state"].value(**who) == 2
        assert found["probans_timestamp_tokens_total"].value(**who) == 12
        assert "unknown" not in text
    # Another process takes the second one's place: what it counted stays, how it was does not.
    third = Metrics(block, 1)
    found = exposition.read(third.text())
    assert found["probans_timestamp_tokens_total"].value(**who) == 12
    assert found["probans_timestamp_authority_state"].value(**who) == 0
    third.watch(lambda: {tokens: 1.0})
    assert exposition.read(third.text())["probans_timestamp_tokens_total"].value(**who) == 13
    assert joined([{far: 1.0}, {far: -1.5}]) == {far: -1.5}


def test_a_part_that_cannot_say_how_it_does_fails_no_request() -> None:
    metrics = Metrics()

    def gone() -> dict[str, float]:
        raise OSError("closed")

    metrics.watch(gone)
    metrics.begin()
    metrics.end("GET", "/healthz", 200, 0.01)
    exposition.read(metrics.text())


@pytest.mark.parametrize("seconds", [0.001, 0.3, 60.0])
def test_every_bucket_is_told_from_the_first_request_on(seconds: float) -> None:
    metrics = Metrics()
    metrics.begin()
    metrics.end("GET", "/v1/documents/{document_id}", 200, seconds)
    samples = exposition.read(metrics.text())["probans_request_seconds"].samples
    assert len(samples) == 9


@pytest.mark.parametrize(
    "text",
    [
        "x 1",
        "x 1\n",
        "# TYPE x gauge\nx 1\n",
        "# HELP x y\n# TYPE x gauge\nx one\n",
        "# HELP x y\n# TYPE x counter\nx 1\n",
        '# HELP x y\n# TYPE x gauge\nx{a="1"} 1\nx{a="1"} 2\n',
        '# HELP x y\n# TYPE x gauge\nx{a="\\x"} 1\n',
        "# HELP x y\n# TYPE x gauge\nx 1\n# HELP z y\n# TYPE z gauge\nx 2\n",
        '# HELP h y\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
        '# HELP h y\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
    ],
    ids=range(10),
)
def test_the_reader_is_strict(text: str) -> None:
    with pytest.raises(exposition.Malformed):
        exposition.read(text)


def test_what_a_route_does_not_take_makes_no_series() -> None:
    metrics = Metrics()
    guard = Middleware(Guard, metrics=metrics, loopback_only=False, trusts=lambda _: False)
    app = Starlette(routes=[Route("/{name}", lambda _: Response("x"))], middleware=[guard])
    client = TestClient(app)
    assert client.get("/a").status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"):
        assert client.request(method, "/a").status_code == 405
    text = metrics.text()
    assert 'method="GET",route="/{name}"' in text
    assert 'method="POST",route="-",status="405"' in text
    assert text.count('route="/{name}",status=') == 1


def test_every_route_and_status_fits_into_what_processes_share(caplog: pytest.LogCaptureFixture) -> None:
    block = bytearray(2 * SLOT_OCTETS)
    metrics, sibling = Metrics(block, 0), Metrics(block, 1)
    for number in range(250):
        for status in (200, 201, 202, 304, 400, 401, 403, 404, 409, 429, 499, 500, 503):
            metrics.end("DELETE", f"/v1/documents/{{document_id}}/something-{number}", status, 0.01)
    assert 'something-249",status="503"} 1' in sibling.text()
    assert not caplog.records
    for number in range(20_000):
        metrics._series[f'probans_requests_total{{made="{number:0>60}"}}'] = 1.0
    for _ in range(2):
        metrics.text()
    assert [each.getMessage()[:31] for each in caplog.records] == ["the counters of this process no"]
