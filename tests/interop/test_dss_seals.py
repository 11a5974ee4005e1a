"""EU DSS and poppler on what the service seals, the development root being the only anchor."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.generic import NumberObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.dev_pki import DevPki
from vault.documents.specimens import specimen_photo, specimen_xml
from vault.documents.typesetting import render, specimen_data

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
needs_dss = pytest.mark.needs("dss")


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("act") / "acte.pdf"
    path.write_bytes(render("acte-de-naissance", specimen_data("acte-de-naissance"), at=AT))
    return path


@pytest.fixture(scope="module")
def sealed(act: Path, bench: Any) -> dict[str, Path]:
    return {algorithm: bench.seal_pdf(act, algorithm) for algorithm in ("p256", "rsa-pss")}


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory, bench: Any) -> list[Path]:
    folder = tmp_path_factory.mktemp("attachments")
    made = []
    for name, content, media_type, key in (
        ("photo de l’étang.jpg", specimen_photo(), "image/jpeg", bench.pki.reception_seal),
        ("demande-échéance.xml", specimen_xml(), "application/xml", bench.pki.reception_seal),
        ("note.txt", "Bien reçu.\n".encode(), "text/plain", bench.act_seal("rsa-pss")),
    ):
        (folder / name).write_bytes(content)
        made.append(bench.seal_file(folder / name, media_type, key)[0])
    return made


def check_passed(verdict: dict[str, Any], level: str) -> None:
    assert verdict["error"] is None
    assert len(verdict["signatures"]) == 1
    signature = verdict["signatures"][0]
    assert (signature["indication"], signature["errors"]) == ("TOTAL_PASSED", [])
    assert signature["level"] == level
    assert signature["wholeDocument"]
    assert signature["revocation"]
    assert [each["indication"] for each in signature["timestamps"]] == ["PASSED"]


@needs_dss
def test_dss_passes_every_seal_offline_with_revocation_wanted(
    sealed: dict[str, Path], containers: list[Path], bench: Any, dss: Any
) -> None:
    verdicts = dss([*sealed.values(), *containers], bench.roots)
    for verdict in verdicts[:2]:
        check_passed(verdict, "PAdES-BASELINE-T")
    for verdict in verdicts[2:]:
        # Certificates and CRLs in SignedData: the LT form as DSS reads it.
        check_passed(verdict, "CAdES-BASELINE-LT")


@needs_dss
def test_dss_passes_a_bare_token_given_the_crls(bench: Any, dss: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(specimen_xml())
    token = tmp_path / "token.tst"
    token.write_bytes(bench.authority.token(hashlib.sha256(specimen_xml()).digest()).der)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    verdict = dss([], bench.roots, detached=data, tokens=[token], crls=bench.crls)[0]
    assert [each["indication"] for each in verdict["timestamps"]] == ["PASSED"], verdict
    wrong = dss([], bench.roots, detached=other, tokens=[token], crls=bench.crls)[0]
    assert wrong["timestamps"][0]["indication"] == "FAILED"
    assert wrong["timestamps"][0]["subIndication"] == "HASH_FAILURE"
    bare = dss([], bench.roots, detached=data, tokens=[token])[0]
    assert bare["timestamps"][0]["indication"] == "INDETERMINATE"


@needs_dss
def test_dss_refuses_other_roots_and_any_change(
    sealed: dict[str, Path], containers: list[Path], bench: Any, dss: Any, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(DevPki.open(tmp_path / "pki", datetime.now(UTC)).roots_pem())
    for verdict in dss([sealed["p256"], containers[0]], stranger):
        assert verdict["signatures"][0]["subIndication"] == "NO_CERTIFICATE_CHAIN_FOUND"
    content = sealed["p256"].read_bytes()
    changed = bytearray(content)
    changed[1000] ^= 1
    (tmp_path / "flipped.pdf").write_bytes(changed)
    (tmp_path / "tail.pdf").write_bytes(content + b"\n% tail no reader looks at\n")
    with sealed["p256"].open("rb") as stream, (tmp_path / "turned.pdf").open("wb") as out:
        revision = IncrementalPdfFileWriter(stream)
        page = revision.root["/Pages"]["/Kids"][0]
        page["/Rotate"] = NumberObject(180)
        revision.mark_update(page.container_ref)
        revision.write(out)
    names = ("flipped", "tail", "turned")
    flipped, tail, turned = (
        verdict["signatures"] for verdict in dss([tmp_path / f"{name}.pdf" for name in names], bench.roots)
    )
    assert [each["indication"] for each in flipped] in ([], ["TOTAL_FAILED"])
    # DSS looks no further than the last revision: only the coverage tells.
    assert [each["wholeDocument"] for each in tail] == [False]
    assert [(each["indication"], each["subIndication"]) for each in turned] == [
        ("TOTAL_FAILED", "FORMAT_FAILURE")
    ]


@pytest.mark.needs("pdfsig")
@pytest.mark.needs("qpdf")
def test_poppler_and_qpdf_agree(sealed: dict[str, Path], pdfsig: Any, qpdf_check: Any) -> None:
    for path in sealed.values():
        (found,) = pdfsig(path)
        assert found["valid"], found["said"]
        assert found["whole_document"], found["said"]
        assert "Saint-Aurèle-des-Étangs" in found["signer"]
        checked = qpdf_check(path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
