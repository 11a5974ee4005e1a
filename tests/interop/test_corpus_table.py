"""Every file of other makers gets the verdict it deserves: genuine ones pass, forged ones fail whoever is trusted."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.interop.foreign.corpus import BEGIN, END, PAGE, Row, files, rows, table
from vault.evidence.findings import Outcome, Verdict
from vault.evidence.sentences import main_reason
from vault.evidence.verify import verify_file

LIMIT = 3.0  # seconds that any of these files may take, on a busy machine
ROWS = rows()


def ident(row: Row) -> str:
    return f"{Path(row.file).name}{'' if row.anchors == 'own' else '-spoofed'}{'-0' if row.over == 'text:0' else ''}"


def judge(row: Row, folder: Path, *, trusted: bool, over: bool = True) -> Verdict:
    begun = time.process_time()
    verdict = verify_file(
        row.path,
        trust=TrustStore(row.trust() if trusted else ()),
        original=row.originals(folder) if over else (),
        digests=row.digests if over else (),
        at=row.time if trusted else None,
    )
    assert time.process_time() - begun < LIMIT
    return verdict


def said(verdict: Verdict) -> tuple[str, str]:
    code = "" if verdict.verdict is Outcome.PASSED else main_reason(verdict).code
    return verdict.verdict.value, code


@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_with_its_own_roots(row: Row, tmp_path: Path) -> None:
    verdict = judge(row, tmp_path, trusted=True)
    assert said(verdict) == (row.trusted, row.trusted_code), verdict.reasons
    if row.level:
        assert verdict.signatures[0].level == row.level


@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_nobody_trusted(row: Row, tmp_path: Path) -> None:
    """A stranger's genuine file is no forgery, and a forged one is one without asking who signed it."""
    verdict = judge(row, tmp_path, trusted=False)
    assert said(verdict) == (row.unknown, row.unknown_code), verdict.reasons


@pytest.mark.parametrize("row", [row for row in ROWS if row.over and row.trusted == "PASSED"], ids=ident)
def test_without_what_it_is_about_or_about_something_else(row: Row, tmp_path: Path) -> None:
    alone = judge(row, tmp_path, trusted=True, over=False)
    assert said(alone) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")
    wrong = judge(dataclasses.replace(row, over="text:something-else"), tmp_path, trusted=True)
    assert said(wrong) == ("FAILED", "HASH_FAILURE")


def test_no_file_is_left_out() -> None:
    assert {row.file for row in ROWS} == files()


def test_the_page_shows_this_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table()
