"""Document keys: made, wrapped, opened; and the keyed digests that stand in the database for personal data."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from storage.base import KeyWrapper
from storage.encryption import object_associated_data, open_value, seal_value
from storage.wrapped import named_key


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """The one random key of a document: its object, sidecars, derivatives and private columns.

    Attributes:
        document_id: whose key it is; part of every associated data.
        key: 32 octets.
        wrapped: the key under the key-encryption key, as stored.
    """

    document_id: str
    key: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)

    def seal(self, role: str, plain: bytes) -> bytes:
        """Encrypt a small value that lies in the database under this role."""
        return seal_value(plain, self.key, object_associated_data(self.document_id, role))

    def open(self, role: str, sealed: bytes) -> bytes:
        """Decrypt what `seal` gave. Raises storage.errors.ObjectDamaged."""
        return open_value(sealed, self.key, object_associated_data(self.document_id, role))

    def associated_data(self, role: str) -> bytes:
        """Associated data of a stored object in this role."""
        return object_associated_data(self.document_id, role)


class Keyring:
    """Makes and opens document keys; derives keyed digests for look-ups."""

    def __init__(self, wrapper: KeyWrapper, index_key: bytes) -> None:
        self._wrapper = wrapper
        self._index_key = index_key

    def new_key(self, document_id: str) -> DocumentKey:
        """Draw a key for a document (or safe) and wrap it for this identifier alone."""
        key = secrets.token_bytes(32)
        return DocumentKey(document_id, key, self._wrapper.wrap(key, _wrapping_data(document_id)))

    def open_key(self, document_id: str, wrapped: bytes) -> DocumentKey:
        """Open a stored key. Raises storage.errors.KeyRefused, also for another row's key."""
        key = self._wrapper.unwrap(wrapped, _wrapping_data(document_id))
        return DocumentKey(document_id, key, wrapped)

    def rewrap(self, document_id: str, wrapped: bytes) -> bytes:
        """Return a stored key wrapped by the key-encryption key that is active now; as it is where it is already.

        Raises:
            storage.errors.KeyRefused: it does not open.
        """
        if named_key(wrapped) == self._wrapper.active:
            return wrapped
        data = _wrapping_data(document_id)
        return self._wrapper.wrap(self._wrapper.unwrap(wrapped, data), data)

    def index(self, kind: str, *values: str | bytes) -> bytes:
        """Return the 32-octet keyed digest that stands for values of a kind in the database."""
        pieces = [kind.encode()]
        for value in values:
            octets = value.encode() if isinstance(value, str) else value
            pieces += (len(octets).to_bytes(8, "big"), octets)
        return hmac.digest(self._index_key, b"".join(pieces), "sha256")


def _wrapping_data(document_id: str) -> bytes:
    return object_associated_data(document_id, "key")
