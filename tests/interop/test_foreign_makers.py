"""Genuine files that other software makes here and now stay PASSED, at the level that they have."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.interop.foreign.dss_maker import DssMaker, Wanted, wanted
from tests.interop.foreign.pyhanko_maker import PyHankoMaker, base_pdf, files
from tests.judging.conftest import World
from vault.evidence.findings import Outcome, Verdict
from vault.evidence.sentences import main_reason
from vault.evidence.verify import verify_file


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def maker() -> PyHankoMaker:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PyHankoMaker(World())


def judge(maker: PyHankoMaker, data: bytes, folder: Path, *, required: bool = False) -> Verdict:
    path = folder / "made.pdf"
    path.write_bytes(data)
    trust = TrustStore([maker.world.root.certificate])
    return verify_file(path, trust=trust, require_revocation=required)


NAMES = tuple(files(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_pyhanko_s_files_pass(name: str, maker: PyHankoMaker, tmp_path: Path) -> None:
    make, levels = files(maker)[name]
    data = make()
    verdict = judge(maker, data, tmp_path)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert tuple(item.level for item in verdict.signatures) == levels
    # Whether revocation data are inside decides what a stricter verifier says.
    needed = judge(maker, data, tmp_path, required=True)
    inside = any("-LT" in level for level in levels)
    assert needed.verdict is (Outcome.PASSED if inside else Outcome.INDETERMINATE), needed.reasons
    if not inside:
        assert main_reason(needed).code == "TRY_LATER"


def test_what_they_show_changed_fails(maker: PyHankoMaker, tmp_path: Path) -> None:
    """The same maker fills a locked field, and a field of a document that may not change."""
    from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm

    locked = maker.sign(base_pdf(), lock=FieldMDPSpec(FieldMDPAction.INCLUDE, ["Nom"]))
    certified = maker.sign(base_pdf(), certify=MDPPerm.NO_CHANGES)
    for data, code in ((locked, "PDF_FIELD_LOCKED"), (certified, "PDF_CHANGE_NOT_PERMITTED")):
        verdict = judge(maker, maker.fill(data, "Nom", "Martin"), tmp_path)
        assert (verdict.verdict, main_reason(verdict).code) == (Outcome.FAILED, code)


@pytest.fixture(scope="module")
def by_dss(tmp_path_factory: pytest.TempPathFactory) -> DssMaker:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DssMaker(World(), tmp_path_factory.mktemp("dss"))


@pytest.mark.needs("dss")
@pytest.mark.parametrize("item", wanted(), ids=lambda item: item.name)
def test_dss_s_files_pass(item: Wanted, by_dss: DssMaker) -> None:
    trust = TrustStore([by_dss.world.root.certificate])
    original = by_dss.folder / "acte.txt" if item.over else None
    path = by_dss.folder / item.name
    verdict = verify_file(path, trust=trust, original=original)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert tuple(found.level for found in verdict.signatures) == item.levels
    needed = verify_file(path, trust=trust, original=original, require_revocation=True)
    inside = all("-LT" in level or "timestamp" in level for level in item.levels)
    assert needed.verdict is (Outcome.PASSED if inside else Outcome.INDETERMINATE), needed.reasons
