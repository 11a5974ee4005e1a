"""What validation says of seals and of other people's signatures in PDFs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pikepdf import Array, Dictionary, Name, String

from signing.base import KeyPurpose, ValidationMaterial
from signing.cms import CmsSigner
from signing.dev_pki import DevPki
from signing.errors import SignatureRefused
from signing.pdf_signatures import pdf_signatures
from signing.pdf_values import pdf_date
from signing.revision import MaterialObjects, draft_revision, hash_source
from signing.trust import TrustStore
from signing.validate import Evidence, validate_pdf_signature
from tests.services.certificates import key_usage
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier

SIGNED = Path(__file__).resolve().parents[1] / "data" / "pdf-signed"


class Credulous(TrustStore):
    """Trusts every certificate, so that only the rules about PDF and CMS are left."""

    def validate(self, certificate: Any, others: Any, crls: Any, at: Any) -> Any:
        return (certificate,)


CREDULOUS = Credulous([])


def sealed_by(
    bench: Any,
    path: Path,
    target: Path,
    *,
    key: Any = None,
    alter: Callable[[bytes], bytes] = lambda head: head,
    fill: Callable[[bytes, int], bytes] = lambda cms, reserve: cms.ljust(reserve, b"\x00").hex().encode(),
    slack: int = 0,
    signing_time: datetime | None = None,
    crls: tuple[bytes, ...] = (),
    material: ValidationMaterial | None = None,
    authority: EmbeddedAuthority | None = None,
) -> Path:
    """Seal with a key that may not, or in a form that is not ours."""
    key = key or bench.key()
    authority = authority or bench.authority
    source = bench.source(path)
    signer = CmsSigner(key)
    reserve = signer.max_size(key.chain, crls, authority.expected_size, signing_time) + slack
    draft = draft_revision(source, MaterialObjects.of(material or bench.material(key)), reserve, bench.now)
    head = alter(draft.head)
    assert len(head) == len(draft.head)
    state = hash_source(source)
    state.update(head + draft.tail)
    cms = signer.sign(state.digest(), signing_time=signing_time, certificates=key.chain, crls=crls)
    encoded = cms.finish(authority.token(cms.imprint).der)
    target.write_bytes(path.read_bytes() + head + b"<" + fill(encoded, reserve) + b">" + draft.tail)
    return target


def code(bench: Any, path: Path, trust: TrustStore | None = None, evidence: Evidence | None = None) -> str:
    [signature] = pdf_signatures(path)
    with pytest.raises(SignatureRefused) as caught:
        validate_pdf_signature(
            signature, trust or bench.trust, bench.timestamps, evidence=evidence, now=bench.now
        )
    return caught.value.code + (" ?" if caught.value.indeterminate else "")


def test_a_sealed_act_proves_itself(sealed_pdf: Path, pdf_bench: Any) -> None:
    [signature] = pdf_bench.validate(sealed_pdf)
    key = pdf_bench.key()
    assert (signature.form, signature.level, signature.certification) == ("PAdES", "B-T", 1)
    assert signature.signer == key.certificate
    assert signature.path == (key.certificate, *key.chain, pdf_bench.pki.root)
    assert signature.purposes == {KeyPurpose.ACT_SEAL}
    assert signature.claimed_time == pdf_bench.now
    assert signature.best_time == pdf_bench.now + timedelta(seconds=2)
    assert [item.signer for item in signature.timestamps] == [pdf_bench.pki.timestamp.certificate]
    assert signature.timestamps[0].der in signature.cms
    assert (signature.covers_whole_file, signature.changes_after) == (True, ())


def test_it_still_does_ten_years_later(sealed_pdf: Path, pdf_bench: Any) -> None:
    [signature] = pdf_signatures(sealed_pdf)
    later = pdf_bench.now + timedelta(days=3650)
    result = validate_pdf_signature(signature, pdf_bench.trust, pdf_bench.timestamps, now=later)
    assert result.best_time == pdf_bench.now + timedelta(seconds=2)


def test_no_signature_is_an_empty_list(simple_pdf: Path) -> None:
    assert pdf_signatures(simple_pdf) == []


def test_roots_of_another_safe(sealed_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    other = DevPki.open(tmp_path / "pki", pdf_bench.now)
    trust = TrustStore(other.roots())
    assert code(pdf_bench, sealed_pdf, trust) == "NO_CERTIFICATE_CHAIN_FOUND ?"
    [signature] = pdf_signatures(sealed_pdf)
    with pytest.raises(SignatureRefused, match="timestamp") as caught:
        validate_pdf_signature(signature, pdf_bench.trust, Rfc3161Verifier(trust), now=pdf_bench.now)
    assert caught.value.code == "NO_CERTIFICATE_CHAIN_FOUND"


def test_a_foreign_timestamp_authority_needs_its_root(
    simple_pdf: Path, pdf_bench: Any, tmp_path: Path
) -> None:
    """In our own form every certificate is checked, so the authority's anchors must be named too."""
    other = DevPki.open(tmp_path / "pki", pdf_bench.now - timedelta(minutes=1))
    unit = other.timestamp
    clock = SimpleNamespace(now=lambda: pdf_bench.now)
    authority = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), "1.2.3", clock)
    key = pdf_bench.key()
    material = ValidationMaterial(
        (key.certificate, *key.chain, unit.certificate, *unit.chain),
        (*pdf_bench.pki.crls(pdf_bench.now), *other.crls(pdf_bench.now)),
    )
    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "sealed.pdf", authority=authority, material=material)
    [signature] = pdf_signatures(path)
    timestamps = Rfc3161Verifier(TrustStore(other.roots()))
    for anchors, passes in (((), False), (tuple(other.roots()), True)):
        evidence = Evidence(timestamp_anchors=anchors)
        if passes:
            validate_pdf_signature(
                signature, pdf_bench.trust, timestamps, evidence=evidence, now=pdf_bench.now
            )
        else:
            with pytest.raises(SignatureRefused) as caught:
                validate_pdf_signature(
                    signature, pdf_bench.trust, timestamps, evidence=evidence, now=pdf_bench.now
                )
            assert caught.value.code == "FORMAT_FAILURE"


