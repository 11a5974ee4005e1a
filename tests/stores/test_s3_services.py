"""Services that do less than they should: the store is right all the same, or says that it cannot be."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.base import Stored
from storage.errors import LogConflict, ObjectDamaged, RetentionActive, StorageUnavailable
from storage.retention import system_now
from storage.s3 import S3Client, S3LogConfig, S3LogStore, S3ObjectsConfig, S3ObjectStore
from storage.s3_client import Answer
from storage.s3_objects import key_of
from storage.s3_versions import of_key
from tests.services.versitygw import Gateway
from vault.ledger.finished import is_finished

pytestmark = pytest.mark.needs("versitygw")
PART = 5 << 20


class Lacking(S3Client):
    """The real service, but what it does not know it does not get to see, as Ceph 16 and others."""

    lacks: frozenset[str] = frozenset()

    def call(self, method, bucket, key=None, *, body=None, headers=None, query=None) -> Answer:
        sent = dict(headers or {})
        if "conditions" in self.lacks:
            sent = {name: value for name, value in sent.items() if not name.startswith("If-")}
        if "quotes" in self.lacks and "If-Match" in sent:
            # Its own tags bear none: with them it finds another's.
            tag = sent["If-Match"]
            sent["If-Match"] = f'"{tag}"' if tag == tag.strip('"') else '"another"'
        if "locks of parts" in self.lacks and method == "POST":
            sent = {name: value for name, value in sent.items() if "object-lock" not in name}
        if "locks" in self.lacks and method in {"POST", "PUT"}:
            sent = {name: value for name, value in sent.items() if "object-lock" not in name}
            if "retention" in (query or {}):
                return Answer({}, b"")
        if "checksums" in self.lacks:
            sent = {name: value for name, value in sent.items() if "checksum" not in name}
            body = re.sub(rb"<Checksum.*?</Checksum\w+>", b"", body) if isinstance(body, bytes) else body
        answer = super().call(method, bucket, key, body=body, headers=sent, query=query)
        if "checksums" in self.lacks:
            kept = {name: value for name, value in answer.headers.items() if "checksum" not in name}
            answer = Answer(kept | ({"etag": '"opaque"'} if method == "HEAD" else {}), answer.body)
        if "octets" in self.lacks and method == "GET" and "Range" in sent:
            answer = Answer(answer.headers, bytes(len(answer.body)))
        return answer


@pytest.fixture
def bucket(versitygw_server: Gateway) -> str:
    return versitygw_server.bucket(locked=True)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, versitygw_server: Gateway, bucket: str, tmp_path: Path
) -> Iterator[S3ObjectStore]:
    client = Lacking(versitygw_server.config())
    client.lacks = frozenset(getattr(request, "param", ()))
    opened = S3ObjectStore(client, S3ObjectsConfig(bucket, tmp_path, parts_above=PART))
    yield opened
    opened.close()


def soon(days: float = 1) -> datetime:
    return system_now().replace(microsecond=0) + timedelta(days=days)


def put(store: S3ObjectStore, data: bytes, until: datetime | None = None) -> Stored:
    chunks = [data[start : start + (1 << 20)] for start in range(0, len(data), 1 << 20)]
    [stored] = store.commit([store.put(chunks, until)])
    return stored


LARGE = random.Random(7).randbytes((16 << 20) + 12_345)
WITHOUT = [
    (),
    ("conditions",),
    ("locks of parts",),
    ("checksums",),
    ("conditions", "locks of parts", "checksums"),
]


@pytest.mark.parametrize("store", WITHOUT, indirect=True)
def test_objects_small_and_large_are_right_whatever_the_service_knows(store: S3ObjectStore) -> None:
    until = soon()
    for data in (b"small", LARGE):
        stored = put(store, data, until)
        assert stored == Stored(hashlib.sha256(data).hexdigest(), len(data), until)
        again = put(store, data, until + timedelta(days=1))
        assert again.retain_until == until + timedelta(days=1)
        assert put(store, data, until).retain_until == until + timedelta(days=1), "the later one stays"
        assert store.stat(stored.address) == again
        assert b"".join(store.read(stored.address)) == data
        assert b"".join(store.read(stored.address, len(data) - 3)) == data[-3:]
    assert sorted(store.addresses()) == sorted(hashlib.sha256(data).hexdigest() for data in (b"small", LARGE))


@pytest.mark.parametrize("store", [("locks",)], indirect=True)
def test_a_service_that_drops_locks_gets_nothing_acknowledged(store: S3ObjectStore) -> None:
    assert put(store, b"no lock asked for").retain_until is None
    for data in (b"small", LARGE):
        with pytest.raises(StorageUnavailable, match="lock"):
            put(store, data, soon())


@pytest.mark.parametrize("store", [("checksums", "octets")], indirect=True)
def test_a_service_that_holds_other_octets_gets_nothing_acknowledged(store: S3ObjectStore) -> None:
    for _ in range(2):
        with pytest.raises((StorageUnavailable, ObjectDamaged), match="other octets"):
            put(store, b"other octets", soon())


def test_of_several_versions_the_one_with_the_right_octets_is_the_object(
    store: S3ObjectStore, versitygw_server: Gateway, bucket: str
) -> None:
    """Whoever writes first, or last, or longest: a name of others' octets is not the object."""
    address = hashlib.sha256(b"right").hexdigest()
    client = versitygw_server.client()
    client.call("PUT", bucket, key_of(address), body=b"before")
    with pytest.raises(ObjectDamaged):
        put(store, b"right", soon())
    [planted] = of_key(client, bucket, key_of(address))
    client.call("DELETE", bucket, key_of(address), query={"versionId": planted.version})
    kept = put(store, b"right", soon())
    client.call("PUT", bucket, key_of(address), body=b"after")
    client.call("DELETE", bucket, key_of(address))
    for opened in (store, S3ObjectStore(versitygw_server.client(), S3ObjectsConfig(bucket))):
        assert opened.stat(address) == kept
        assert b"".join(opened.read(address)) == b"right"
    assert list(store.addresses()) == [address]
    with pytest.raises(RetentionActive):
        store.delete(address)
    assert put(store, b"right", soon()).retain_until is not None


