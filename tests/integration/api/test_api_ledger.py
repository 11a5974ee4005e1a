"""The published ledger over HTTP (c2sp.org/tlog-tiles): types, caching, compression, and nothing personal in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.ledger.entry import RecordEntry, decode
from vault.ledger.tags import tag
from vault.ledger.tiles import changed_bundles, changed_tiles, decode_bundle
from vault.service import Vault
from vault.settings import Settings

FILES = {"demande-de-camille.xml": b"<demande>camille@example.org</demande>", "second.xml": b"<b/>"}
TITLE, CASE, REFUSED = "Demande tres personnelle", "dossier-4711", "mairie-voisine"


class Service:
    """A safe after a lively hour, its ledger published, and its HTTP application."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.client = TestClient(create_app(vault), base_url="http://127.0.0.1")
        holder = vault.personas.named("camille").actor
        self.documents: list[str] = []
        for number in range(140):
            name = list(FILES)[number % 2]
            new = NewDocument("camille", TITLE, name, case=CASE)
            key = Transfer(f"key-{number}")
            outcome = vault.submissions.deposit(holder, new, iter((FILES[name],)), key)
            self.documents.append(outcome.document_id)
            vault.reading.describe(holder, outcome.document_id, "consultation")
        self.size = 281
        assert vault.publisher.wait(self.size, 30.0)

    def get(self, path: str, **headers: str) -> bytes:
        answer = self.client.get(f"/ledger/{path}", headers=headers)
        assert answer.status_code == 200, path
        return answer.content

    def paths(self) -> list[str]:
        tiles = [*changed_tiles(0, self.size), *changed_bundles(0, self.size)]
        return ["checkpoint", *(tile.path for tile in tiles)]

    def entries(self) -> list[bytes]:
        bundles = ((self.get(tile.path), tile.width) for tile in changed_bundles(0, self.size))
        return [entry for data, width in bundles for entry in decode_bundle(data, width)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data: Path = tmp_path_factory.mktemp("ledger") / "data"
    vault = open_vault(Settings(data=data, publish_interval=0.2))
    yield Service(vault)
    vault.close()


def test_types_and_caching(service: Service) -> None:
    for path in service.paths():
        headers = service.client.get(f"/ledger/{path}").headers
        if path == "checkpoint":
            expected = ("text/plain; charset=utf-8", "no-cache")
        elif ".p/" in path:
            expected = ("application/octet-stream", "public, max-age=60")
        else:
            expected = ("application/octet-stream", "public, max-age=31536000, immutable")
        assert (headers["content-type"], headers["cache-control"]) == expected, path
    assert any(".p/" not in path for path in service.paths()[1:])


def test_head_says_what_get_does(service: Service) -> None:
    for path in (*service.paths(), "anchors"):
        for accepted in ("identity", "gzip"):
            asked = {"Accept-Encoding": accepted}
            whole = service.client.get(f"/ledger/{path}", headers=asked).headers
            head = service.client.head(f"/ledger/{path}", headers=asked)
            assert (head.status_code, head.content) == (200, b""), path
            for headers in (whole, head.headers):
                del headers["x-request-id"]
            assert dict(head.headers) == dict(whole), path
    assert service.client.head("/ledger/tile/0/999").status_code == 404


def test_a_checkpoint_that_the_caller_has_is_not_sent_again(service: Service) -> None:
    first = service.client.get("/ledger/checkpoint")
    etag = first.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        for ask in (service.client.get, service.client.head):
            same = ask("/ledger/checkpoint", headers={"If-None-Match": known})
            assert (same.status_code, same.content) == (304, b"")
            assert (same.headers["etag"], same.headers["cache-control"]) == (etag, "no-cache")
    for known in ('"other"', etag[:-2] + '"', ""):
        again = service.client.get("/ledger/checkpoint", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (200, first.content)
    anchors = service.client.get("/ledger/anchors").headers["etag"]
    assert anchors != etag
    assert service.client.get("/ledger/anchors", headers={"If-None-Match": anchors}).status_code == 304


def test_pages_of_other_origins_read_the_ledger_and_nothing_else(service: Service) -> None:
    def answer(path: str) -> tuple[str | None, str]:
        headers = service.client.get(path, headers={"Origin": "https://auditor.example"}).headers
        assert "access-control-allow-credentials" not in headers
        return headers.get("access-control-allow-origin"), headers["cross-origin-resource-policy"]

    for path in (*service.paths(), "anchors", "tile/0/999"):
        assert answer(f"/ledger/{path}") == ("*", "cross-origin"), path
    document = service.documents[0]
    others = [
        "/",
        "/v1/trust",
        f"/v1/documents/{document}",
        "/healthz",
        "/readyz",
        "/ledger",
        "/ledgers/checkpoint",
    ]
    for path in (*others, "/metrics", "/openapi.json", "/nothing"):
        assert answer(path) == (None, "same-origin"), path


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("x-gzip", False),
    ],
)
def test_entries_are_compressed_for_those_who_ask(service: Service, accepted: str, packed: bool) -> None:
    plain = service.client.get("/ledger/tile/entries/000", headers={"Accept-Encoding": "identity"})
    with service.client.stream(
        "GET", "/ledger/tile/entries/000", headers={"Accept-Encoding": accepted}
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(raw) if packed else raw) == plain.content
    if packed:
        assert len(raw) < 0.7 * len(plain.content)


