"""The list of documents, one document, bringing a file: for the own safe, and for nobody else's."""

from __future__ import annotations

import re

import pytest

from api.web.space_documents import type_code


def test_the_space_shows_ones_own_documents_and_nobody_else_s(world, camille):
    mine, other = world.issue(title='<img src=x onerror="alert(1)">'), world.issue("dominique")
    text = camille.page("/espace").text
    assert mine in text
    assert other not in text
    assert "&lt;img src=x" in text
    assert "<img src=x" not in text
    assert "En vigueur" in text
    assert "Mairie de Valombre" in text
    english = camille.page("/espace?lang=en").text
    assert "In force" in english


def test_who_is_not_logged_in_is_led_to_the_login_and_back(new_browser, world):
    document = world.issue()
    for path in ("/espace", f"/espace/documents/{document}", "/espace/journal", "/espace/droits"):
        answer = new_browser().get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/connexion?retour={path.replace('/', '%2F')}"


def test_a_document_says_what_it_is_and_who_looked(world, camille, agent):
    document = world.issue(title="Acte intégral")
    assert world.vault.reading.describe(world.actor("agent-etat-civil"), document, "instruction-dossier")
    text = camille.page(f"/espace/documents/{document}").text
    assert "acte délivré par Mairie de Valombre (spécimen), reçu le" in text
    assert "Cet original numérique est en vigueur." in text
    assert "Mairie de Valombre (spécimen), " in text
    assert "instruction" in text.lower()
    for part in ("original", "dossier", "recepisse"):
        taken = camille.get(f"/documents/{document}/{part}")
        assert taken.status_code == 200
        assert taken.headers["content-disposition"].startswith("attachment")


def test_a_revoked_act_is_not_offered_for_sharing(world, camille):
    from vault.domain.transfer import Transfer

    document = world.issue()
    world.vault.lifecycle.revoke(world.actor("agent-etat-civil"), document, "error", Transfer(world.key()))
    text = camille.page(f"/espace/documents/{document}").text
    assert "Révoqué" in text
    assert "n’est plus en vigueur" in text
    assert "/espace/partages/nouveau?document" not in text


def test_another_s_document_looks_like_none(world, camille, looked):
    other = world.issue("dominique")
    answers = [
        camille.get(f"/espace/documents/{each}") for each in (other, "doc_" + "0" * 26, "doc_x", "csn_1")
    ]
    assert {each.status_code for each in answers} == {404}
    bodies = {re.sub(r"<code>[0-9a-f]{16}</code>", "", looked(each).text) for each in answers}
    bodies = {re.sub(r'value="[^"]+"', "", each) for each in bodies}
    assert len(bodies) == 1
    assert "dominique" not in bodies.pop()


def test_a_file_is_brought_kept_and_found(world, camille):
    page = camille.page("/espace/depot")
    (form,) = [each for each in page.forms() if each["action"] == ["/espace/depot"]]
    fields = {name: values[0] for name, values in form.items() if name != "action"}
    fields |= {"title": "Quittance  de\nloyer", "document_type": "Quittance de loyer"}
    sent = camille.http.post("/espace/depot", data=fields, files={"file": ("loyer.txt", b"payer")})
    shown = camille.follow(sent)
    assert "Quittance de loyer" in shown.text
    place = sent.headers["location"].partition("?")[0]
    document = place.rpartition("/")[2]
    assert camille.get(f"/documents/{document}/original").content == b"payer"
    # Sent twice, it is one document.
    again = camille.http.post("/espace/depot", data=fields, files={"file": ("loyer.txt", b"payer")})
    assert again.headers["location"] == sent.headers["location"]


def send_file(browser, fields, name, content):
    """As browsers send it: a field of a file without name where none was chosen."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n')
    body = "".join(parts).encode() + content + b"\r\n--x--\r\n"
    return browser.http.post(
        "/espace/depot", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )


@pytest.mark.parametrize(
    ("title", "file", "field"),
    [
        ("x", ("", b""), "file"),
        ("x", ("vide.txt", b""), "file"),
        ("x" * 301, ("a.txt", b"a"), "title"),
        ("\u202egros", ("a.txt", b"a"), "title"),
        ("x", ("a\u202e.txt", b"a"), "file"),
    ],
)
def test_a_refused_file_keeps_what_was_written(camille, trouble, title, file, field):
    fields = {name: values[0] for name, values in camille.page("/espace/depot").forms()[0].items()}
    del fields["action"]
    fields |= {"title": title, "document_type": "Quittance"}
    sent = send_file(camille, fields, *file)
    page = trouble(sent, field)
    assert page.all("input", name="document_type", value="Quittance")
    assert page.all("input", name="title", value=title)


def test_a_form_without_its_token_brings_nothing(camille, dominique, world):
    sent = camille.http.post("/espace/depot", data={"title": "x"}, files={"file": ("a.txt", b"a")})
    assert sent.status_code == 403
    foreign = dominique.page("/espace/depot").forms()[0]["form_token"][0]
    sent = camille.http.post("/espace/depot", data={"form_token": foreign}, files={"file": ("a.txt", b"a")})
    assert sent.status_code == 403


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Justificatif de domicile", "justificatif-de-domicile"),
        ("  Diplôme — Bac+5 ", "diplome-bac-5"),
        ("", ""),
        ("日本", ""),
        ("x" * 200, "x" * 64),
    ],
)
def test_types_in_words_have_codes(words, code):
    assert type_code(words) == code
