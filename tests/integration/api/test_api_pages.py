"""The pages: for people, without JavaScript, with nothing that a hostile file or name could misuse."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.web.check_words import CHECK_GROUPS
from api.web.rendering import human_times
from api.web.verdicts import arrange, group
from api.web.words import WORDS
from vault.evidence.findings import Check, Outcome, StatusFinding, Verdict
from vault.evidence.sentences import SENTENCES
from vault.verification.limits import Stop, stopped

DATA = Path(__file__).parents[2] / "data" / "pdf-signed"


class Page(HTMLParser):
    """Collects what the tests ask of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def browser(app) -> TestClient:
    """A browser that keeps its cookies."""
    # The development identities answer this machine alone.
    here = ("127.0.0.1", 50000)
    return TestClient(app, base_url="http://127.0.0.1", headers={"Accept": "text/html"}, client=here)


def token(html: str) -> str:
    return re.search(r'name="form_token" value="([^"]+)"', html)[1]


def verify(browser: TestClient, content: bytes, name: str = "act.asice", **fields: str):
    form = {"form_token": token(browser.get("/").text), **fields}
    return browser.post("/verifier", data=form, files={"file": (name, content)})


def become(browser: TestClient, persona: str):
    """Log in at the embedded provider, and come to one's own space."""
    form = {"form_token": token(browser.get("/connexion").text), "retour": "/espace"}
    begun = browser.post("/connexion/developpement", data=form).text
    chosen = browser.get(html.unescape(re.search(r'content="0; url=([^"]+)"', begun)[1])).text
    asked = html.unescape(re.search(r'name="asked" value="([^"]*)"', chosen)[1])
    said = {"form_token": token(chosen), "asked": asked, "persona": persona, "assurance": "high"}
    return browser.post("/dev-identity/authorize", data=said)


@pytest.fixture
def pages(browser, issue, client, bearer):
    body = issue("pages").json()
    evidence = client.get(body["links"]["evidence"], headers=bearer("camille")).content
    act = client.get(body["links"]["original"], headers=bearer("camille")).content
    return {
        "home": browser.get("/"),
        "verdict": verify(browser, evidence),
        "pdf": verify(browser, act, "acte.pdf"),
        "failed": verify(browser, evidence[:3000] + b"!" + evidence[3001:]),
        "nothing": verify(browser, b"bonjour"),
        "empty": verify(browser, b""),
        "documents": become(browser, "camille"),
        "errors": browser.get("/erreurs"),
        "docs": browser.get("/docs"),
        "404": browser.get("/rien"),
        "english": browser.get("/?lang=en"),
    }


def test_every_page_is_well_made(pages):
    for name, answer in pages.items():
        assert answer.headers["content-type"] == "text/html; charset=utf-8", name
        page = Page(answer.text)
        (root,) = page.all("html")
        assert root["lang"] == ("en" if name == "english" else "fr")
        assert answer.headers["content-language"] == root["lang"]
        assert len(page.all("title")) == 1
        assert len(page.all("h1")) == 1 or name == "docs"
        assert len(page.all("main")) == 1 or name == "docs"
        assert page.all("header")
        assert page.all("footer")
        ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
        assert len(ids) == len(set(ids)), name
        for label in page.all("label"):
            assert label["for"] in ids
        for _, attrs in page.tags:
            for reference in (attrs.get("aria-labelledby") or "").split() + (
                attrs.get("aria-describedby") or ""
            ).split():
                assert reference in ids, (name, reference)


def test_no_page_holds_code_or_foreign_addresses(pages):
    for name, answer in pages.items():
        page = Page(answer.text)
        assert not page.all("style"), name
        assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))
        for tag, attrs in page.tags:
            assert not [key for key in attrs if key.startswith("on") or key == "style"], (name, tag)
            for key in ("href", "src", "action"):
                if attrs.get(key):
                    assert re.match(r"/(?!/)|#", attrs[key]), (name, attrs[key])


def test_static_files_are_there_and_kept(pages, client):
    for answer in pages.values():
        for tag, attrs in Page(answer.text).tags:
            address = attrs.get("src") or (attrs.get("href") if tag == "link" else None)
            if address:
                found = client.get(address)
                assert found.status_code == 200, address
                if "?v=" in address:
                    assert "immutable" in found.headers["cache-control"]
    assert client.get("/favicon.ico").status_code == 200
    assert client.get("/static/../api/app.py").status_code == 404
    assert client.get("/static/%2e%2e/pages.py").status_code == 404