def test_a_legal_hold_outlasts_the_retention(store: S3ObjectStore) -> None:
    stored = put(store, b"evidence in a trial")
    store.legal_hold(stored.address, on=True)
    with pytest.raises(RetentionActive):
        store.delete(stored.address)
    store.legal_hold(stored.address, on=False)
    store.delete(stored.address)
    assert list(store.addresses()) == []


def test_uploads_in_parts_that_a_crash_left_are_swept(store: S3ObjectStore, bucket: str) -> None:
    client = store._client
    for number in range(2):
        client.call("POST", bucket, key_of(f"{number}" * 64), query={"uploads": ""})
    assert store.sweep_staging(timedelta(days=1)) == 0
    assert store.sweep_staging(timedelta(seconds=-5)) == 2
    assert store.sweep_staging(timedelta(seconds=-5)) == 0


def test_a_cut_upload_in_parts_leaves_nothing(versitygw_server: Gateway, bucket: str) -> None:
    class Cut(S3Client):
        def call(self, method, bucket, key=None, *, body=None, headers=None, query=None) -> Answer:
            if (query or {}).get("partNumber") == "2":
                raise StorageUnavailable("the connection is gone")
            return super().call(method, bucket, key, body=body, headers=headers, query=query)

    store = S3ObjectStore(Cut(versitygw_server.config()), S3ObjectsConfig(bucket, parts_above=PART))
    staged = store.put([LARGE], soon())
    with pytest.raises(StorageUnavailable):
        store.commit([staged])
    assert store.sweep_staging(timedelta(seconds=-5)) == 0, "it was aborted"
    whole = S3ObjectStore(versitygw_server.client(), S3ObjectsConfig(bucket, parts_above=PART))
    assert list(whole.addresses()) == []
    assert whole.commit([staged])[0].size == len(LARGE)


MEMORY = """
import sys, resource
from datetime import timedelta
from storage.s3 import *
from storage.retention import system_now
endpoint, access, secret, bucket, spool, size = sys.argv[1:]
from pathlib import Path
config = S3ObjectsConfig(bucket, Path(spool), parts_above=48 << 20)
store = S3ObjectStore(S3Client(S3Config(endpoint, access, secret)), config)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def chunks(size):
    for number in range(size): yield number.to_bytes(4, "big") * (1 << 18)
store.commit([store.put(chunks(1))])
before = peak()
for count in map(int, size.split(",")):
    [stored] = store.commit([store.put(chunks(count), system_now() + timedelta(seconds=5))])
    assert sum(map(len, store.read(stored.address))) == count << 20
print(peak() - before)
"""


