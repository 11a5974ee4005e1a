"""Broken and hostile services: every call ends in time, in one of our errors, and believes nothing."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import ObjectMissing, StorageError, StorageUnavailable
from storage.retention import system_now
from storage.s3 import (
    S3Client,
    S3Config,
    S3LogConfig,
    S3LogStore,
    S3ObjectsConfig,
    S3ObjectStore,
    S3RecordStore,
)
from storage.s3_client import Answer, StoreRefused
from storage.s3_upload import fetch, sweep_uploads
from storage.s3_versions import delete_version, read_date, versions
from vault.ledger.finished import is_finished

ADDRESS = hashlib.sha256(b"x").hexdigest()
Reply = Callable[[socket.socket, bytes], None]


class Service:
    """Answers every request with what a test says."""

    def __init__(self) -> None:
        self.reply: Reply = lambda wire, _: None
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(wire,), daemon=True).start()

    def _answer(self, wire: socket.socket) -> None:
        with wire:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    data = wire.recv(65536)
                    if not data:
                        return
                    request += data
                self.requests.append(request)
                self.reply(wire, request)
            except OSError:
                return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def service(running: Service) -> Service:
    running.requests.clear()
    return running


def client(service: Service, seconds: float = 2.0) -> S3Client:
    return S3Client(S3Config(service.endpoint, "k", "s", seconds=seconds))


def raw(data: bytes) -> Reply:
    return lambda wire, _: wire.sendall(data)


def answer(status: str, body: bytes = b"", *headers: str) -> Reply:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def everything(service: Service) -> list[Callable[[], object]]:
    """Every way in which the stores talk to the service."""
    connected = client(service)
    objects = S3ObjectStore(connected, S3ObjectsConfig("bucket"))
    log = S3LogStore(connected, S3LogConfig("bucket", "plain", timedelta(days=1), is_finished))
    records = S3RecordStore(connected, "plain")
    until = system_now() + timedelta(days=1)
    return [
        lambda: objects.commit([objects.put([b"x"], until)]),
        lambda: b"".join(objects.read(ADDRESS)),
        lambda: objects.stat(ADDRESS),
        lambda: objects.extend(ADDRESS, until),
        lambda: objects.delete(ADDRESS),
        lambda: list(objects.addresses()),
        lambda: list(objects.oddities()),
        lambda: objects.sweep_staging(timedelta(0)),
        lambda: log.put_if_absent("tile/0/000", b"x", ""),
        lambda: log.put_if_absent("checkpoint", b"x", ""),
        lambda: log.compare_and_swap("checkpoint", b"x", b"y", ""),
        lambda: log.get("tile/0/000"),
        lambda: list(log.list("tile/")),
        lambda: records.write("r", b"x"),
        lambda: records.read("r"),
        lambda: list(records.names()),
    ]


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>".encode() for n in range(9)
)
VERSION = b"<Version><Key>%s</Key><VersionId>v</VersionId><Size>%s</Size></Version>"
BROKEN = {
    "nothing": raw(b""),
    "noise": raw(b"\x00\xff\xfe" * 1000),
    "no-http": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "cut-headers": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut-body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
    "negative-length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc"),
    "many-headers": raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000),
    "bad-chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc"),
    "500": answer("500 Oops", b"<html>", "Content-Type: text/html"),
    "503": answer("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>", "Content-Type: application/xml"),
    "redirect": answer("307 Elsewhere", b"", "Location: http://127.0.0.1:1/"),
    "redirect-region": answer("301 Elsewhere", b"", "x-amz-bucket-region: moon"),
    "empty-error": answer("400 Bad", b"", "Content-Type: application/xml"),
    "error-without-code": answer("403 No", b"<Error></Error>", "Content-Type: application/xml"),
    "error-no-xml": answer("403 No", b"<Error", "Content-Type: application/xml"),
    "error-bad-utf8": answer("403 No", b"<Error>\xff\xfe</Error>", "Content-Type: application/xml"),
    "error-bomb": answer(
        "403 No", BOMB + b"]><Error><Code>&j;</Code></Error>", "Content-Type: application/xml"
    ),
    "bomb": answer("200 OK", BOMB + b"]><ListVersionsResult><Key>&j;</Key></ListVersionsResult>"),
    "deep": answer("200 OK", b"<a>" * 50_000),
    "200-nothing": answer("200 OK"),
    "200-html": answer("200 OK", b"<html><body>Welcome</body></html>", "x-amz-version-id: null"),
    "200-no-xml": answer("200 OK", b"<ListVersionsResult>"),
    "other-names": answer("200 OK", b"<L>" + VERSION % (b"elsewhere", b"1") + b"</L>"),
    "no-size": answer(
        "200 OK", b"<L>" + VERSION % (f"objects/{ADDRESS[:2]}/{ADDRESS}".encode(), b"x") + b"</L>"
    ),
    "gzip": answer("200 OK", b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_it_answers_ends_in_our_errors(service: Service, name: str) -> None:
    service.reply = BROKEN[name]
    for action in everything(service):
        with suppress(StorageError):
            action()


@pytest.mark.parametrize("name", ["200-nothing", "200-html", "gzip"])
def test_a_mere_200_is_no_acknowledgement(service: Service, name: str) -> None:
    service.reply = BROKEN[name]
    objects = S3ObjectStore(client(service), S3ObjectsConfig("bucket"))
    log = S3LogStore(client(service), S3LogConfig("bucket", "plain", timedelta(days=1), is_finished))
    with pytest.raises(StorageError):
        objects.commit([objects.put([b"x"])])
    records = S3RecordStore(client(service), "plain")
    for path in ("tile/0/000", "checkpoint"):
        with pytest.raises(StorageError):
            log.put_if_absent(path, b"x", "")
    with pytest.raises(StorageError):
        records.write("r", b"x")


def drip(wire: socket.socket, _: bytes) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _turn in range(600):
        wire.sendall(b"x")
        time.sleep(0.05)


def drip_headers(wire: socket.socket, _: bytes) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\n")
    for turn in range(600):
        wire.sendall(f"x-{turn}: ".encode())
        time.sleep(0.05)


def silence(_: socket.socket, __: bytes) -> None:
    time.sleep(30)


@pytest.mark.parametrize("reply", [drip, drip_headers, silence])
def test_a_slow_answer_is_cut_at_the_deadline(service: Service, reply: Reply) -> None:
    service.reply = reply
    begun = time.monotonic()
    with pytest.raises(StorageUnavailable, match="in time"):
        client(service, 0.6).call("GET", "bucket", "key")
    assert 0.4 < time.monotonic() - begun < 3
    assert len(service.requests) == 1, "and it is not repeated"


def endless(wire: socket.socket, _: bytes) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        wire.sendall(bytes(1 << 20))


def test_an_endless_answer_is_cut_at_its_size(service: Service) -> None:
    service.reply = endless
    with pytest.raises(StorageUnavailable, match="larger"):
        client(service, 20).call("GET", "bucket", "key")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(StorageUnavailable, match="reached"):
        S3Client(S3Config(f"http://127.0.0.1:{port}", "k", "s")).call("GET", "bucket", "key")


def test_failed_requests_are_not_repeated(service: Service) -> None:
    for name in ("nothing", "500", "503", "redirect", "redirect-region"):
        service.requests.clear()
        service.reply = BROKEN[name]
        with pytest.raises(StorageError):
            client(service).call("PUT", "bucket", "key", body=b"x")
        assert len(service.requests) == 1, name


def test_a_listing_that_never_ends_is_refused(service: Service) -> None:
    page = b"<L><IsTruncated>true</IsTruncated><NextKeyMarker>objects/a</NextKeyMarker></L>"
    service.reply = answer("200 OK", page)
    with pytest.raises(StorageUnavailable, match="go on"):
        list(versions(client(service), "bucket", "objects/"))


@pytest.mark.parametrize(("body", "size"), [(b"", 3), (b"ab", 3), (b"abcd", 3)])
def test_another_range_than_asked_for_is_refused(service: Service, body: bytes, size: int) -> None:
    service.reply = answer("206 Partial", body)
    with pytest.raises(StorageUnavailable, match="range"):
        fetch(client(service), "bucket", "key", "v", 0, size)


@pytest.mark.parametrize(
    "endpoint",
    ["", "s3.example", "ftp://s3.example", "https://", "https://s3.example/path", "https://s3.example?x=1"],
)
def test_senseless_addresses_are_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"object store's address|."):
        S3Client(S3Config(endpoint, "k", "s"))


def test_an_error_shows_nothing_that_the_service_chose(service: Service) -> None:
    body = b"<Error><Code>Evil\x1b[2J code</Code><Message>secret</Message></Error>"
    service.reply = answer("403 No", body.replace(b"\x1b", b"&#10;"), "Content-Type: application/xml")
    with pytest.raises(StorageUnavailable) as refusal:
        client(service).call("GET", "bucket", "key")
    assert "unreadable" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@given(
    st.text(max_size=40) | st.from_regex(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,9})?Z", fullmatch=True)
)
@settings(max_examples=200)
def test_dates_are_read_or_refused_and_never_rounded_down(text: str) -> None:
    try:
        moment = read_date(text)
    except StorageUnavailable:
        return
    assert moment.tzinfo is not None
    assert moment.microsecond == 0
    assert moment.strftime("%Y") != ""


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_are_xml_or_refused(body: bytes) -> None:
    try:
        Answer({}, body).xml()
    except StorageUnavailable:
        return


def test_missing_is_not_refused(service: Service) -> None:
    for status in ("404 Not Found", "405 Method Not Allowed"):
        code = b"NoSuchKey" if status.startswith("404") else b"MethodNotAllowed"
        service.reply = answer(
            status, b"<Error><Code>%s</Code></Error>" % code, "Content-Type: application/xml"
        )
        with pytest.raises(ObjectMissing):
            client(service).call("GET", "bucket", "key")
    service.reply = answer(
        "404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>", "Content-Type: application/xml"
    )
    with pytest.raises(StorageUnavailable):
        client(service).call("GET", "bucket", "key")


@pytest.mark.parametrize(
    ("code", "there"), [("NoSuchKey", False), ("NoSuchVersion", False), ("NoSuchBucket", True)]
)
def test_one_of_two_who_delete_the_same_is_told_that_it_is_gone(
    service: Service, code: str, there: bool
) -> None:
    body = f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode()
    service.reply = answer("404 Not Found", body, "Content-Type: application/xml")
    connected = client(service)
    log = S3LogStore(connected, S3LogConfig("bucket", "plain", timedelta(days=1), is_finished))
    with pytest.raises(StorageUnavailable) if there else nullcontext():
        S3RecordStore(connected, "plain").delete("r")
    with pytest.raises(StorageUnavailable) if there else nullcontext():
        log.remove("checkpoint")
    assert [each.split(b" ", 1)[0] for each in service.requests] == [b"DELETE", b"DELETE"]


def test_a_service_that_deletes_nothing_has_deleted_nothing(service: Service) -> None:
    body = b"<Error><Code>MethodNotAllowed</Code></Error>"
    service.reply = answer("405 Method Not Allowed", body, "Content-Type: application/xml")
    connected = client(service)
    log = S3LogStore(connected, S3LogConfig("bucket", "plain", timedelta(days=1), is_finished))
    for delete in (
        lambda: S3RecordStore(connected, "plain").delete("r"),
        lambda: log.remove("checkpoint"),
        lambda: delete_version(connected, "bucket", "objects/x", "v", "kept"),
    ):
        with pytest.raises(StoreRefused, match="405"):
            delete()
    assert [each.split(b" ", 1)[0] for each in service.requests] == [b"DELETE"] * 3


def test_an_upload_that_another_process_aborted_meanwhile_is_swept(service: Service) -> None:
    upload = "<Upload><Key>objects/x</Key><UploadId>u</UploadId><Initiated>2020-01-01T00:00:00Z</Initiated></Upload>"
    listed = answer("200 OK", f"<ListMultipartUploadsResult>{upload}</ListMultipartUploadsResult>".encode())
    gone = answer(
        "404 Not Found", b"<Error><Code>NoSuchUpload</Code></Error>", "Content-Type: application/xml"
    )
    service.reply = lambda wire, request: (gone if request.startswith(b"DELETE") else listed)(wire, request)
    assert sweep_uploads(client(service), "bucket", "objects/", timedelta(0)) == 1