def test_the_home_page_says_what_this_is_and_verifies_without_javascript(pages):
    page = Page(pages["home"].text)
    assert "numérique" in pages["home"].text
    (form,) = [form for form in page.all("form") if form["action"] == "/verifier"]
    assert (form["method"], form["enctype"]) == ("post", "multipart/form-data")
    assert [field for field in page.all("input") if field.get("type") == "file"]


def test_verdicts_in_words(pages):
    assert "Authentique" in pages["verdict"].text
    assert "Mairie de Valombre" in pages["verdict"].text
    assert "probans verify" in pages["verdict"].text
    assert "Ce que ce service en sait" in pages["pdf"].text
    assert "Non authentique" in pages["failed"].text
    assert "FORMAT_FAILURE" in pages["failed"].text or "HASH_FAILURE" in pages["failed"].text
    assert "Aucune preuve" in pages["nothing"].text
    assert "ne veut pas dire que le fichier est faux" in pages["nothing"].text


@pytest.mark.parametrize(
    ("name", "french", "english"),
    [
        ("dss-pdf-signed-added-page.pdf", "Modifié après la signature", "Changed after it was signed"),
        ("dss-hide.pdf", "Signature non valable", "Signature not valid"),
        ("dss-pades-bes.pdf", "Émetteur inconnu ici", "Issuer not known here"),
        ("dss-pades-lta-copied-doctst.pdf", "Preuve de date non valable", "Proof of time not valid"),
        ("pdfinsec-usf_05_No_Contents.pdf", "Signature non valable", "Signature not valid"),
    ],
)
def test_signatures_of_others_in_words(browser, name, french, english):
    content = (DATA / name).read_bytes()
    text = verify(browser, content, name).text
    assert f'<h1 id="verdict-word">{french}</h1>' in text
    assert "Authentique<" not in text
    browser.get("/?lang=en")
    assert f'<h1 id="verdict-word">{english}</h1>' in verify(browser, content, name).text


def test_changes_after_a_signature_are_listed(browser):
    content = (DATA / "pyhanko-form-update-override-appearance-stream.pdf").read_bytes()
    html = verify(browser, content).text
    assert "autre signature : Sig2, page 1" in html
    assert "further signature" not in html
    assert "Certificat jugé à la date du" in html


def test_every_case_has_its_word():
    assert {f"case_{case}" for case in SENTENCES} <= set(WORDS)


def test_a_file_that_ends_its_judge_gets_a_page(browser, safe, monkeypatch):
    class Pool:
        def start(self):
            pass

        def judge(self, path, *, originals=()):
            return stopped(Stop.CRASH)

    monkeypatch.setattr(safe.verifying, "_pool", Pool())
    answer = verify(browser, b"%PDF-1.7")
    assert answer.status_code == 200
    assert "Sans conclusion" in answer.text
    assert "VERIFIER_CRASHED" in answer.text


def test_a_refused_upload_is_told_beside_the_field(pages):
    answer = pages["empty"]
    assert answer.status_code == 422
    page = Page(answer.text)
    assert [attrs for tag, attrs in page.tags if attrs.get("role") == "alert"]
    (field,) = [field for field in page.all("input") if field.get("type") == "file"]
    assert field["aria-invalid"] == "true"
    assert "file-error" in field["aria-describedby"]


