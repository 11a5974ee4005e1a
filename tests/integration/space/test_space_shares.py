"""Share codes on pages: made once, shown once, withdrawn, and nobody else's."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.integration.space.conftest import sound

NEW = "/espace/partages/nouveau"


@pytest.fixture
def written(world):
    day = (world.vault.parts.clock.now() + timedelta(days=20)).date().isoformat()
    return {
        "documents": world.issue(title="Bail"), "recipient": "Agence du Port", "purpose": "housing", "words": "Studio",
        "ends_at": day, "views": "2", "form": "original",
    }  # fmt: skip


def made(browser, written):
    """Make a share; return the page that shows its secrets."""
    check = sound(browser.fill(browser.page(NEW), NEW, step="check", **written))
    return sound(browser.fill(check, NEW, step="confirm"))


def test_a_share_is_checked_made_shown_once_and_opens(world, camille, new_browser, written):
    form = camille.page(f"{NEW}?document={written['documents']}")
    assert f'value="{written["documents"]}" checked' in form.text
    check = sound(camille.fill(form, NEW, step="check", **written))
    for said in ("Bail", "Agence du Port", "Location d’un logement", "Studio", "L’original"):
        assert said in check.text, said
    page = sound(camille.fill(check, NEW, step="confirm"))
    code, secret = re.findall(r'<p class="secret"><code>([^<]+)</code>', page.text)
    (share,) = set(re.findall(r"/espace/partages/(shr_[0-9a-z]{26})", page.text))
    slip = camille.fill(page, f"/espace/partages/{share}/feuillet")
    assert slip.content.startswith(b"%PDF")
    opened = new_browser()
    opened.http.get("/partage")
    shown = opened.send("/partage", code=code, secret=secret)
    assert shown.status_code in {200, 303}, shown.text
    # Sent again, the form makes no second share and shows no secret.
    again = camille.fill(check, NEW, step="confirm")
    assert again.headers["location"] == f"/espace/partages/{share}?fait=partage-deja"
    seen = camille.page(again.headers["location"]).text
    assert code not in seen
    assert secret not in seen
    assert "1 sur 2" in seen
    assert share in camille.page("/espace/partages").text
    done = camille.follow(
        camille.fill(camille.page(f"/espace/partages/{share}"), f"/espace/partages/{share}/retrait")
    )
    assert "Retiré" in done.text
    assert camille.send(f"/espace/partages/{share}/retrait").status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("documents", ()),
        ("recipient", ""),
        ("recipient", "x" * 121),
        ("recipient", "a\u202eb"),
        ("purpose", "spying"),
        ("words", "x" * 301),
        ("ends_at", "2001-01-01"),
        ("ends_at", "2999-01-01"),
        ("views", "0"),
        ("views", "1000"),
        ("views", "-1"),
        ("views", "²"),
        ("form", "everything"),
    ],
)
def test_wrong_input_is_told_beside_its_field_and_the_rest_is_kept(camille, trouble, written, field, value):
    said = {name: one for name, one in {**written, field: value}.items() if one != ()}
    for step in ("check", "confirm"):
        page = trouble(camille.send(NEW, step=step, **said), field)
        if field != "documents":
            assert f'value="{written["documents"]}" checked' in page.text
        if field != "recipient":
            assert page.all("input", name="recipient", value="Agence du Port")


def test_a_bundle_goes_with_the_original_alone(camille, looked, written):
    sent = camille.send(NEW, step="check", **{**written, "form": "watermark", "evidence": "yes"})
    assert sent.status_code == 422
    assert looked(sent).all("input", name="recipient", value="Agence du Port")


def test_another_s_document_or_share_is_out_of_reach(world, camille, dominique, written):
    share = re.search(r"shr_[0-9a-z]{26}", made(camille, written).text)[0]
    for step in ("check", "confirm"):
        assert dominique.send(NEW, step=step, **written).status_code == 404
    assert dominique.get(f"/espace/partages/{share}").status_code == 404
    assert dominique.send(f"/espace/partages/{share}/retrait").status_code == 404
    assert dominique.send(f"/espace/partages/{share}/feuillet", code="x").status_code == 404
    assert share not in dominique.page("/espace/partages").text
    assert written["documents"] not in dominique.page(f"{NEW}?document={written['documents']}").text


def test_sharing_asks_for_a_sure_proof_and_withdrawing_does_not(camille, new_browser, written):
    share = re.search(r"shr_[0-9a-z]{26}", made(camille, written).text)[0]
    weak = new_browser().become("camille", "low")
    for answer in (weak.get(NEW), weak.send(NEW, step="confirm", **written)):
        assert answer.headers["location"].startswith("/acces/renforcer?niveau=substantial")
    assert weak.send(f"/espace/partages/{share}/retrait").status_code == 303


def test_a_form_of_another_site_shares_nothing(camille, written):
    token = re.search(r'name="form_token" value="([^"]+)"', camille.get(NEW).text)[1]
    form = {"form_token": token, "key": "other-site", "step": "confirm", **written}
    crossed = camille.http.post(NEW, data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    assert camille.http.post(NEW, data={**form, "form_token": token[:-1] + "-"}).status_code == 403
