"""Partial and conditional reads, judged against a slow and plain reading of RFC 9110."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import Span, Unsatisfiable, is_not_modified, range_applies, wanted_span


@pytest.fixture
def stored(deposit, bearer, client):
    content = bytes(number % 251 for number in range(2_000))
    link = deposit("ranges", content, file_name="octets.bin").json()["links"]["original"]

    def get(method: str = "GET", **headers: str):
        return client.request(method, link, headers=bearer("camille", **headers))

    return content, get


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=5-9", slice(5, 10)),
        ("bytes=1990-", slice(1990, 2000)),
        ("bytes=-1", slice(1999, 2000)),
        ("bytes=-5000", slice(0, 2000)),
        ("bytes=100-999999999999999999999999999", slice(100, 2000)),
        ("Bytes=0-4", slice(0, 5)),
    ],
)
def test_one_range_is_honoured(stored, header, part):
    content, get = stored
    answer = get(Range=header)
    assert answer.status_code == 206
    assert answer.content == content[part]
    assert answer.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/2000"
    assert answer.headers["content-length"] == str(part.stop - part.start)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,5-9",
        "lines=1-2",
        "bytes=9-5",
        "bytes=-",
        "bytes=a-b",
        "bytes 0-1",
        "bytes=0-1,",
        "",
        "bytes=١-٢",
    ],
)
def test_what_is_not_one_range_gets_the_whole_file(stored, header):
    content, get = stored
    answer = get(Range=header.encode())
    assert (answer.status_code, answer.content) == (200, content)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("header", ["bytes=2000-", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_a_range_outside_is_refused(stored, header):
    _, get = stored
    answer = get(Range=header)
    assert (answer.status_code, answer.json()["code"]) == (416, "RANGE_INVALID")
    assert answer.headers["content-range"] == "bytes */2000"


def test_two_range_headers_are_several_ranges(stored, client, bearer, deposit):
    content, _ = stored
    link = deposit("ranges", content, file_name="octets.bin").json()["links"]["original"]
    headers = [*bearer("camille").items(), ("Range", "bytes=0-1"), ("Range", "bytes=2-3")]
    assert client.get(link, headers=headers).status_code == 200


def test_conditions(stored):
    content, get = stored
    etag = get().headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    same = get(If_None_Match=f'"other", W/{etag}')
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert get(If_None_Match="*").status_code == 304
    assert get(If_None_Match='"other"').status_code == 200
    assert get(Range="bytes=0-9", If_Range=etag).status_code == 206
    whole = get(Range="bytes=0-9", If_Range='"other"')
    assert (whole.status_code, whole.content) == (200, content)
    assert get(Range="bytes=0-9", If_Range="Sun, 22 Nov 2026 05:43:13 GMT").status_code == 200
    assert get(Range="bytes=0-9", If_Range=f"W/{etag}").status_code == 200
    assert get(Range="bytes=0-9", If_None_Match=etag).status_code == 304


def test_head_says_the_size_and_sends_nothing(stored):
    _, get = stored
    answer = get("HEAD", Range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "2000"
    assert answer.headers["accept-ranges"] == "bytes"


def test_an_evidence_bundle_is_read_in_parts_too(client, issue, bearer):
    link = issue("parts").json()["links"]["evidence"]
    whole = client.get(link, headers=bearer("camille"))
    part = client.get(link, headers=bearer("camille", Range="bytes=-1000", If_Range=whole.headers["etag"]))
    assert part.status_code == 206
    assert part.content == whole.content[-1000:]


def test_a_download_is_never_a_page_of_ours(stored, deposit, client, bearer):
    link = deposit("html", b"<!doctype html><script>alert(1)</script>", file_name="page.html").json()["links"]
    answer = client.get(link["original"], headers=bearer("camille"))
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_a_damaged_object_is_an_error_before_the_first_octet(client, deposit, bearer, safe, monkeypatch):
    link = deposit("damaged").json()["links"]["original"]
    download = safe.reading.original(safe.personas.named("camille").actor, link.split("/")[3], "")

    def read(_offset, _length):
        from vault.errors import VaultError

        raise VaultError("ORIGINAL_DAMAGED", "the secret place")
        yield b""

    from dataclasses import replace

    monkeypatch.setattr(safe.reading, "original", lambda *_: replace(download, read=read))
    answer = client.get(link, headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (500, "ORIGINAL_DAMAGED")
    assert "secret" not in answer.text


def plain(header: str, size: int) -> tuple[int, int] | str | None:
    """(first, last), "416" or None, straight from the RFC's words."""
    unit, _, spec = header.partition("=")
    if unit.lower() != "bytes" or "," in spec or spec.count("-") != 1:
        return None
    first, last = (side.strip(" \t") for side in spec.split("-"))
    if not (first + last) or not all(
        not side or (side.isascii() and side.isdigit()) for side in (first, last)
    ):
        return None
    if not first:
        wanted = min(int(last), size)
        return (size - wanted, size - 1) if wanted else "416"
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return "416"
    return int(first), min(int(last), size - 1) if last else size - 1


@given(st.from_regex(r"(bytes|BYTES|octets)=[0-9]{0,21}-[0-9]{0,21}", fullmatch=True), st.integers(1, 10**12))
def test_ranges_as_the_rfc_reads(header, size):
    try:
        span = wanted_span(header, size)
    except Unsatisfiable:
        assert plain(header, size) == "416"
    else:
        expected = plain(header, size)
        assert expected != "416"
        assert (span and (span.start, span.start + span.length - 1)) == expected
        assert span is None or 0 <= span.start < span.start + span.length <= size


@given(st.text(max_size=60), st.integers(0, 1000))
def test_any_range_text_has_an_answer(text, size):
    try:
        span = wanted_span(text, size)
        assert span is None or isinstance(span, Span)
    except Unsatisfiable:
        pass
    is_not_modified(text, '"e"')
    range_applies(text, '"e"')
