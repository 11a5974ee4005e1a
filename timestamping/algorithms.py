"""Algorithms that timestamps may use, and the check of one signature.

Accepted at any time: SHA-256, SHA-384 and SHA-512; ECDSA on the NIST and Brainpool curves of 256 bits and
more; RSA of 2048 bits and more, PKCS#1 v1.5 or PSS; Ed25519. Where a rule with dates decides (`AlgorithmRule`),
older ones are readable too, so that it can be asked. Anything else is CRYPTO_CONSTRAINTS_FAILURE.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from timestamping import der
from timestamping.base import AlgorithmRule
from timestamping.errors import TokenRefused

SHA256_ID = "2.16.840.1.101.3.4.2.1"
DIGESTS: dict[str, str] = {
    SHA256_ID: "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
#: Digests that can be computed at all; a dated rule says until when each was good.
READABLE: dict[str, str] = {
    **DIGESTS,
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha3_256": hashes.SHA3_256,
    "sha3_384": hashes.SHA3_384,
    "sha3_512": hashes.SHA3_512,
}
_ECDSA = {
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "2.16.840.1.101.3.4.3.10": "sha3_256",
    "2.16.840.1.101.3.4.3.11": "sha3_384",
    "2.16.840.1.101.3.4.3.12": "sha3_512",
}
_RSA_PKCS1 = {
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "2.16.840.1.101.3.4.3.14": "sha3_256",
    "2.16.840.1.101.3.4.3.15": "sha3_384",
    "2.16.840.1.101.3.4.3.16": "sha3_512",
}
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_RSA_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
_ED25519 = "1.3.101.112"
_CURVES = (
    ec.SECP256R1,
    ec.SECP384R1,
    ec.SECP521R1,
    ec.BrainpoolP256R1,
    ec.BrainpoolP384R1,
    ec.BrainpoolP512R1,
)
MIN_RSA_BITS = 2048
NULL_PARAMETERS = b"\x05\x00"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

SHA256_ABSENT = der.sequence(der.object_id(SHA256_ID))
_SHA256_NULL = der.sequence(der.object_id(SHA256_ID), NULL_PARAMETERS)
ECDSA_SHA256 = der.sequence(der.object_id("1.2.840.10045.4.3.2"))
# RFC 4055, 2.1: inside PSS parameters the hash identifier carries NULL.
PSS_SHA256 = der.sequence(
    der.object_id(_RSA_PSS),
    der.sequence(
        der.tlv(0xA0, _SHA256_NULL),
        der.tlv(0xA1, der.sequence(der.object_id(_MGF1), _SHA256_NULL)),
        der.tlv(0xA2, der.integer(32)),
    ),
)


class Algorithm(NamedTuple):
    """An AlgorithmIdentifier.

    Attributes:
        oid: dotted identifier.
        parameters: DER of the parameters, None when absent.
        raw: DER of the whole identifier.
    """

    oid: str
    parameters: bytes | None
    raw: bytes


def read_algorithm(element: der.Element) -> Algorithm:
    """Read an AlgorithmIdentifier. Raises DerError."""
    if element.tag not in (der.SEQUENCE, 0xA0):
        raise der.DerError("not an algorithm identifier")
    reader = element.reader()
    oid = reader.object_id()
    parameters = None
    if reader.tag != -1:
        carried = reader.take_any()
        der.check_canonical(carried)
        parameters = carried.raw
    reader.finish()
    return Algorithm(oid, parameters, element.raw)


def digest_name(algorithm: Algorithm, accepted: Mapping[str, str] = DIGESTS) -> str:
    """Name of an accepted hash ("sha256"…). Raises TokenRefused CRYPTO_CONSTRAINTS_FAILURE."""
    name = accepted.get(algorithm.oid)
    if name is None:
        raise TokenRefused("CRYPTO_CONSTRAINTS_FAILURE", f"hash algorithm {algorithm.oid} is not accepted")
    if algorithm.parameters not in (None, NULL_PARAMETERS):
        raise TokenRefused("CRYPTO_CONSTRAINTS_FAILURE", "a hash algorithm carries parameters")
    return name


def digest(name: str, data: bytes) -> bytes:
    """Hash with an accepted algorithm."""
    return hashlib.new(name, data, usedforsecurity=False).digest()


def low_s(signature: bytes) -> bytes:
    """The one of the two equivalent P-256 signatures (r, s), (r, n-s) whose s is the smaller, in DER."""
    r, s = decode_dss_signature(signature)
    return signature if s <= _P256_ORDER >> 1 else encode_dss_signature(r, _P256_ORDER - s)


def _refuse(message: str) -> TokenRefused:
    return TokenRefused("CRYPTO_CONSTRAINTS_FAILURE", message)


class Judged(NamedTuple):
    """What the algorithms of one token are held to.

    Attributes:
        rule: says until when each algorithm was good.
        at: time at which the token is judged, UTC.
        proven: that it existed then is proven by something newer.
    """

    rule: AlgorithmRule
    at: datetime
    proven: bool

    def check(
        self,
        *,
        digest: str | None = None,
        scheme: str | None = None,
        bits: int | None = None,
        curve: str | None = None,
    ) -> None:
        """Ask the rule. Raises TokenRefused with its code."""
        try:
            self.rule.check(
                digest=digest, scheme=scheme, bits=bits, curve=curve, at=self.at, proven=self.proven
            )
        except Exception as error:
            # The port promises an exception with a `code`, of a class this package cannot know.
            code = getattr(error, "code", None)
            if not isinstance(code, str):
                raise
            raise TokenRefused(code, str(error)) from error


def _pss(parameters: bytes | None, digest_algorithm: str, judged: Judged | None) -> padding.PSS:
    """Read RSASSA-PSS-params (RFC 4055, 3.1); defaults mean SHA-1, which only a dated rule may accept."""
    accepted = DIGESTS if judged is None else READABLE
    if parameters is None:
        raise _refuse("RSA-PSS without parameters means SHA-1")
    reader = der.only(parameters, der.SEQUENCE).reader()
    hash_field, mask_field = reader.optional(0xA0), reader.optional(0xA1)
    salt_field, trailer_field = reader.optional(0xA2), reader.optional(0xA3)
    reader.finish()
    if judged is None and (hash_field is None or mask_field is None):
        raise _refuse("RSA-PSS with a default of SHA-1")
    hash_name = mask_hash = "sha1"
    if hash_field is not None:
        hash_name = digest_name(read_algorithm(der.only(hash_field.content, der.SEQUENCE)), accepted)
    if mask_field is not None:
        mask = read_algorithm(der.only(mask_field.content, der.SEQUENCE))
        if mask.oid != _MGF1 or mask.parameters is None:
            raise _refuse("RSA-PSS mask generation is not MGF1")
        mask_hash = digest_name(read_algorithm(der.only(mask.parameters, der.SEQUENCE)), accepted)
    salt = 20 if salt_field is None else der.integer_value(der.only(salt_field.content, der.INTEGER))
    trailer = 1 if trailer_field is None else der.integer_value(der.only(trailer_field.content, der.INTEGER))
    if hash_name != digest_algorithm or trailer != 1 or not 0 <= salt <= 512:
        raise _refuse("RSA-PSS parameters disagree with the digest algorithm or are out of range")
    return padding.PSS(padding.MGF1(_HASHES[mask_hash]()), salt)


def _require_accepted(name: str, judged: Judged | None) -> None:
    if judged is not None:
        judged.check(digest=name)
    elif name not in DIGESTS.values():
        raise _refuse(f"{name} is not accepted")


def _verify_ec(
    key: ec.EllipticCurvePublicKey,
    algorithm: Algorithm,
    signature: bytes,
    message: bytes,
    judged: Judged | None,
) -> None:
    name = _ECDSA.get(algorithm.oid)
    if name is None or algorithm.parameters is not None:
        raise _refuse(f"signature algorithm {algorithm.oid} is not accepted with an elliptic curve key")
    if judged is not None:
        judged.check(scheme="ecdsa", bits=key.curve.key_size, curve=key.curve.name)
    elif not isinstance(key.curve, _CURVES):
        raise _refuse(f"curve {key.curve.name} is not accepted")
    _require_accepted(name, judged)
    key.verify(signature, message, ec.ECDSA(_HASHES[name]()))


def _verify_rsa(
    key: rsa.RSAPublicKey,
    algorithm: Algorithm,
    digest_algorithm: str,
    signature: bytes,
    message: bytes,
    judged: Judged | None,
) -> None:
    is_pss = algorithm.oid == _RSA_PSS
    if judged is not None:
        judged.check(scheme="rsa-pss" if is_pss else "rsa-pkcs1", bits=key.key_size)
    elif key.key_size < MIN_RSA_BITS:
        raise _refuse(f"RSA key of {key.key_size} bits")
    if is_pss:
        scheme = _pss(algorithm.parameters, digest_algorithm, judged)
        key.verify(signature, message, scheme, _HASHES[digest_algorithm]())
        return
    name = digest_algorithm if algorithm.oid == _RSA_ENCRYPTION else _RSA_PKCS1.get(algorithm.oid)
    if name is None or algorithm.parameters not in (None, NULL_PARAMETERS):
        raise _refuse(f"signature algorithm {algorithm.oid} is not accepted with an RSA key")
    _require_accepted(name, judged)
    key.verify(signature, message, padding.PKCS1v15(), _HASHES[name]())


def verify_signature(
    key: CertificatePublicKeyTypes,
    algorithm: Algorithm,
    digest_algorithm: str,
    signature: bytes,
    message: bytes,
    judged: Judged | None = None,
) -> None:
    """Verify one CMS signature.

    Args:
        key: public key of the signer's certificate.
        algorithm: signatureAlgorithm of the SignerInfo.
        digest_algorithm: name of its digestAlgorithm.
        signature: the signature value.
        message: the signed octets.
        judged: the dated rule that decides; None for what is accepted at any time.

    Raises:
        TokenRefused: SIG_CRYPTO_FAILURE (does not verify), CRYPTO_CONSTRAINTS_FAILURE (algorithm or key), or
            the rule's code.
    """
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            _verify_ec(key, algorithm, signature, message, judged)
        elif isinstance(key, rsa.RSAPublicKey):
            _verify_rsa(key, algorithm, digest_algorithm, signature, message, judged)
        elif isinstance(key, ed25519.Ed25519PublicKey):
            # RFC 8419, 3.1: with signed attributes the digest is SHA-512.
            if algorithm.oid != _ED25519 or algorithm.parameters is not None or digest_algorithm != "sha512":
                raise _refuse("Ed25519 key with another algorithm")
            if judged is not None:
                judged.check(scheme="ed25519", bits=256)
            key.verify(signature, message)
        else:
            raise _refuse("kind of key not accepted")
    except InvalidSignature as error:
        raise TokenRefused("SIG_CRYPTO_FAILURE", "the token's signature does not verify") from error
    except UnsupportedAlgorithm as error:
        raise _refuse("algorithm not supported") from error
