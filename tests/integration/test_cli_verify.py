"""`probans verify` on anybody's files: whom to trust, what to compare with, what a hostile file does."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    Certificate,
    CertificateBuilder,
    Name,
    NameAttribute,
    load_pem_x509_certificates,
    random_serial_number,
)
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import DigestAlgorithm, SignatureMethod, XMLSigner, methods
from typer.testing import CliRunner

from signing.foreign_cms import read_foreign
from signing.pdf_signatures import pdf_signatures
from signing.pdf_values import split_contents
from signing.trusted_list import open_list
from vault.cli.main import build
from vault.cli.trust_options import read_digests
from vault.evidence.findings import Outcome
from vault.verification.pool import TemplatePool
from vault.verification.question import Question, listed_text

DATA = Path(__file__).parents[1] / "data"
SIGNED = DATA / "pdf-signed" / "dss-pades-bes.pdf"
TIME = "2024-07-31T09:30:00Z"
URI = "http://uri.etsi.org/TrstSvc/"
app = build()
runner = CliRunner()


def run(*words: str | Path) -> tuple[int, Any]:
    result = runner.invoke(app, ["verify", *(str(word) for word in words), "--json"])
    assert result.exit_code == 2 or result.output.count("\n") == 1, result.output
    return result.exit_code, json.loads(result.output) if result.exit_code != 2 else result.output


def codes(verdict: Any) -> list[str]:
    return [reason["code"] for reason in verdict["reasons"]]


def pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def authority() -> Certificate:
    """The authority that issued the signer's certificate, from the file itself."""
    cms = split_contents(pdf_signatures(SIGNED)[0].contents)[0]
    return read_foreign(cms).certificates[1]


