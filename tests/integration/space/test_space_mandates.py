"""Mandates given, held, ended on pages; a session that acts for somebody else, and says so on every page."""

from __future__ import annotations

import re

import pytest

from tests.integration.space.conftest import sound

NEW = "/espace/mandats/nouveau"
GOOD = {
    "mandatary": "dominique", "scope": "read", "basis": "Procuration du 3 mars", "ends_at": "2027-03-03",
    "document_types": "Acte de naissance, Diplôme",
}  # fmt: skip


@pytest.fixture
def ends(world):
    from datetime import timedelta

    return (world.vault.parts.clock.now() + timedelta(days=30)).date().isoformat()


def test_a_mandate_is_checked_given_and_ended(world, camille, ends):
    form = camille.page(NEW)
    written = {**GOOD, "ends_at": ends}
    check = sound(camille.fill(form, NEW, step="check", **written))
    for said in (
        "dominique",
        "Consulter les documents",
        "Acte de naissance, Diplome",
        "Procuration du 3 mars",
    ):
        assert said in check.text, said
    changed = sound(camille.fill(check, NEW, step="change"))
    assert changed.all("input", name="mandatary", value="dominique")
    assert 'value="read" checked' in changed.text
    listed = camille.follow(camille.fill(check, NEW, step="confirm"))
    (mandate, *_) = re.findall(r"/espace/mandats/(mdt_[0-9a-z]{26})", listed.text)
    seen = world.vault.people.mandates.see(world.actor("camille"), mandate)
    assert seen.mandate.private["document_types"] == ["acte-de-naissance", "diplome"]
    page = camille.page(f"/espace/mandats/{mandate}")
    done = camille.follow(camille.fill(page, f"/espace/mandats/{mandate}/fin", reason=""))
    assert "Retiré" in done.text
    assert world.vault.people.mandates.see(world.actor("camille"), mandate).state == "revoked"
    late = camille.send(f"/espace/mandats/{mandate}/fin")
    assert late.status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mandatary", " "),
        ("mandatary", "camille"),
        ("mandatary", "a\u202eb"),
        ("basis", ""),
        ("basis", "x" * 501),
        ("ends_at", "2001-01-01"),
        ("ends_at", ""),
        ("ends_at", "2999-01-01"),
        ("starts_at", "1999-01-01"),
        ("starts_at", "hier"),
        ("scope", ()),
        ("scope", "everything"),
    ],
)
def test_wrong_input_is_told_beside_its_field_and_the_rest_is_kept(camille, trouble, ends, field, value):
    written = {**GOOD, "ends_at": ends, field: value}
    for step in ("check", "confirm"):
        sent = camille.send(NEW, step=step, **{name: one for name, one in written.items() if one != ()})
        page = trouble(sent, field)
        if field != "basis":
            assert ">Procuration du 3 mars</textarea>" in page.text
        if field != "mandatary":
            assert page.all("input", name="mandatary", value="dominique")


def test_one_acts_for_somebody_else_where_the_mandate_reaches_and_is_told_so(world, camille, dominique):
    act, own = world.issue(), world.issue("dominique")
    mandate = world.mandate("camille", "dominique", "read")
    page = dominique.page("/espace/mandats")
    before = dominique.http.cookies.get("probans_session")
    forms = [each for each in page.forms() if each["action"] == ["/acces/mandat"]]
    assert forms
    sent = dominique.fill(page, "/acces/mandat", mandat=mandate)
    assert sent.headers["location"] == "/espace"
    assert dominique.http.cookies.get("probans_session") != before
    space = dominique.page("/espace")
    assert "Vous agissez pour Camille Exemple." in space.text
    assert act in space.text
    assert own not in space.text
    links = {attrs.get("href") for attrs in space.all("a")}
    assert "/espace/journal" in links
    assert not {"/espace/partages", "/espace/demandes", "/espace/droits", "/espace/depot"} & links
    for refused in (
        "/espace/demandes",
        "/espace/partages",
        "/espace/droits",
        "/espace/depot",
        NEW,
        "/espace/contacts",
    ):
        assert dominique.get(refused).status_code == 404, refused
    assert dominique.get(f"/espace/documents/{own}").status_code == 404
    dominique.page(f"/espace/documents/{act}")
    assert mandate in camille.page(f"/espace/journal?document={act}").text
    # A form that was opened for oneself is not sent in the other's name.
    stale = dominique.fill(page, "/acces/mandat", mandat="")
    assert stale.status_code == 403
    back = dominique.fill(space, "/acces/mandat", mandat="")
    assert back.status_code == 303
    assert own in dominique.page("/espace").text


def test_a_mandate_that_ends_leads_back_and_shows_nothing(world, dominique):
    act = world.issue()
    mandate = world.mandate("camille", "dominique", "read", "share", "answer", "deposit")
    dominique.send("/acces/mandat", mandat=mandate, retour="/espace")
    dominique.page("/espace")
    world.vault.people.mandates.end(world.actor("camille"), mandate, "", world.key())
    for path in (
        "/espace",
        f"/espace/documents/{act}",
        "/espace/journal",
        "/espace/partages",
        "/espace/demandes",
    ):
        answer = dominique.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/espace/mandats?fait=mandat-fini")
    page = dominique.page("/espace/mandats?fait=mandat-fini")
    assert "ne compte plus" in page.text
    assert act not in page.text
    assert dominique.get(f"/documents/{act}/original").status_code == 404
    dominique.fill(page, "/acces/mandat", mandat="", retour="/espace")
    assert "Coffre-fort de Dominique" in dominique.page("/espace").text


def test_a_mandatary_renounces_and_nobody_ends_another_s(world, camille, dominique):
    mandate = world.mandate("camille", "dominique", "read")
    other = world.mandate("camille", "un-tiers", "read")
    assert dominique.get(f"/espace/mandats/{other}").status_code == 404
    assert dominique.send(f"/espace/mandats/{other}/fin").status_code == 404
    page = dominique.page(f"/espace/mandats/{mandate}")
    assert "Camille Exemple" in page.text
    dominique.follow(dominique.fill(page, f"/espace/mandats/{mandate}/fin"))
    assert world.vault.people.mandates.see(world.actor("camille"), mandate).state == "renounced"


def test_giving_asks_for_a_sure_proof_and_ending_does_not(world, new_browser):
    weak = new_browser().become("camille", "low")
    for answer in (weak.get(NEW), weak.send(NEW, step="confirm", **GOOD)):
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/acces/renforcer?niveau=substantial")
    mandate = world.mandate("camille", "dominique", "read")
    assert weak.send(f"/espace/mandats/{mandate}/fin").status_code == 303
