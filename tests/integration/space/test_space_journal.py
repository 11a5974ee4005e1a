"""The journal on pages: lines, filters, proofs, files, reports."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.integration.space.conftest import sound


@pytest.fixture
def read(world):
    """An act that an agent of another administration read, and one who was refused."""
    document = world.issue(title="Acte lu")
    world.consent(document)
    world.vault.reading.describe(world.actor("agent-paie"), document, "contrat-de-travail", "Contrôle")
    line = next(each for each in world.lines() if each.event == "document.read")
    return document, line.seq


def test_lines_say_when_who_why_and_whether_it_was_granted(world, camille, read):
    text = camille.page("/espace/journal").text
    for said in (
        "Manufacture de Valombre",
        "Contrôle",
        "Accordé",
        "Consentement donné",
        "Voir ce consentement",
    ):
        assert said in text, said
    assert "agent-paie" not in text
    assert "Granted" in camille.page("/espace/journal?lang=en").text


def test_filters_keep_to_what_is_asked_and_a_wrong_day_is_told(world, camille, dominique, trouble, read):
    document, seq = read
    other = world.issue("dominique")
    dominique.page(f"/espace/documents/{other}")
    assert f'id="ligne-{seq}"' in camille.page(f"/espace/journal?document={document}").text
    assert "ligne-" not in camille.page(f"/espace/journal?document={other}").text
    assert "ligne-" not in camille.page("/espace/journal?document=../../x").text
    assert f'id="ligne-{seq}"' not in camille.page("/espace/journal?acces=refuses").text
    assert "ligne-" not in camille.page("/espace/journal?au=2001-01-01").text
    assert f'id="ligne-{seq}"' in camille.page("/espace/journal?du=2001-01-01&acces=accordes").text
    page = trouble(camille.get("/espace/journal?du=31/12/2026"), "du")
    assert page.all("input", name="du", value="31/12/2026")
    for number in range(30):  # more lines than a page holds, whatever other tests left
        world.vault.reading.describe(world.actor("camille"), document, f"lecture-{number}")
    older = camille.page("/espace/journal?du=2001-01-01").all("a")
    (link,) = [a["href"] for a in older if "cursor=" in (a["href"] or "")]
    assert link.startswith("/espace/journal?du=2001-01-01&cursor=")
    camille.page(link)


def test_a_proof_is_for_the_holder_alone(camille, dominique, read):
    _, seq = read
    proof = camille.get(f"/espace/journal/{seq}/preuve")
    assert proof.headers["content-disposition"].startswith("attachment")
    assert json.loads(proof.content)["format"] == "probans/journal-line/v1"
    for wrong in (f"/espace/journal/{seq}/preuve", f"/espace/journal/{seq}/signaler"):
        assert dominique.get(wrong).status_code == 404
    for wrong in ("x", "-1", "9" * 30, "1e3", "٣"):
        assert camille.get(f"/espace/journal/{wrong}/preuve").status_code == 404


@pytest.mark.parametrize("form", ["csv", "json", "pdf"])
def test_the_journal_leaves_as_a_file_with_a_fresh_proof(camille, new_browser, read, form):
    file = camille.get(f"/espace/journal/fichier/{form}")
    assert file.status_code == 200
    if form == "csv":
        assert len(list(csv.reader(io.StringIO(file.text)))) > 3
    weak = new_browser().become("camille", "low")
    assert weak.get(f"/espace/journal/fichier/{form}").headers["location"].startswith("/acces/renforcer")
    assert camille.get("/espace/journal/fichier/exe").status_code == 422


def test_a_line_is_reported_answered_and_closed(world, camille, dominique, trouble, read):
    _, seq = read
    place = f"/espace/journal/{seq}/signaler"
    form = camille.page(place)
    assert "Manufacture de Valombre" in form.text
    trouble(camille.fill(form, place, words=" "), "words")
    kept = trouble(camille.fill(form, place, words="x" * 2001), "words")
    assert "x" * 2001 in kept.text
    sent = camille.fill(form, place, words="Je n’ai rien demandé\r\nà ce service.")
    page = camille.follow(sent)
    assert "Je n’ai rien demandé à ce service." in page.text
    report = sent.headers["location"].partition("?")[0].rpartition("/")[2]
    assert report in camille.page("/espace/signalements").text
    assert camille.send(place, words="Encore").status_code == 409
    assert dominique.get(f"/espace/signalements/{report}").status_code == 404
    assert dominique.send(f"/espace/signalements/{report}", verdict="enough").status_code == 404
    officer = world.actor("delegue")
    world.vault.people.journal.reports.answer(officer, report, "C’était une erreur.", world.key())
    page = camille.page(f"/espace/signalements/{report}")
    assert "C’était une erreur." in page.text
    trouble(camille.fill(page, f"/espace/signalements/{report}", verdict="more", words=""), "words")
    camille.follow(camille.fill(page, f"/espace/signalements/{report}", verdict="more", words="Qui ?"))
    world.vault.people.journal.reports.answer(officer, report, "Un agent.", world.key())
    page = camille.page(f"/espace/signalements/{report}")
    done = camille.follow(camille.fill(page, f"/espace/signalements/{report}", verdict="enough", words=""))
    assert "Clos" in done.text
    assert not done.all("textarea")


def test_without_its_token_no_form_does_anything(world, camille, read):
    _, seq = read
    for token in ("", "x" * 43):
        sent = camille.send(f"/espace/journal/{seq}/signaler", token=token, words="Pourquoi ?")
        assert sent.status_code == 403
        sound(sent)
    assert not [
        each for each in world.lines() if each.event == "report.opened" and each.details.get("entry") == seq
    ]
