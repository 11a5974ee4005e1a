"""Trusted lists: only what a named signer signed is read, and a service counts for the times that the list says."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import DigestAlgorithm, SignatureMethod, XMLSigner, methods

from signing.errors import SignatureRefused
from signing.trust import TrustStore
from signing.trusted_list import ISSUING, STAMPING, TrustedList, listed, open_list
from signing.trusted_list_read import NAMESPACE
from vault.evidence.findings import Check, Outcome, Verdict
from vault.verification.trust_sources import noted, store

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URI = "http://uri.etsi.org/TrstSvc/"
QC, QTST = f"{URI}Svctype/CA/QC", f"{URI}Svctype/TSA/QTST"
GRANTED, WITHDRAWN = f"{URI}TrustedList/Svcstatus/granted", f"{URI}TrustedList/Svcstatus/withdrawn"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


class Party:
    def __init__(self, name: str, key: Any = None, *, issuer: Party | None = None, ca: bool = True) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(by.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .sign(by.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()


def service(party: Party, kind: str = QC, *history: tuple[str, str, str]) -> str:
    """A service; the first of the history is the status of today: (status, since, type)."""
    current, *past = history or ((GRANTED, "2022-01-01T00:00:00Z", kind),)
    instances = "".join(
        f"<ServiceHistoryInstance><ServiceTypeIdentifier>{old}</ServiceTypeIdentifier><ServiceStatus>{status}"
        f"</ServiceStatus><StatusStartingTime>{since}</StatusStartingTime></ServiceHistoryInstance>"
        for status, since, old in past
    )
    return (
        f"<TSPService><ServiceInformation><ServiceTypeIdentifier>{kind}</ServiceTypeIdentifier>"
        f"<ServiceDigitalIdentity><DigitalId><X509Certificate>{party.base64}</X509Certificate></DigitalId><DigitalId>"
        "<X509Certificate>bm90IG9uZQ==</X509Certificate></DigitalId></ServiceDigitalIdentity>"
        f"<ServiceStatus>{current[0]}</ServiceStatus><StatusStartingTime>{current[1]}</StatusStartingTime>"
        f"</ServiceInformation><ServiceHistory>{instances}</ServiceHistory></TSPService>"
    )


def text_of(
    *services: str, issued: str = "2026-05-01T00:00:00Z", following: str = "2026-11-01T00:00:00Z"
) -> str:
    return (
        f'<TrustServiceStatusList xmlns="{NAMESPACE}"><SchemeInformation>'
        "<TSLSequenceNumber>7</TSLSequenceNumber><SchemeTerritory>MC</SchemeTerritory>"
        f"<ListIssueDateTime>{issued}</ListIssueDateTime><NextUpdate><dateTime>{following}</dateTime></NextUpdate>"
        "</SchemeInformation><TrustServiceProviderList><TrustServiceProvider><TSPServices>"
        f"{''.join(services)}</TSPServices></TrustServiceProvider></TrustServiceProviderList></TrustServiceStatusList>"
    )


def sign(text: str, by: Party, *, method: SignatureMethod | None = None, uri: str | None = None) -> bytes:
    default = (
        SignatureMethod.ECDSA_SHA256
        if isinstance(by.key, ec.EllipticCurvePrivateKey)
        else SignatureMethod.RSA_SHA256
    )
    signer = XMLSigner(methods.enveloped, method or default, DigestAlgorithm.SHA256, c14n_algorithm=EXCLUSIVE)
    signed = signer.sign(
        etree.fromstring(text),
        key=by.key,
        cert=[by.certificate],
        reference_uri=uri,
        always_add_key_value=False,
    )
    return etree.tostring(signed)


@pytest.fixture(scope="module")
def parties() -> dict[str, Party]:
    return {name: Party(name) for name in ("scheme", "ca", "tsa", "stranger")}


def refused(data: bytes, *signers: Party) -> str:
    with pytest.raises(SignatureRefused) as caught:
        open_list(data, [party.certificate for party in signers], NOW)
    return caught.value.code


def made(parties: dict[str, Party], *services: str) -> TrustedList:
    return open_list(sign(text_of(*services), parties["scheme"]), [parties["scheme"].certificate], NOW)


def test_a_list_is_read(parties: dict[str, Party]) -> None:
    scheme, ca, tsa = parties["scheme"], parties["ca"], parties["tsa"]
    opened = open_list(
        sign(text_of(service(ca), service(tsa, QTST)), scheme),
        [parties["stranger"].certificate, scheme.certificate],
        NOW,
    )
    assert (opened.territory, opened.number) == ("MC", 7)
    assert [each.kind for each in opened.services] == [QC, QTST]
    assert opened.services[0].certificates == (ca.certificate,)
    assert listed(opened.services, ISSUING).anchors == (ca.certificate,)
    assert listed(opened.services, STAMPING).anchors == (tsa.certificate,)
    assert not opened.stale(NOW)
    assert opened.stale(NOW + timedelta(days=365))


def test_status_counts_by_its_history(parties: dict[str, Party]) -> None:
    history = (
        (WITHDRAWN, "2025-01-01T00:00:00Z", QC),
        (GRANTED, "2023-01-01T00:00:00+01:00", QC),
        (GRANTED, "2022-01-01T00:00:00Z", QTST),
        (f"{URI}Svcstatus/undersupervision", "2021-01-01T00:00:00Z", QC),
        ("http://evil.example/granted", "2020-06-01T00:00:00Z", QC),
    )
    ca = parties["ca"]
    opened = open_list(
        sign(text_of(service(ca, QC, *history)), parties["scheme"]), [parties["scheme"].certificate], NOW
    )
    given = listed(opened.services, ISSUING)
    answers = {
        year: given.admits(ca.certificate, datetime(year, 7, 1, tzinfo=UTC)) for year in range(2019, 2027)
    }
    assert answers == {
        2019: False, 2020: False, 2021: True, 2022: False, 2023: True, 2024: True, 2025: False, 2026: False,
    }  # fmt: skip
    assert not given.admits(parties["stranger"].certificate, NOW)


def test_a_path_leads_to_a_service_only_while_it_was_listed(parties: dict[str, Party]) -> None:
    ca = parties["ca"]
    history = ((WITHDRAWN, "2025-01-01T00:00:00Z", QC), (GRANTED, "2023-01-01T00:00:00Z", QC))
    opened = open_list(
        sign(text_of(service(ca, QC, *history)), parties["scheme"]), [parties["scheme"].certificate], NOW
    )
    end = Party("end", issuer=ca, ca=False).certificate
    trust = store((), opened.services, ISSUING)
    trust = TrustStore(
        trust.anchors, require_revocation=False, admits=listed(opened.services, ISSUING).admits
    )
    assert trust.validate(end, (), (), datetime(2024, 1, 1, tzinfo=UTC))[-1] == ca.certificate
    for _ in range(2):  # and once more from the cache of paths
        with pytest.raises(SignatureRefused) as caught:
            trust.validate(end, (), (), datetime(2025, 6, 1, tzinfo=UTC))
        assert caught.value.code == "NO_CERTIFICATE_CHAIN_FOUND"
    # An anchor given by hand is one at any time, whatever a list says of it.
    both = store((ca.certificate,), opened.services, ISSUING)
    assert both._admits is not None
    assert both._admits(ca.certificate, datetime(2025, 6, 1, tzinfo=UTC))


def test_who_signed_is_for_the_user_to_say(parties: dict[str, Party]) -> None:
    data = sign(text_of(service(parties["ca"])), parties["stranger"])
    assert refused(data, parties["scheme"]) == "SIG_CRYPTO_FAILURE"
    assert refused(data) == "NO_SIGNING_CERTIFICATE_FOUND"
    # A certificate with the same name and another key.
    assert refused(data, Party("stranger")) == "SIG_CRYPTO_FAILURE"


def _edited(old: bytes, new: bytes, data: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def _twice(data: bytes) -> bytes:
    root = etree.fromstring(data)
    root.append(etree.fromstring(etree.tostring(root.find("{*}Signature"))))
    return etree.tostring(root)


def _wrapped(data: bytes) -> bytes:
    """The signed list inside a list of the attacker's, signature moved up (signature wrapping)."""
    inner = etree.fromstring(data)
    outer = etree.fromstring(text_of())
    signature = inner.find("{*}Signature")
    inner.remove(signature)
    outer.append(inner)
    outer.append(signature)
    return etree.tostring(outer)