def test_forms_of_other_sites_are_refused(app, browser):
    home = browser.get("/")
    for given in ("", "x", "é" * 43, token(home.text)[:-1] + "-"):
        answer = browser.post("/connexion/developpement", data={"form_token": given})
        assert answer.status_code == 403
        assert "formulaire" in answer.text
    stranger = TestClient(app, base_url="http://127.0.0.1")
    refused = stranger.post("/connexion/developpement", data={"form_token": token(home.text)})
    assert refused.json()["code"] == "FORM_EXPIRED"
    form = {"form_token": token(home.text)}
    crossed = browser.post("/connexion/developpement", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    assert verify(browser, b"x", form_token="wrong").status_code == 403
    cookies = home.headers.get_list("set-cookie")
    assert cookies
    assert all("HttpOnly" in cookie and "SameSite=strict" in cookie for cookie in cookies)


def test_a_holder_downloads_the_own_documents_only(browser, client, issue, bearer):
    mine, other = issue("page-mine").json(), issue("page-other", holder="dominique").json()
    asked = browser.get(f"/documents/{mine['id']}/original")
    assert "connexion" in str(asked.url)
    become(browser, "camille")
    original = browser.get(f"/documents/{mine['id']}/original")
    assert original.content == client.get(mine["links"]["original"], headers=bearer("camille")).content
    assert original.headers["content-disposition"].startswith("attachment")
    assert browser.get(f"/documents/{mine['id']}/dossier").content[:2] == b"PK"
    assert browser.get(f"/documents/{mine['id']}/recepisse").text.startswith("c2sp.org/tlog-proof@v1")
    assert browser.get(f"/documents/{other['id']}/original").status_code == 404


def test_names_that_deceive_are_not_shown(browser):
    for name in ("a\u202efdp.exe", "<script>alert(1)</script>", "../../etc/passwd"):
        html = verify(browser, b"x", name).text
        assert "\u202e" not in html
        assert "<script>alert" not in html


def test_the_language_stays_chosen(browser):
    assert "Verify a file" in browser.get("/?lang=en").text
    assert "Verify a file" in browser.get("/").text
    assert "Vérifier un fichier" in browser.get("/?lang=fr").text
    assert browser.get("/?lang=../../x").status_code == 200


def test_trust_files_are_those_of_the_command_line(client, safe):
    assert client.get("/confiance/roots.pem").content == safe.trust.roots_pem
    assert client.get("/confiance/ledger.vkeys").text == "".join(f"{key}\n" for key in safe.trust.vkeys)
    assert client.get("/confiance/ledger.policy").text == safe.trust.policy
    assert client.get("/confiance/index.key").status_code == 404


def test_errors_for_programs_stay_problems(client):
    answer = client.get("/v1/rien", headers={"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/problem+json"


def test_older_documents_are_one_link_away(browser, deposit):
    for number in range(25):
        deposit(f"older-{number}", f"<n>{number}</n>".encode())
    text = become(browser, "camille").text
    (link,) = re.findall(r'href="(/espace\?cursor=\d+)"', text)
    assert browser.get(link).status_code == 200
    assert browser.get("/espace?cursor=x").status_code == 422


def test_words_are_there_in_both_languages_with_the_same_blanks():
    for french, english in [*WORDS.values(), *(words for _, _, words in CHECK_GROUPS)]:
        assert french
        assert english
        assert sorted(re.findall(r"{\w+}", french)) == sorted(re.findall(r"{\w+}", english))


def test_a_statement_is_not_made_on_secondary_checks_alone():
    reached = group([Check("entry[1]", Outcome.PASSED), Check("entry[1].document", Outcome.PASSED)], "fr")
    assert [each.outcome for each in reached] == ["PASSED"]
    not_reached = group([Check("entry[1]", Outcome.PASSED)], "fr")
    assert [each.outcome for each in not_reached] == ["UNCHECKED"]
    (odd,) = group([Check("something.new", Outcome.FAILED)], "en")
    assert (odd.words, odd.outcome) == ("Other checks", "FAILED")
    mixed = group([Check("container", Outcome.PASSED), Check("members", Outcome.FAILED)], "en")
    assert [each.outcome for each in mixed] == ["FAILED"]


def test_a_revoked_act_is_authentic_and_not_in_force():
    verdict = Verdict(Outcome.PASSED, status=StatusFinding("revoked", 9, None, "bundle"))
    arranged = arrange(verdict, "fr")
    assert not arranged.in_force
    assert "révoqué" in arranged.status


def test_times_for_people():
    assert (
        human_times("le 2026-02-01T05:06:07.000Z.", "fr") == "le 1er\u00a0février 2026 à 05:06:07\u00a0UTC."
    )
    assert human_times("2026-02-22T05:06:07Z", "en") == "22\u00a0February 2026 at 05:06:07\u00a0UTC"
    assert human_times("2026-99-01T05:06:07Z", "en") == "2026-99-01T05:06:07Z"


def test_the_framework_reports_to_nobody(safe, monkeypatch):
    from api.app import create_app

    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    assert create_app(safe)._native_telemetry.enabled() is False