def test_without_revocation_data_nothing_is_proven(simple_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    bare = ValidationMaterial(pdf_bench.material(pdf_bench.key()).certificates, ())
    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "bare.pdf", material=bare)
    assert code(pdf_bench, path) == "TRY_LATER ?"
    given = Evidence(crls=pdf_bench.pki.crls(pdf_bench.now))
    [signature] = pdf_signatures(path)
    validate_pdf_signature(
        signature, pdf_bench.trust, pdf_bench.timestamps, evidence=given, now=pdf_bench.now
    )


def test_stale_revocation_data(simple_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    unit = pdf_bench.pki.timestamp
    late = SimpleNamespace(now=lambda: pdf_bench.now + timedelta(days=3))
    authority = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), "1.2.3", late)
    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "stale.pdf", authority=authority)
    assert code(pdf_bench, path) == "TRY_LATER ?"


def test_the_signer_was_revoked(simple_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    pki = DevPki.open(tmp_path / "pki", pdf_bench.now - timedelta(minutes=9))
    key = pki.act_seal("mairie", "Mairie")
    pki.revoke(key.certificate.serial_number, pdf_bench.now - timedelta(minutes=5))
    unit = pki.timestamp
    clock = SimpleNamespace(now=lambda: pdf_bench.now)
    authority = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), "1.2.3", clock)
    material = ValidationMaterial(
        (key.certificate, *key.chain, unit.certificate, *unit.chain), pki.crls(pdf_bench.now)
    )
    path = sealed_by(
        pdf_bench, simple_pdf, tmp_path / "r.pdf", key=key, authority=authority, material=material
    )
    trust = TrustStore(pki.roots())
    [signature] = pdf_signatures(path)
    with pytest.raises(SignatureRefused) as caught:
        validate_pdf_signature(signature, trust, Rfc3161Verifier(trust), now=pdf_bench.now)
    assert caught.value.code == "REVOKED"


def test_other_keys_of_the_safe_may_not_seal_acts(simple_pdf: Path, pdf_bench: Any, tmp_path: Path) -> None:
    for key in (pdf_bench.pki.reception_seal, pdf_bench.pki.evidence_seal, pdf_bench.pki.timestamp):
        path = sealed_by(pdf_bench, simple_pdf, tmp_path / "wrong.pdf", key=key)
        assert code(pdf_bench, path) == "SIG_CONSTRAINTS_FAILURE ?"


