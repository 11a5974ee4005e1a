"""What judging says of genuine and forged PDFs of other makers, with their own authorities trusted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography import x509

from signing.algorithms import TABLE
from signing.errors import SignatureRefused
from signing.judge import judge_pdf
from signing.judgement import ChangeKind, JudgedSignature, JudgingPolicy, OutsideData
from signing.pdf_signatures import pdf_signatures
from signing.pdf_values import readable_certificates, split_contents
from signing.trust import TrustStore
from timestamping.verify import Rfc3161Verifier

SIGNED = Path(__file__).resolve().parents[1] / "data" / "pdf-signed"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def certificates_of(path: Path) -> list[x509.Certificate]:
    """Return all certificates of a file, those of timestamps included."""
    found: list[bytes] = []

    def collect(der: bytes) -> None:
        signed_data = cms.ContentInfo.load(der)["content"]
        found.extend(item.chosen.dump() for item in signed_data["certificates"])
        for attribute in signed_data["signer_infos"][0]["unsigned_attrs"] or ():
            for value in attribute["values"]:
                collect(value.dump())

    for signature in pdf_signatures(path):
        collect(split_contents(signature.contents)[0])
        found += signature.certificates
    return readable_certificates(list(dict.fromkeys(found)))


def tops(path: Path) -> list[x509.Certificate]:
    """Return the certificates that no other one in the file issued."""
    found = certificates_of(path)
    names = {item.subject for item in found}
    return [item for item in found if item.issuer == item.subject or item.issuer not in names]


def judge(
    name: str,
    at: datetime | None = None,
    anchors: Callable[[Path], Any] = tops,
    records: tuple[datetime, ...] = (),
    need: bool = False,
) -> tuple[JudgedSignature, ...]:
    path = SIGNED / f"{name}.pdf"
    trust = TrustStore(anchors(path))
    return judge_pdf(
        path,
        trust,
        trust,
        OutsideData(),
        JudgingPolicy(at or NOW, at is not None, need),
        records,
        tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
    )


def codes(judged: tuple[JudgedSignature, ...]) -> list[str]:
    errors = [item.error for item in judged]
    return ["" if error is None else error.code + (" ?" if error.indeterminate else "") for error in errors]


def test_a_genuine_long_term_file_stays_good() -> None:
    for at in (datetime(2014, 11, 8, tzinfo=UTC), NOW):
        for need in (False, True):
            signature, stamp = judged = judge("dss-Signature-P-HU_POL-3", at, need=need)
            assert codes(judged) == ["", ""]
            assert (signature.form, signature.level, signature.time_source) == ("PAdES", "B-LTA", "timestamp")
            assert signature.best_time == datetime(2014, 11, 7, 13, 11, 31, tzinfo=UTC)
            assert {change.kind for change in signature.changes} >= {ChangeKind.DSS, ChangeKind.DOC_TIMESTAMP}
            assert not signature.covers_whole_file
            assert (stamp.form, stamp.covers_whole_file) == ("document timestamp", True)
            assert stamp.best_time == datetime(2014, 11, 7, 13, 11, 37, tzinfo=UTC)


def test_a_timestamp_later_than_the_asked_time_is_only_not_used() -> None:
    judged = judge("dss-Signature-P-HU_POL-3", datetime(2014, 11, 7, 13, 11, 26, tzinfo=UTC))
    assert judged[0].level in {"", "B-B"}
    assert judged[0].time_source == "asked"
    assert codes(judged)[1] == ""
    assert judged[1].timestamps[0].error is not None


def test_without_trust_nothing_fails() -> None:
    for name in ("dss-Signature-P-HU_POL-3", "dss-pades-bes", "dss-pdf-signed-original"):
        for judged in judge(name, anchors=lambda _: []):
            assert judged.error is not None
            assert (judged.error.code, judged.error.indeterminate) == ("NO_CERTIFICATE_CHAIN_FOUND", True)
            assert judged.signer is not None


def test_a_copied_document_timestamp_fails_alone() -> None:
    signature, stamp = judged = judge("dss-pades-lta-copied-doctst")
    assert codes(judged) == ["", "HASH_FAILURE"]
    assert (signature.level, signature.time_source) == ("B-LT", "timestamp")
    assert stamp.timestamps[0].error is not None


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("dss-pades-bes", datetime(2024, 8, 1, tzinfo=UTC)),
        ("dss-pdf-signed-original", datetime(2019, 7, 5, tzinfo=UTC)),
    ],
)
def test_files_without_revocation_data(name: str, at: datetime) -> None:
    [judged] = judge(name, at)
    assert codes((judged,)) == [""]
    assert (judged.level, judged.covers_whole_file, judged.time_source) == ("B-B", True, "asked")
    revocation = next(step for step in judged.steps if step.name == "revocation")
    assert revocation.unchecked
    assert codes(judge(name, at, need=True)) == ["TRY_LATER ?"]
    [later] = judge(name)
    assert codes((later,)) == ["OUT_OF_BOUNDS_NO_POE ?"]
    assert later.path
    [recorded] = judge(name, records=(at,))
    assert (codes((recorded,)), recorded.time_source) == ([""], "record")


def test_the_own_certificate_as_anchor() -> None:
    [judged] = judge(
        "dss-pades-bes",
        datetime(2024, 8, 1, tzinfo=UTC),
        lambda path: [item for item in certificates_of(path) if item not in tops(path)],
    )
    assert codes((judged,)) == [""]
    assert judged.path == (judged.signer,)


def test_usage_rights_are_no_signature_and_a_filled_form_is_a_permitted_change() -> None:
    judged = judge("dss-pades-signed-filled-form", datetime(2025, 1, 15, tzinfo=UTC))
    assert len(judged) == 1
    assert codes(judged) == [""]
    assert [change.kind for change in judged[0].changes].count(ChangeKind.FIELD_FILLED) == 3


def test_two_signers_after_their_end() -> None:
    judged = judge("pyhanko-form-update-override-appearance-stream")
    assert codes(judged) == ["OUT_OF_BOUNDS_NO_POE ?"] * 2
    judged = judge("pyhanko-form-update-override-appearance-stream", datetime(2021, 6, 1, tzinfo=UTC))
    assert codes(judged) == ["", ""]
    assert [item.form for item in judged] == ["PKCS7", "PKCS7"]
    assert [item.level for item in judged] == ["B", "B"]


@pytest.mark.parametrize(
    "name",
    [
        "dss-hide",
        "dss-pades_infinite_loop",
        "dss-pdf-signed-added-page",
        "dss-pdf-signed-corrupted",
        "pdfinsec-isa_A",
        "pdfinsec-isa_C",
        "pdfinsec-siwa_A",
        "pdfinsec-usf_01_Empty_Contents",
        "pdfinsec-usf_05_No_Contents",
        "pyhanko-form-update-override-appearance-stream-sneaky",
        "pyhanko-one-byterange",
        "pyhanko-pdf-sig-with-econtent",
        "pyhanko-tail-uncovered",
    ],
)
def test_forged_files_fail_with_and_without_trust(name: str) -> None:
    anchors: tuple[Callable[[Path], Any], ...] = (lambda _: [], tops)
    for each in anchors[: 1 if "usf" in name or "loop" in name or "byterange" in name else 2]:
        assert any(code and not code.endswith("?") for code in codes(judge(name, anchors=each)))


def test_a_file_that_is_no_pdf(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(b"%PDF-1.7 nothing")
    trust = TrustStore([])
    with pytest.raises(SignatureRefused):
        judge_pdf(
            path,
            trust,
            trust,
            OutsideData(),
            JudgingPolicy(NOW + timedelta(0)),
            tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
        )
