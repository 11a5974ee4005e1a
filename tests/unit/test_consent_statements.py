"""The statements of consents keep their octets for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vault.domain.actors import Actor, Assurance, Role
from vault.domain.documents import Document, Kind, ObjectRole, Part, Private
from vault.domain.matters import Matter, MatterKind
from vault.domain.states import Reception, Scan, Sealing, Status
from vault.errors import SettingsRefused
from vault.ledger.canonical import canonical
from vault.matters.attributes import Attribute, load_attributes
from vault.matters.consent_papers import Given, consent_statement, withdrawal_statement
from vault.matters.statements import salted

AT = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
END = datetime(2026, 2, 14, 9, 0, tzinfo=UTC)
CONSENT = (
    '{"actions":["describe","read"],"administration":{"id":"paie","name":"Manufacture"},"assurance":"high",'
    '"by":"mandatary","case":"DEM-1","consent":"csn_1","document":{"id":"doc_1","issuer":{"id":"mairie","name":"Mairie"},'
    f'"kind":"act","sha256":"{"ab" * 32}","type":"acte-de-naissance"}},"ends_at":"2026-02-14T09:00:00.000Z",'
    '"format":"probans/consent/v1","given_at":"2026-01-15T09:00:00.000Z","holder":"camille",'
    '"legal_basis":"Loi n° 1","mandate":"mdt_1","otherwise":{"en":"At the counter","fr":"Au guichet","way":"counter"},'
    '"purpose":"controle","request":"req_1","service":"","words":"Contrôler"}'
)
WITHDRAWAL = (
    f'{{"administration":{{"id":"paie","name":"Manufacture"}},"assurance":"","by":"holder","consent":"csn_1",'
    f'"consent_sha256":"{"cd" * 32}","document":{{"id":"doc_1","sha256":"{"ab" * 32}"}},'
    '"format":"probans/consent-withdrawal/v1","holder":"camille","mandate":"","reason":"Fini",'
    '"withdrawn_at":"2026-01-15T09:00:00.000Z"}'
)


def act(**changes: object) -> Document:
    part = Part(ObjectRole.ORIGINAL, "00" * 32, 1, 1, "ab" * 32)
    members: dict[str, object] = {
        "id": "doc_1", "kind": Kind.ACT, "safe_id": "safe_1", "issuer_id": "mairie",
        "document_type": "acte-de-naissance", "media_type": "text/plain", "size": 1,
        "reception": Reception.RECEIVED, "sealing": Sealing.SEALED, "scan": Scan.CLEAN, "status": Status.VALID,
        "created_at": AT, "retain_until": AT, "superseded_by": None, "supersedes": None, "first_seq": 1,
        "issued_seq": 1, "next_status": 1, "next_access": 0, "parts": {ObjectRole.ORIGINAL: part}, **changes,
    }  # fmt: skip
    return Document(**members)  # type: ignore[arg-type]


def matter(kind: MatterKind, private: dict[str, object]) -> Matter:
    of_kind = {"consent": "csn_1", "request": "req_1"}[kind.value]
    return Matter(of_kind, kind, "safe_1", "paie", "doc_1", None, "live", AT, END, 1, 1, 1, private)


def test_octets_of_the_statements() -> None:
    request = matter(
        MatterKind.REQUEST,
        {
            "holder": "camille", "service": "", "purpose": "controle", "words": "Contrôler", "legal_basis": "Loi n° 1",
            "case": "DEM-1", "actions": ["describe", "read"],
            "otherwise": {"way": "counter", "fr": "Au guichet", "en": "At the counter"},
        },
    )  # fmt: skip
    asker, issuer = {"id": "paie", "name": "Manufacture"}, {"id": "mairie", "name": "Mairie"}
    mandatary = Actor("prs_1", Role.MANDATARY, mandate_id="mdt_1", assurance=Assurance.HIGH)
    said = consent_statement("csn_1", request, asker, act(), issuer, Given(mandatary, AT, END))
    assert canonical(said, lists=True).decode() == CONSENT
    consent = matter(
        MatterKind.CONSENT,
        {"sha256": "cd" * 32, "holder": "camille", "administration": asker, "document": said["document"]},
    )
    taken = withdrawal_statement(Actor("camille", Role.HOLDER), consent, "Fini", AT)
    assert canonical(taken, lists=True).decode() == WITHDRAWAL


def test_the_salted_digest() -> None:
    expected = "11afc250a32b75b0c38a2653e342613a7c89eaf8f82ee36b285a3076cdd0c950"
    assert salted(bytes(32), "ab" * 32) == expected
    assert salted(bytes([1]) * 32, "ab" * 32) != expected


def test_values_follow_from_acts_of_entitled_issuers_alone() -> None:
    def attribute(rule: str, **more: object) -> Attribute:
        members = {
            "code": "x",
            "fr": "x",
            "en": "x",
            "document_types": ["acte-de-naissance"],
            "rule": rule,
            **more,
        }
        return Attribute.model_validate(members)

    assert attribute("in-force").value_of(act(), "Mairie") == "yes"
    assert attribute("issued-on").value_of(act(), "Mairie") == "2026-01-15"
    assert attribute("issued-by").value_of(act(), "Mairie") == "Mairie"
    assert attribute("issued-by").value_of(act(), "") is None
    assert attribute("stated").value_of(act(), "Mairie") is None
    private = Private("t", "f", "h", "a", "", "", "0", "0", attributes={"x": "oui"})
    assert attribute("stated").value_of(act(private=private), "Mairie") == "oui"
    entitled = attribute("in-force", issuers=["prefecture"])
    assert entitled.value_of(act(), "Mairie") is None
    assert entitled.value_of(act(issuer_id="prefecture"), "P") == "yes"
    assert attribute("in-force").value_of(act(kind=Kind.ATTACHMENT, issuer_id=None), "") is None
    assert attribute("in-force").value_of(act(document_type="autre"), "Mairie") is None


@pytest.mark.parametrize(
    "text",
    [
        "[", "{}", '[{"code":"x"}]', "[1]",
        '[{"code":"X!","fr":"a","en":"b","document_types":["t"],"rule":"in-force"}]',
        '[{"code":"x","fr":"a","en":"b","document_types":[],"rule":"in-force"}]',
        '[{"code":"x","fr":"a","en":"b","document_types":["t"],"rule":"eval"}]',
        '[{"code":"x","fr":"a\\u202e","en":"b","document_types":["t"],"rule":"in-force"}]',
        '[{"code":"x","fr":"a","en":"b","document_types":["t"],"rule":"in-force","script":"x"}]',
        ",".join(['[{"code":"x","fr":"a","en":"b","document_types":["t"],"rule":"in-force"}',
                  '{"code":"x","fr":"a","en":"b","document_types":["t"],"rule":"in-force"}]']),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "attributes.json"
    table.write_text(text)
    with pytest.raises(SettingsRefused):
        load_attributes(table)
    with pytest.raises(SettingsRefused):
        load_attributes(tmp_path / "absent.json")


def test_the_built_in_table_is_read() -> None:
    codes = [attribute.code for attribute in load_attributes(None).all()]
    assert {"nationality-proven", "residence-proven-since", "of-age"} <= set(codes)
