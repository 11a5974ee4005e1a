"""The one form of our own tokens, put together from pieces that are encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from timestamping import der
from timestamping.structure import assemble, own_attributes

# Digests that stand in no certificate: where they are found, the template is cut.
_MARK = hashlib.sha256(b"probans TSTInfo goes here").digest()
_MARK_DIGEST = hashlib.sha256(b"probans digest of TSTInfo goes here").digest()


class TokenTemplate:
    """Tokens of our own form for one authority and one length of TSTInfo: the same octets around what differs.

    A token differs from the next one of its kind in TSTInfo, in the digest of it, and in the signature, whose
    length alone moves anything. So each length of signature is assembled once, and cut where these three stand.

    Args:
        size: octets of every TSTInfo.
        certificates: as `assemble`.
        identifier: as `assemble`.
        certificate_digest: SHA-256 of the signer's certificate.
        signature_algorithm: as `assemble`.
    """

    def __init__(
        self,
        size: int,
        certificates: Iterable[bytes],
        identifier: bytes,
        certificate_digest: bytes,
        signature_algorithm: bytes,
    ) -> None:
        self._size = size
        self._certificates = tuple(certificates)
        self._identifier = identifier
        self._certificate_digest = certificate_digest
        self._algorithm = signature_algorithm
        self._message = der.tlv(der.SET, own_attributes(_MARK_DIGEST, certificate_digest)).split(_MARK_DIGEST)
        self._cut: dict[int, list[bytes]] = {}

    def message(self, content_digest: bytes) -> bytes:
        """The octets to sign: the signed attributes as SET OF, for this digest of the TSTInfo."""
        return content_digest.join(self._message)

    def token(self, content: bytes, content_digest: bytes, signature: bytes) -> bytes:
        """Put a token together; the same octets as `assemble` gives."""
        pieces = self._cut.get(len(signature))
        if pieces is None:
            pieces = self._cut[len(signature)] = self._pieces(len(signature))
        head, middle, tail = pieces
        return b"".join((head, content, middle, content_digest, tail, signature))

    def _pieces(self, signature_size: int) -> list[bytes]:
        mark = _MARK.ljust(self._size, b"\x00")
        attributes = own_attributes(_MARK_DIGEST, self._certificate_digest)
        whole = assemble(
            mark, self._certificates, self._identifier, attributes, self._algorithm, bytes(signature_size)
        )
        head, _, rest = whole.partition(mark)
        middle, _, rest = rest.partition(_MARK_DIGEST)
        # The signature is the last element of all.
        return [head, middle, rest[: len(rest) - signature_size]]
