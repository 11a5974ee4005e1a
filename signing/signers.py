"""Signers: a private key behind a port, wherever it lies, and the one way in which each kind of key signs here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from signing.errors import KeyUnusable, SigningUnavailable

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
_PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

ECDSA_P256 = "ecdsa-p256-sha256"
RSA_PSS = "rsassa-pss-sha256"
# Not for seals: what is left of RSA in a token or service that has no PSS. Named, so that nothing falls back on it.
RSA_PKCS1 = "rsassa-pkcs1v15-sha256"
ED25519 = "ed25519"

_P256_MAX_SIGNATURE = 72
_P256_RAW = 64
_DIGEST = 32
_RSA_SIZES = (3072, 4096)
_PREHASHED = Prehashed(hashes.SHA256())
_ECDSA = ec.ECDSA(_PREHASHED)
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_PKCS1 = padding.PKCS1v15()


class Signer(Protocol):
    """A private key that signs, wherever it lies. Safe for threads.

    What `sign` gives depends on `algorithm` alone:

    * `ecdsa-p256-sha256`: DER Ecdsa-Sig-Value over SHA-256 (FIPS 186-5).
    * `rsassa-pss-sha256`: MGF1-SHA-256, salt of 32 octets (RFC 4056).
    * `rsassa-pkcs1v15-sha256`: RFC 8017 section 8.2; no seal is made with it.
    * `ed25519`: RFC 8032, over the data themselves.
    """

    @property
    def algorithm(self) -> str:
        """One of the four names above."""
        ...

    @property
    def max_signature_size(self) -> int:
        """The largest signature in octets."""
        ...

    def public_key(self) -> PublicKey:
        """Return the public key; asks nobody."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign data.

        Raises:
            SigningUnavailable: no signature can be had now, whatever the reason; the data are not at fault.
        """
        ...

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest, as `sign` signs its preimage.

        Raises:
            KeyUnusable: the algorithm wants the data themselves (Ed25519), or these are not 32 octets.
            SigningUnavailable: see `sign`.
        """
        ...


def algorithm_of(public: object) -> str:
    """Return how a key signs here; RSA with PSS.

    Raises:
        KeyUnusable: it is neither P-256, nor RSA of 3072 or 4096 bits, nor Ed25519.
    """
    if isinstance(public, ec.EllipticCurvePublicKey):
        if isinstance(public.curve, ec.SECP256R1):
            return ECDSA_P256
        raise KeyUnusable("the elliptic curve must be P-256")
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size in _RSA_SIZES:
            return RSA_PSS
        raise KeyUnusable("the RSA key must have 3072 or 4096 bits")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ED25519
    raise KeyUnusable("only P-256, RSA and Ed25519 keys sign")