def _bare(data: bytes) -> bytes:
    return data[: data.index(b"<ds:Signature")] + b"</TrustServiceStatusList>"


def _deep(data: bytes) -> bytes:
    root = etree.fromstring(data)
    signature = root.find("{*}Signature")
    root.remove(signature)
    root[0].append(signature)
    return etree.tostring(root)


ENTITY = b'<!DOCTYPE TrustServiceStatusList [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "'
    + b"x" * 1000
    + b'">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 100) for n in range(5))
    + b"]>"
)
EDITS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "status": (partial(_edited, b"withdrawn", b"granted"), "SIG_CRYPTO_FAILURE"),
    "no signature": (_bare, "FORMAT_FAILURE"),
    "two signatures": (_twice, "FORMAT_FAILURE"),
    "signature deeper": (_deep, "FORMAT_FAILURE"),
    "wrapped": (_wrapped, "SIG_CRYPTO_FAILURE"),
    "document type": (lambda data: ENTITY + data, "FORMAT_FAILURE"),
    "entities": (lambda data: BOMB + data, "FORMAT_FAILURE"),
    "cut": (lambda data: data[:-20], "FORMAT_FAILURE"),
    "empty": (lambda data: b"", "FORMAT_FAILURE"),
    "another root": (lambda data: b"<x>" + data + b"</x>", "FORMAT_FAILURE"),
    "not XML": (lambda data: b"\x30\x82", "FORMAT_FAILURE"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_forged_list_is_refused(name: str, parties: dict[str, Party]) -> None:
    edit, code = EDITS[name]
    data = sign(
        text_of(service(parties["ca"], QC, (WITHDRAWN, "2025-01-01T00:00:00Z", QC))), parties["scheme"]
    )
    assert refused(edit(data), parties["scheme"]) == code


def test_a_signature_over_a_part_is_refused(parties: dict[str, Party]) -> None:
    named = text_of(service(parties["ca"])).replace(" xmlns=", ' Id="list" xmlns=', 1)
    data = sign(named, parties["scheme"], uri="#list")
    assert refused(data, parties["scheme"]) == "FORMAT_FAILURE"


def test_comments_do_not_split_what_is_read(parties: dict[str, Party]) -> None:
    """Canonicalisation leaves comments out: they must not change what a text is taken for."""
    data = sign(text_of(service(parties["ca"])), parties["scheme"])
    split = _edited(b">MC<", b">M<!-- x -->C<", data)
    assert open_list(split, [parties["scheme"].certificate], NOW).territory == "MC"


def test_weak_signers_and_dates_that_do_not_fit(parties: dict[str, Party]) -> None:
    weak = Party("weak", rsa.generate_private_key(65537, 1024))
    assert refused(sign(text_of(), weak), weak) == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    scheme = parties["scheme"]
    assert refused(sign(text_of(issued="2019-01-01T00:00:00Z"), scheme), scheme) == "NOT_YET_VALID"
    assert refused(sign(text_of(issued="2031-01-01T00:00:00Z"), scheme), scheme) == "EXPIRED"
    assert refused(sign(text_of(issued="soon"), scheme), scheme) == "FORMAT_FAILURE"
    assert refused(sign(text_of(following="never"), scheme), scheme) == "FORMAT_FAILURE"


def test_a_list_after_its_time_is_said_to_be_so(parties: dict[str, Party]) -> None:
    opened = open_list(
        sign(text_of(service(parties["ca"])), parties["scheme"]), [parties["scheme"].certificate], NOW
    )
    verdict = Verdict(Outcome.PASSED, checks=(Check("file", Outcome.PASSED),))
    assert noted(verdict, (opened,), NOW) == verdict
    late = noted(verdict, (opened,), NOW + timedelta(days=365))
    assert late.verdict is Outcome.PASSED
    assert late.checks[-1].outcome is Outcome.UNCHECKED
    assert "MC 7" in late.checks[-1].found


def test_any_octet_changed_is_never_another_list(parties: dict[str, Party]) -> None:
    scheme = parties["scheme"]
    data = sign(text_of(service(parties["ca"])), scheme)
    whole = open_list(data, [scheme.certificate], NOW)
    for at in range(0, len(data), 37):
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        try:
            assert open_list(changed, [scheme.certificate], NOW) == whole
        except SignatureRefused:
            continue
