"""Files of any maker through the verifier: CMS and tokens alone, evidence beside a file, ASiC containers."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asn1crypto import cms, core
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust import TrustStore
from timestamping import der
from vault.evidence import kinds
from vault.evidence.kinds import Kind, kind_of
from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file

DATA = Path(__file__).parents[1] / "data"
CONTENT = b"what was signed"
DAY = timedelta(days=1)
ASIC_E = b"application/vnd.etsi.asic-e+zip"
ASIC_S = b"application/vnd.etsi.asic-s+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SIGNATURE = "META-INF/signature.p7s"


@pytest.fixture
def judge(world: Any, tmp_path: Path, now: datetime) -> Callable[..., Verdict]:
    def run(data: bytes, **more: Any) -> Verdict:
        path = tmp_path / "judged"
        path.write_bytes(data)
        for name in ("original", "evidence"):
            if isinstance(more.get(name), bytes):
                beside = tmp_path / name
                beside.write_bytes(more[name])
                more[name] = beside
        more.setdefault("trust", TrustStore([world.root.certificate]))
        return verify_file(path, at=now, **more)

    return run


@pytest.fixture(scope="module")
def now(world: Any) -> datetime:
    moment: datetime = world.signer.certificate.not_valid_before_utc
    return moment + timedelta(days=30)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def said(verdict: Verdict) -> tuple[Outcome, list[str]]:
    return verdict.verdict, codes(verdict)


PASSED: tuple[Outcome, list[str]] = (Outcome.PASSED, [])


# ---- CMS alone


def test_detached(world: Any, judge: Any) -> None:
    signature = world.sign()
    verdict = judge(signature, original=CONTENT)
    assert said(verdict) == PASSED
    assert [(item.signer, item.level, item.form) for item in verdict.signatures] == [
        ("Signer", "CAdES-B-B", "CAdES")
    ]
    assert said(judge(signature)) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])
    assert said(judge(signature, original=b"other")) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert codes(judge(signature, original=CONTENT, trust=TrustStore([]))) == ["NO_CERTIFICATE_CHAIN_FOUND"]


def test_the_digest_is_enough(world: Any, judge: Any) -> None:
    digest = hashlib.sha256(CONTENT).digest()
    assert said(judge(world.sign(), digests=[("sha256", digest)])) == PASSED
    assert said(judge(world.sign(), digests=[("sha256", bytes(32))])) == (Outcome.FAILED, ["HASH_FAILURE"])
    verdict = judge(world.sign(digest="sha512"), digests=[("sha256", digest)])
    assert said(verdict) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])


def test_attached(world: Any, judge: Any) -> None:
    signature = world.sign(inside=CONTENT)
    assert said(judge(signature)) == PASSED
    assert said(judge(signature, original=CONTENT)) == PASSED
    assert said(judge(signature, original=b"other")) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert said(judge(world.sign(inside=b"other"))) == (Outcome.FAILED, ["HASH_FAILURE"])


def test_a_pdf_inside_a_signature(world: Any, judge: Any) -> None:
    """It is judged as what it is, and must be all that a PDF viewer finds in the file."""
    pdf = (DATA / "pdf-signed" / "dss-pdf-signed-original.pdf").read_bytes()
    for content in (pdf, b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer <</Root 1 0 R>>\nstartxref\n9\n%%EOF\n"):
        signature = world.sign(content, inside=content)
        verdict = judge(signature)
        assert said(verdict) == PASSED
        assert verdict.signatures[0].form == "CAdES"
        hidden = world.with_unsigned(signature, b"1 0 obj <</New 1>> endobj")
        assert said(judge(hidden)) == (Outcome.FAILED, ["FORMAT_FAILURE"])
        assert said(judge(world.with_unsigned(signature, b"an object"))) == PASSED
    # A PDF in front of what was signed: viewers show it, and the signature is over something else.
    read = cms.ContentInfo.load(world.sign(inside=CONTENT))
    parameters = core.OctetString(pdf)
    read["content"]["digest_algorithms"].append({"algorithm": "md5", "parameters": parameters})
    assert said(judge(read.dump(force=True))) == (Outcome.FAILED, ["FORMAT_FAILURE"])


def test_every_original_must_be_the_one(world: Any, judge: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(CONTENT)
    second.write_bytes(CONTENT)
    assert said(judge(world.sign(), original=[first, second])) == PASSED
    second.write_bytes(b"other")
    assert said(judge(world.sign(), original=[first, second])) == (Outcome.FAILED, ["HASH_FAILURE"])


def test_each_signer_is_judged_by_himself(world: Any, judge: Any) -> None:
    verdict = judge(world.sign(signers=3), original=CONTENT)
    assert said(verdict) == PASSED
    assert len(verdict.signatures) == 3
    assert "document.signature[2].path" in {check.name for check in verdict.checks}


def test_plain_cms(world: Any, judge: Any) -> None:
    verdict = judge(world.sign(bound=False), original=CONTENT)
    assert said(verdict) == PASSED
    assert verdict.signatures[0].form == "PKCS7"
    # Without signed attributes the value would fit the attributes of another signature as content.
    verdict = judge(world.sign(attributes=False), original=CONTENT)
    assert said(verdict) == (Outcome.INDETERMINATE, ["SIG_CONSTRAINTS_FAILURE"])


@pytest.mark.needs("openssl")
def test_signatures_by_openssl_der_and_ber(judge: Any, tmp_path: Path) -> None:
    subject = ("-subj", "/CN=Someone", "-addext", "basicConstraints=critical,CA:FALSE")
    key, certificate, content = (tmp_path / name for name in ("key.pem", "certificate.pem", "content"))
    content.write_bytes(CONTENT)

    def openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject)
    trust = TrustStore(x509.load_pem_x509_certificates(certificate.read_bytes()))
    for words in (
        ("-outform", "DER"),
        ("-outform", "PEM"),
        ("-outform", "DER", "-nodetach"),
        ("-outform", "DER", "-nodetach", "-stream"),
    ):
        made = tmp_path / "made"
        signer = ("-signer", certificate, "-inkey", key)
        openssl("cms", "-sign", "-cades", "-binary", "-in", content, *signer, *words, "-out", made)
        verdict = verify_file(made, trust=trust, original=content)
        assert said(verdict) == PASSED, words
        assert said(verify_file(made, trust=trust, original=certificate)) == (
            Outcome.FAILED,
            ["HASH_FAILURE"],
        )


def test_armour(world: Any, judge: Any) -> None:
    signature = world.sign()
    text = base64.encodebytes(signature)
    for data in (
        b"-----BEGIN PKCS7-----\n" + text + b"-----END PKCS7-----\n",
        text,
        base64.b64encode(signature),
    ):
        assert said(judge(data, original=CONTENT)) == PASSED


def test_certificates_alone_are_no_signature(world: Any, judge: Any) -> None:
    assert said(judge(world.sign(signers=0))) == (Outcome.INDETERMINATE, ["NO_SIGNATURE_FOUND"])


# ---- tokens, and evidence beside a file


def test_tokens(world: Any, judge: Any, now: datetime) -> None:
    token = world.token(CONTENT, now - DAY)
    answer = der.sequence(der.sequence(der.integer(0)), token)
    for data in (token, answer):
        verdict = judge(data, original=CONTENT)
        assert said(verdict) == PASSED
        assert verdict.signatures[0].level == "timestamp"
        assert verdict.signatures[0].signing_time is not None
        assert said(judge(data)) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])
        assert said(judge(data, original=b"other")) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert codes(judge(token, original=CONTENT, tsa_trust=TrustStore([]))) == ["NO_CERTIFICATE_CHAIN_FOUND"]
    assert codes(judge(world.token(CONTENT, now + DAY), original=CONTENT)) == ["NO_POE"]
    refusal = der.sequence(der.sequence(der.integer(2)))
    assert said(judge(refusal)) == (Outcome.INDETERMINATE, ["NO_SIGNATURE_FOUND"])
    # A signer's certificate makes no timestamp.
    assert codes(judge(world.token(CONTENT, now - DAY, world.signer), original=CONTENT)) == [
        "CHAIN_CONSTRAINTS_FAILURE"
    ]


def test_the_injected_certificate_is_not_the_signer(judge: Any) -> None:
    """The token brings a look-alike authority; trusting that one says nothing of the token."""
    data = (DATA / "tst" / "sigstore-response-injected-certs.tsr").read_bytes()
    token = data[data.index(bytes.fromhex("06092a864886f70d010702")) - 4 :]
    inside = cms.ContentInfo.load(token)["content"]["certificates"]
    spoofed = next(item.chosen.dump() for item in inside if b"Spoofed TSA" in item.chosen.dump())
    verdict = judge(data, trust=TrustStore([x509.load_der_x509_certificate(spoofed)]))
    assert "NO_CERTIFICATE_CHAIN_FOUND" in codes(verdict)
    assert verdict.signatures[0].signer != "Spoofed TSA"


def test_evidence_beside_a_file(world: Any, judge: Any, now: datetime) -> None:
    for evidence in (world.token(CONTENT, now - DAY), world.sign()):
        verdict = judge(CONTENT, evidence=evidence)
        assert said(verdict) == PASSED
        assert all(check.name.startswith("evidence.") or check.name == "original" for check in verdict.checks)
        assert said(judge(b"other", evidence=evidence)) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert codes(judge(CONTENT, evidence=b"nothing")) == ["NO_SIGNATURE_FOUND"]
    # What it proves of the time counts for the signature inside the file.
    signature = world.sign(inside=CONTENT)
    verdict = judge(signature, evidence=world.token(signature, now - DAY))
    assert said(verdict) == PASSED
    assert verdict.signatures[0].time_source == "record"
    verdict = judge(signature, evidence=world.token(b"other", now - DAY))
    assert said(verdict) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert verdict.signatures[0].time_source == "asked"


# ---- containers


def pack(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def manifest(
    files: Mapping[str, bytes], signature: str = SIGNATURE, *, more: str = "", digest: str = "sha256"
) -> bytes:
    methods = {
        "md5": "http://www.w3.org/2001/04/xmldsig-more#md5",
        "sha1": "http://www.w3.org/2000/09/xmldsig#sha1",
        "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
        "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
    }
    items = "".join(
        f'<a:DataObjectReference URI="{quote(name)}"><DigestMethod xmlns="http://www.w3.org/2000/09/xmldsig#" '
        f'Algorithm="{methods[digest]}"/><DigestValue xmlns="http://www.w3.org/2000/09/xmldsig#">'
        f"{base64.b64encode(hashlib.new(digest, content).digest()).decode()}</DigestValue></a:DataObjectReference>"
        for name, content in files.items()
    )
    return (
        '<?xml version="1.0"?><!-- made here -->'
        '<a:ASiCManifest xmlns:a="http://uri.etsi.org/02918/v1.2.1#">'
        f'<a:SigReference URI="{signature}"/>{items}{more}</a:ASiCManifest>'
    ).encode()


FILES = {"a.txt": b"first", "folder/é b.txt": b"second"}


@pytest.fixture
def asic_e(world: Any) -> Callable[..., dict[str, bytes]]:
    def make(files: Mapping[str, bytes] = FILES, xml: bytes | None = None, **how: Any) -> dict[str, bytes]:
        listed = manifest(files, **how) if xml is None else xml
        return {"mimetype": ASIC_E, **files, MANIFEST: listed, SIGNATURE: world.sign(listed)}

    return make


def test_asic_e(asic_e: Any, judge: Any) -> None:
    for how in (
        {},
        {"digest": "sha512"},
        {"more": "<a:ASiCManifestExtensions><x/></a:ASiCManifestExtensions>"},
    ):
        verdict = judge(pack(asic_e(**how)))
        assert said(verdict) == PASSED, verdict.checks
        assert verdict.signatures[0].covers_whole_file
        assert verdict.signatures[0].part == SIGNATURE


def test_an_original_is_one_of_the_files(asic_e: Any, judge: Any) -> None:
    data = pack(asic_e())
    assert said(judge(data, original=b"second")) == PASSED
    assert said(judge(data, original=b"third")) == (Outcome.FAILED, ["HASH_FAILURE"])


def test_a_file_changed_missing_or_added(asic_e: Any, judge: Any) -> None:
    files = asic_e()
    assert said(judge(pack({**files, "a.txt": b"First"}))) == (Outcome.FAILED, ["HASH_FAILURE"])
    gone = {name: content for name, content in files.items() if name != "a.txt"}
    assert codes(judge(pack(gone)))[0] == "SIGNED_DATA_NOT_FOUND"
    more = judge(pack({**files, "added.txt": b"unsigned"}))
    assert said(more) == PASSED
    assert not more.signatures[0].covers_whole_file
    assert any("added.txt" in check.found and check.outcome is Outcome.UNCHECKED for check in more.checks)


def test_a_file_hidden_beside_the_signature_is_said(asic_e: Any, judge: Any) -> None:
    verdict = judge(pack({**asic_e(), "META-INF/contract.txt": b"unsigned", "evidence.json": b"{}"}))
    assert said(verdict) == PASSED
    notes = [check.found for check in verdict.checks if check.outcome is Outcome.UNCHECKED]
    assert any("META-INF/contract.txt" in note for note in notes)
    assert any("evidence.json" in note for note in notes)


def test_a_manifest_that_names_nothing(world: Any, judge: Any) -> None:
    empty = manifest({})
    data = pack({"mimetype": ASIC_E, "a.txt": b"first", MANIFEST: empty, SIGNATURE: world.sign(empty)})
    assert said(judge(data)) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])


def test_a_signature_that_no_manifest_names(world: Any, judge: Any, asic_e: Any) -> None:
    files = {**asic_e(), "META-INF/signature2.p7s": world.sign(b"something")}
    assert said(judge(pack(files))) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])
    del files[MANIFEST]
    assert judge(pack(files)).verdict is not Outcome.PASSED


@pytest.mark.parametrize(
    "forge",
    [
        lambda xml: b"<!DOCTYPE a>" + xml.partition(b"?>")[2],
        lambda xml: xml.replace(b"02918", b"02919"),
        lambda xml: xml.replace(b'<a:SigReference URI="META-INF/signature.p7s"/>', b""),
        lambda xml: xml.replace(
            b"</a:ASiCManifest>", b'<a:SigReference URI="META-INF/x.p7s"/></a:ASiCManifest>'
        ),
        lambda xml: xml.replace(b"META-INF/signature.p7s", b"META-INF/other.p7s"),
        lambda xml: xml.replace(
            b"</a:DataObjectReference>", b"<a:DataObjectReference/></a:DataObjectReference>", 1
        ),
        lambda xml: xml.replace(b"</DigestValue>", b"!</DigestValue>", 1),
        lambda xml: xml[:-3],
        lambda _: b"",
    ],
)
def test_malformed_manifests(forge: Callable[[bytes], bytes], asic_e: Any, judge: Any) -> None:
    verdict = judge(pack(asic_e(xml=forge(manifest(FILES)))))
    assert verdict.verdict is Outcome.FAILED
    assert "FORMAT_FAILURE" in codes(verdict)


def test_a_uri_that_could_mean_two_members(world: Any, judge: Any, asic_e: Any) -> None:
    files = {"a b.txt": b"shown"}
    twin = {**asic_e(files), "a%20b.txt": b"hidden"}
    verdict = judge(pack(twin))
    assert said(verdict) == (Outcome.FAILED, ["FORMAT_FAILURE"])
    assert said(judge(pack(asic_e(files)))) == PASSED


def test_two_manifests_of_one_signature(asic_e: Any, judge: Any) -> None:
    files = {**asic_e(), "META-INF/ASiCManifest2.xml": manifest({"a.txt": b"first"})}
    assert "FORMAT_FAILURE" in codes(judge(pack(files)))


def test_two_signers_in_one_cms_of_a_container(world: Any, judge: Any) -> None:
    xml = manifest(FILES)
    data = pack({"mimetype": ASIC_E, **FILES, MANIFEST: xml, SIGNATURE: world.sign(xml, signers=2)})
    assert said(judge(data)) == (Outcome.FAILED, ["FORMAT_FAILURE"])
    data = pack({"mimetype": ASIC_E, **FILES, MANIFEST: xml, SIGNATURE: world.sign(xml, inside=xml)})
    assert said(judge(data)) == (Outcome.FAILED, ["FORMAT_FAILURE"])


def test_one_bad_signature_hides_no_good_one(world: Any, judge: Any, asic_e: Any) -> None:
    second = manifest({"a.txt": b"first"}, "META-INF/signature2.p7s")
    files = {**asic_e(), "META-INF/ASiCManifest2.xml": second, "META-INF/signature2.p7s": world.sign(second)}
    assert said(judge(pack(files))) == PASSED
    files["META-INF/signature2.p7s"] = b"\x30\x80garbage"
    verdict = judge(pack(files))
    assert verdict.verdict is Outcome.FAILED
    assert [item.verdict for item in verdict.signatures] == [Outcome.PASSED, Outcome.FAILED]
    # Signatures in XML beside are said not to be read.
    del files["META-INF/ASiCManifest2.xml"], files["META-INF/signature2.p7s"]
    files["META-INF/signatures.xml"] = b"<x/>"
    verdict = judge(pack(files))
    assert said(verdict) == (Outcome.INDETERMINATE, ["SIGNATURE_FORMAT_UNSUPPORTED"])
    assert [item.verdict for item in verdict.signatures] == [Outcome.PASSED, Outcome.INDETERMINATE]


def test_archive_timestamps_prove_the_time_of_signatures(
    world: Any, judge: Any, asic_e: Any, now: datetime
) -> None:
    files = asic_e()
    listed = {name: files[name] for name in (MANIFEST, SIGNATURE, *FILES)}
    xml = manifest(listed, "META-INF/timestamp.tst")
    files["META-INF/ASiCArchiveManifest.xml"] = xml
    files["META-INF/timestamp.tst"] = world.token(xml, now - DAY)
    verdict = judge(pack(files))
    assert said(verdict) == PASSED
    assert verdict.signatures[0].time_source == "record"
    files["META-INF/timestamp.tst"] = world.token(b"another manifest", now - DAY)
    verdict = judge(pack(files))
    assert said(verdict) == (Outcome.FAILED, ["HASH_FAILURE"])
    assert verdict.signatures[0].time_source == "asked"
    assert verdict.signatures[0].verdict is Outcome.PASSED


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_digests_of_a_manifest_are_held_to_the_table(
    world: Any, judge: Any, asic_e: Any, now: datetime, digest: str
) -> None:
    files = asic_e(digest=digest)
    verdict = judge(pack(files))
    assert said(verdict) == (Outcome.INDETERMINATE, ["CRYPTO_CONSTRAINTS_FAILURE_NO_POE"])
    assert verdict.signatures[0].verdict is Outcome.INDETERMINATE
    # Its time is proven, and the digest was not good any more then.
    files[SIGNATURE] = world.sign(files[MANIFEST], tokens=[world.stamp(now - DAY)])
    assert said(judge(pack(files))) == (Outcome.INDETERMINATE, ["CRYPTO_CONSTRAINTS_FAILURE"])
    files = asic_e()
    listed = {name: files[name] for name in (MANIFEST, SIGNATURE, *FILES)}
    files["META-INF/ASiCArchiveManifest.xml"] = xml = manifest(listed, "META-INF/t.tst", digest=digest)
    files["META-INF/t.tst"] = world.token(xml, now - DAY)
    verdict = judge(pack(files))
    assert said(verdict) == (Outcome.INDETERMINATE, ["CRYPTO_CONSTRAINTS_FAILURE_NO_POE"])
    assert verdict.signatures[0].time_source == "asked"


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (SIGNATURE, "meta-inf/signature.p7s"),
        (MANIFEST, "Meta-Inf/ASiCManifest.xml"),
        ("mimetype", "MIMETYPE"),
    ],
)
def test_names_that_are_reserved_to_some_readers_only(
    asic_e: Any, judge: Any, name: str, called: str
) -> None:
    files = {called if key == name else key: content for key, content in asic_e().items()}
    assert said(judge(pack(files))) == (Outcome.FAILED, ["FORMAT_FAILURE"])
    assert codes(judge(pack({"a.txt": b"x", "meta-inf/b.txt": b"y"}))) == ["NO_SIGNATURE_FOUND"]


def test_what_a_signature_brings_serves_the_timestamp_beside_it(
    world: Any, judge: Any, asic_e: Any, now: datetime
) -> None:
    fresh = {"start": now - DAY / 2, "end": now + DAY}
    for holders, code in (((world.ca, world.root), []), ((world.ca,), ["TRY_LATER", "TRY_LATER"])):
        files = asic_e()
        lists = [world.crl(holder, **fresh) for holder in holders]
        files[SIGNATURE] = world.sign(files[MANIFEST], crls=lists)
        listed = {name: files[name] for name in (MANIFEST, SIGNATURE, *FILES)}
        files["META-INF/ASiCArchiveManifest.xml"] = xml = manifest(listed, "META-INF/timestamp.tst")
        files["META-INF/timestamp.tst"] = world.token(xml, now - DAY)
        assert said(judge(pack(files))) == PASSED
        assert codes(judge(pack(files), require_revocation=True)) == code


def test_asic_s(world: Any, judge: Any, now: datetime) -> None:
    for member, proof in (
        (SIGNATURE, world.sign(b"one")),
        ("META-INF/timestamp.tst", world.token(b"one", now - DAY)),
    ):
        files = {"mimetype": ASIC_S, "one.txt": b"one", member: proof}
        verdict = judge(pack(files))
        assert said(verdict) == PASSED
        assert verdict.signatures[0].covers_whole_file
        assert said(judge(pack({**files, "one.txt": b"two"}))) == (Outcome.FAILED, ["HASH_FAILURE"])
        assert said(judge(pack({**files, "two.txt": b"two"}))) == (Outcome.FAILED, ["FORMAT_FAILURE"])
        del files["mimetype"]
        assert said(judge(pack(files))) == PASSED
        # Nothing says which of two it covers.
        assert judge(pack({**files, "two.txt": b"two"})).verdict is Outcome.INDETERMINATE


def test_contradicting_mimetypes(asic_e: Any, judge: Any) -> None:
    files = asic_e()
    assert said(judge(pack({**files, "mimetype": ASIC_S}))) == (Outcome.FAILED, ["FORMAT_FAILURE"])
    out = io.BytesIO(pack(files))
    with zipfile.ZipFile(out, "a") as made:
        made.comment = b"mimetype=" + ASIC_S
    assert said(judge(out.getvalue())) == (Outcome.FAILED, ["FORMAT_FAILURE"])


def test_ambiguous_zips_are_refused_when_they_tell_of_signatures(asic_e: Any, judge: Any) -> None:
    for data in (pack(asic_e()) + b"x", b"x" + pack(asic_e())):
        assert said(judge(data)) == (Outcome.FAILED, ["FORMAT_FAILURE"])
    for data in (pack({"a.txt": b"x"}) + b"x", pack({"a.txt": b"x"}), pack({"word/document.xml": b"x"})):
        assert said(judge(data)) == (Outcome.INDETERMINATE, ["NO_SIGNATURE_FOUND"])
    for name in ("META-INF/SIGN.RSA", "META-INF/documentsignatures.xml", "_xmlsignatures/sig1.xml"):
        assert codes(judge(pack({"a.txt": b"x", name: b"x"})))[0] == "SIGNATURE_FORMAT_UNSUPPORTED"


def test_a_bomb_is_no_verdict(asic_e: Any, judge: Any) -> None:
    assert codes(judge(pack(asic_e({"zeros": bytes(3 << 20)})))) == ["VERIFIER_OUTPUT_LIMIT"]


# ---- kinds


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.EMPTY),
        (b"PK\x03\x04", Kind.ZIP),
        (b"junk PK\x05\x06" + bytes(18), Kind.ZIP),
        (b"%PDF-1.7 PK\x05\x06" + bytes(18), Kind.PDF),
        (b"junk\n%PDF-1.7", Kind.PDF),
        (
            b"<?xml version='1.0'?><ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>",
            Kind.XML_PROOF,
        ),
        (b"\xef\xbb\xbf<EvidenceRecord xmlns='urn:ietf:params:xml:ns:ers'/>", Kind.XML_PROOF),
        (b"<html/>", Kind.OTHER),
        (bytes.fromhex("3003020105"), Kind.OTHER),
        (bytes.fromhex("30030201"), Kind.OTHER),
        (bytes.fromhex("30"), Kind.OTHER),
        (bytes.fromhex("308006092a864886f70d010702a080"), Kind.CMS),
        (bytes.fromhex("300b06092a864886f70d010701"), Kind.OTHER),  # data, not signed
        (
            der.sequence(
                der.integer(1), der.sequence(der.sequence(der.object_id("1.2.3")), der.octets(b"x"))
            ),
            Kind.OTHER,
        ),
        (der.sequence(der.integer(1), der.sequence(der.sequence(der.object_id("1.2.3")))), Kind.RECORD),
        (der.sequence(der.sequence(der.integer(2))), Kind.RESPONSE),
        (b"MIIB", Kind.OTHER),
    ],
)
def test_kinds(data: bytes, kind: Kind) -> None:
    assert kind_of(io.BytesIO(data)) is kind


_BEFORE = re.compile(rb"\s*MI[A-Za-z0-9+/\s]+={0,2}\s*")


@given(st.lists(st.sampled_from([b"M", b"I", b"a", b"=", b" ", b"\n", b"!"]), max_size=9).map(b"".join))
def test_what_counts_as_base64(tail: bytes) -> None:
    """As with what is simplest to read, which tries everything."""
    for data in (tail, b"MIaa" + tail):
        assert (kinds._BASE64.fullmatch(data) is None) == (_BEFORE.fullmatch(data) is None)


def test_white_space_does_not_slow_the_reading_of_base64() -> None:
    data = b"MIaa" + b" " * (1 << 20) + b"!"
    assert kinds.der_octets(io.BytesIO(data)) == data


def test_xml_proofs_are_said_not_to_be_read(judge: Any) -> None:
    data = b"<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>"
    assert said(judge(data)) == (Outcome.INDETERMINATE, ["SIGNATURE_FORMAT_UNSUPPORTED"])


HEADS = [
    b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80",
    bytes.fromhex("3082010006092a864886f70d010702a081f03081ed02010331003010060b2a864886f70d0109100104"),
    b"\x30\x20\x02\x01\x01\x30\x05\x30\x03\x06\x01\x2a",
    b"\x30\x20\x30\x03\x02\x01\x00\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
    b"PK\x03\x04",
    b"MII",
    b"-----BEGIN CMS-----\n",
    b"<x xmlns='http://www.w3.org/2000/09/xmldsig#'",
]


@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=300), mirrored=st.booleans())
@settings(max_examples=150)
def test_nothing_makes_it_raise_or_pass(head: bytes, rest: bytes, mirrored: bool) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(head + rest)
        file.flush()
        path = Path(file.name)
        verdict = verify_file(path, trust=TrustStore([]), evidence=path if mirrored else None)
    assert verdict.verdict is not Outcome.PASSED
    assert verdict.reasons
    assert "PROCESSING_ERROR" not in codes(verdict)


@pytest.fixture(scope="module")
def signed_container(world: Any) -> bytes:
    xml = manifest(FILES)
    return pack({"mimetype": ASIC_E, **FILES, MANIFEST: xml, SIGNATURE: world.sign(xml)})


@given(data=st.data())
@settings(max_examples=150)
def test_no_changed_octet_of_a_container_passes_as_something_else(
    data: st.DataObject, world: Any, now: datetime, signed_container: bytes
) -> None:
    octets = bytearray(signed_container)
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    with tempfile.NamedTemporaryFile() as file:
        file.write(octets)
        file.flush()
        verdict = verify_file(Path(file.name), trust=TrustStore([world.root.certificate]), at=now)
    if verdict.verdict is Outcome.PASSED:
        with zipfile.ZipFile(io.BytesIO(octets)) as shown:
            assert {name: shown.read(name) for name in FILES} == FILES
