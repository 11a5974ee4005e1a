"""Spans, taken by a receiver of OTLP over HTTP that decodes what it is sent; nothing of people is in any of them."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.testclient import TestClient

from api.app import create_app
from tests.services.timestamps import until
from vault.bootstrap import open_vault
from vault.core import tracing
from vault.errors import SettingsRefused
from vault.settings import Settings

MARK = "zqCamilleExemple7xv"


class Receiver:
    """Takes what is sent to `/v1/traces`.

    Attributes:
        bodies: decompressed.
        headers: of each.
        spans: all of them.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.resources.append(
                {each.key: each.value.string_value for each in resource.resource.attributes}
            )
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def said(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}


def story(settings: Settings, act_pdf: bytes, **headers: str) -> tuple[int, int]:
    """Issue an act and ask for one that is not there; return both statuses."""
    vault = open_vault(settings, background=False)
    try:
        client = TestClient(create_app(vault), base_url="http://127.0.0.1", client=("198.51.100.9", 4711))
        token = vault.personas.named("agent-etat-civil").token
        fields = {"holder": "camille", "title": MARK, "file_name": f"{MARK}.pdf"}
        described = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
        issued = client.post(
            "/v1/acts",
            content=act_pdf,
            headers={
                "Authorization": f"Bearer {token}",
                "Idempotency-Key": MARK,
                "Probans-Document": described,
                "Content-Type": "application/pdf",
                **headers,
            },
        )
        missing = client.get(
            f"/v1/documents/{MARK}?purpose={MARK}", headers={"Authorization": f"Bearer {token}"}
        )
        return issued.status_code, missing.status_code
    finally:
        vault.close()


def test_a_request_and_its_steps_are_one_trace_that_names_nobody(
    receiver: Receiver, tmp_path: Path, act_pdf: bytes
) -> None:
    (tmp_path / "secret").write_text("s3cr3t.of.traces\n")
    settings = Settings(
        data=tmp_path / "data", publish_interval=0.02, traces_endpoint=receiver.endpoint,
        traces_secret_file=tmp_path / "secret",
    )  # fmt: skip
    assert story(settings, act_pdf) == (201, 404)
    (request,) = receiver.named("POST /v1/acts")
    attributes = said(request)
    assert attributes["http.request.method"] == "POST"
    assert attributes["http.route"] == "/v1/acts"
    assert attributes["http.response.status_code"] == 201
    assert len(attributes["probans.request"]) == 16
    assert request.parent_span_id == b""
    by_id = {span.span_id: span for span in receiver.spans}
    steps = [span for span in receiver.spans if span.trace_id == request.trace_id and span is not request]
    assert {span.name for span in steps} >= {
        "receive", "inspect", "scan", "seal", "timestamp", "store put", "store commit", "ledger"
    }  # fmt: skip
    for span in steps:
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    (stamped,) = [span for span in steps if span.name == "timestamp"]
    assert by_id[stamped.parent_span_id].name == "seal"
    assert receiver.named("ledger commit")
    assert receiver.named("GET /v1/documents/{document_id}")
    assert {each["service.name"] for each in receiver.resources} == {"probans"}
    assert {each["authorization"] for each in receiver.headers} == {"Bearer s3cr3t.of.traces"}
    sent = b"".join(receiver.bodies)
    for hidden in (MARK.encode(), b"camille", b"agent-etat-civil", b"doc_", str(tmp_path).encode()):
        assert hidden not in sent, hidden
    assert tracing.span("x") is tracing.span("y"), "gone with the safe"


def test_a_trusted_proxys_trace_is_gone_on_with_and_nobody_elses(
    receiver: Receiver, tmp_path: Path, act_pdf: bytes
) -> None:
    above = f"00-{'ab' * 16}-{'cd' * 8}-01"
    for number, proxies in enumerate(("198.51.100.0/24", "")):
        settings = Settings(
            data=tmp_path / str(number), publish_interval=0.02, traces_endpoint=receiver.endpoint,
            trusted_proxies=proxies,
        )  # fmt: skip
        assert story(settings, act_pdf, traceparent=above)[0] == 201
    trusted, other = receiver.named("POST /v1/acts")
    assert trusted.trace_id == bytes.fromhex("ab" * 16)
    assert trusted.parent_span_id == bytes.fromhex("cd" * 8)
    assert other.trace_id != trusted.trace_id
    assert other.parent_span_id == b""


def test_of_what_fails_only_the_code_is_told(receiver: Receiver, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", traces_endpoint=receiver.endpoint)
    vault = open_vault(settings, background=False)

    def fail(name: str, error: Exception) -> None:
        with tracing.span(name) as span:
            span.note(count=3)
            raise error

    with pytest.raises(SettingsRefused):
        fail("step", SettingsRefused("SETTINGS_REFUSED", MARK))
    with pytest.raises(ValueError, match=MARK):
        fail("other", ValueError(MARK))
    vault.close()
    (step,), (other,) = receiver.named("step"), receiver.named("other")
    assert said(step) == {"count": 3, "error.type": "SETTINGS_REFUSED"}
    assert said(other) == {"count": 3, "error.type": "ValueError"}
    assert step.status.code == 2
    assert list(step.events) == []
    assert MARK.encode() not in b"".join(receiver.bodies)


def test_a_share_is_a_share(receiver: Receiver, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", traces_endpoint=receiver.endpoint, traces_share=0.25)
    vault = open_vault(settings, background=False)
    for _ in range(400):
        with tracing.span("root"), tracing.span("child"):
            pass
    vault.close()
    assert 40 < len(receiver.named("root")) < 180
    assert len(receiver.named("root")) == len(receiver.named("child"))


def test_a_receiver_that_is_away_holds_nobody_up(tmp_path: Path, act_pdf: bytes) -> None:
    gone = Receiver()
    gone.close()
    settings = Settings(data=tmp_path / "data", publish_interval=0.02, traces_endpoint=gone.endpoint)
    begun = time.monotonic()
    assert story(settings, act_pdf) == (201, 404)
    assert time.monotonic() - begun < 15


def test_without_an_address_nothing_is_loaded_and_nothing_is_made(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom vault.bootstrap import open_vault\n"
        "from vault.settings import Settings\nfrom vault.core import tracing\n"
        f"open_vault(Settings(data=Path({str(tmp_path / 'data')!r})), background=False).close()\n"
        "assert tracing.span('a') is tracing.span('b')\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vault.observability.traces_otlp", None)
    with pytest.raises(SettingsRefused) as refused:
        open_vault(Settings(data=tmp_path / "data", traces_endpoint="http://127.0.0.1:9/v1/traces"))
    assert "extra `traces`" in refused.value.detail


@pytest.mark.parametrize(
    "endpoint", ["http://collector.example/v1/traces", "ftp://127.0.0.1/", "collector:4318"]
)
def test_spans_do_not_travel_in_clear(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(SettingsRefused):
        Settings(data=tmp_path, traces_endpoint=endpoint).check()


def test_spans_leave_while_the_service_runs(receiver: Receiver, tmp_path: Path) -> None:
    vault = open_vault(Settings(data=tmp_path / "data", traces_endpoint=receiver.endpoint), background=False)
    with tracing.span("soon"):
        pass
    until(lambda: receiver.named("soon"), 10.0)
    vault.close()
