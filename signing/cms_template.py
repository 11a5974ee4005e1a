"""CMS of our own form put together from pieces that are encoded once, for who makes seals and for who checks them."""

from __future__ import annotations

from collections.abc import Sequence

from signing import der
from signing.cms_form import SignerForm, contents_of, timestamp_attribute

_MOST_CUTS = 64  # whoever hands in files chooses the lengths


class CmsTemplate:
    """The CMS signatures of one certificate that enclose the same sets: the same octets around what differs.

    They differ in the signed attributes, the signature and the token, whose lengths alone move anything. So each
    combination of lengths is written once, by `SignerForm.cms`, and cut where these three stand. Safe for threads.

    Attributes:
        form: the pieces of the seal certificate.
        certificates: what SignedData.certificates holds, DER.
        crls: what SignedData.crls holds.
    """

    def __init__(self, form: SignerForm, certificates: Sequence[bytes], crls: Sequence[bytes]) -> None:
        """Take what is the same in all; certificates and CRLs in the order of our own form."""
        self.form = form
        self.certificates = certificates
        self.crls = crls
        self._cuts: dict[tuple[int, int, int], tuple[bytes, bytes, bytes]] = {}

    def cms(self, attributes: bytes, signature: bytes, token: bytes) -> bytes:
        """Put a CMS together; the same octets as `SignerForm.cms` gives.

        Args:
            attributes: the signed attributes, DER SET OF.
            signature: the signature value.
            token: TimeStampToken, copied as it is.
        """
        sizes = len(attributes), len(signature), len(token)
        cut = self._cuts.get(sizes)
        if cut is None:
            cut = self._cut(attributes, *sizes[1:])
            if len(self._cuts) >= _MOST_CUTS:
                self._cuts.clear()
            self._cuts[sizes] = cut
        return b"".join((cut[0], contents_of(attributes), cut[1], signature, cut[2], token))

    def _cut(self, attributes: bytes, signature: int, token: int) -> tuple[bytes, bytes, bytes]:
        """Write one whole and cut it from its end: the token is its last element, the signature the one before."""
        empty, dated = bytes(signature), bytes(token)
        whole = self.form.cms(attributes, empty, dated, self.certificates, self.crls)
        token_at = len(whole) - token
        signature_end = token_at - (len(der.tlv(0xA1, timestamp_attribute(dated))) - token)
        signature_at = signature_end - signature
        header = len(der.tlv(der.OCTET_STRING, empty)) - signature
        attributes_end = signature_at - header - len(self.form.algorithm)
        attributes_at = attributes_end - len(contents_of(attributes))
        return whole[:attributes_at], whole[attributes_end:signature_at], whole[signature_end:token_at]