def extra_entry(head: bytes) -> bytes:
    start = head.rindex(b"]", 0, head.rindex(b"/Contents")) + 1
    return head[:start] + b"/X 1" + head[start + 4 :]


@pytest.mark.parametrize(
    "options",
    [
        {"slack": 64},
        {"fill": lambda cms, reserve: cms.ljust(reserve, b"\x00").hex().upper().encode()},
        {"alter": lambda head: head.replace(b"/P 1 /V /1.2", b"/P 2 /V /1.2")},
        {"alter": lambda head: head.replace(b"/ETSI.CAdES.detached", b"/adbe.pkcs7.detached")},
        {"alter": lambda head: head.replace(b"/Perms << /DocMDP", b"/Porms << /DocMDP")},
        {"alter": lambda head: head.replace(b"/TransformMethod /DocMDP", b"/TransformMethod /DocXDP")},
        {"alter": extra_entry},
        {"signing_time": datetime.fromisoformat("2026-11-22T09:30:00+00:00")},
        {"crls": "pki"},
    ],
)
def test_a_seal_of_ours_has_our_form_only(
    options: dict[str, Any], simple_pdf: Path, pdf_bench: Any, tmp_path: Path
) -> None:
    """Even our own key, in another form, is refused: someone else held it, or changed what came after."""
    if options.get("crls") == "pki":
        options = {"crls": pdf_bench.pki.crls(pdf_bench.now)}
    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "other.pdf", **options)
    assert code(pdf_bench, path) == "FORMAT_FAILURE"
    # The signature itself is sound: only the form speaks against it.
    assert sealed_by(pdf_bench, simple_pdf, tmp_path / "same.pdf").stat().st_size > 0
    assert pdf_bench.validate(tmp_path / "same.pdf")[0].level == "B-T"


class Foreign:
    """Someone else's key under someone else's authority."""

    max_signature_size = 72

    def __init__(self, issuer: Foreign | None, now: datetime, *extensions: x509.ExtensionType) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"foreign {id(self)}")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.certificate.subject if issuer else name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        self.certificate = builder.sign(issuer.private if issuer else self.private, hashes.SHA256())
        self.chain: tuple[x509.Certificate, ...] = ()

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


SIGNING = key_usage("content_commitment")
CA = x509.BasicConstraints(ca=True, path_length=None)


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ((SIGNING,), None),
        ((SIGNING, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])), None),
        ((SIGNING, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])), None),
        ((SIGNING, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])), "SIG_CONSTRAINTS_FAILURE ?"),
        ((SIGNING, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])), "SIG_CONSTRAINTS_FAILURE ?"),
        ((SIGNING, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])), "SIG_CONSTRAINTS_FAILURE ?"),
        ((key_usage("key_agreement"),), "SIG_CONSTRAINTS_FAILURE ?"),
        ((key_usage("digital_signature", "key_cert_sign"), CA), "SIG_CONSTRAINTS_FAILURE ?"),
    ],
)
def test_the_role_of_foreign_certificates(
    extensions: tuple[x509.ExtensionType, ...],
    expected: str | None,
    simple_pdf: Path,
    pdf_bench: Any,
    tmp_path: Path,
) -> None:
    root = Foreign(None, pdf_bench.now, CA, key_usage("key_cert_sign", "crl_sign"))
    key = Foreign(root, pdf_bench.now, *extensions)
    trust = TrustStore([root.certificate], require_revocation=False)
    material = pdf_bench.material(pdf_bench.key())
    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "f.pdf", key=key, material=material, slack=500)
    if expected is not None:
        assert code(pdf_bench, path, trust) == expected
        return
    [signature] = pdf_signatures(path)
    result = validate_pdf_signature(signature, trust, pdf_bench.timestamps, now=pdf_bench.now)
    assert (result.level, result.purposes, result.path[-1]) == ("B-T", frozenset(), root.certificate)


