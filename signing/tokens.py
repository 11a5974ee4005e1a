"""Keys in PKCS#11 tokens: seals, timestamps and checkpoints signed, and document keys wrapped, by keys that stay there.

Needs the extra `hsm` (python-pkcs11); nothing imports this module but what was told to use a token.
"""

from __future__ import annotations

import secrets
from functools import partial
from types import MappingProxyType
from typing import Any

from pkcs11 import GCMParams, Mechanism, ObjectClass
from pkcs11 import exceptions as p11
from pkcs11.mechanisms import MGF

from signing.errors import KeyUnusable, SigningUnavailable
from signing.secret_files import Secret
from signing.signers import (
    ECDSA_P256,
    ED25519,
    RSA_PKCS1,
    RSA_PSS,
    CheckedSigner,
    PublicKey,
    algorithm_of,
)
from signing.tokens_keys import KINDS, TokenKey, generate, list_keys, read_public
from signing.tokens_session import Held, KeyMissing, TokenPlace, TokenSession

__all__ = ["KINDS", "KeyMissing", "Pkcs11Token", "TokenCipher", "TokenKey", "TokenPlace"]

_GENERATING_S = 300.0
_TAG_BITS = 128
# RFC 8017 section 9.2, note 1: what stands before a SHA-256 digest.
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_PSS = (Mechanism.SHA256, MGF.SHA256, 32)
_MECHANISMS = MappingProxyType(
    {
        ECDSA_P256: (Mechanism.ECDSA, None),
        RSA_PSS: (Mechanism.RSA_PKCS_PSS, _PSS),
        RSA_PKCS1: (Mechanism.RSA_PKCS, None),
        ED25519: (Mechanism.EDDSA, None),
    }
)


class Pkcs11Token:
    """A token that was opened once; safe for threads.

    Sessions are opened anew after the token was away; until then calls end in SigningUnavailable, at once or when
    their time is over. One object for a token in a process is enough, and all that use one module take turns.
    """

    def __init__(self, session: TokenSession) -> None:
        """Take the session; see `open`."""
        self._session = session

    def __repr__(self) -> str:
        """Name the token."""
        return f"Pkcs11Token({self._session.place})"

    @classmethod
    def open(cls, place: TokenPlace, pin: Secret, *, seconds: float = 10.0) -> Pkcs11Token:
        """Open a token and log in.

        Args:
            place: which one.
            pin: of its user; asked for again at each login.
            seconds: for a call, waiting for its turn and opening sessions included.

        Raises:
            KeyUnusable: there is no such module, or the PIN is refused.
            SigningUnavailable: the token is not there or does not answer.
        """
        session = TokenSession(place, pin, seconds)
        session.run(lambda held: held.mechanisms)
        return cls(session)

    @property
    def stuck(self) -> bool:
        """True while a call is under way whose time is over: every other one is refused so long."""
        return self._session.stuck

    def close(self) -> None:
        """Log out; never raises. The next call would log in again."""
        self._session.close()

    def check(self) -> None:
        """Ask the token for something small. Raises SigningUnavailable, KeyUnusable when it does not answer."""
        self._session.run(lambda held: len(held.session.generate_random(64)))

    def keys(self) -> list[TokenKey]:
        """Return its private and secret keys by label. Raises SigningUnavailable, KeyUnusable."""
        return self._session.run(list_keys)

    def generate(self, kind: str, label: str, key_id: bytes) -> TokenKey:
        """Make a key that never leaves the token; see `tokens_keys.generate`.

        Raises:
            KeyUnusable: see there; the token cannot make such a key.
            SigningUnavailable: the token does not answer; the key may be there all the same.
        """
        return self._session.run(
            lambda held: generate(held, kind, label, key_id), again=False, seconds=_GENERATING_S
        )

    def signer(
        self, label: str = "", key_id: bytes = b"", *, public: PublicKey | None = None
    ) -> CheckedSigner:
        """Return what signs with a key of the token.

        Args:
            label: of the key; may be left out where the identifier is given.
            key_id: identifier of the key; the same the other way round.
            public: its public key, for tokens that hold private halves alone; from its certificate.

        Raises:
            KeyUnusable: no such key, or none that can sign here.
            SigningUnavailable: the token does not answer.
        """
        if not label and not key_id:
            raise KeyUnusable("a key is named by its label or its identifier")
        stated, algorithm = self._session.run(lambda held: _find(held, label, key_id, public))
        name = f"key {label or key_id.hex()!r} of {self._session.place}"
        return CheckedSigner(stated, algorithm, partial(self._sign, label, key_id, algorithm), name)

    def cipher(self) -> TokenCipher:
        """Return what wraps document keys with AES keys of the token."""
        return TokenCipher(self._session)

    def _sign(self, label: str, key_id: bytes, algorithm: str, octets: bytes) -> bytes:
        mechanism, parameters = _MECHANISMS[algorithm]
        data = _SHA256_INFO + octets if algorithm == RSA_PKCS1 else octets

        def work(held: Held) -> bytes:
            key = held.find(ObjectClass.PRIVATE_KEY, label, key_id)
            return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameters))

        return self._session.run(work)