@pytest.fixture(scope="module")
def root(authority: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "root.pem"
    path.write_bytes(pem(authority))
    return path


@pytest.fixture(scope="module")
def scheme(authority: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trusted list that has this authority, one that had it once, and who signed them."""
    folder = tmp_path_factory.mktemp("scheme")
    key = ec.generate_private_key(ec.SECP256R1())
    name = Name([NameAttribute(NameOID.COMMON_NAME, "Scheme")])
    base = CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    base = base.not_valid_before(_time("2020-01-01")).not_valid_after(_time("2040-01-01"))
    signer = base.serial_number(random_serial_number()).sign(key, hashes.SHA256())
    (folder / "signers.pem").write_bytes(pem(signer))
    for file, status in (("listed.xml", "granted"), ("withdrawn.xml", "withdrawn")):
        text = _LIST.format(
            status=f"{URI}TrustedList/Svcstatus/{status}", kind=f"{URI}Svctype/CA/QC", der=_b64(authority)
        )
        tool = XMLSigner(
            methods.enveloped, SignatureMethod.ECDSA_SHA256, DigestAlgorithm.SHA256,
            c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
        )  # fmt: skip
        signed = tool.sign(etree.fromstring(text), key=key, cert=[signer])
        (folder / file).write_bytes(etree.tostring(signed))
    return folder


_LIST = (
    '<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"><SchemeInformation><TSLSequenceNumber>1'
    "</TSLSequenceNumber><SchemeTerritory>MC</SchemeTerritory><ListIssueDateTime>2024-01-01T00:00:00Z"
    "</ListIssueDateTime><NextUpdate><dateTime>2024-06-01T00:00:00Z</dateTime></NextUpdate></SchemeInformation>"
    "<TrustServiceProviderList><TrustServiceProvider><TSPServices><TSPService><ServiceInformation>"
    "<ServiceTypeIdentifier>{kind}</ServiceTypeIdentifier><ServiceDigitalIdentity><DigitalId><X509Certificate>{der}"
    "</X509Certificate></DigitalId></ServiceDigitalIdentity><ServiceStatus>{status}</ServiceStatus>"
    "<StatusStartingTime>2020-01-01T00:00:00Z</StatusStartingTime></ServiceInformation></TSPService></TSPServices>"
    "</TrustServiceProvider></TrustServiceProviderList></TrustServiceStatusList>"
)


def _time(text: str) -> Any:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _b64(certificate: Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def test_a_signature_of_others_passes_on_roots_that_are_given(root: Path) -> None:
    code, verdict = run(SIGNED, "--trust", root, "--at", TIME)
    assert (code, verdict["verdict"]) == (0, "PASSED"), verdict["reasons"]
    signature = verdict["signatures"][0]
    assert (signature["form"], signature["level"], signature["time_source"]) == (
        "PAdES",
        "PAdES-B-B",
        "asked",
    )
    assert signature["revocation"] == "unchecked"
    code, verdict = run(SIGNED, "--trust", root, "--at", TIME, "--require-revocation")
    assert (code, codes(verdict)) == (3, ["TRY_LATER"])
    code, verdict = run(SIGNED, "--at", TIME)
    assert (code, codes(verdict)) == (3, ["NO_CERTIFICATE_CHAIN_FOUND"])


def test_the_sentence_comes_first(root: Path) -> None:
    result = runner.invoke(app, ["verify", str(SIGNED), "--trust", str(root), "--at", TIME])
    first = result.output.splitlines()[0]
    assert first.startswith(
        "VALIDE · Ce document est authentique : émis par good-user, date non prouvée, non modifié"
    )
    assert "la révocation du certificat n'a pas pu être contrôlée" in first
    assert "This document is authentic: issued by good-user" in result.output
    changed = runner.invoke(app, ["verify", str(DATA / "pdf-signed" / "dss-pdf-signed-added-page.pdf")])
    assert changed.exit_code == 1
    assert changed.output.startswith("REFUSÉ · Ce document a été modifié après la signature de good-user")


def test_the_system_s_own_roots(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "some.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + root.read_bytes()
    )

    def paths(cafile: str | None, capath: str | None) -> Any:
        return ssl.DefaultVerifyPaths(cafile, capath, "", "", "", "")

    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths(None, str(folder)))
    assert run(SIGNED, "--trust", "system", "--at", TIME)[0] == 0
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths(None, None))
    assert run(SIGNED, "--trust", "system")[0] == 2


def test_a_trusted_list_gives_anchors_while_it_lists_them(scheme: Path, root: Path) -> None:
    signers = ("--trusted-list-signer", scheme / "signers.pem")
    code, verdict = run(SIGNED, "--trusted-list", scheme / "listed.xml", *signers, "--at", TIME)
    assert (code, verdict["verdict"]) == (0, "PASSED"), verdict["reasons"]
    stale = verdict["checks"][-1]
    assert (stale["name"], stale["outcome"]) == ("trusted-list.stale[0]", "UNCHECKED")
    code, verdict = run(SIGNED, "--trusted-list", scheme / "withdrawn.xml", *signers, "--at", TIME)
    assert (code, codes(verdict)) == (3, ["NO_CERTIFICATE_CHAIN_FOUND"])
    assert run(SIGNED, "--trusted-list", scheme / "listed.xml")[0] == 2
    assert run(SIGNED, "--trusted-list", scheme / "listed.xml", "--trusted-list-signer", root)[0] == 2


def test_the_service_s_template_knows_the_lists(scheme: Path) -> None:
    signers = load_pem_x509_certificates((scheme / "signers.pem").read_bytes())
    for file, outcome in (("listed.xml", Outcome.PASSED), ("withdrawn.xml", Outcome.INDETERMINATE)):
        lists = listed_text([open_list((scheme / file).read_bytes(), signers, _time("2026-01-01"))])
        with TemplatePool(lambda lists=lists: Question("", None, at=TIME, lists=lists)) as pool:
            assert pool.judge(SIGNED).verdict is outcome


def test_originals_digests_and_evidence(tmp_path: Path) -> None:
    token = DATA / "tst" / "dss-d-trust.tsr"
    text = tmp_path / "text"
    text.write_bytes(b"Test123")
    right = hashlib.sha256(b"Test123").hexdigest()
    sha512 = hashlib.sha512(b"Test123").hexdigest()
    for words in (
        ("--original", text), ("--digest", f"sha256:{right}", "--digest", f"sha512:{sha512}"),
    ):  # fmt: skip
        code, verdict = run(token, *words)
        assert code == 3
        assert "HASH_FAILURE" not in codes(verdict)
    code, verdict = run(text, "--evidence", token)
    assert (code, codes(verdict)) == (3, ["NO_CERTIFICATE_CHAIN_FOUND"])
    text.write_bytes(b"Test124")
    for words in ((token, "--original", text), (text, "--evidence", token)):
        code, verdict = run(*words)
        assert (code, "HASH_FAILURE" in codes(verdict)) == (1, True)
    assert read_digests([right, f"SHA256:{right}".lower()]) == ((("sha256"), bytes.fromhex(right)),) * 2


@pytest.mark.parametrize(
    "words",
    [
        ("--digest", "sha256:00"), ("--digest", "md4:" + "0" * 32), ("--digest", "zz"),
        ("--digest", "sha256:" + "0" * 63),
        ("--trust", "/nowhere.pem"), ("--crl", "/nowhere"), ("--certificates", str(SIGNED)), ("--at", "yesterday"),
    ],
)  # fmt: skip
def test_wrong_usage_is_two(words: tuple[str, ...]) -> None:
    assert runner.invoke(app, ["verify", str(SIGNED), *words]).exit_code == 2


def test_a_hostile_file_ends_the_child_and_not_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vault.cli.verify.verify_file", lambda *_, **__: os.abort())
    code, verdict = run(SIGNED)
    assert (code, codes(verdict)) == (3, ["VERIFIER_CRASHED"])
    monkeypatch.setattr("vault.cli.verify.verify_file", lambda *_, **__: bytearray(1 << 31))
    assert codes(run(SIGNED)[1]) == ["VERIFIER_MEMORY_LIMIT"]