def test_memory_is_flat(versitygw_server: Gateway, bucket: str, tmp_path: Path) -> None:
    """40 MiB in one request, 96 in parts, and both read back."""
    gateway = versitygw_server
    arguments = [gateway.endpoint, gateway.access_key, gateway.secret_key, bucket, str(tmp_path), "40,96"]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 24, "MiB beyond what one object of 1 MiB takes"


@pytest.fixture(params=[(), ("conditions",)])
def two_logs(request: pytest.FixtureRequest, versitygw_server: Gateway) -> list[S3LogStore]:
    """Two hosts on one ledger: nothing is shared but the service."""
    config = S3LogConfig(
        versitygw_server.bucket(locked=True),
        versitygw_server.bucket(locked=False),
        timedelta(days=1),
        is_finished,
    )
    clients = [Lacking(versitygw_server.config()) for _ in range(2)]
    for client in clients:
        client.lacks = frozenset(request.param)
    return [S3LogStore(client, config) for client in clients]


def test_of_two_hosts_the_first_writes_a_finished_file(two_logs: list[S3LogStore]) -> None:
    one, two = two_logs
    one.put_if_absent("tile/0/000", b"one", "")
    with pytest.raises(LogConflict):
        two.put_if_absent("tile/0/000", b"two", "")
    with pytest.raises(LogConflict):
        two.compare_and_swap("tile/0/000", b"one", b"two", "")
    two.put_if_absent("tile/0/000", b"one", "")
    assert [each.get("tile/0/000") for each in two_logs] == [b"one", b"one"]
    with pytest.raises(RetentionActive):
        two.remove("tile/0/000")


def test_two_hosts_count_by_compare_and_swap(versitygw_server: Gateway) -> None:
    config = S3LogConfig(
        versitygw_server.bucket(locked=True),
        versitygw_server.bucket(locked=False),
        timedelta(days=1),
        is_finished,
    )
    logs = [S3LogStore(versitygw_server.client(), config) for _ in range(4)]
    logs[0].put_if_absent("head", b"0", "")

    def count(log: S3LogStore) -> None:
        done = 0
        while done < 5:
            old = log.get("head")
            try:
                log.compare_and_swap("head", old, str(int(old) + 1).encode(), "")
            except LogConflict:
                continue
            done += 1

    threads = [threading.Thread(target=count, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logs[0].get("head") == b"20"


def test_versioning_in_the_plain_bucket_is_refused(versitygw_server: Gateway) -> None:
    from storage.s3_buckets import demand_plain
    from storage.s3_versions import send_xml

    client, name = versitygw_server.client(), versitygw_server.bucket(locked=False)
    demand_plain(client, name)
    for status in ("Enabled", "Suspended"):
        text = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
        send_xml(client, name, None, {"versioning": ""}, text)
        with pytest.raises(StorageUnavailable, match="versioning"):
            demand_plain(client, name)


def test_a_service_that_knows_its_tags_without_quotes_alone(versitygw_server: Gateway) -> None:
    """As Ceph 16; what came to stand there meanwhile is a conflict all the same."""
    client = Lacking(versitygw_server.config())
    client.lacks = frozenset({"quotes"})
    locked, plain = versitygw_server.bucket(locked=True), versitygw_server.bucket(locked=False)
    log = S3LogStore(client, S3LogConfig(locked, plain, timedelta(days=1), is_finished))
    log.compare_and_swap("checkpoint", None, b"1", "text/plain")
    log.compare_and_swap("checkpoint", b"1", b"2", "text/plain")
    assert log.get("checkpoint") == b"2"
    with pytest.raises(LogConflict):
        log.compare_and_swap("checkpoint", b"1", b"3", "text/plain")
    counted: list[bytes] = []

    def count() -> None:
        while True:
            old = log.get("checkpoint")
            if int(old) >= 40:
                return
            try:
                log.compare_and_swap("checkpoint", old, str(int(old) + 1).encode(), "text/plain")
                counted.append(old)
            except LogConflict:
                pass

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.get("checkpoint") == b"40"
    assert sorted(map(int, counted)) == list(range(2, 40))
