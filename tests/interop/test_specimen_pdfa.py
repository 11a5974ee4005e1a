"""veraPDF's verdict on every built-in template, before and after the seal: PDF/A-2a and PDF/UA-1."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vault.documents.typesetting import render, specimen_data, template_names

pytestmark = pytest.mark.needs("verapdf")
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("specimens")
    for name in template_names():
        (folder / f"{name}.pdf").write_bytes(render(name, specimen_data(name), at=AT))
    data = specimen_data("acte-de-naissance")
    data["marginal_notes"] = [{"date": f"le {i}", "text": "Mention apposée. " * 30} for i in range(30)]
    data["parents"] = data["parents"][:1]
    (folder / "long.pdf").write_bytes(render("acte-de-naissance", data, at=AT))
    return sorted(folder.glob("*.pdf"))


def summary(verdict: dict[str, Any]) -> tuple[str, str, list[str]]:
    return Path(verdict["file"]).name, verdict["flavour"], [each["rule"] for each in verdict["failures"]]


def test_specimens_conform_before_and_after_the_seal(specimens: list[Path], bench: Any, verapdf: Any) -> None:
    sealed = [bench.seal_pdf(pdf, algorithm) for pdf in specimens for algorithm in ("p256", "rsa-pss")]
    verdicts = verapdf(specimens + sealed)
    assert len(verdicts) == 18
    assert [summary(each) for each in verdicts if not each["compliant"] or each["error"]] == []


def test_the_judge_can_say_no(specimens: list[Path], verapdf: Any, tmp_path: Path) -> None:
    """A judge that passes everything proves nothing: break one conforming file in three ways."""
    good = specimens[0].read_bytes()
    breaks = {
        "claim.pdf": b"pdfaid:part>2<",
        "title.pdf": b"/DisplayDocTitle true",
        "marked.pdf": b"/Marked true",
    }
    files = []
    for name, old in breaks.items():
        assert good.count(old) == 1
        files.append(tmp_path / name)
        files[-1].write_bytes(good.replace(old, old.replace(b"true", b"null").replace(b">2<", b">9<")))
    (tmp_path / "garbage.pdf").write_bytes(b"not a PDF")
    verdicts = {
        (Path(each["file"]).name, each["flavour"]): each
        for each in verapdf([*files, tmp_path / "garbage.pdf"])
    }
    assert not verdicts["claim.pdf", "2a"]["compliant"]
    assert not verdicts["title.pdf", "ua1"]["compliant"]
    assert not verdicts["marked.pdf", "2a"]["compliant"]
    assert verdicts["garbage.pdf", "2a"]["error"]
