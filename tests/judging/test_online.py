"""What judging does with a way to the network: completes paths, and asks about revocation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

from signing.algorithms import TABLE
from signing.judge_signature import judge_cms
from signing.judgement import JudgedSignature, JudgingPolicy, OutsideData
from signing.trust import TrustStore
from timestamping.verify import Rfc3161Verifier

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Pages:
    """Stands for the network."""

    def __init__(self, **pages: bytes) -> None:
        self.pages = {f"http://ca.example/{name}": content for name, content in pages.items()}
        self.asked: list[tuple[str, bool]] = []

    def fetch(self, url: str, body: bytes | None = None) -> bytes | None:
        self.asked.append((url, body is not None))
        if body is not None:
            ocsp.load_der_ocsp_request(body)
        return self.pages.get(url)


def pointing(*places: tuple[x509.ObjectIdentifier, str]) -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in places]
    )


@pytest.fixture
def signer(world: Any) -> Any:
    points = [x509.UniformResourceIdentifier("http://ca.example/crl")]
    return world.leaf(
        "Pointing",
        world.ca,
        more=[
            pointing(
                (Access.CA_ISSUERS, "ldap://ca.example/"),
                (Access.CA_ISSUERS, "http://ca.example/issuer"),
                (Access.OCSP, "http://ca.example/ocsp"),
            ),
            x509.CRLDistributionPoints([x509.DistributionPoint(points, None, None, None)]),
        ],
    )


def judge(world: Any, signer: Any, pages: Pages, **options: Any) -> JudgedSignature:
    trust = TrustStore([world.root.certificate])
    der = world.sign(signer=signer, certificates=[signer.certificate], **options)
    return judge_cms(
        der,
        lambda _: hashlib.sha256(b"what was signed").digest(),
        form="CAdES",
        purposes=frozenset(),
        trust=trust,
        tsa_trust=trust,
        data=OutsideData(),
        policy=JudgingPolicy(NOW, fetch=pages),
        tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
    )


@pytest.mark.parametrize("form", ["der", "pem", "p7c"])
def test_the_issuer_is_fetched(world: Any, signer: Any, form: str) -> None:
    ca = world.ca.certificate
    content = {
        "der": ca.public_bytes(Encoding.DER),
        "pem": ca.public_bytes(Encoding.PEM),
        "p7c": pkcs7.serialize_certificates([world.root.certificate, ca], Encoding.DER),
    }[form]
    judged = judge(world, signer, Pages(issuer=content))
    assert judged.error is None
    assert len(judged.path) == 3


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----"])
def test_junk_in_its_place(world: Any, signer: Any, content: bytes) -> None:
    judged = judge(world, signer, Pages(issuer=content))
    assert judged.error is not None
    assert judged.error.code == "NO_CERTIFICATE_CHAIN_FOUND"


def test_another_ca_in_its_place(world: Any, signer: Any) -> None:
    twin = world.authority("Signers CA", world.root)
    judged = judge(world, signer, Pages(issuer=twin.certificate.public_bytes(Encoding.DER)))
    assert judged.error is not None
    assert judged.error.code == "NO_CERTIFICATE_CHAIN_FOUND"


def test_revocation_is_asked_for(world: Any, signer: Any) -> None:
    issuer = world.ca.certificate.public_bytes(Encoding.DER)
    revoked = [(signer.certificate, NOW - 2 * DAY, None)]
    for pages, code in (
        (Pages(issuer=issuer, crl=world.crl(world.ca)), None),
        (Pages(issuer=issuer, crl=world.crl(world.ca, revoked)), "REVOKED"),
        (Pages(issuer=issuer, ocsp=world.ocsp(signer.certificate, world.ca)), None),
        (
            Pages(
                issuer=issuer,
                ocsp=world.ocsp(
                    signer.certificate,
                    world.ca,
                    status=ocsp.OCSPCertStatus.REVOKED,
                    revoked=NOW - 2 * DAY,
                ),
            ),
            "REVOKED",
        ),
        (Pages(issuer=issuer, crl=b"junk", ocsp=b"junk"), None),
    ):
        judged = judge(world, signer, pages)
        assert (judged.error and judged.error.code) == code
        assert ("http://ca.example/ocsp", True) in pages.asked
        assert ("http://ca.example/crl", False) in pages.asked
        assert not any(url.startswith("ldap") for url, _ in pages.asked)


def test_nothing_is_asked_when_nothing_is_missing(world: Any) -> None:
    pages = Pages()
    crls = [world.crl(world.ca), world.crl(world.root)]
    trust = TrustStore([world.root.certificate])
    judged = judge_cms(
        world.sign(crls=crls),
        lambda _: hashlib.sha256(b"what was signed").digest(),
        form="CAdES",
        purposes=frozenset(),
        trust=trust,
        tsa_trust=trust,
        data=OutsideData(),
        policy=JudgingPolicy(NOW, fetch=pages),
        tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
    )
    assert judged.error is None
    assert pages.asked == []