def test_one_unreadable_signature_does_not_hide_another(
    sealed_pdf: Path, pdf_bench: Any, tmp_path: Path
) -> None:
    path = tmp_path / "two.pdf"
    with pikepdf.open(sealed_pdf) as pdf:
        bad = pdf.make_indirect(Dictionary(Type=Name.Sig, ByteRange=Array([0, 1, True, Name.X])))
        fields = [
            pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("bad"), V=bad)),
            pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("worse"), V=String("no dictionary"))),
            pdf.make_indirect(Dictionary(T=String("kids"), Kids=Array([7, None]))),
        ]
        pdf.Root.AcroForm.Fields = Array([fields[0], *pdf.Root.AcroForm.Fields, *fields[1:]])
        pdf.save(path)
    found = pdf_signatures(path)
    assert [item.field_name for item in found] == ["bad", "Probans1", "worse"]
    assert [item.fault is None for item in found] == [False, True, False]
    for item in found:
        with pytest.raises(SignatureRefused):
            validate_pdf_signature(item, CREDULOUS, pdf_bench.timestamps, now=pdf_bench.now)


@pytest.mark.filterwarnings("ignore:This document has:UserWarning")
def test_a_signature_shown_only_by_a_widget_or_permission_is_found(sealed_pdf: Path, tmp_path: Path) -> None:
    path = tmp_path / "hidden.pdf"
    with pikepdf.open(sealed_pdf) as pdf:
        pdf.Root.AcroForm.Fields = Array([])
        pdf.save(path)
    assert [item.field_name for item in pdf_signatures(path)] == ["Probans1"]
    with pikepdf.open(sealed_pdf) as pdf:
        pdf.Root.AcroForm.Fields = Array([])
        pdf.pages[0].obj.Annots = Array([])
        pdf.save(path)
    assert [item.field_name for item in pdf_signatures(path)] == [""]


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", b"not a pdf", bytes(3000)])
def test_files_that_are_no_pdf(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(data)
    with pytest.raises(SignatureRefused) as caught:
        pdf_signatures(path)
    assert caught.value.code == "FORMAT_FAILURE"


def test_encrypted_files_are_not_judged(sealed_pdf: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    for user in ("", "secret"):
        with pikepdf.open(sealed_pdf) as pdf:
            pdf.save(path, encryption=pikepdf.Encryption(owner="x", user=user))
        with pytest.raises(SignatureRefused) as caught:
            pdf_signatures(path)
        assert (caught.value.code, caught.value.indeterminate) == ("PDF_ENCRYPTED", True)


def test_genuine_foreign_signatures() -> None:
    """Files that their makers call valid pass every rule about form and coverage."""
    now = datetime.fromisoformat("2026-11-22T09:30:00+00:00")
    timestamps = Rfc3161Verifier(CREDULOUS)
    for name, expected in (
        ("dss-pades-bes.pdf", "B-B"),
        ("dss-pdf-signed-original.pdf", None),
    ):
        [signature] = pdf_signatures(SIGNED / name)
        result = validate_pdf_signature(signature, CREDULOUS, timestamps, now=now)
        assert expected in {None, result.level}
        assert result.covers_whole_file


def test_nothing_may_follow_a_seal() -> None:
    now = datetime.fromisoformat("2026-11-22T09:30:00+00:00")
    timestamps = Rfc3161Verifier(CREDULOUS)
    first, last = pdf_signatures(SIGNED / "dss-Signature-P-HU_POL-3.pdf")
    assert (first.covers_whole_file, first.covered_by_other) == (False, True)
    for item in (first, last):
        with pytest.raises(SignatureRefused) as caught:
            validate_pdf_signature(item, CREDULOUS, timestamps, now=now)
        assert (caught.value.code, caught.value.indeterminate) == ("FORMAT_FAILURE", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D:20261122093000Z", "2026-11-22T09:30:00+00:00"),
        ("D:20261122093000", "2026-11-22T09:30:00+00:00"),
        ("D:20261122093000Z00'00'", "2026-11-22T09:30:00+00:00"),
        ("D:20261122103000+01'00'", "2026-11-22T09:30:00+00:00"),
        ("D:20261122103000+01'00", "2026-11-22T09:30:00+00:00"),
        ("D:20261122043000-0500", "2026-11-22T09:30:00+00:00"),
        ("D:20261322093000Z", None),
        ("D:20261122093000+99'99'", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_pdf_dates(text: str, expected: str | None) -> None:
    assert pdf_date(text) == (expected and datetime.fromisoformat(expected))
