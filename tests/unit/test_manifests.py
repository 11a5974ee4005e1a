"""Manifests of batches: every line that is wrong has its own reason, and none hides the others."""

from __future__ import annotations

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.batches.manifests import MAX_LINE, Line, document_of, line_key, read_manifest
from vault.errors import Refused

GOOD = {"holder": "camille", "title": "Bulletin", "file": "a.pdf"}


def read(data: bytes | str, form: str = "ndjson", limit: int = 1000, least: int = 30) -> list[Line]:
    octets = data.encode() if isinstance(data, str) else data
    return list(read_manifest(io.BytesIO(octets), form, limit=limit, least_days=least))


def ndjson(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode() + b"\n"


def test_both_forms_say_the_same() -> None:
    more = {
        "type": "bulletin-de-paie",
        "case": "P-1",
        "language": "fr",
        "retention": "18250",
        "sha256": "ab" * 32,
    }
    whole = {**GOOD, **more}
    as_csv = ",".join(whole) + "\r\n" + ",".join(whole.values()) + "\r\n"
    for text, form in (
        (json.dumps({**whole, "retention": 18250}), "ndjson"),
        (json.dumps(whole), "ndjson"),
        (as_csv, "csv"),
        ("\ufeff" + as_csv.replace(",", ";"), "csv"),
    ):
        (line,) = read(text, form)
        assert line.said == whole
        new, stated = document_of(line.content)
        assert (new.holder, new.document_type, new.retention_days) == ("camille", "bulletin-de-paie", 18250)
        assert stated == bytes.fromhex("ab" * 32)
    assert {line_key(b"s", 1, each.content) for each in (*read(json.dumps(whole)), *read(as_csv, "csv"))} == {
        line_key(b"s", 1, line.content)
    }


@pytest.mark.parametrize(
    ("octets", "code", "field"),
    [
        (ndjson(holder=""), "FIELD_INVALID", "holder"),
        (ndjson(title=" "), "FIELD_INVALID", "title"),
        (ndjson(title="a\u202eb"), "FIELD_INVALID", "title"),
        (ndjson(type="Bulletin de paie"), "FIELD_INVALID", "type"),
        (ndjson(language="français"), "FIELD_INVALID", "language"),
        (ndjson(case="x" * 129), "FIELD_INVALID", "case"),
        (ndjson(retention=29), "FIELD_INVALID", "retention"),
        (ndjson(retention=-1), "FIELD_INVALID", "retention"),
        (ndjson(retention=10**9), "FIELD_INVALID", "retention"),
        (ndjson(retention="ten"), "FIELD_INVALID", "retention"),
        (ndjson(retention=1.5), "FIELD_INVALID", "retention"),
        (ndjson(sha256="zz"), "FIELD_INVALID", "sha256"),
        (ndjson(file="../a.pdf"), "NAME_INVALID", ""),
        (ndjson(file="CON.pdf"), "NAME_INVALID", ""),
        (ndjson(file=""), "NAME_INVALID", ""),
        (ndjson(title=["a"]), "FIELD_INVALID", "title"),
        (ndjson(secret="x"), "FIELD_INVALID", "?"),
        (b'{"holder":"a","holder":"b","title":"t","file":"f"}\n', "JSON_DUPLICATE_KEY", ""),
        (b'{"holder": NaN}\n', "JSON_INVALID", ""),
        (b'{"holder":\n', "JSON_INVALID", ""),
        (b'{"holder":"\xff"}\n', "ENCODING_INVALID", ""),
        (b'{"holder":"\\ud800","title":"t","file":"f"}\n', "ENCODING_INVALID", ""),
    ],
)
def test_each_wrong_line_has_its_reason_and_its_neighbours_are_read(
    octets: bytes, code: str, field: str
) -> None:
    before, wrong, after = read(ndjson() + octets + ndjson(file="b.pdf"))
    assert (wrong.number, wrong.said, wrong.code, wrong.field) == (2, None, code, field)
    assert before.said is not None
    assert after.said is not None
    assert after.number == 3


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"[]\n", "ndjson"),
        (b"a" * (MAX_LINE + 1), "ndjson"),
        (b"\0\n", "ndjson"),
        (b"holder,title\n", "csv"),
        (b"holder,title,file,file\n", "csv"),
        (b"holder,title,file,surprise\n", "csv"),
        (b"holder,title,file\ncamille,Bulletin \xe9,a.pdf\n", "csv"),
        (b'holder,title,file\ncamille,"Bulletin"x,a.pdf\n', "csv"),
        (b'holder,title,file\ncamille,"Bulletin,a.pdf\n' + b"x\n" * 200_000, "csv"),
    ],
)
def test_what_cannot_be_read_refuses_the_whole(data: bytes, form: str) -> None:
    with pytest.raises(Refused) as caught:
        read(data, form)
    assert caught.value.code == "MANIFEST_INVALID"
    assert caught.value.params["line"] >= 1


def test_cells_that_are_missing_are_the_lines_own_problem() -> None:
    good, wrong = read(b"holder,title,file\na,b,c.pdf\n\na,b\n", "csv")
    assert good.said is not None
    assert (wrong.number, wrong.code) == (2, "MANIFEST_COLUMNS")


def test_the_sign_that_keeps_spreadsheets_from_calculating_is_not_part_of_a_title() -> None:
    (line,) = read(b"holder,title,file\ncamille,'=1+1,c.pdf\n", "csv")
    assert line.said is not None
    assert line.said["title"] == "=1+1"


@pytest.mark.parametrize(
    ("data", "form"), [(b"", "csv"), (b"", "ndjson"), (b"\n\n", "ndjson"), (b"holder,title,file\n", "csv")]
)
def test_an_empty_manifest_is_refused(data: bytes, form: str) -> None:
    with pytest.raises(Refused) as caught:
        read(data, form)
    assert caught.value.code == "MANIFEST_EMPTY"


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        read(ndjson() * 11, limit=10)
    assert caught.value.code == "MANIFEST_TOO_LONG"


def test_memory_is_a_line() -> None:
    stream = io.BytesIO(ndjson() * 20_000)
    tracemalloc.start()
    assert sum(1 for _ in read_manifest(stream, "ndjson", limit=20_000, least_days=0)) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@given(data=st.binary(max_size=400), form=st.sampled_from(["csv", "ndjson"]))
def test_whatever_comes_ends_in_lines_or_a_refusal(data: bytes, form: str) -> None:
    for octets in (data, b"holder,title,file\n" + data):
        try:
            for line in read(octets, form):
                assert (line.said is None) is bool(line.code)
        except Refused as error:
            assert error.code.startswith("MANIFEST_")  # noqa: PT017 - either is right
