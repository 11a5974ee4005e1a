"""Batches over HTTP: manifest, parts, single files, states, reports."""

from __future__ import annotations

import io
import zipfile

import pytest

MANIFEST = "holder;title;file\ncamille;Bulletin;a.pdf\ndominique;Bulletin;b.pdf\n;Sans titulaire;c.pdf\n"


@pytest.fixture
def begun(client, bearer):
    def do(key, manifest=MANIFEST, media_type="text/csv", query="", **headers):
        who = bearer("agent-paie", Idempotency_Key=key, Content_Type=media_type, **headers)
        return client.post(f"/v1/batches{query}", content=manifest.encode(), headers=who)

    return do


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.pdf", content)
    return out.getvalue()


def test_the_whole_way(client, bearer, begun, act_pdf):
    who = bearer("agent-paie")
    answer = begun("api-batch-1")
    assert answer.status_code == 201
    batch = answer.json()
    assert answer.headers["Location"] == batch["self"]
    assert batch["state"] == "open"
    assert batch["counts"] == {"wrong": 1, "waiting": 2, "refused": 0, "issued": 0, "received": 0}
    assert begun("api-batch-1").json() == batch
    part = client.post(f"{batch['self']}/parts", content=zipped(a=act_pdf, x=act_pdf), headers=who)
    assert part.status_code == 200, part.text
    assert part.json()["issued"] == 1
    assert part.json()["problems"] == [{"member": 2, "line": None, "code": "BATCH_FILE_UNKNOWN", "field": ""}]
    line = client.put(f"{batch['self']}/lines/2", content=act_pdf, headers=who)
    assert line.status_code == 201
    assert client.put(f"{batch['self']}/lines/2", content=act_pdf, headers=who).json() == line.json()
    early = client.get(batch["summary"], headers=who)
    assert (early.status_code, early.json()["code"]) == (409, "BATCH_NOT_ENDED")
    for state in ("paused", "open", "finished"):
        moved = client.put(f"{batch['self']}/state", json={"state": state}, headers=who)
        assert moved.json()["state"] == state, moved.text
    closed = client.put(f"{batch['self']}/state", json={"state": "open"}, headers=who)
    assert (closed.status_code, closed.json()["code"]) == (409, "STATE_CONFLICT")
    rows = client.get(batch["report"], headers=who).content.decode("utf-8-sig").splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["issued", "issued", "wrong"]
    assert "camille" not in "".join(rows)
    assert client.get(f"{batch['self']}/report.json", headers=who).text.count("\n") == 3
    summary = client.get(batch["summary"], headers=who)
    assert summary.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("manifest", "media_type", "status", "code"),
    [
        ("", "text/csv", 422, "EMPTY_FILE"),
        ("holder;title\n", "text/csv", 422, "MANIFEST_INVALID"),
        ("holder;title;file\n", "text/csv", 422, "MANIFEST_EMPTY"),
        (MANIFEST, "application/pdf", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_manifests_that_are_none(begun, manifest, media_type, status, code):
    answer = begun(f"api-batch-{code}-{len(manifest)}", manifest, media_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_dry_run_and_all_or_nothing(client, bearer, begun):
    who = bearer("agent-paie")
    dry = begun("api-batch-dry", query="?dry_run=true").json()
    assert dry["state"] == "checked"
    part = client.post(f"{dry['self']}/parts", content=b"PK", headers=who)
    assert (part.status_code, part.json()["code"]) == (409, "BATCH_NOT_OPEN")
    assert begun("api-batch-all", query="?all_or_nothing=true").json()["state"] == "refused"


def test_parts_that_are_none(client, bearer, begun):
    batch, who = begun("api-batch-parts").json(), bearer("agent-paie")
    for content, status, code in (
        (b"%PDF-1.7", 415, "BATCH_PART_FORMAT"),
        (zipped(a=b"x")[:-5], 422, "BATCH_PART_DAMAGED"),
        (b"", 422, "EMPTY_FILE"),
    ):
        part = client.post(f"{batch['self']}/parts", content=content, headers=who)
        assert (part.status_code, part.json()["code"]) == (status, code)
    wrong = client.post(
        f"{batch['self']}/parts",
        content=zipped(a=b"x"),
        headers={**who, "Repr-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"},
    )
    assert wrong.json()["code"] == "DIGEST_MISMATCH"
