"""A small world of certificate authorities, signers, timestamps, CRLs and OCSP responders of any maker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.algorithms import TABLE
from signing.der import tlv
from signing.judge_signature import judge_cms
from signing.judgement import JudgedSignature, JudgingPolicy, OutsideData
from signing.trust import TrustStore
from tests.services.certificates import key_usage
from timestamping.verify import Rfc3161Verifier

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
CONTENT = b"what was signed"
_HASHES: dict[str, Any] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha512": hashes.SHA512}


class Hashes(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.OctetString


class Index(core.Sequence):  # type: ignore[misc]
    """ATSHashIndex-v3."""

    _fields = [  # noqa: RUF012 - asn1crypto's form
        ("algorithm", algos.DigestAlgorithm),
        ("certificates", Hashes),
        ("crls", Hashes),
        ("unsigned", Hashes),
    ]


def rebuilt(der: bytes, attribute: bytes = b"", drop: int = 0) -> bytes:
    """Write a CMS again octet for octet, with one more unsigned attribute or fewer CRLs."""
    info = cms.ContentInfo.load(der)
    data = info["content"]
    signer = data["signer_infos"][0]
    unsigned = [item.dump() for item in signer["unsigned_attrs"] or ()] + [attribute] * bool(attribute)
    names = ("version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature")
    fields = b"".join(signer[name].dump() for name in names)
    lists = [item.dump() for item in data["crls"] or ()][drop:]
    head = b"".join(
        data[name].dump() for name in ("version", "digest_algorithms", "encap_content_info", "certificates")
    )
    content = tlv(
        0x30,
        head,
        tlv(0xA1, *lists) if lists else b"",
        tlv(0x31, tlv(0x30, fields, tlv(0xA1, *sorted(unsigned)) if unsigned else b"")),
    )
    return tlv(0x30, info["content_type"].dump(), tlv(0xA0, content))


@dataclass(frozen=True)
class Holder:
    """A key with its certificate."""

    key: Any
    certificate: x509.Certificate


@dataclass
class World:
    """Makes everything; the root and the two authorities are trusted."""

    keys: list[Any] = field(default_factory=list)
    serial: int = 1000

    def __post_init__(self) -> None:
        self.root = self.authority("Root", None)
        self.ca = self.authority("Signers CA", self.root)
        self.signer = self.leaf("Signer", self.ca)
        self.tsa = self.leaf("TSA", self.root, usage=ExtendedKeyUsageOID.TIME_STAMPING)

    def key(self) -> Any:
        return ec.generate_private_key(ec.SECP256R1())

    def build(
        self,
        name: str,
        issuer: Holder | None,
        key: Any,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        start: datetime = NOW - 2 * YEAR,
        end: datetime = NOW + 2 * YEAR,
    ) -> Holder:
        self.serial += 1
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(self.serial)
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return Holder(key, builder.sign(key if issuer is None else issuer.key, hashes.SHA256()))

    def authority(self, name: str, issuer: Holder | None, key: Any = None, **times: datetime) -> Holder:
        usage = key_usage("key_cert_sign", "crl_sign")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        return self.build(name, issuer, key or self.key(), [(constraints, True), (usage, True)], **times)

    def leaf(
        self,
        name: str,
        issuer: Holder | None,
        *,
        usage: x509.ObjectIdentifier | None = None,
        more: Sequence[x509.ExtensionType] = (),
        key: Any = None,
        **times: datetime,
    ) -> Holder:
        extensions: list[tuple[x509.ExtensionType, bool]] = [(item, False) for item in more]
        if usage is not None:
            extensions.append((x509.ExtendedKeyUsage([usage]), True))
        return self.build(name, issuer, key or self.key(), extensions, **times)

    def crl(
        self,
        issuer: Holder,
        revoked: Sequence[tuple[x509.Certificate, datetime, x509.ReasonFlags | None]] = (),
        *,
        start: datetime = NOW - DAY,
        end: datetime = NOW + DAY,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(start)
            .next_update(end)
        )
        for certificate, date, reason in revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(date)
            )
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        for extension, critical in more:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def weak_crl(self, issuer: Holder, revoked: Any = ()) -> bytes:
        """Make a CRL with SHA-1, which the library does not sign with any more."""
        read = asn1_crl.CertificateList.load(self.crl(issuer, revoked)).copy()
        for part in (read, read["tbs_cert_list"]):
            name = "signature_algorithm" if part is read else "signature"
            part[name] = algos.SignedDigestAlgorithm({"algorithm": "sha1_ecdsa"})
        read["signature"] = issuer.key.sign(read["tbs_cert_list"].dump(force=True), ec.ECDSA(hashes.SHA1()))
        return bytes(read.dump(force=True))

    def weaken(self, holder: Holder, issuer: Holder) -> Holder:
        """Sign a certificate again with SHA-1."""
        read = asn1_x509.Certificate.load(holder.certificate.public_bytes(Encoding.DER)).copy()
        read["tbs_certificate"]["signature"] = algos.SignedDigestAlgorithm({"algorithm": "sha1_ecdsa"})
        read["signature_algorithm"] = algos.SignedDigestAlgorithm({"algorithm": "sha1_ecdsa"})
        body = read["tbs_certificate"].dump(force=True)
        read["signature_value"] = issuer.key.sign(body, ec.ECDSA(hashes.SHA1()))
        return Holder(holder.key, x509.load_der_x509_certificate(read.dump(force=True)))

    def ocsp(
        self,
        certificate: x509.Certificate,
        issuer: Holder,
        responder: Holder | None = None,
        *,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        at: datetime = NOW - DAY,
        until: datetime | None = NOW + DAY,
        revoked: datetime | None = None,
        reason: x509.ReasonFlags | None = None,
        by_name: bool = False,
        digest: hashes.HashAlgorithm | None = None,
        inside: bool = True,
    ) -> bytes:
        responder = responder or issuer
        encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                certificate,
                issuer.certificate,
                digest or hashes.SHA1(),
                status,
                at,
                until,
                revoked,
                reason,
            )
            .responder_id(encoding, responder.certificate)
        )
        if inside:
            builder = builder.certificates([responder.certificate])
        # The library sets producedAt to the real time: it is set to the story's, and signed again.
        made = builder.sign(responder.key, hashes.SHA256()).public_bytes(Encoding.DER)
        basic = asn1_ocsp.OCSPResponse.load(made).basic_ocsp_response.copy()
        basic["tbs_response_data"]["produced_at"] = at
        body = basic["tbs_response_data"].dump(force=True)
        basic["signature"] = responder.key.sign(body, ec.ECDSA(hashes.SHA256()))
        wrapped = {"response_type": "basic_ocsp_response", "response": basic}
        return asn1_ocsp.OCSPResponse({"response_status": "successful", "response_bytes": wrapped}).dump()

    def sign(
        self,
        content: bytes = CONTENT,
        signer: Holder | None = None,
        *,
        bound: bool = True,
        digest: str = "sha256",
        tokens: Sequence[bytes | Callable[[bytes], bytes]] = (),
        certificates: Sequence[x509.Certificate] | None = None,
        crls: Sequence[bytes] = (),
        ocsps: Sequence[bytes] = (),
        claimed: datetime | None = NOW - DAY,
        inside: bytes | None = None,
        content_type: str = "data",
        attributes: bool = True,
        more: Sequence[cms.CMSAttribute] = (),
        signers: int = 1,
        stated: x509.Certificate | None = None,
    ) -> bytes:
        """Make a CMS signature; a token may be a function of the signature value's SHA-256."""
        signer = signer or self.signer
        infos = [
            self._info(
                content, signer, digest, content_type, claimed, bound, attributes, more, tokens, stated
            )
            for _ in range(signers)
        ]
        if certificates is None:
            certificates = (signer.certificate, self.ca.certificate)
        encapsulated: dict[str, Any] = {"content_type": content_type}
        if inside is not None:
            encapsulated["content"] = inside if content_type == "data" else core.ParsableOctetString(inside)
        data = cms.SignedData(
            {
                "version": "v3" if content_type != "data" else "v1",
                "digest_algorithms": [{"algorithm": digest}],
                "encap_content_info": encapsulated,
                "certificates": [
                    asn1_x509.Certificate.load(item.public_bytes(Encoding.DER)) for item in certificates
                ],
                "signer_infos": infos,
            }
        )
        lists = [cms.RevocationInfoChoice({"crl": asn1_crl.CertificateList.load(item)}) for item in crls]
        lists += [
            cms.RevocationInfoChoice(
                {
                    "other": cms.OtherRevocationInfoFormat(
                        {
                            "other_rev_info_format": "ocsp_response",
                            "other_rev_info": asn1_ocsp.OCSPResponse.load(item),
                        }
                    )
                }
            )
            for item in ocsps
        ]
        if lists:
            data["crls"] = lists
        return cms.ContentInfo({"content_type": "signed_data", "content": data}).dump()

    def _info(
        self,
        content: bytes,
        signer: Holder,
        digest: str,
        content_type: str,
        claimed: datetime | None,
        bound: bool,
        attributes: bool,
        more: Sequence[cms.CMSAttribute],
        tokens: Sequence[bytes | Callable[[bytes], bytes]],
        stated: x509.Certificate | None,
    ) -> cms.SignerInfo:
        certificate = signer.certificate
        read = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
        signed = [
            cms.CMSAttribute({"type": "content_type", "values": [content_type]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.new(digest, content).digest()]}),
            *more,
        ]
        if claimed is not None:
            value = cms.Time({"utc_time": core.UTCTime(claimed)})
            signed.append(cms.CMSAttribute({"type": "signing_time", "values": [value]}))
        if bound:
            stated_hash = hashlib.sha256((stated or certificate).public_bytes(Encoding.DER)).digest()
            reference = tsp.SigningCertificateV2({"certs": [{"cert_hash": stated_hash}]})
            signed.append(cms.CMSAttribute({"type": "signing_certificate_v2", "values": [reference]}))
        signed.sort(key=lambda item: item.dump())
        octets = cms.CMSAttributes(signed).dump() if attributes else content
        info: dict[str, Any] = {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": read.issuer, "serial_number": read.serial_number}},
            "digest_algorithm": {"algorithm": digest},
        }
        if attributes:
            info["signed_attrs"] = cms.CMSAttributes(signed)
        plain = _HASHES[digest]()
        if isinstance(signer.key, rsa.RSAPrivateKey):
            info["signature_algorithm"] = {"algorithm": "rsassa_pkcs1v15"}
            signature = signer.key.sign(octets, padding.PKCS1v15(), plain)
        else:
            info["signature_algorithm"] = {"algorithm": f"{digest}_ecdsa"}
            signature = signer.key.sign(octets, ec.ECDSA(plain))
        info["signature"] = signature
        made = [item(signature) if callable(item) else item for item in tokens]
        if made:
            values = [cms.ContentInfo.load(item) for item in made]
            info["unsigned_attrs"] = [
                cms.CMSAttribute({"type": "signature_time_stamp_token", "values": values})
            ]
        return cms.SignerInfo(info)

    def token(
        self,
        message: bytes,
        at: datetime,
        tsa: Holder | None = None,
        *,
        digest: str = "sha256",
        certificates: Sequence[x509.Certificate] | None = None,
        crls: Sequence[bytes] = (),
    ) -> bytes:
        """Make a timestamp token over a message."""
        tsa = tsa or self.tsa
        self.serial += 1
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.2.3.4",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": digest},
                    "hashed_message": hashlib.new(digest, message).digest(),
                },
                "serial_number": self.serial,
                "gen_time": at,
            }
        ).dump()
        return self.sign(
            info,
            tsa,
            digest=digest,
            certificates=(tsa.certificate,) if certificates is None else certificates,
            inside=info,
            content_type="tst_info",
            claimed=None,
            crls=crls,
        )

    def archive(
        self,
        der: bytes,
        at: datetime,
        tsa: Holder | None = None,
        content: bytes = CONTENT,
        digest: str = "sha256",
        **omit: bool,
    ) -> bytes:
        """Add an archive timestamp of version 3; `certificates=False` and so on leave them out of its index."""
        signed_data = cms.ContentInfo.load(der)["content"]
        signer = signed_data["signer_infos"][0]
        hashed: Any = lambda octets: core.OctetString(hashlib.new(digest, octets).digest())  # noqa: E731
        index = Index(
            {
                "algorithm": {"algorithm": digest},
                "certificates": [hashed(item.dump()) for item in signed_data["certificates"]]
                if omit.get("certificates", True)
                else [],
                "crls": [hashed(item.dump()) for item in signed_data["crls"] or ()]
                if omit.get("crls", True)
                else [],
                "unsigned": [
                    hashed(item["type"].dump() + value.dump())
                    for item in signer["unsigned_attrs"] or ()
                    for value in item["values"]
                ]
                if omit.get("unsigned", True)
                else [],
            }
        )
        message = signed_data["encap_content_info"]["content_type"].dump()
        message += hashlib.sha256(content).digest()
        for name in (
            "version",
            "sid",
            "digest_algorithm",
            "signed_attrs",
            "signature_algorithm",
            "signature",
        ):
            message += signer[name].dump()
        attribute = cms.CMSAttribute({"type": "0.4.0.19122.1.5", "values": [index]}).dump()
        token = rebuilt(self.token(message + index.dump(), at, tsa), attribute)
        kind = core.ObjectIdentifier("0.4.0.1733.2.4").dump()
        return rebuilt(der, tlv(0x30, kind, tlv(0x31, token)))

    def with_unsigned(self, der: bytes, value: bytes) -> bytes:
        """Add an unsigned attribute that nobody knows."""
        attribute = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(value)]})
        return rebuilt(der, attribute.dump())

    def without_a_crl(self, der: bytes) -> bytes:
        """Take the first CRL out."""
        return rebuilt(der, drop=1)

    def stamp(self, at: datetime, tsa: Holder | None = None, **options: Any) -> Callable[[bytes], bytes]:
        """Return what makes a signature timestamp."""
        return lambda signature: self.token(signature, at, tsa, **options)

    def judge(
        self,
        der: bytes,
        *,
        content: bytes = CONTENT,
        form: str = "CAdES",
        anchors: Sequence[x509.Certificate] | None = None,
        tsa_anchors: Sequence[x509.Certificate] | None = None,
        outside: OutsideData | None = None,
        at: datetime | None = None,
        need: bool = False,
        proofs: Sequence[datetime] = (),
        **options: Any,
    ) -> JudgedSignature:
        roots = (self.root.certificate,)
        return judge_cms(
            der,
            lambda name: hashlib.new(name, content).digest(),
            form=form,
            purposes=frozenset(),
            trust=TrustStore(roots if anchors is None else anchors),
            tsa_trust=TrustStore(roots if tsa_anchors is None else tsa_anchors),
            data=outside or OutsideData(),
            policy=JudgingPolicy(at or NOW, at is not None, need),
            tokens=lambda paths: Rfc3161Verifier(paths, rule=TABLE),
            proofs=proofs,
            **options,
        )


@pytest.fixture(scope="session")
def world() -> World:
    return World()
