"""Agents' pages: nothing of a document before its purpose; and who finds which pages."""

from __future__ import annotations

import pytest

from vault.ids import new_id

HOLDERS_ALONE = (
    "/espace", "/espace/depot", "/espace/demandes", "/espace/consentements", "/espace/demarches", "/espace/journal",
    "/espace/signalements", "/espace/mandats", "/espace/mandats/nouveau", "/espace/partages",
    "/espace/partages/nouveau", "/espace/droits", "/espace/export", "/espace/cloture", "/espace/remarques",
    "/espace/contacts",
)  # fmt: skip


def test_pages_are_for_their_roles_and_look_missing_to_others(new_browser, world):
    for persona in ("agent-paie", "auditeur", "exploitant", "delegue"):
        other = new_browser().become(persona)
        for path in HOLDERS_ALONE:
            answer = other.get(path)
            assert answer.status_code == 404, (persona, path)
            assert "Rien ne se trouve" in answer.text
        if persona != "agent-paie":
            assert other.get("/agent").status_code == 404
            assert other.get(f"/agent/documents/{world.issue()}").status_code == 404
    holder = new_browser().become("camille")
    assert holder.get("/agent").status_code == 404
    for path in HOLDERS_ALONE:
        holder.page(path)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_every_page_is_sound_in_both_languages(camille, lang):
    for path in HOLDERS_ALONE:
        page = camille.page(f"{path}?lang={lang}")
        (root,) = page.all("html")
        assert root["lang"] == lang
        (link,) = page.all("a", hreflang="en" if lang == "fr" else "fr")
        assert link["href"] == f"{path}?lang={'en' if lang == 'fr' else 'fr'}"


def test_nothing_of_a_document_is_shown_before_its_purpose(world, agent, trouble):
    document = world.issue(title="Acte confié")
    world.consent(document)
    listed = agent.page("/agent")
    assert listed.all("a", href=f"/agent/documents/{document}")
    assert "Acte confié" not in listed.text
    lines = len(world.lines())
    form = agent.page(f"/agent/documents/{document}")
    assert "Acte confié" not in form.text
    assert "Établir un contrat de travail" in form.text
    assert len(world.lines()) == lines
    place = f"/agent/documents/{document}"
    for purpose in ("", "Pas un code", "curiosite"):
        again = trouble(agent.fill(form, place, purpose=purpose, words="Contrôle"), "purpose")
        assert "Acte confié" not in again.text
        assert ">Contrôle</textarea>" in again.text
    assert trouble(agent.fill(form, place, purpose="controle", words="x"), "purpose")
    assert trouble(agent.fill(form, place, purpose="contrat-de-travail", words="x" * 301), "words")
    opened = agent.fill(form, place, purpose="contrat-de-travail", words="Avant signature")
    assert "Acte confié" in opened.text
    assert "Avant signature" in "".join(line.words for line in world.lines())
    original = agent.send(f"{place}/original", purpose="contrat-de-travail")
    assert original.content[:5] == b"%PDF-"
    assert original.headers["content-disposition"].startswith("attachment")
    assert agent.send(f"{place}/dossier", purpose="contrat-de-travail").content[:2] == b"PK"
    assert agent.send(f"{place}/original", purpose="").status_code == 422


def test_what_was_not_given_looks_like_what_is_not_there(world, agent, new_browser):
    mine, absent = world.issue(), new_id("doc")
    for place in ("", "/original", "/dossier"):
        answers = [
            agent.send(f"/agent/documents/{each}{place}", purpose="contrat-de-travail")
            for each in (mine, absent)
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert mine not in answers[0].text
    given = world.issue()
    world.consent(given)
    elsewhere = new_browser().become("agent-etat-civil")
    assert given not in elsewhere.page("/agent").text
    assert agent.get("/agent/documents/doc_x").status_code == 404


def test_an_agent_s_forms_need_their_token(world, agent):
    document = world.issue()
    world.consent(document)
    for place in ("", "/original", "/dossier"):
        sent = agent.send(f"/agent/documents/{document}{place}", token="x", purpose="contrat-de-travail")
        assert sent.status_code == 403