def test_hashes_and_the_checkpoint_are_not_compressed(service: Service) -> None:
    for path in ("checkpoint", "tile/0/000"):
        assert "content-encoding" not in service.client.get(f"/ledger/{path}").headers


# Of fewer octets, a word comes up in hashes and signatures by chance: it is looked for where words can stand.
_LONG = 7
_RECORD = re.compile(
    rb'\{"commitment":"[0-9a-f]{64}","prev":"[0-9a-f]{64}","seq":\d+,"tag":"[0-9a-f]{64}",'
    rb'"time":"[0-9T:.Z-]{24}","type":"record","v":1\}'
)


def readable(checkpoint: bytes) -> tuple[bytes, bytes]:
    """Divide a checkpoint into what people can read, and what its base64 says: root and signatures."""
    body, signatures = checkpoint.split(b"\n\n", 1)
    origin, size, root, *more = body.split(b"\n")
    assert re.fullmatch(rb"\d+", size)
    assert more == []
    texts, octets = [origin], [base64.b64decode(root, validate=True)]
    for line in signatures.splitlines():
        name, value = re.fullmatch("\u2014 (\\S+) (\\S+)".encode(), line).groups()
        texts.append(name)
        octets.append(base64.b64decode(value, validate=True))
    return b"\n".join(texts), b"\n".join(octets)


def told(files: dict[str, bytes], entries: list[bytes], words: set[bytes], values: set[bytes]) -> list[bytes]:
    """Return what published files say that they must not.

    Args:
        files: checkpoint and tiles by path; of bundles the entries.
        entries: those that are about somebody's document.
        words: what may stand in no letter case.
        values: octets, such as digests.
    """
    text, signed = readable(files["checkpoint"])
    # An entry is numbers, a time and hexadecimal digits, each in its place: no word and no base64 finds room in it.
    loose = [entry for entry in entries if not _RECORD.fullmatch(entry)]
    tiles = [data for path, data in files.items() if path.startswith("tile/") and "entries" not in path]
    assert all(len(data) % 32 == 0 for data in tiles)
    public = b"\n".join([text, signed, *entries, *tiles])
    caseless, plain = public.lower(), b"\n".join([text, *loose]).lower()
    long = [word for word in words if len(word) >= _LONG and word in caseless]
    short = [word for word in words if len(word) < _LONG and word in plain]
    return loose + long + short + [value for value in values if value in public]


def private_of(service: Service) -> tuple[set[bytes], set[bytes]]:
    """Return words and octets that are somebody's."""
    vault = service.vault
    holder = vault.personas.named("camille").actor
    assert holder.safe_id
    private = [*FILES, TITLE, CASE, "consultation", "camille", "example.org", "xml", holder.safe_id]
    private += [*service.documents, "doc_", "safe_", "document.", "deposited", "received", "read"]
    words = {word.encode().lower() for word in private} | {content.lower() for content in FILES.values()}
    values: set[bytes] = set()
    for content in FILES.values():
        for octets in (hashlib.sha256(content).digest(), hashlib.sha1(content).digest()):
            values.add(octets)
            words.add(octets.hex().encode())
    with vault.parts.database.reading() as connection:
        for table in ("documents", "objects", "document_entries", "safes", "outbox", "idempotency"):
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall():
                texts = [value for value in row if isinstance(value, str) and len(value) >= 26]
                octets = [value for value in row if isinstance(value, bytes) and len(value) >= 16]
                # Times may stand in both: the ledger states its own.
                texts = [text for text in texts if not re.fullmatch(r"[\d-]+T[\d:.]+Z", text)]
                words |= {text.lower().encode() for text in texts}
                words |= {value.hex().encode() for value in octets}
                values |= set(octets)
    return words, values


