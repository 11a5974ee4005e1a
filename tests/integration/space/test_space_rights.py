"""One's rights on pages: everything about me, what is wrong, contacts, closing the safe; and where cases are."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import timedelta

import pytest

from vault.matters.cases import CaseStep, NewCase, Words


@pytest.fixture
def claire(new_browser):
    """Somebody whose safe the other tests do not need."""
    return new_browser().become("dominique")


def test_everything_is_asked_for_and_taken(world, camille, dominique, new_browser):
    document = world.issue(title="À emporter")
    page = camille.page("/espace/export")
    sent = camille.fill(page, "/espace/export")
    shown = camille.follow(sent)
    place = sent.headers["location"].partition("?")[0]
    assert shown.all("a", href=f"{place}/archive")
    taken = camille.get(f"{place}/archive")
    assert taken.headers["content-type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(taken.content)).namelist()
    assert any(document in name for name in names)
    assert "Remise" in camille.page(place).text
    assert camille.page(place).all("progress")
    assert dominique.get(place).status_code == 404
    assert dominique.get(f"{place}/archive").status_code == 404
    weak = new_browser().become("camille", "low")
    for answer in (weak.get("/espace/export"), weak.send("/espace/export")):
        assert answer.headers["location"].startswith("/acces/renforcer?niveau=substantial&minutes=15")


def test_what_is_wrong_is_said_answered_and_stands_beside_the_document(world, camille, dominique, trouble):
    document = world.issue()
    place = f"/espace/documents/{document}/remarque"
    form = camille.page(place)
    trouble(camille.fill(form, place, words=""), "words")
    listed = camille.follow(camille.fill(form, place, words="Le prénom\r\nest faux."))
    assert "Le prénom est faux." in listed.text
    assert "Le prénom est faux." in camille.page(f"/espace/documents/{document}").text
    assert dominique.get(place).status_code == 404
    assert dominique.send(place, words="x").status_code == 404
    assert "Le prénom" not in dominique.page("/espace/remarques").text
    (note,) = world.vault.people.rights.notes.beside(document)
    assert dominique.send(f"/espace/remarques/{note.id}/retrait").status_code == 404
    world.vault.people.rights.notes.answer(
        world.actor("agent-etat-civil"), note.id, "kept", "L’acte est exact.", world.key()
    )
    assert "L’acte est exact." in camille.page("/espace/remarques").text
    other = world.issue()
    world.vault.people.rights.notes.add(world.actor("camille"), other, "Faux", world.key())
    (second,) = world.vault.people.rights.notes.beside(other)
    done = camille.follow(camille.send(f"/espace/remarques/{second.id}/retrait"))
    assert "Retiré" in done.text


def test_labels_are_kept_searched_and_nobody_else_s(world, camille, dominique, trouble, looked):
    document = world.issue(title="Très long acte à retrouver")
    place = f"/espace/documents/{document}/etiquettes"
    page = camille.page(f"/espace/documents/{document}")
    done = camille.follow(camille.fill(page, place, labels=" Logement , À garder,, "))
    assert done.all("input", name="labels", value="À garder, Logement")
    trouble(camille.fill(page, place, labels="x" * 65), "labels")
    assert dominique.send(place, labels="à moi").status_code == 404
    for asked in ({"label": "logement"}, {"q": "tres RETROUVER"}, {"q": "retrouver", "status": "valid"}):
        found = camille.send("/espace/recherche", **asked)
        assert document in looked(found).text, asked
    assert document not in camille.send("/espace/recherche", q="rien de tel").text
    assert document not in dominique.send("/espace/recherche", q="retrouver").text
    assert camille.get("/espace/recherche").headers["location"] == "/espace"
    wrong = trouble(camille.send("/espace/recherche", q="x" * 201), "q")
    assert wrong.all("input", name="q", value="x" * 201)
    assert camille.send("/espace/recherche", token="", q="acte").status_code == 403


def test_search_goes_on_where_it_stopped(world, dominique, looked):
    for number in range(22):
        world.issue("dominique", title=f"Relevé {number}")
    first = looked(dominique.send("/espace/recherche", q="releve"))
    more = [each for each in first.forms() if each["action"] == ["/espace/recherche"] and "cursor" in each]
    assert len(more) == 1
    fields = {name: values for name, values in more[0].items() if name != "action"}
    second = dominique.http.post("/espace/recherche", data=fields)
    assert "Relevé 0<" in looked(second).text
    assert "Relevé 21<" not in second.text


def test_contacts_are_added_confirmed_and_erased(world, camille, dominique, trouble):
    page = camille.page("/espace/contacts")
    for wrong in ("", "pas une adresse"):
        kept = trouble(
            camille.fill(page, "/espace/contacts", channel="mail", address=wrong),
            "address" if not wrong else "",
        )
        assert kept.all("input", name="address", value=wrong)
    trouble(camille.fill(page, "/espace/contacts", channel="pigeon", address="x"), "channel")
    added = camille.follow(
        camille.fill(page, "/espace/contacts", channel="mail", address="camille@example.org")
    )
    assert "camille@example.org" in added.text
    contact = re.search(r"/espace/contacts/(cnt_[0-9a-z]{26})/retrait", added.text)[1]
    place = f"/espace/contacts/{contact}"
    assert camille.fill(added, f"{place}/confirmation", code="0000000000").status_code in {400, 409, 422}
    camille.follow(camille.fill(added, f"{place}/code"))
    for form in ("retrait", "code", "confirmation"):
        assert dominique.send(f"{place}/{form}", code="x").status_code == 404
    with world.vault.parts.database.reading() as connection:
        code = world.vault.notifying.contacts._rows.code_to_send(connection, contact)
    confirmed = camille.follow(
        camille.fill(added, f"{place}/confirmation", code=f" {code.upper()[:5]}-{code[5:]}")
    )
    assert "Confirmée" in confirmed.text
    gone = camille.follow(camille.fill(confirmed, f"{place}/retrait"))
    assert "camille@example.org" not in gone.text


def test_choices_are_kept(world, camille, trouble):
    page = camille.page("/espace/contacts")
    names = [attrs["name"] for attrs in page.all("select") if attrs["name"].endswith("-when")]
    chosen = dict.fromkeys(names, "daily")
    kept = camille.follow(
        camille.fill(page, "/espace/contacts/choix", language="en", **chosen, **{"document-channels": "mail"})
    )
    assert kept.text.count('value="daily" selected') == len(names)
    choices = world.vault.notifying.contacts.choices(world.actor("camille"), world.actor("camille").safe_id)
    assert choices.language == "en"
    assert camille.fill(page, "/espace/contacts/choix", language="de", **chosen).status_code == 422
    assert (
        camille.fill(page, "/espace/contacts/choix", language="fr", **{**chosen, names[0]: "x"}).status_code
        == 422
    )


def test_a_safe_is_closed_in_steps_that_can_be_taken_back(world, claire, camille, trouble, new_browser):
    page = claire.page("/espace/cloture")
    trouble(claire.fill(page, "/espace/cloture"), "understood")
    asked = claire.follow(claire.fill(page, "/espace/cloture", understood="yes"))
    closure = re.search(r"/espace/cloture/(cls_[0-9a-z]{26})/confirmation", asked.text)[1]
    for form in ("confirmation", "annulation"):
        assert camille.send(f"/espace/cloture/{closure}/{form}").status_code == 404
    weak = new_browser().become("dominique", "low")
    sent = weak.send(f"/espace/cloture/{closure}/confirmation")
    assert sent.headers["location"].startswith("/acces/renforcer")
    noticed = claire.follow(claire.fill(asked, f"/espace/cloture/{closure}/confirmation"))
    assert "le délai court" in noticed.text
    assert "le délai court" in claire.page("/espace/droits").text
    again = claire.send("/espace/cloture", understood="yes")
    assert again.status_code == 409
    done = claire.follow(claire.fill(noticed, f"/espace/cloture/{closure}/annulation", reason="Je reste."))
    assert "annulée" in done.text
    assert "le délai court" not in claire.page("/espace/droits").text


def test_a_case_says_where_it_is_who_holds_it_and_what_comes_next(world, camille, dominique):
    now = world.vault.parts.clock.now()
    town = world.actor("agent-etat-civil")
    first = CaseStep(
        "depot", Words("Votre demande est reçue.", "Your request is received."), Words("Service des écoles", "Schools"),
        Words("Examen du dossier", "Review"), now + timedelta(days=30), now + timedelta(days=3),
        now + timedelta(days=9),
    )  # fmt: skip
    title = Words("Inscription à l’école")
    new = NewCase("camille", world.key(), "inscription", "etat-civil", title, first)
    cases = world.vault.people.cases
    case = cases.open(town, "mairie-specimen", new, world.key()).document_id
    cases.move(town, case, CaseStep("instruction", Words("Examen en cours.")), world.key())
    document = world.issue()
    cases.link(town, case, document, "produced", world.key())
    assert case in camille.page("/espace/demarches").text
    text = camille.page(f"/espace/demarches/{case}").text
    for said in (
        "Inscription à l’école", "Votre demande est reçue.", "Examen en cours.", "Service des écoles",
        "Examen du dossier", "Rendez-vous", "Mairie de Valombre", "étape en cours", "Délivré", document,
    ):  # fmt: skip
        assert said in text, said
    assert "Your request is received." in camille.page(f"/espace/demarches/{case}?lang=en").text
    assert dominique.get(f"/espace/demarches/{case}").status_code == 404
    cases.move(town, case, CaseStep("acceptee", Words("Acceptée.")), world.key(), event="case.closed")
    camille.get("/?lang=fr")
    assert "Terminée" in camille.page(f"/espace/demarches/{case}").text
