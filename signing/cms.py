"""CMS signatures (RFC 5652) with the CAdES and PAdES baseline attributes: made here, read by `cms_read`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing import der
from signing.cms_form import SignerForm, ascending
from signing.cms_read import CmsReport, ParsedCms, parse_cms, verify_cms
from signing.cms_template import CmsTemplate
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
class _Enclosed:
    """The sets that stand in a SignedData, encoded once for all seals that have the same.

    Attributes:
        given: the sequences they were made of.
        template: what every CMS that encloses them is made of.
    """

    given: tuple[Sequence[x509.Certificate], Sequence[bytes]] = field(repr=False)
    template: CmsTemplate = field(repr=False)

    def made_of(self, certificates: Sequence[x509.Certificate], crls: Sequence[bytes]) -> bool:
        """Whether these are the very tuples it was made of; equal ones are merely encoded again."""
        return self.given[0] is certificates and self.given[1] is crls


@dataclass(frozen=True, slots=True)
class CmsDraft:
    """A CMS signature that lacks its timestamp.

    Attributes:
        template: what it will be made of besides.
        signature: the signature value.
        attributes: the signed attributes, DER SET OF.
    """

    template: CmsTemplate = field(repr=False)
    signature: bytes
    attributes: bytes = field(repr=False)

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
        return self.template.cms(self.attributes, self.signature, token)


class CmsSigner:
    """Makes CMS signatures with one held key, in the exact form that strict reading accepts.

    What is the same in every signature (the pieces of the certificate, the enclosed sets as long as the caller
    hands in the same tuples) is encoded once. Instances are safe for threads.
    """

    def __init__(self, key: HeldKey) -> None:
        """Keep the key; it is neither reloaded nor copied.

        Raises:
            KeyUnusable: seals are not made with a key of this kind.
        """
        self._key = key
        self._form = SignerForm.of(key.certificate)
        self._enclosed = _Enclosed(((), ()), CmsTemplate(self._form, (self._form.encoded,), ()))
        self._bound: tuple[_Enclosed, int, int] | None = None

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
        attributes = self._form.attributes(digest, signing_time)
        template = self._enclose(certificates, crls).template
        return CmsDraft(template, self._key.sign(attributes), attributes)

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
        enclosed = self._enclose(certificates, crls)
        bound = self._bound
        if bound is not None and bound[0] is enclosed and bound[1] == token_size and signing_time is None:
            return bound[2]
        attributes = self._form.attributes(bytes(32), signing_time)
        signature, token = bytes(self._key.max_signature_size), bytes(token_size)
        size = len(enclosed.template.cms(attributes, signature, token))
        if signing_time is None:
            self._bound = (enclosed, token_size, size)
        return size

    def _enclose(self, certificates: Sequence[x509.Certificate], crls: Sequence[bytes]) -> _Enclosed:
        held = self._enclosed
        if not held.made_of(certificates, crls):
            encoded = (item.public_bytes(Encoding.DER) for item in certificates)
            inside = ascending((self._form.encoded, *encoded))
            held = _Enclosed((certificates, crls), CmsTemplate(self._form, inside, ascending(crls)))
            # A list may change while it stays the same object.
            if isinstance(certificates, tuple) and isinstance(crls, tuple):
                self._enclosed = held
        return held
