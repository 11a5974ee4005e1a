"""pyHanko as a second builder of the CMS of seals, to judge ours by: same calls as `signing.cms.CmsSigner`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import algos as asn1_algos
from asn1crypto import cms as asn1_cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.signers.pdf_cms import CAdESSignedAttributeProviderSpec, PdfCMSSignedAttributes, Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from signing.cms import HeldKey
from signing.cms_form import signature_algorithm

_SIGNER = ("version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature")
_SIGNED_DATA = ("version", "digest_algorithms", "encap_content_info", "certificates")


def read(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


class _Held(Signer):
    """pyHanko's signer around a key that somebody else holds."""

    def __init__(self, key: HeldKey, certificates: Sequence[x509.Certificate]) -> None:
        registry = SimpleCertificateStore()
        registry.register_multiple([read(item) for item in certificates])
        self.key = key
        self.value = b""
        # Parameters of PSS may be written in two ways (RFC 4055 section 2.1); which, is the key's matter.
        mechanism = asn1_algos.SignedDigestAlgorithm.load(signature_algorithm(key.certificate))
        super().__init__(
            signature_mechanism=mechanism, signing_cert=read(key.certificate), cert_registry=registry
        )

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        assert digest_algorithm == "sha256"
        self.value = bytes(self.key.max_signature_size) if dry_run else self.key.sign(data)
        return self.value


@dataclass(frozen=True)
class PyHankoDraft:
    content: bytes
    signature: bytes
    crls: tuple[bytes, ...]

    @property
    def imprint(self) -> bytes:
        return hashlib.sha256(self.signature).digest()

    def finish(self, token: bytes) -> bytes:
        """Graft CRLs and token, octet for octet: asn1crypto would encode what is nested in them for minutes."""
        signed_data = asn1_cms.ContentInfo.load(self.content)["content"]
        info = signed_data["signer_infos"][0]
        kind = bytes.fromhex("060b2a864886f70d010910020e")
        timestamp = _tlv(0xA1, _tlv(0x30, kind + _tlv(0x31, token)))
        signer = _tlv(0x30, b"".join([info[name].dump() for name in _SIGNER]) + timestamp)
        crls = _tlv(0xA1, b"".join(sorted(set(self.crls)))) if self.crls else b""
        parts = b"".join([signed_data[name].dump() for name in _SIGNED_DATA])
        whole = _tlv(0x30, parts + crls + _tlv(0x31, signer))
        return _tlv(0x30, bytes.fromhex("06092a864886f70d010702") + _tlv(0xA0, whole))


class PyHankoCmsSigner:
    """Stands in for `CmsSigner`; slow."""

    def __init__(self, key: HeldKey) -> None:
        self._key = key

    def _draft(
        self,
        digest: bytes,
        signing_time: datetime | None,
        certificates: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        *,
        dry_run: bool,
    ) -> PyHankoDraft:
        signer = _Held(self._key, certificates)
        if signing_time is not None:
            signing_time = signing_time.replace(microsecond=0)
        settings = PdfCMSSignedAttributes(signing_time=signing_time)
        signer.signed_attr_prov_spec = CAdESSignedAttributeProviderSpec(
            settings, read(self._key.certificate), is_pades=signing_time is None, timestamper=None
        )
        making: Any = signer.async_sign(
            digest, "sha256", dry_run=dry_run, use_pades=signing_time is None, signed_attr_settings=settings
        )
        return PyHankoDraft(asyncio.run(making).dump(), signer.value, tuple(crls))

    def sign(
        self,
        digest: bytes,
        *,
        signing_time: datetime | None,
        certificates: Sequence[x509.Certificate],
        crls: Sequence[bytes],
    ) -> PyHankoDraft:
        return self._draft(digest, signing_time, certificates, crls, dry_run=False)

    def max_size(
        self,
        certificates: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        token_size: int,
        signing_time: datetime | None,
    ) -> int:
        draft = self._draft(bytes(32), signing_time, certificates, crls, dry_run=True)
        return len(draft.finish(bytes(token_size)))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