def _find(held: Held, label: str, key_id: bytes, public: PublicKey | None) -> tuple[PublicKey, str]:
    """Return the public half and the algorithm of a key that is there."""
    held.find(ObjectClass.PRIVATE_KEY, label, key_id)
    stated = read_public(held, label, key_id) or public
    if stated is None:
        raise KeyUnusable("the token does not tell the public key: give its certificate")
    algorithm = algorithm_of(stated)
    if algorithm == RSA_PSS and Mechanism.RSA_PKCS_PSS not in held.mechanisms:
        algorithm = RSA_PKCS1
    if _MECHANISMS[algorithm][0] not in held.mechanisms:
        raise KeyUnusable(f"the token cannot sign with {algorithm}")
    return stated, algorithm


class TokenCipher:
    """AES-256-GCM by keys of a token, named by CKA_ID; an `AesToken` of `storage.keys_token`."""

    def __init__(self, session: TokenSession) -> None:
        """Take the session; see `Pkcs11Token.cipher`."""
        self._session = session

    def __repr__(self) -> str:
        """Name the token."""
        return f"TokenCipher({self._session.place})"

    def encrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return ciphertext and tag.

        Raises:
            LookupError: the token has no such key.
            ConnectionError: the token does not answer, or fails.
        """
        return self._run(key_id, lambda key: _encrypt(key, nonce, data, associated_data))

    def decrypt(self, key_id: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            ValueError: another key, other associated data, or changed octets.
            LookupError: the token has no such key.
            ConnectionError: the token does not answer, or fails.
        """
        return self._run(key_id, lambda key: _decrypt(key, nonce, data, associated_data))

    def _run(self, key_id: bytes, work: Any) -> bytes:
        try:
            octets: bytes | None = self._session.run(
                lambda held: work(held.find(ObjectClass.SECRET_KEY, "", key_id))
            )
        except KeyMissing as error:
            raise LookupError(str(error)) from error
        except (SigningUnavailable, KeyUnusable) as error:
            raise ConnectionError(str(error)) from error
        if octets is None:
            raise ValueError("the wrapped octets do not authenticate")
        return octets


def _encrypt(key: Any, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
    parameters = GCMParams(nonce, associated_data, _TAG_BITS)
    return bytes(key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))


def _decrypt(key: Any, nonce: bytes, data: bytes, associated_data: bytes) -> bytes | None:
    """Return what was encrypted; None when it does not authenticate."""
    parameters = GCMParams(nonce, associated_data, _TAG_BITS)
    try:
        return bytes(key.decrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))
    except (p11.EncryptedDataInvalid, p11.EncryptedDataLenRange):
        return None
    except (p11.GeneralError, p11.FunctionFailed, p11.DeviceError):
        # Some tokens, SoftHSM2 too, have no other word for a tag that is wrong. If the key still works, it was that.
        _encrypt(key, secrets.token_bytes(len(nonce)), nonce, associated_data)
        return None