def longest_signature(public: PublicKey) -> int:
    """Return the largest signature of a key: 72 octets for P-256 (DER), the modulus for RSA, 64 for Ed25519."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _P256_MAX_SIGNATURE
    return public.key_size // 8 if isinstance(public, rsa.RSAPublicKey) else 64


class PublicHalf:
    """What every `Signer` knows without asking for its private key."""

    def __init__(self, public: PublicKey, algorithm: str) -> None:
        """Take the public key and how its private half signs; see `Signer`."""
        self._public = public
        self._algorithm = algorithm

    @property
    def algorithm(self) -> str:
        """How it signs."""
        return self._algorithm

    @property
    def max_signature_size(self) -> int:
        """The largest signature in octets."""
        return longest_signature(self._public)

    def public_key(self) -> PublicKey:
        """Return the public key; asks nobody."""
        return self._public


class SoftSigner(PublicHalf):
    """A `Signer` whose key lies in the memory of this process."""

    def __init__(self, private: object) -> None:
        """Take a P-256, RSA (3072 or 4096 bits) or Ed25519 key. Raises KeyUnusable for anything else."""
        if not isinstance(private, _PrivateKey):
            raise KeyUnusable("only P-256, RSA and Ed25519 keys sign")
        public = private.public_key()
        super().__init__(public, algorithm_of(public))
        self._private = private

    def __repr__(self) -> str:
        """Say the kind, and nothing of the key."""
        return f"SoftSigner({self._algorithm})"

    def sign(self, data: bytes) -> bytes:
        """Sign data; see `Signer`."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        return self.sign_digest(hashlib.sha256(data).digest())

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest. Raises KeyUnusable: see `Signer`."""
        _require_digest(digest)
        if isinstance(self._private, ec.EllipticCurvePrivateKey):
            return self._private.sign(digest, _ECDSA)
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(digest, _PSS, _PREHASHED)
        raise KeyUnusable("Ed25519 signs data, not digests")


class CheckedSigner(PublicHalf):
    """A `Signer` that has somebody else sign, and believes no signature that it has not verified.

    A token or a service that answers with anything else than a signature by the key of the certificate would
    otherwise leave a seal that nobody can verify, found out when it is needed.
    """

    def __init__(self, public: PublicKey, algorithm: str, ask: Callable[[bytes], bytes], name: str) -> None:
        """Take the key.

        Args:
            public: its public half.
            algorithm: how it signs; see `Signer`.
            ask: signs a SHA-256 digest, or for Ed25519 the data; gives ECDSA as DER or as r ‖ s. Raises
                SigningUnavailable or KeyUnusable.
            name: of the key and where it lies, in words for an operator; no secret.
        """
        super().__init__(public, algorithm)
        self._ask = ask
        self._name = name

    def __repr__(self) -> str:
        """Name the key."""
        return f"{type(self).__name__}({self._name}, {self._algorithm})"

    def sign(self, data: bytes) -> bytes:
        """Sign data. Raises SigningUnavailable: see `Signer`."""
        if self._algorithm == ED25519:
            return self._signed(data)
        return self.sign_digest(hashlib.sha256(data).digest())

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest. Raises KeyUnusable, SigningUnavailable: see `Signer`."""
        _require_digest(digest)
        if self._algorithm == ED25519:
            raise KeyUnusable("Ed25519 signs data, not digests")
        return self._signed(digest)

    def _signed(self, octets: bytes) -> bytes:
        try:
            signature = self._ask(octets)
        except KeyUnusable as error:
            # It could be used when it was opened: a key that went, or a PIN that changed, is for an operator.
            raise SigningUnavailable(f"{self._name}: {error}") from error
        if self._algorithm == ECDSA_P256:
            signature = _as_der(signature)
        if len(signature) <= self.max_signature_size and verifies(
            self._public, self._algorithm, signature, octets
        ):
            return signature
        raise SigningUnavailable(f"{self._name} gave a signature that its own public key does not verify")


def verifies(public: PublicKey, algorithm: str, signature: bytes, octets: bytes) -> bool:
    """Tell whether a signature is one by this key.

    Args:
        public: the key.
        algorithm: see `Signer`; one of another kind of key verifies nothing.
        signature: ECDSA in DER.
        octets: the SHA-256 digest, or for Ed25519 the data.
    """
    try:
        if isinstance(public, ec.EllipticCurvePublicKey) and algorithm == ECDSA_P256:
            public.verify(signature, octets, _ECDSA)
        elif isinstance(public, rsa.RSAPublicKey) and algorithm in (RSA_PSS, RSA_PKCS1):
            public.verify(signature, octets, _PSS if algorithm == RSA_PSS else _PKCS1, _PREHASHED)
        elif isinstance(public, ed25519.Ed25519PublicKey) and algorithm == ED25519:
            public.verify(signature, octets)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _require_digest(digest: bytes) -> None:
    if len(digest) != _DIGEST:
        raise KeyUnusable("what is signed must be a SHA-256 digest")


def _as_der(signature: bytes) -> bytes:
    """Write r ‖ s as DER; what is DER already stays."""
    try:
        decode_dss_signature(signature)
    except ValueError:
        if len(signature) != _P256_RAW:
            return signature
        half = _P256_RAW // 2
        return encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
    return signature
