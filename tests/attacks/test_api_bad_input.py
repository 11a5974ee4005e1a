"""Bad input over HTTP: each has its stable code and leaves nothing; garbage of any kind is refused in order."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import string
from collections.abc import Callable, Iterator
from itertools import pairwise

import httpx
import pikepdf
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.testclient import TestClient

from api.app import create_app
from api.multipart import Multipart, boundary_of
from api.security import host_of, is_loopback
from api.strict_json import MAX_DEPTH, from_base64url, parse
from vault.bootstrap import open_vault
from vault.db import models
from vault.errors import Refused
from vault.messages.catalogue import CATALOGUE
from vault.service import Vault
from vault.settings import Settings

LIMIT = 100_000
JSON_LIMIT = 2_000


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("bad") / "data"
    opened = open_vault(Settings(data=folder, max_upload_bytes=LIMIT, max_json_bytes=JSON_LIMIT))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(safe: Vault) -> TestClient:
    return TestClient(create_app(safe), base_url="http://127.0.0.1", raise_server_exceptions=False)


def described(**members: object) -> str:
    return encoded(json.dumps(members).encode())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.fixture(scope="module")
def send(client: TestClient, safe: Vault) -> Callable[..., httpx.Response]:
    """Issue an act (agent) or submit an attachment (holder), with anything changed."""
    counter = iter(range(10**9))

    def do(
        content: bytes = b"<a/>", *, act: bool = False, document: str | None = None,
        headers: dict[str, str | bytes] | None = None, persona: str = "", **members: object,
    ) -> httpx.Response:  # fmt: skip
        who = persona or ("agent-etat-civil" if act else "camille")
        said = {"file_name": "a.pdf" if act else "a.xml", **({"holder": "camille"} if act else {}), **members}
        sent: dict[str, str | bytes] = {
            "Authorization": f"Bearer {safe.personas.named(who).token}",
            "Idempotency-Key": f"k{next(counter)}",
            "Probans-Document": described(**said) if document is None else document,
            **(headers or {}),
        }
        return client.post("/v1/acts" if act else "/v1/attachments", content=content, headers=sent)

    return do


@pytest.fixture
def nothing_kept(safe: Vault):
    """No document, no object and no spool file comes of it."""

    def state() -> tuple[int, int, int]:
        with safe.parts.database.reading() as connection:
            count = connection.scalar(select(func.count()).select_from(models.documents))
        objects = sum(1 for each in (safe.settings.data / "objects").rglob("*") if each.is_file())
        return count or 0, objects, len(list(safe.settings.spool_folder.iterdir()))

    before = state()
    yield
    assert state() == before


def refused(answer: httpx.Response, code: str) -> dict:
    body = answer.json()
    assert body["code"] == code, body
    assert answer.status_code == CATALOGUE[code].status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["action"]
    return body


def pdf(change: Callable[[pikepdf.Pdf], None] = lambda _: None, **options: object) -> bytes:
    document = pikepdf.new()
    document.add_blank_page()
    change(document)
    out = io.BytesIO()
    document.save(out, **options)
    return out.getvalue()


def with_javascript(document: pikepdf.Pdf) -> None:
    document.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")


def with_file(document: pikepdf.Pdf) -> None:
    document.attachments["x.txt"] = b"hidden"


FILES = {
    "EMPTY_FILE": b"",
    "TOO_LARGE": b"x" * (LIMIT + 1),
    "PDF_ENCRYPTED": pdf(encryption=pikepdf.Encryption(owner="o", user="u")),
    "PDF_JAVASCRIPT": pdf(with_javascript),
    "PDF_EMBEDDED_FILES": pdf(with_file),
    "PDF_DAMAGED": pdf()[:-40],
}


@pytest.mark.parametrize("code", FILES)
def test_bad_files_are_refused_with_their_reason(send, nothing_kept, code):
    body = refused(send(FILES[code], act=True), code)
    if code == "TOO_LARGE":
        assert body["params"]["limit"] == LIMIT


def test_a_limit_is_said_in_both_languages(send):
    body = refused(send(b"x" * (LIMIT + 1)), "TOO_LARGE")
    assert "100\u00a0ko" in body["title_fr"]
    assert "100\u00a0kB" in body["title_en"]


def test_a_length_that_is_not_kept(send, nothing_kept):
    refused(send(b"<a/>", headers={"Content-Length": "9"}), "TRUNCATED")
    refused(send(b"<aaaaaaaa/>", headers={"Content-Length": "4"}), "LENGTH_MISMATCH")
    refused(send(b"<a/>", headers={"Content-Length": str(LIMIT + 1)}), "TOO_LARGE")
    for odd in ("-1", "4x", "٤".encode(), "9" * 30, "+4", ""):
        refused(send(b"<a/>", headers={"Content-Length": odd}), "FIELD_INVALID")


def test_wrong_people_and_places(send, nothing_kept):
    refused(send(act=True, holder="nobody"), "UNKNOWN_HOLDER")
    refused(send(holder="dominique"), "UNKNOWN_HOLDER")
    refused(send(act=True, administration="prefecture"), "UNKNOWN_ADMINISTRATION")
    refused(send(act=True, administration="employeur-specimen"), "NOT_FOUND")
    refused(send(act=True, persona="camille", holder="camille"), "UNKNOWN_ADMINISTRATION")
    refused(send(persona="auditeur", holder="camille"), "UNKNOWN_HOLDER")
    refused(send(act=True, supersedes="doc_" + "0" * 26), "NOT_FOUND")
    refused(send(act=True, supersedes="../x"), "FIELD_INVALID")


@pytest.mark.parametrize(
    "name",
    [
        "a\u202efdp.exe",
        "../../etc/passwd",
        "a\\b",
        "a\x00b",
        "a\nb",
        "a\u200bb",
        "CON.txt",
        ".hidden",
        " a",
        "a.",
        "a%2e",
        "x" * 200,
        "?",
    ],
)
def test_names_that_deceive_or_lead_elsewhere(send, nothing_kept, name):
    refused(send(file_name=name), "NAME_INVALID")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("title", "x" * 301), ("title", "\u202e"), ("title", ""), ("title", 5), ("title", ["x"]),
        ("document_type", "A B"), ("language", "x" * 40), ("case", "\x00"),
        ("unknown", 1), ("__class__", 1), ("supersedes", 1), ("file_name", True),
    ],
)  # fmt: skip
def test_fields_are_checked_and_named(send, nothing_kept, member, value):
    answer = send(**{member: value})
    assert refused(answer, "FIELD_INVALID")["params"]["field"] == member


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"title":"a","title":"b"}', "JSON_DUPLICATE_KEY"),
        (b'{"case":{"a":1,"a":2}}', "JSON_DUPLICATE_KEY"),
        (b'{"title":"\xff"}', "ENCODING_INVALID"),
        (b'{"title":"\\ud800"}', "ENCODING_INVALID"),
        ('{"title":"é"}'.encode("utf-16"), "ENCODING_INVALID"),
        (b'\xef\xbb\xbf{"title":"a"}', "JSON_INVALID"),
        (b'{"title":NaN}', "JSON_INVALID"),
        (b'{"title":-Infinity}', "JSON_INVALID"),
        (b'{"title":1' + b"0" * 1900 + b"}", "FIELD_INVALID"),
        (b"{'title':'a'}", "JSON_INVALID"),
        (b'{"title":"a"', "JSON_INVALID"),
        (b'{"title":"a"}{}', "JSON_INVALID"),
        (b"", "JSON_INVALID"),
        (b"[" * 900, "JSON_INVALID"),
        (b"[]", "BODY_INVALID"),
        (b'"x"', "BODY_INVALID"),
        (b"null", "BODY_INVALID"),
        (b'{"title":"' + b"x" * JSON_LIMIT + b'"}', "JSON_TOO_LARGE"),
    ],
)
def test_descriptions_that_are_not_one_clear_object(send, client, safe, nothing_kept, raw, code):
    refused(send(document=encoded(raw)), code)
    headers = {"Authorization": f"Bearer {safe.personas.named('camille').token}", "Idempotency-Key": "json"}
    files = [("document", (None, raw, "application/json")), ("file", ("a.xml", b"<a/>", "text/xml"))]
    refused(client.post("/v1/attachments", files=files, headers=headers), code)


def test_a_header_that_is_not_base64url(send, nothing_kept):
    for odd in ("%%%", "ab+/", "a", "é".encode(), "e30=x", " "):
        assert send(document=odd).json()["code"] in {"FIELD_INVALID", "JSON_INVALID"}
    twice = {"Probans-Document": described(title="a")}
    assert send(headers=twice).status_code == 422


def test_declared_digests_must_match(send, nothing_kept):
    good = base64.b64encode(hashlib.sha256(b"<a/>").digest()).decode()
    bad = base64.b64encode(hashlib.sha256(b"<b/>").digest()).decode()
    for field in ("Repr-Digest", "Content-Digest"):
        assert refused(send(headers={field: f"sha-256=:{bad}:"}), "DIGEST_MISMATCH")["params"] == {
            "algorithm": "sha-256"
        }
        refused(send(headers={field: "sha-256=x"}), "DIGEST_MALFORMED")
    both = {"Repr-Digest": f"sha-256=:{good}:", "Content-Digest": f"sha-256=:{bad}:"}
    refused(send(headers=both), "DIGEST_MISMATCH")


def test_declared_digests_that_match_are_accepted(send):
    good = base64.b64encode(hashlib.sha256(b"<a/>").digest()).decode()
    long = base64.b64encode(hashlib.sha512(b"<a/>").digest()).decode()
    assert send(headers={"Repr-Digest": f"sha-256=:{good}:, sha-512=:{long}:"}).status_code == 201


def test_a_content_coding_is_not_undone_in_silence(send, nothing_kept):
    refused(send(headers={"Content-Encoding": "gzip"}), "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("key", ["\x7f", "a b", "x" * 256, "é".encode()])
def test_idempotency_keys(send, nothing_kept, key):
    refused(send(headers={"Idempotency-Key": key}), "IDEMPOTENCY_KEY_INVALID")


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


DOCUMENT = ('Content-Disposition: form-data; name="document"', b"{}")
FILE = ('Content-Disposition: form-data; name="file"; filename="a.xml"', b"<a/>")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(FILE, DOCUMENT), "BODY_INVALID"),
        (form(DOCUMENT), "BODY_INVALID"),
        (form(DOCUMENT, DOCUMENT, FILE), "BODY_INVALID"),
        (form(DOCUMENT, FILE, FILE), "BODY_INVALID"),
        (form(DOCUMENT, FILE, end=b""), "BODY_INVALID"),
        (form(DOCUMENT, FILE, end=b"--b"), "BODY_INVALID"),
        (form(DOCUMENT, (FILE[0], b"")), "EMPTY_FILE"),
        (form(DOCUMENT, (FILE[0], b"x" * (LIMIT + 1))), "TOO_LARGE"),
        (form(DOCUMENT, (FILE[0].replace("a.xml", "../a"), b"x")), "NAME_INVALID"),
        (form(DOCUMENT, (FILE[0].replace("a.xml", "C:\\\\Users\\\\a.txt"), b"x")), "NAME_INVALID"),
        (form(DOCUMENT, (FILE[0] + "\r\nContent-Transfer-Encoding: base64", b"PGEvPg==")), "BODY_INVALID"),
        (form(DOCUMENT, (FILE[0] + '; filename="b.xml"', b"x")), "BODY_INVALID"),
        (form(DOCUMENT, (FILE[0] + "\r\n" + FILE[0], b"x")), "BODY_INVALID"),
        (form(DOCUMENT, ("X: y", b"x")), "BODY_INVALID"),
        (form(DOCUMENT, (FILE[0] + "".join(f"\r\nX-{n}: y" for n in range(20)), b"x")), "BODY_INVALID"),
        (form(DOCUMENT, (FILE[0] + "\r\nX: " + "y" * 9000, b"x")), "BODY_INVALID"),
        (form((DOCUMENT[0], b'{"title":"' + b"x" * 9000 + b'"}'), FILE), "JSON_TOO_LARGE"),
        (b"garbage", "BODY_INVALID"),
        (b"", "BODY_INVALID"),
        (b"--b--\r\n", "BODY_INVALID"),
    ],
)
def test_forms_that_are_not_one_document_and_one_file(client, safe, nothing_kept, body, code):
    headers = {
        "Authorization": f"Bearer {safe.personas.named('camille').token}",
        "Idempotency-Key": hashlib.sha256(body).hexdigest(),
        "Content-Type": "multipart/form-data; boundary=b",
    }
    refused(client.post("/v1/attachments", content=body, headers=headers), code)


def test_digests_of_a_form_speak_of_the_form_and_those_of_a_part_of_the_file(client, safe):
    def post(body: bytes, key: str, **more: str) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {safe.personas.named('camille').token}", "Idempotency-Key": key,
            "Content-Type": 'multipart/form-data; boundary="b"', **more,
        }  # fmt: skip
        return client.post("/v1/attachments", content=body, headers=headers)

    def sha256(data: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"

    plain = form(DOCUMENT, FILE)
    refused(post(plain, "d1", **{"Content-Digest": sha256(FILE[1])}), "DIGEST_MISMATCH")
    assert post(plain, "d2", **{"Content-Digest": sha256(plain)}).status_code == 201
    within = form(DOCUMENT, (f"{FILE[0]}\r\nRepr-Digest: {sha256(FILE[1])}", FILE[1]))
    assert post(within, "d3").status_code == 201
    wrong = form(DOCUMENT, (f"{FILE[0]}\r\nRepr-Digest: {sha256(b'other')}", FILE[1]))
    refused(post(wrong, "d4"), "DIGEST_MISMATCH")


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 71}"],
)
def test_boundaries(client, safe, kind):
    headers = {
        "Authorization": f"Bearer {safe.personas.named('camille').token}",
        "Idempotency-Key": "b",
        "Content-Type": kind,
    }
    refused(client.post("/v1/attachments", content=b"--\r\n", headers=headers), "BODY_INVALID")


def test_verification_takes_anything_and_keeps_nothing(client, nothing_kept):
    assert client.post("/v1/verifications", content=b"\x00" * 1000).json()["verdict"] == "INDETERMINATE"
    assert client.post("/v1/verifications", content=b"%PDF-1.7 broken").json()["verdict"] in {
        "FAILED",
        "INDETERMINATE",
    }
    refused(client.post("/v1/verifications", content=b""), "EMPTY_FILE")
    refused(client.post("/v1/verifications", content=b"x" * (LIMIT + 1)), "TOO_LARGE")


def test_hash_requests(client):
    for body, code in (
        (b"{}", "FIELD_INVALID"), (b'{"sha256":"xyz"}', "FIELD_INVALID"), (b'{"sha256":1}', "FIELD_INVALID"),
        (b'{"sha256":"' + b"a" * 64 + b'\\n"}', "FIELD_INVALID"),
        (b'{"sha256":"' + b"a" * 64 + b'","x":1}', "FIELD_INVALID"),
        (b"x" * (JSON_LIMIT + 1), "JSON_TOO_LARGE"),
    ):  # fmt: skip
        refused(client.post("/v1/verifications/hash", content=body), code)


# --- what any octets may do -------------------------------------------------------------------------------


def accepted_codes(action: Callable[[], object], codes: set[str]) -> object:
    refusal = None
    try:
        return action()
    except Refused as error:
        refusal = error.code
    assert refusal in codes
    return None


JSON_CODES = {"JSON_INVALID", "JSON_DUPLICATE_KEY", "ENCODING_INVALID"}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(
        st.characters(codec="utf-8")
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0de1nulltrse-.Ee ', max_size=80).map(str.encode))
@example(b"1" * 5000)
@example(b'"\\ud83d\\ude00"')
def test_any_octets_are_json_or_refused(data):
    accepted_codes(lambda: parse(data), JSON_CODES)


@given(values)
def test_json_means_what_it_means_elsewhere(value):
    data = json.dumps(value).encode()
    found = accepted_codes(lambda: parse(data), JSON_CODES)
    assert found is None or found == json.loads(data)


@given(st.integers(1, 400))
def test_depth_is_bounded_and_brackets_in_texts_do_not_count(depth):
    data = b"[" * depth + b"]" * depth
    assert (accepted_codes(lambda: parse(data), {"JSON_INVALID"}) is not None) == (depth <= MAX_DEPTH)
    assert parse(json.dumps('[{\\"' * depth).encode()) == '[{\\"' * depth


@given(st.binary(max_size=300))
def test_base64url_round_trip(data):
    assert from_base64url(encoded(data), 400, "x") == data
    assert from_base64url(base64.urlsafe_b64encode(data).decode(), 400, "x") == data


@given(st.text(max_size=50))
def test_any_text_is_base64url_or_refused(text):
    accepted_codes(lambda: from_base64url(text, 400, "x"), {"FIELD_INVALID", "JSON_TOO_LARGE"})


FORM_CODES = {"BODY_INVALID", "ENCODING_INVALID"}


def read_form(chunks: list[bytes]) -> list[tuple[str, str | None, bytes]]:
    parts = Multipart(iter(chunks), b"b")
    found = []
    while (part := parts.next_part()) is not None:
        found.append((part.name, part.file_name, b"".join(parts.data())))
    return found


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = sorted({point % (len(data) + 1) for point in points} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


contents = st.binary(max_size=60) | st.sampled_from(
    [b"\r\n--", b"\r\n--b", b"--b--", b"\r\n--b-", b"\r\n--bx", b"\r", b"\r\n\r\n--b"]
)
names = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\\r\n%', exclude_categories=["Cc"]), max_size=20
)


@given(st.lists(st.tuples(names, names, contents), max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_form_reads_the_same_however_it_is_cut(parts, points):
    # A line that begins with the boundary ends a part (RFC 2046, 5.1.1): senders choose another boundary then.
    parts = [each for each in parts if b"\r\n--b" not in b"\r\n" + each[2]]
    data = form(
        *(
            (f'Content-Disposition: form-data; name="{name}"; filename="{file}"', body)
            for name, file, body in parts
        )
    )
    assert read_form(cut(data, points)) == [(name, file, body) for name, file, body in parts]


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=6))
def test_any_octets_are_a_form_or_refused(data, points):
    accepted_codes(lambda: read_form(cut(data, points)), FORM_CODES)
    whole = form(DOCUMENT, FILE)
    accepted_codes(lambda: read_form(cut(whole[: len(data)] + data + whole[len(data) :], points)), FORM_CODES)


@given(st.integers(0, len(form(DOCUMENT, FILE)) - 5), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_form_that_stops_early_is_refused(length, points):
    data = form(DOCUMENT, FILE)[:length]
    with pytest.raises(Refused) as caught:
        read_form(cut(data, points))
    assert caught.value.code == "BODY_INVALID"


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_content_type_has_a_boundary_or_none(text):
    accepted_codes(lambda: boundary_of(f"multipart/form-data; boundary={text}"), {"BODY_INVALID"})


OWN_NAMES = ("localhost", "127.0.0.1", "127.8.8.8", "[::1]", "LOCALHOST")
NEARLY = st.builds("{}{}{}".format, st.text(max_size=3), st.sampled_from(OWN_NAMES), st.text(max_size=12))


def test_the_names_of_this_machine_pass():
    for name in OWN_NAMES:
        assert is_loopback(host_of(name))
        assert is_loopback(host_of(f"{name}:8000"))


@given(st.one_of(st.text(max_size=40), NEARLY))
def test_only_names_of_this_machine_pass(text):
    if is_loopback(host_of(text)):
        bare = text.lower()
        assert bare.startswith(("localhost", "127.", "[::1]", "[::ffff:127.", "::1", "[0"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.text(
        st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=60
    ),
    body=st.binary(max_size=80),
)
def test_any_request_is_answered_in_order(send, document, body):
    answer = send(body, document=document.encode("latin-1"))
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["code"] in CATALOGUE
