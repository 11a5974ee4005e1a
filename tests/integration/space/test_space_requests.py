"""Requests answered on pages, consents withdrawn: what the forms do is what REST does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.space.conftest import sound
from vault.domain.actors import Assurance


def test_a_request_says_who_why_until_when_and_the_other_way(world, camille):
    request = world.request(words="Pour votre dossier n° 7.")
    assert request in camille.page("/espace/demandes").text
    text = camille.page(f"/espace/demandes/{request}").text
    for said in (
        "Manufacture de Valombre", "Pour votre dossier n° 7.", "Code du travail, article 12", "Acte de naissance",
        "30 jours", "Au guichet, 3 rue de la Gare.", "Attend votre réponse", "lire le document",
    ):  # fmt: skip
        assert said in text, said
    english = camille.page(f"/espace/demandes/{request}?lang=en").text
    assert "At the counter." in english
    assert "Waits for your answer" in english
    camille.get("/?lang=fr")


def test_a_document_is_chosen_checked_and_given_then_taken_back(world, camille, agent):
    document, request = world.issue(title="Acte à donner"), world.request()
    place = f"/espace/demandes/{request}/reponse"
    form = camille.page(place)
    assert form.all("input", value=document)
    checked = camille.fill(form, place, documents=document, step="check")
    assert checked.status_code == 200
    assert "Acte à donner" in checked.text
    assert world.vault.people.tell_once.requests.see(world.actor("camille"), request).state == "open"
    check = sound(checked)
    changed = camille.fill(check, place, step="change")
    sound(changed)
    assert f'value="{document}" checked' in changed.text
    done = camille.follow(camille.fill(check, place, step="confirm"))
    assert "Acceptée" in done.text
    (consent,) = world.vault.people.tell_once.requests.see(world.actor("camille"), request).consents
    # The same form sent twice gives the same consent.
    again = camille.fill(check, place, step="confirm")
    assert again.status_code in {303, 409}
    (still,) = world.vault.people.tell_once.requests.see(world.actor("camille"), request).consents
    assert still.id == consent.id
    # The agent reads, for a purpose, and the holder sees the line.
    opened = agent.send(f"/agent/documents/{document}", purpose="contrat-de-travail", words="Vérification")
    assert "Acte à donner" in opened.text
    lines = camille.page(f"/espace/journal?document={document}").text
    assert "Manufacture de Valombre" in lines
    assert "Vérification" in lines
    # It is withdrawn, and opens nothing.
    page = camille.page(f"/espace/consentements/{consent.id}")
    assert camille.get(f"/espace/consentements/{consent.id}/piece").content[:2] == b"PK"
    gone = camille.follow(camille.fill(page, f"/espace/consentements/{consent.id}/retrait", reason="Assez."))
    assert "Retiré" in gone.text
    assert camille.get(f"/espace/consentements/{consent.id}/retrait").content[:2] == b"PK"
    refused = agent.send(f"/agent/documents/{document}", purpose="contrat-de-travail")
    assert refused.status_code == 404
    assert "Refusé" in camille.page(f"/espace/journal?document={document}&acces=refuses").text


def test_nothing_chosen_or_a_wrong_day_is_told_and_keeps_what_was_written(world, camille, trouble):
    document, request = world.issue(), world.request()
    place = f"/espace/demandes/{request}/reponse"
    form = camille.page(place)
    page = trouble(camille.fill(form, place, step="check", ends_at="2030-01-01"), "documents")
    assert page.all("input", name="ends_at", value="2030-01-01")
    for day in ("2030-01-01", "2001-01-01", "demain", "0001-01-01", "9999-12-31"):
        page = trouble(camille.fill(form, place, documents=document, step="check", ends_at=day), "ends_at")
        assert f'value="{document}" checked' in page.text
    soon = (world.vault.parts.clock.now() + timedelta(days=3)).date().isoformat()
    assert camille.fill(form, place, documents=document, step="check", ends_at=soon).status_code == 200


def test_another_s_document_or_request_is_not_given(world, camille):
    request, foreign = world.request(), world.request("dominique")
    other = world.issue("dominique")
    place = f"/espace/demandes/{request}/reponse"
    for step in ("check", "confirm"):
        sent = camille.send(place, step=step, documents=other)
        assert sent.status_code in {404, 422}
        assert sent.text.count(other) <= 1
        assert (
            camille.send(f"/espace/demandes/{foreign}/reponse", step=step, documents=other).status_code == 404
        )
    for page in ("", "/reponse", "/refus"):
        assert camille.get(f"/espace/demandes/{foreign}{page}").status_code == 404
    assert camille.send(f"/espace/demandes/{foreign}/refus").status_code == 404
    assert world.vault.people.tell_once.requests.see(world.actor("camille"), request).state == "open"


def test_declining_is_always_possible_and_names_the_other_way(world, new_browser):
    request = world.request(assurance=Assurance.HIGH)
    weak = new_browser().become("camille", "low")
    asked = weak.get(f"/espace/demandes/{request}/reponse")
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/acces/renforcer?niveau=")
    assert "retour=%2Fespace%2Fdemandes" in asked.headers["location"]
    page = weak.page(f"/espace/demandes/{request}/refus")
    assert "3 rue de la Gare" in page.text
    done = weak.follow(
        weak.fill(page, f"/espace/demandes/{request}/refus", reason="Je préfère\r\nle guichet.")
    )
    assert "Je préfère le guichet." in done.text


def test_who_must_prove_more_comes_back_to_the_form(world, new_browser):
    document, request = world.issue(), world.request()
    weak = new_browser().become("camille", "low")
    sent = weak.send(f"/espace/demandes/{request}/reponse", step="confirm", documents=document)
    assert sent.status_code == 303
    assert f"retour=%2Fespace%2Fdemandes%2F{request}%2Freponse" in sent.headers["location"]
    assert world.vault.people.tell_once.requests.see(world.actor("camille"), request).state == "open"


def test_an_attribute_is_attested_without_the_act(world, camille):
    act = world.issue(attributes={"of-age": "yes"})
    request = world.request(attribute="of-age")
    place = f"/espace/demandes/{request}/reponse"
    form = camille.page(place)
    assert form.all("input", type="radio", value=act)
    check = sound(camille.fill(form, place, documents=act, step="check"))
    assert "pas l’acte" in form.text
    done = camille.follow(camille.fill(check, place, step="confirm"))
    (statement,) = world.vault.people.tell_once.requests.see(world.actor("camille"), request).statements
    assert statement.id in done.text
    shown = camille.page(f"/espace/attestations/{statement.id}").text
    assert "oui" in shown
    assert camille.get(f"/espace/attestations/{statement.id}/piece").content[:2] == b"PK"


def test_an_upload_answers_a_request_under_its_type(world, camille):
    request = world.request(document_types=("diplome",))
    answer = camille.page(f"/espace/demandes/{request}/reponse")
    assert answer.all("a", href=f"/espace/depot?demande={request}")
    page = camille.page(f"/espace/depot?demande={request}")
    assert page.all("option", value="diplome")
    fields = {name: values[0] for name, values in page.forms()[0].items() if name != "action"}
    fields |= {"title": "Licence", "document_type": "diplome"}
    sent = camille.http.post("/espace/depot", data=fields, files={"file": ("licence.txt", b"diplome")})
    assert sent.headers["location"] == f"/espace/demandes/{request}/reponse?fait=depose"
    assert "Licence" in camille.page(sent.headers["location"]).text
    foreign = world.request("dominique")
    assert camille.get(f"/espace/depot?demande={foreign}").status_code == 404


@pytest.mark.parametrize("state", ["declined", "cancelled"])
def test_an_answered_request_offers_no_form(world, camille, state):
    request = world.request()
    if state == "declined":
        camille.send(f"/espace/demandes/{request}/refus")
    else:
        world.vault.people.tell_once.requests.cancel(world.actor("agent-paie"), request, world.key())
    page = camille.page(f"/espace/demandes/{request}/reponse")
    assert not page.all("input", name="documents")
    late = camille.send(f"/espace/demandes/{request}/reponse", step="confirm", documents=world.issue())
    assert late.status_code == 409
    assert "n’attend plus de réponse" in late.text
