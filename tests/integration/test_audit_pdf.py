"""The report of an audit as a sealed PDF: made where the keys are, verified like any sealed file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from typer.testing import CliRunner

from vault.cli.main import build
from vault.documents.sealed_reports import FOLDER, typeset
from vault.documents.typesetting import template_names
from vault.domain.documents import Outcome
from vault.ledger.findings import AuditReport
from vault.service import Vault

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(build(), [str(word) for word in arguments])
    return done.exit_code, done.output


@pytest.fixture
def closed(
    vault: Vault, deposit: Callable[..., Outcome], issue: Callable[..., Outcome], tmp_path: Path
) -> Path:
    """A safe that holds something, with its roots and keys beside it."""
    deposit()
    assert vault.publisher.wait(issue().seq + 1, 5.0)
    (tmp_path / "roots.pem").write_bytes(vault.parts.pki.roots_pem())
    (tmp_path / "vkeys").write_text("\n".join(vault.trust.vkeys))
    vault.close()
    return tmp_path


def verified(folder: Path, report: Path) -> tuple[int, dict[str, Any]]:
    code, output = run("verify", report, "--trust", folder / "roots.pem", "--json")
    return code, json.loads(output)


def test_the_report_is_sealed_and_verifies(closed: Path) -> None:
    report = closed / "report.pdf"
    code, output = run("audit", closed / "data", "--pdf", report, "--json")
    assert (code, json.loads(output)["verdict"]) == (0, "PASSED")
    code, verdict = verified(closed, report)
    assert (code, verdict["verdict"]) == (0, "PASSED"), verdict
    (signature,) = verdict["signatures"]
    assert (signature["covers_whole_file"], len(signature["timestamps"])) == (True, 1)
    (seal,) = [check for check in verdict["checks"] if check["name"] == "document.seal"]
    assert "a report of the service and no act" in seal["found"]
    assert verdict["status"] is None
    with pikepdf.open(report) as pdf:
        assert str(pdf.Root.Lang) == "fr-FR"
        with pdf.open_metadata() as meta:
            assert meta["dc:title"].startswith("Rapport d\u2019audit") or "audit" in meta["dc:title"]
            assert (meta["pdfaid:part"], meta["pdfaid:conformance"], meta["pdfuaid:part"]) == ("2", "A", "1")
    content = bytearray(report.read_bytes())
    content[len(content) // 3] ^= 1
    report.write_bytes(content)
    assert verified(closed, report)[0] == 1


def test_what_is_wrong_is_sealed_too(closed: Path) -> None:
    tile = next((closed / "data/ledger/tile/entries").rglob("*.p/*"))
    tile.chmod(0o600)
    content = bytearray(tile.read_bytes())
    content[-3] ^= 1
    tile.write_bytes(content)
    report = closed / "report.pdf"
    code, output = run("audit", closed / "data", "--pdf", report)
    assert (code, "ANOMALIE" in output) == (1, True)
    assert verified(closed, report)[0] == 0


def test_without_keys_there_is_none(closed: Path) -> None:
    copy, report = closed / "copy", closed / "report.pdf"
    shutil.copytree(closed / "data/ledger", copy)
    code, output = run("audit", copy, "--vkeys", closed / "vkeys", "--pdf", report)
    assert (code, "--pdf" in output, report.exists()) == (2, True, False)


def test_any_finding_can_be_typeset() -> None:
    """What stands in damaged files may be anything, and any number of it."""
    report = AuditReport(origin="safe.example/ledger/1", size=3, checked=3, start=256, undetected_share=0.003)
    odd = "漢字 \x00\x1b[31m \u202e \ud800 \u00ad \U0001f600 " + "f" * 5_000
    for number in range(250):
        report.add("CHAIN_BROKEN", odd, odd, bytes(32), check="chain", entry=number)
    reports = {"published": report, "documents": AuditReport(), "something new": AuditReport()}
    made = typeset(reports, "FAILED", AT)
    assert made == typeset(reports, "FAILED", AT)
    with pikepdf.open(BytesIO(made)) as pdf:
        assert len(pdf.pages) > 10
    assert typeset({}, "INDETERMINATE", AT)


def test_it_is_no_act_to_be_issued() -> None:
    assert (FOLDER / "audit" / "template.typ").is_file()
    assert "audit" not in template_names()
