"""Acts typeset from data: same bytes for same input, templates confined, errors with their code."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pikepdf
import pytest
from PIL import Image

from vault.documents.specimens import specimen_photo, specimen_xml
from vault.documents.template_data import check_data
from vault.documents.typesetting import BUILT_IN, render, specimen_data, template_names, template_schema
from vault.errors import NotFound, Refused

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ACT = "acte-de-naissance"


def make_template(folder: Path, source: str, name: str = "essai") -> Path:
    place = folder / name
    place.mkdir(parents=True)
    head = '#set document(title: "Essai")\n#set text(lang: "fr")\n#let data = json(bytes(sys.inputs.data))\n'
    (place / "template.typ").write_text(head + source)
    (place / "schema.json").write_text('{"type": "object", "properties": {"text": {"type": "string"}}}')
    return folder


def refusal(folder: Path, data: dict[str, Any] | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        render("essai", data or {}, at=AT, folder=folder)
    return caught.value


@pytest.mark.parametrize("name", template_names())
def test_every_built_in_template_renders_its_specimen_and_says_so(name: str) -> None:
    made = render(name, specimen_data(name), at=AT)
    with pikepdf.open(BytesIO(made)) as pdf:
        assert len(pdf.pages) == 1
        assert str(pdf.Root.Lang) == "fr-FR"
        assert pdf.Root.MarkInfo.Marked
        with pdf.open_metadata() as meta:
            assert "SPÉCIMEN" in meta["dc:title"]
            assert (meta["pdfaid:part"], meta["pdfaid:conformance"], meta["pdfuaid:part"]) == ("2", "A", "1")
        assert str(pdf.docinfo["/CreationDate"]).startswith("D:20261122093000")
        fonts = {str(font.BaseFont).partition("+")[2] for font in pdf.pages[0].Resources.Font.values()}
    assert fonts
    assert all(font.startswith("LibertinusSerif") for font in fonts)


def test_same_data_and_instant_give_the_same_bytes_and_any_difference_shows() -> None:
    data = specimen_data(ACT)
    first = render(ACT, data, at=AT)
    assert render(ACT, data, at=AT.astimezone(timezone(timedelta(hours=11)))) == first
    assert render(ACT, data, at=AT + timedelta(seconds=1)) != first
    data["child"]["surname"] += "e"
    assert render(ACT, data, at=AT) != first


def test_optional_mark_and_empty_notes() -> None:
    data = specimen_data(ACT)
    del data["specimen"]
    data["marginal_notes"] = []
    data["parents"] = data["parents"][:1]
    with pikepdf.open(BytesIO(render(ACT, data, at=AT))) as pdf, pdf.open_metadata() as meta:
        assert "SPÉCIMEN" not in meta["dc:title"]


def test_long_data_flow_over_pages() -> None:
    data = specimen_data(ACT)
    data["marginal_notes"] = [{"date": f"le {i}", "text": "mention " * 40} for i in range(40)]
    with pikepdf.open(BytesIO(render(ACT, data, at=AT))) as pdf:
        assert len(pdf.pages) > 2


def test_folder_of_the_administration_comes_first(tmp_path: Path) -> None:
    make_template(tmp_path, "Bonjour #data.text")
    make_template(tmp_path, "Remplace le modèle fourni", name="attestation")
    assert template_names(folder=tmp_path) == (ACT, "attestation", "essai")
    assert render("essai", {"text": "à tous"}, at=AT, folder=tmp_path)
    assert render("attestation", {}, at=AT, folder=tmp_path)
    assert template_schema(ACT, folder=tmp_path)["type"] == "object"


@pytest.mark.parametrize(
    "name",
    ["", "absent", "../essai", "/etc", "essai/", "Essai", "essai\n", "a--b", "-a", "a" * 65, "é", "essai\0"],
)
def test_unknown_or_crooked_names(tmp_path: Path, name: str) -> None:
    make_template(tmp_path, "x")
    with pytest.raises(NotFound) as caught:
        render(name, {}, at=AT, folder=tmp_path)
    assert caught.value.code == "UNKNOWN_TEMPLATE"


@pytest.mark.parametrize(
    "source",
    [
        "#let",
        "#panic()",
        "#data.absent",
        '#read("../secret.txt")',
        '#read("/../secret.txt")',
        '#import "@preview/x:0.1.0": y',
        '#let name = "@preview/x:0.1.0"\n#import name',
        "#while data != 1 {}",
        "#let f(x) = f(x + 1) + 1\n#f(1)",
        "= A\n=== B",  # PDF/UA: levels of headings
        "$ x $",  # PDF/UA: formula without alternative
    ],
)
def test_templates_at_fault(tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    problem = refusal(make_template(tmp_path / "t", source))
    assert problem.code == "TEMPLATE_INVALID"
    assert "s3cret" not in str(problem)


def test_files_beside_the_template_can_be_read(tmp_path: Path) -> None:
    folder = make_template(tmp_path, '#read("devise.txt")')
    (folder / "essai" / "devise.txt").write_text("Bien faire")
    assert render("essai", {}, at=AT, folder=folder)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"type": "set"}', '{"type": "object", "format": 1}', "9" * 5000]
)
def test_schema_at_fault(tmp_path: Path, content: str) -> None:
    folder = make_template(tmp_path, "x")
    (folder / "essai" / "schema.json").write_text(content)
    assert refusal(folder).code == "TEMPLATE_INVALID"
    (folder / "essai" / "schema.json").unlink()
    assert refusal(folder).code == "TEMPLATE_INVALID"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d.pop("child"), "child"),
        (lambda d: d["child"].pop("surname"), "child.surname"),
        (lambda d: d["child"].update(surnam="x"), "child"),
        (lambda d: d["child"].update(surname=""), "child.surname"),
        (lambda d: d["child"].update(surname="x" * 201), "child.surname"),
        (lambda d: d["child"].update(surname=None), "child.surname"),
        (lambda d: d["child"].update(surname="a\u202eb"), "child.surname"),
        (lambda d: d["child"].update(surname="a\x07b"), "child.surname"),
        (lambda d: d["child"].update(surname="a\ud800"), "child.surname"),
        (lambda d: d["child"].update(sex="autre"), "child.sex"),
        (lambda d: d["parents"].clear(), "parents"),
        (lambda d: d["parents"].extend(d["parents"]), "parents"),
        (lambda d: d["parents"][1].update(home=7), "parents[1].home"),
        (lambda d: d.update(specimen=1), "specimen"),
        (lambda d: d["child"].update(surname="\U0001f9ff"), "data"),  # in no font at hand
    ],
)
def test_data_that_do_not_fit_name_their_field_and_not_their_value(change: Any, field: str) -> None:
    data = specimen_data(ACT)
    change(data)
    with pytest.raises(Refused) as caught:
        render(ACT, data, at=AT)
    assert caught.value.code == "TEMPLATE_DATA_INVALID"
    assert caught.value.params["field"] == field
    assert "Éléonore" not in str(caught.value)


def test_integers_are_not_booleans() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "enum": [0, 1]}}}
    check_data(schema, {"n": 1})
    with pytest.raises(Refused, match="integer"):
        check_data(schema, {"n": True})


def test_schema_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    data: Any = "x"
    for _ in range(40):
        schema, data = {"type": "array", "items": schema}, [data]
    with pytest.raises(Refused) as caught:
        check_data(schema, data)
    assert caught.value.code == "TEMPLATE_INVALID"


def test_data_cannot_run_as_markup() -> None:
    """What the data say stays text, whatever Typst would make of it."""
    data = specimen_data("attestation")
    data["body"] = ['#read("schema.json") $x$ *gras* = titre @preview/x:0.1.0']
    assert render("attestation", data, at=AT)


def test_naive_instant_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        render(ACT, specimen_data(ACT), at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_own_fonts_are_used_and_system_fonts_never(tmp_path: Path) -> None:
    folder = make_template(tmp_path, '#set text(font: ("DejaVu Sans", "Arial", "Liberation Sans"))\nTexte')
    with pikepdf.open(BytesIO(render("essai", {}, at=AT, folder=folder))) as pdf:
        names = [str(font.BaseFont) for font in pdf.pages[0].Resources.Font.values()]
    assert all("Libertinus" in name for name in names)


def test_built_in_templates_are_complete() -> None:
    for name in template_names():
        check_data(template_schema(name), specimen_data(name))
        assert specimen_data(name)["specimen"] is True
    copy = json.loads((BUILT_IN / ACT / "specimen.json").read_text())
    assert copy == specimen_data(ACT)


def test_specimen_attachments_are_what_they_say() -> None:
    photo = specimen_photo()
    assert photo == specimen_photo()
    with Image.open(BytesIO(photo)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1440, 960))
        assert picture.getexif()[0x010F] == "Imaginaire"
    root = ET.fromstring(specimen_xml())
    assert root.get("specimen") == "true"
    assert "Anaïs" in specimen_xml().decode()
    amounts = {
        kind: sum(float(e.get("montant", "0")) for e in root.iter(f"{root.tag.split('}')[0]}}}{kind}"))
        for kind in ("depense", "recette")
    }
    assert amounts["depense"] == amounts["recette"] > 0


def test_broken_template_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "vide").mkdir()
    (tmp_path / "fichier").write_text("x")
    assert template_names(folder=tmp_path) == template_names() == template_names(folder=tmp_path / "absent")
    shutil.rmtree(tmp_path / "vide")
