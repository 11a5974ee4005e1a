"""CMS signatures (RFC 5652) with the CAdES and PAdES baseline attributes: made here, read by `cms_read`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography import x509

from signing import der
from signing.cms_form import own_form, signed_attributes
from signing.cms_read import CmsReport, ParsedCms, parse_cms, verify_cms
from signing.hostile import refusing

__all__ = ["CmsDraft", "CmsReport", "CmsSigner", "HeldKey", "ParsedCms", "parse_cms", "verify_cms"]


class HeldKey(Protocol):
    """What signing needs of a key: structural view of `signing.keys.SealKey`."""

    @property
    def certificate(self) -> x509.Certificate:
        """The key's certificate."""
        ...

    @property
    def max_signature_size(self) -> int:
        """The largest signature in octets."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign data with SHA-256: DER ECDSA on P-256, or RSASSA-PSS with a 32-octet salt."""
        ...


@dataclass(frozen=True, slots=True)
class CmsDraft:
    """A CMS signature that lacks its timestamp.

    Attributes:
        certificate: the seal certificate.
        signature: the signature value.
        attributes: the signed attributes, DER SET OF.
        certificates: what SignedData.certificates will hold.
        crls: what SignedData.crls will hold.
    """

    certificate: x509.Certificate
    signature: bytes
    attributes: bytes = field(repr=False)
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    crls: tuple[bytes, ...] = field(repr=False)

    @property
    def imprint(self) -> bytes:
        """SHA-256 of the signature value: what the timestamp must cover (EN 319 122-1 section 5.3)."""
        return hashlib.sha256(self.signature).digest()

    def finish(self, token: bytes) -> bytes:
        """Put the timestamp token in, octet for octet, and return the DER ContentInfo.

        Raises:
            SignatureRefused: FORMAT_FAILURE when the token is not exactly one DER SEQUENCE.
        """
        with refusing("the timestamp token"):
            der.require_sole_sequence(token)
        return own_form(
            self.certificate,
            self.attributes,
            self.signature,
            token,
            certificates=self.certificates,
            crls=self.crls,
        )


class CmsSigner:
    """Makes CMS signatures with one held key, in the exact form that strict reading accepts."""

    def __init__(self, key: HeldKey) -> None:
        """Keep the key; it is neither reloaded nor copied."""
        self._key = key

    def sign(
        self,
        digest: bytes,
        *,
        signing_time: datetime | None,
        certificates: Sequence[x509.Certificate],
        crls: Sequence[bytes],
    ) -> CmsDraft:
        """Sign a SHA-256 digest of detached content.

        Args:
            digest: 32 octets.
            signing_time: value of the signing-time attribute, UTC, cut to the second; None leaves it out.
            certificates: for SignedData.certificates; the seal certificate is added when missing.
            crls: DER CRLs for SignedData.crls.
        """
        certificate = self._key.certificate
        attributes = signed_attributes(digest, certificate, signing_time)
        everything = dict.fromkeys((certificate, *certificates))
        return CmsDraft(
            certificate=certificate,
            signature=self._key.sign(attributes),
            attributes=attributes,
            certificates=tuple(everything),
            crls=tuple(crls),
        )

    def max_size(
        self,
        certificates: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        token_size: int,
        signing_time: datetime | None,
    ) -> int:
        """Return the octets that a finished CMS with these parts takes at most.

        The bound is reached when the signature value has its largest size and the token `token_size` octets.
        """
        certificate = self._key.certificate
        return len(
            own_form(
                certificate,
                signed_attributes(bytes(32), certificate, signing_time),
                bytes(self._key.max_signature_size),
                bytes(token_size),
                certificates=(certificate, *certificates),
                crls=crls,
            )
        )