def published(service: Service) -> tuple[dict[str, bytes], list[bytes]]:
    # Entry 0 is the log's own, in clear: its origin and keys are not about anybody.
    first, *entries = service.entries()
    assert decode(first).seq == 0
    return {path: service.get(path) for path in service.paths()}, entries


def test_no_public_octet_is_about_anybody(service: Service) -> None:
    words, values = private_of(service)
    assert len(words | values) > 3_000
    files, entries = published(service)
    assert len(entries) == service.size - 1
    assert sum(map(len, [*entries, *files.values()])) > 90_000
    assert told(files, entries, words, values) == []


def test_a_name_in_any_public_place_is_found(service: Service) -> None:
    """The test above sees what it is there to see: planted in each kind of place, in each way a value is written."""
    words, values = private_of(service)
    files, entries = published(service)
    checkpoint, (tile, *_) = files["checkpoint"], (path for path in files if path.startswith("tile/0/"))
    key_name = checkpoint.split(b"\n\n", 1)[1].split(b" ")[1]
    digest = hashlib.sha256(FILES["second.xml"]).digest()
    row = next(value for value in values if value != digest and len(value) == 32)
    for planted in (b"Camille", b"a.xml", b"safe_", b"read"):
        named = checkpoint.replace(key_name, key_name + b"/" + planted)
        assert told({**files, "checkpoint": named}, entries, words, values), planted
        for entry in (
            entries[7].replace(b'"type"', b'"note":"%s","type"' % planted),
            entries[7].replace(entries[7][15:47], base64.b64encode(planted.ljust(24))),
        ):
            assert entry != entries[7]
            assert told(files, [*entries[:7], entry, *entries[8:]], words, values), planted
    signature = checkpoint.splitlines()[-1].split(b" ")[2]
    said = base64.b64encode(base64.b64decode(signature)[:-7] + b"camille")
    assert told({**files, "checkpoint": checkpoint.replace(signature, said)}, entries, words, values)
    for value in (digest, row, TITLE.encode()[:24].ljust(32), service.documents[3].encode().ljust(32)):
        assert told({**files, tile: value + files[tile][32:]}, entries, words, values) != []
    for value in (digest, row):
        entry = entries[7].replace(entries[7][15:79], value.hex().encode())
        assert told(files, [*entries[:7], entry, *entries[8:]], words, values) == [value.hex().encode()]


def test_equal_documents_leave_unlike_entries(service: Service) -> None:
    entries = [decode(entry) for entry in service.entries()[1:]]
    records = [entry for entry in entries if isinstance(entry, RecordEntry)]
    assert len(records) == len(entries) == 280
    values = [value for entry in records for value in (entry.tag, entry.commitment)]
    assert len(set(values)) == len(values), "the same file, person and purpose, and no value twice"
    # No half of a value comes again either: nothing constant is mixed in.
    halves = [half for value in values for half in (value[:16], value[16:])]
    assert len(set(halves)) == len(halves)


def test_only_the_key_links_the_entries_of_a_document(service: Service) -> None:
    vault = service.vault
    tags = {
        entry.tag: entry.seq for entry in map(decode, service.entries()) if isinstance(entry, RecordEntry)
    }
    documents = vault.reading._documents
    for document_id in service.documents[:5]:
        with vault.parts.database.reading() as connection:
            document = documents.load(connection, document_id)
            own = [
                item.seq
                for chain in ("status", "access")
                for item in documents.entries(connection, document_id, chain)
            ]
        assert document is not None
        assert document.private is not None
        keys = (document.private.status_key, document.private.access_key)
        assert [tags[tag(bytes.fromhex(key), 0)] for key in keys] == own
        others = [bytes(32), hashlib.sha256(document_id.encode()).digest(), bytes.fromhex(keys[0])[::-1]]
        assert all(tag(key, counter) not in tags for key in others for counter in range(3))


def test_an_auditor_reads_it_all(service: Service) -> None:
    """Everything the size demands is served: nothing that a public tool asks for is missing."""
    assert all(service.get(path) for path in service.paths())
