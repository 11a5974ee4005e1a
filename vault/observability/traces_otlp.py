"""Spans by OpenTelemetry, sent by OTLP over HTTP in the background; imported only where they are wanted.

What cannot be sent in time is dropped: nothing that the service does waits for whoever collects traces. Neither the
texts of exceptions nor the environment's settings of these libraries are taken: ours say where spans go.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vault.core import tracing

_SEND_S = 5.0
_CLOSE_S = 3.0
_KEPT = 2048
_BATCH = 256
_EVERY_MS = 1000.0


class OtlpTracer:
    """`vault.core.tracing.Tracer` over OTLP."""

    def __init__(self, endpoint: str, secret: str = "", ca: Path | None = None, share: float = 1.0) -> None:
        """Begin to send.

        Args:
            endpoint: full address, path included.
            secret: bearer secret, "" for none.
            ca: PEM anchors; the system's when None.
            share: of the requests that are traced; what a trusted caller traces is traced.
        """
        session = requests.Session()
        session.trust_env = False
        if ca is not None:
            session.verify = str(ca)
        exporter = OTLPSpanExporter(
            endpoint,
            headers={"Authorization": f"Bearer {secret}"} if secret else {"Accept": "*/*"},
            timeout=_SEND_S,
            compression=Compression.Gzip,
            session=session,
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource({"service.name": "probans", "service.version": version("probans")}),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attributes=32, max_attribute_length=200),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_KEPT,
                schedule_delay_millis=_EVERY_MS,
                max_export_batch_size=_BATCH,
                export_timeout_millis=_SEND_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("probans")

    @contextmanager
    def span(self, name: str, parent: str) -> Iterator[_Span]:
        """See `vault.core.tracing.Tracer`."""
        above: Context | None = None
        if parent:
            above = TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())
        with self._tracer.start_as_current_span(
            name, context=above, record_exception=False, set_status_on_exception=False
        ) as begun:
            try:
                yield _Span(begun)
            except BaseException as error:
                code = getattr(error, "code", None)
                begun.set_attribute("error.type", code if isinstance(code, str) else type(error).__name__)
                begun.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="probans-traces-end", daemon=True)
        ending.start()
        ending.join(_CLOSE_S)


class _Span:
    """`vault.core.tracing.Span`."""

    def __init__(self, begun: Span) -> None:
        self._begun = begun

    def note(self, **attributes: tracing.Value) -> None:
        """See `vault.core.tracing.Span`."""
        for name, value in attributes.items():
            self._begun.set_attribute(name.replace("__", "."), value)

    def rename(self, name: str) -> None:
        """See `vault.core.tracing.Span`."""
        self._begun.update_name(name)
