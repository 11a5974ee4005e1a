"""Share codes over HTTP: REST and the page, and how both are attacked."""

from __future__ import annotations

import io
import re
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import count

import pikepdf
import pytest
from starlette.testclient import TestClient

from vault.sharing.codes import draw_code, draw_secret, grouped, read_code

keys = (f"api-share-{number}" for number in count())
HIDDEN = {"request_id"}


def wanted(*documents: str, **changes: object) -> dict[str, object]:
    ends_at = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "documents": list(documents), "purpose": "housing", "words": "Dossier de location",
        "recipient": "Agence SPÉCIMEN", "ends_at": ends_at, "views": 5, "form": "original", **changes,
    }  # fmt: skip


@pytest.fixture
def share(client, bearer):
    def do(*documents: str, persona: str = "camille", key: str = "", **changes: object):
        headers = bearer(persona, Idempotency_Key=key or next(keys))
        return client.post("/v1/shares", json=wanted(*documents, **changes), headers=headers)

    return do


@pytest.fixture
def opened(client):
    def do(made):
        body = made.json()
        return client.post("/v1/shares/opening", json={"code": body["code"], "secret": body["secret"]})

    return do


@pytest.fixture
def act(issue):
    return issue(next(keys)).json()["id"]


def text_of(pdf: bytes) -> str:
    """The text of a PDF, by the poppler that pdfsig is of."""
    return subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()


def token(answer) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def same(answer) -> tuple[int, dict[str, object], dict[str, str]]:
    """What a stranger can compare of a refusal."""
    body = {name: value for name, value in answer.json().items() if name not in HIDDEN}
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, body, headers


@pytest.fixture
def browser(app) -> TestClient:
    """A browser that keeps its cookies."""
    return TestClient(
        app, base_url="http://127.0.0.1", headers={"Accept": "text/html"}, client=("127.0.0.1", 5)
    )


def form_token(html: str) -> str:
    return re.search(r'name="form_token" value="([^"]+)"', html)[1]


def type_code(browser: TestClient, code: str, secret: str, **fields: str):
    form = {"form_token": form_token(browser.get("/partage").text), "code": code, "secret": secret, **fields}
    return browser.post("/partage", data=form, follow_redirects=False)


