"""Key-encryption keys that lie in a PKCS#11 token and never leave it."""

from __future__ import annotations

import secrets
from typing import Protocol

from storage.errors import KeyRefused, StorageUnavailable

_VERSION = b"\x01"
_ID = 8
_NONCE = 12
_TAG = 16


class AesToken(Protocol):
    """AES-256 keys that do not leave a device, named by 8 octets; what `TokenKeyWrapper` wants of one.

    The errors are Python's own, since the device belongs to another package.
    """

    def encrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return the AES-256-GCM ciphertext and tag (16 octets) under a nonce of 12 octets.

        Raises LookupError when it has no such key, ConnectionError when it does not answer.
        """
        ...

    def decrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return what was encrypted.

        Raises ValueError when ciphertext, tag and associated data do not belong together, and what `encrypt` raises.
        """
        ...


class TokenKeyWrapper:
    """`KeyWrapper` with AES-256 keys in a token.

    The wrapped form is that of `LocalKeyWrapper`: version (01) ‖ id of the key-encryption key (8) ‖ random nonce (12)
    ‖ AES-256-GCM of the key and tag. The id is the key's CKA_ID in the token. To change keys, make one there and name
    it as the active one; the old ones still unwrap as long as the token has them.
    """

    def __init__(self, token: AesToken, active: bytes) -> None:
        """Take the token and see that the active key works.

        Args:
            token: holds the keys.
            active: id of the key that wraps, 8 octets.

        Raises:
            KeyRefused: the token has no such key, or what it wraps it does not unwrap.
            StorageUnavailable: the token does not answer.
        """
        if len(active) != _ID:
            raise KeyRefused("the id of a key-encryption key is 8 octets")
        self._token = token
        self._active = active
        probe = secrets.token_bytes(32)
        if self.unwrap(self.wrap(probe, b"probe"), b"probe") != probe:
            raise KeyRefused("the token does not unwrap what it wrapped")

    def __repr__(self) -> str:
        """Show the id."""
        return f"TokenKeyWrapper(active={self._active.hex()})"

    @property
    def active(self) -> bytes:
        """Id of the key that wraps."""
        return self._active

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key under the active key-encryption key.

        Raises:
            KeyRefused: the token has lost it.
            StorageUnavailable: the token does not answer.
        """
        nonce = secrets.token_bytes(_NONCE)
        try:
            sealed = self._token.encrypt(self._active, nonce, key, associated_data)
        except ConnectionError as error:
            raise StorageUnavailable(f"the token of the key-encryption keys: {error}") from error
        except LookupError:
            raise KeyRefused("the token has no longer the active key-encryption key") from None
        if len(sealed) != len(key) + _TAG:
            raise StorageUnavailable("the token of the key-encryption keys does not encrypt as it should")
        return _VERSION + self._active + nonce + sealed

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key.

        Raises:
            KeyRefused: unknown version or key id, other associated data, or changed octets.
            StorageUnavailable: the token does not answer.
        """
        start = len(_VERSION) + _ID
        if wrapped[: len(_VERSION)] != _VERSION or len(wrapped) < start + _NONCE + _TAG:
            raise KeyRefused("this is no wrapped key")
        name, body = wrapped[len(_VERSION) : start], wrapped[start:]
        try:
            return self._token.decrypt(name, body[:_NONCE], body[_NONCE:], associated_data)
        except ConnectionError as error:
            raise StorageUnavailable(f"the token of the key-encryption keys: {error}") from error
        except LookupError:
            raise KeyRefused("this key was not wrapped with a key-encryption key at hand") from None
        except ValueError:
            raise KeyRefused("the wrapped key belongs to something else, or was changed") from None