def test_a_share_over_rest_from_its_making_to_its_withdrawal(client, bearer, share, opened, act, safe):
    made = share(act, views=2, evidence=True)
    assert made.status_code == 201, made.text
    body = made.json()
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}", body["code"])
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", body["secret"])
    assert body["page"] == "http://127.0.0.1/partage"
    here = made.headers["Location"]
    first = opened(made)
    assert first.status_code == 200, first.text
    said = first.json()
    assert said["holder"] == "Camille Exemple"
    assert said["recipient"] == "Agence SPÉCIMEN"
    assert [(each["id"], each["status"], each["in_force"]) for each in said["documents"]] == [
        (act, "valid", True)
    ]
    links = said["documents"][0]["links"]
    assert links["copy"] is None
    listed = client.get("/v1/shared/documents", headers=token(first)).json()
    assert listed["documents"] == said["documents"]
    assert client.get(links["self"], headers=token(first)).json() == said["documents"][0]
    original = client.get(links["original"], headers=token(first))
    mine = client.get(f"/v1/documents/{act}/original", headers=bearer("camille"))
    assert original.content == mine.content
    part = client.get(links["original"], headers={**token(first), "Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, mine.content[5:10])
    assert client.get(links["evidence"], headers=token(first)).content[:2] == b"PK"
    verdict = client.post(links["verification"], headers=token(first))
    assert verdict.json()["verdict"] == "PASSED", verdict.text
    assert verdict.json()["status"]["value"] == "valid"
    assert client.get(links["self"] + "/copy", headers=token(first)).status_code == 404
    seen = client.get(here, headers=bearer("camille")).json()
    assert (seen["views"], seen["views_used"], seen["refused"], seen["status"]) == (2, 1, 0, "live")
    assert seen["last_opened_at"] is not None
    withdrawn = client.post(f"{here}/withdrawal", headers=bearer("camille", Idempotency_Key=next(keys)))
    assert withdrawn.status_code == 200
    for path in (links["original"], links["self"], "/v1/shared/documents", links["evidence"]):
        assert client.get(path, headers=token(first)).status_code == 404, path
    assert opened(made).json()["code"] == "SHARE_REFUSED"
    again = client.post(f"{here}/withdrawal", headers=bearer("camille", Idempotency_Key=next(keys)))
    assert again.json()["code"] == "STATE_CONFLICT"
    listed = client.get(
        f"/v1/safes/{safe.personas.named('camille').actor.safe_id}/shares?limit=1", headers=bearer("camille")
    ).json()
    assert listed["items"][0]["status"] == "withdrawn"
    assert not {"code", "secret", "salt"} & set(listed["items"][0])


def test_code_and_secret_are_answered_once(client, share, act):
    first = share(act, key="once-and-never-again").json()
    again = share(act, key="once-and-never-again")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == first["id"]
    assert (again.json()["code"], again.json()["secret"]) == (None, None)


def test_whatever_is_wrong_gets_one_answer(client, bearer, share, opened, act):
    live, spent, gone = share(act), share(act, views=1), share(act)
    assert opened(spent).status_code == 200
    client.post(
        f"{gone.headers['Location']}/withdrawal", headers=bearer("camille", Idempotency_Key=next(keys))
    )
    code = live.json()["code"]
    tries = [
        (code, grouped(draw_secret())),
        (code, ""),
        (code, "x" * 128),
        (code[:-1] + ("0" if code[-1] != "0" else "1"), live.json()["secret"]),
        (grouped(draw_code()), grouped(draw_secret())),
        ("", ""),
        ("\u202e" * 20, "\ud7ff"),
        (spent.json()["code"], spent.json()["secret"]),
        (gone.json()["code"], gone.json()["secret"]),
        (live.json()["secret"], code),
    ]
    answers = [client.post("/v1/shares/opening", json={"code": a, "secret": b}) for a, b in tries]
    assert {answer.status_code for answer in answers} == {404}
    assert all(same(answer) == same(answers[0]) for answer in answers)
    assert len({len(answer.content) for answer in answers}) == 1
    # As people type: lower case, other separators, letters that look like others.
    loose = live.json()["code"].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert (
        client.post("/v1/shares/opening", json={"code": loose, "secret": live.json()["secret"]}).status_code
        == 200
    )


def test_a_locked_share_refuses_the_right_secret_alike(client, share, opened, act, bearer, safe):
    made = share(act)
    wrong = {"code": made.json()["code"], "secret": "0000-0000"}
    before = client.post("/v1/shares/opening", json=wrong)
    for _ in range(safe.settings.lockout_failures - 1):
        client.post("/v1/shares/opening", json=wrong)
    locked = opened(made)
    assert same(locked) == same(before)
    seen = client.get(made.headers["Location"], headers=bearer("camille")).json()
    assert (seen["refused"], seen["views_used"]) == (safe.settings.lockout_failures + 1, 0)


def test_strangers_have_nothing_to_do_with_a_share(client, bearer, share, act, safe):
    made = share(act)
    here, code = made.headers["Location"], made.json()["code"]
    for persona in ("dominique", "agent-etat-civil", "agent-paie", "auditeur", "exploitant"):
        assert client.get(here, headers=bearer(persona)).status_code == 404, persona
        absent = client.get("/v1/shares/shr_00000000000000000000000000", headers=bearer(persona))
        assert same(client.get(here, headers=bearer(persona))) == same(absent)
        headers = bearer(persona, Idempotency_Key=next(keys))
        assert client.post(f"{here}/withdrawal", headers=headers).status_code == 404
        assert client.post(f"{here}/slip", json={"code": code}, headers=headers).status_code == 404
        assert client.post("/v1/shares", json=wanted(act), headers=headers).status_code == 404
        safe_id = safe.personas.named("camille").actor.safe_id
        assert client.get(f"/v1/safes/{safe_id}/shares", headers=bearer(persona)).status_code == 404


def test_a_token_opens_its_own_share_and_no_other_route(client, bearer, share, opened, issue, act):
    other = issue(next(keys)).json()["id"]
    mine, theirs = opened(share(act)), opened(share(other))
    for path in ("", "/original", "/evidence", "/copy"):
        assert client.get(f"/v1/shared/documents/{other}{path}", headers=token(mine)).status_code == 404
    assert client.post(f"/v1/shared/documents/{other}/verification", headers=token(mine)).status_code == 404
    assert client.get(f"/v1/shared/documents/{other}/original", headers=token(theirs)).status_code == 200
    for path in (f"/v1/documents/{act}/original", f"/v1/documents/{act}", "/v1/receipts"):
        assert client.get(path, headers=token(mine)).status_code in {401, 405}, path
    headers = {**token(mine), "Idempotency-Key": next(keys)}
    assert client.post("/v1/shares", json=wanted(act), headers=headers).status_code == 401
    for bad in ({}, {"Authorization": "Bearer psb_x"}, {"Authorization": "Basic x"}, bearer("camille")):
        answer = client.get("/v1/shared/documents", headers=bad)
        assert (answer.status_code, answer.json()["code"]) == (401, "SHARE_ENDED")


BAD = [
    ({"documents": []}, "FIELD_INVALID"),
    ({"documents": ["doc_x"]}, "FIELD_INVALID"),
    ({"views": 0}, "FIELD_INVALID"),
    ({"views": 51}, "FIELD_INVALID"),
    ({"views": "5"}, "FIELD_INVALID"),
    ({"purpose": "Housing!"}, "FIELD_INVALID"),
    ({"recipient": " "}, "FIELD_INVALID"),
    ({"recipient": "a\u202eb"}, "FIELD_INVALID"),
    ({"recipient": "a\r\nX-Evil: 1"}, "FIELD_INVALID"),
    ({"recipient": "x" * 121}, "FIELD_INVALID"),
    ({"words": "a\x00b"}, "FIELD_INVALID"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "FIELD_INVALID"),
    ({"ends_at": "2099-01-01T00:00:00Z"}, "FIELD_INVALID"),
    ({"form": "both"}, "FIELD_INVALID"),
    ({"form": "watermark", "evidence": True}, "EVIDENCE_HOLDS_ORIGINAL"),
    ({"used": 0}, "FIELD_INVALID"),
    ({"secret": "0000-0000"}, "FIELD_INVALID"),
    ({"safe": "saf_x"}, "FIELD_INVALID"),
]


@pytest.mark.parametrize(("members", "code"), BAD, ids=lambda value: str(value)[:30])
def test_bad_members_are_refused(share, act, members, code):
    answer = share(act, **members)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


@pytest.mark.needs("pdfsig")
def test_the_slip_has_the_code_and_not_the_secret(client, bearer, share, act):
    made = share(act)
    body, here = made.json(), made.headers["Location"]
    slip = client.post(f"{here}/slip", json={"code": body["code"].lower()}, headers=bearer("camille"))
    assert slip.status_code == 200, slip.text
    assert slip.headers["Content-Disposition"].startswith("attachment")
    shown = text_of(slip.content)
    assert body["code"] in shown
    assert "http://127.0.0.1/partage" in shown
    assert body["secret"] not in shown
    assert read_code(body["secret"]) == ""
    other = share(act).json()
    for wrong in (other["code"], grouped(draw_code()), "", "x"):
        assert client.post(f"{here}/slip", json={"code": wrong}, headers=bearer("camille")).status_code == 404


def test_the_page_shows_what_is_certified_without_javascript(browser, client, bearer, share, act):
    made = share(act, form="watermark").json()
    empty = browser.get("/partage")
    assert empty.status_code == 200
    assert "Camille" not in empty.text
    assert "unsafe" not in empty.headers["Content-Security-Policy"]
    wrong = type_code(browser, made["code"], "0000-0000")
    assert wrong.status_code == 404
    assert 'role="alert"' in wrong.text
    assert made["code"] not in wrong.text
    right = type_code(browser, made["code"], made["secret"])
    assert (right.status_code, right.headers["Location"]) == (303, "/partage/documents")
    cookie = right.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "max-age=600" in cookie.lower()
    seen = browser.get("/partage/documents")
    for text in (
        "Camille Exemple",
        "Agence SPÉCIMEN",
        "Location d’un logement",
        "Mairie de Valombre",
        "En vigueur",
    ):
        assert text in seen.text, text
    assert made["code"] not in seen.text
    assert browser.get("/partage/documents?lang=en").text.count("In force") == 1
    browser.get("/partage/documents?lang=fr")
    copy = browser.get(f"/partage/documents/{act}/copie")
    assert copy.headers["Content-Type"] == "application/pdf"
    assert copy.headers["Content-Disposition"].startswith("attachment; filename")
    assert browser.get(f"/partage/documents/{act}/original").status_code == 404
    assert browser.get(f"/partage/documents/{act}/dossier").status_code == 404
    form = {"form_token": form_token(seen.text)}
    verdict = browser.post(f"/partage/documents/{act}/verification", data=form)
    assert "Authentique" in verdict.text
    # To look again used no view up.
    here = f"/v1/shares/{made['id']}"
    assert client.get(here, headers=bearer("camille")).json()["views_used"] == 1
    closed = browser.post("/partage/fermer", data=form, follow_redirects=False)
    assert closed.status_code == 303
    assert browser.get("/partage/documents", follow_redirects=False).headers["Location"] == "/partage"
    assert browser.get(f"/partage/documents/{act}/copie").status_code == 401


def test_forms_of_other_places_open_nothing(browser, client, bearer, share, act):
    made = share(act).json()
    assert type_code(browser, made["code"], made["secret"], form_token="x").status_code >= 400
    page = browser.get("/partage")
    form = {"form_token": form_token(page.text), "code": made["code"], "secret": made["secret"]}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = browser.post("/partage", data=form, headers=headers, follow_redirects=False)
        assert answer.status_code >= 400
        assert "set-cookie" not in answer.headers or "partage=" not in answer.headers["set-cookie"]
    assert client.get(f"/v1/shares/{made['id']}", headers=bearer("camille")).json()["views_used"] == 0


def test_openings_are_limited_by_network(app, safe):
    from vault.authorization.rates import Limits, Rate

    people = safe.people
    kept = people.limits
    object.__setattr__(people, "limits", Limits(safe.parts.keyring, {"lookups": Rate.per_minute(2)}))
    try:
        stranger = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.9", 5))
        body = {"code": draw_code(), "secret": draw_secret()}
        codes = [stranger.post("/v1/shares/opening", json=body).status_code for _ in range(4)]
    finally:
        object.__setattr__(people, "limits", kept)
    assert codes == [404, 404, 429, 429]


@pytest.mark.needs("pdfsig")
def test_a_copy_names_its_recipient_and_keeps_the_pages(client, share, opened, act, bearer):
    hostile = r"#read(\"/etc/passwd\") ) Tj (x $\mathbf{x}$ <script> *b* \u{202e} é"
    answer = opened(share(act, form="watermark", recipient=hostile))
    links = answer.json()["documents"][0]["links"]
    assert (links["original"], links["evidence"]) == (None, None)
    copy = client.get(links["copy"], headers=token(answer))
    assert copy.status_code == 200, copy.text
    assert client.get(links["copy"], headers=token(answer)).content == copy.content
    original = client.get(f"/v1/documents/{act}/original", headers=bearer("camille")).content
    with pikepdf.open(io.BytesIO(copy.content)) as made, pikepdf.open(io.BytesIO(original)) as source:
        assert len(made.pages) == len(source.pages)
        assert "/AcroForm" not in made.Root
    shown = " ".join(text_of(copy.content).split())
    assert "<script>" in shown
    assert "root:" not in shown
    assert "sans valeur probante" in shown
    part = client.get(links["copy"], headers={**token(answer), "Range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, b"%PDF-")
