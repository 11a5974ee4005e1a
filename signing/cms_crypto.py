"""Signature verification by the algorithms found in CMS (RFC 3370, 4056, 5754, 8419)."""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import algos
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, utils

from signing.algorithms import OWN_CURVE_BITS, OWN_RSA_BITS
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - read only to say that it is too weak
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}
_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_DSA_KEY = "1.2.840.10040.4.1"
#: Key identifiers that some software writes where a signature algorithm belongs: the digest is the SignerInfo's.
_KEY_IDENTIFIERS = {_RSA_ENCRYPTION: "rsa-pkcs1", _EC_PUBLIC_KEY: "ecdsa", _DSA_KEY: "dsa"}
_SCHEMES = {
    "rsassa_pkcs1v15": "rsa-pkcs1",
    "rsassa_pss": "rsa-pss",
    "ecdsa": "ecdsa",
    "dsa": "dsa",
    "ed25519": "ed25519",
    "ed448": "ed448",
}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a signature value was made, as its AlgorithmIdentifier says.

    Attributes:
        name: as in the table of algorithms.
        digest: hashlib name; "" for EdDSA.
        pss: padding, of RSASSA-PSS.
    """

    name: str
    digest: str
    pss: padding.PSS | None = None


def read_scheme(algorithm: algos.SignedDigestAlgorithm, digest_algorithm: str = "") -> Scheme:
    """Read an AlgorithmIdentifier that anybody may have written.

    Args:
        algorithm: of the signature.
        digest_algorithm: of the SignerInfo, for identifiers that name a kind of key only.

    Raises:
        SignatureRefused: CRYPTO_CONSTRAINTS_FAILURE, indeterminate: not known here.
    """
    dotted = algorithm["algorithm"].dotted
    try:
        if dotted in _KEY_IDENTIFIERS:
            scheme = Scheme(_KEY_IDENTIFIERS[dotted], digest_algorithm)
        else:
            name = _SCHEMES[algorithm.signature_algo]
            if name in {"ed25519", "ed448"}:
                return Scheme(name, "")
            scheme = Scheme(name, algorithm.hash_algo, _pss(algorithm) if name == "rsa-pss" else None)
    except _UNREADABLE as error:
        raise _unknown(f"signature algorithm {dotted}") from error
    if scheme.digest not in _HASHES:
        raise _unknown(f"digest algorithm {scheme.digest[:40]}")
    return scheme


def verify_value(key: object, scheme: Scheme, signature: bytes, data: bytes, *, hashed: bool = False) -> None:
    """Verify a signature value, whoever made it and however weak its algorithms are.

    Args:
        key: public key.
        scheme: from `read_scheme`.
        signature: the value.
        data: what was signed.
        hashed: `data` is its digest.

    Raises:
        SignatureRefused: SIG_CRYPTO_FAILURE; CRYPTO_CONSTRAINTS_FAILURE (indeterminate) for a combination of
            key and algorithm that cannot be computed.
    """
    try:
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            if not scheme.name.startswith("ed") or hashed:
                raise _unknown("the signature algorithm with this kind of key")
            key.verify(signature, data)
            return
        plain = _HASHES[scheme.digest]
        digest = utils.Prehashed(plain) if hashed else plain
        if isinstance(key, rsa.RSAPublicKey) and scheme.name == "rsa-pkcs1":
            key.verify(signature, data, padding.PKCS1v15(), digest)
        elif isinstance(key, rsa.RSAPublicKey) and scheme.pss is not None:
            key.verify(signature, data, scheme.pss, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme.name == "ecdsa":
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, dsa.DSAPublicKey) and scheme.name == "dsa":
            key.verify(signature, data, digest)
        else:
            raise _unknown("the signature algorithm with this kind of key")
    except InvalidSignature:
        raise SignatureRefused("SIG_CRYPTO_FAILURE", "the signature value does not verify") from None
    except HOSTILE as error:
        raise _unknown("the signature algorithm with this key") from error


def _unknown(what: str) -> SignatureRefused:
    return SignatureRefused("CRYPTO_CONSTRAINTS_FAILURE", f"{what} is not known here", indeterminate=True)


def verify_signature(
    key: object,
    algorithm: algos.SignedDigestAlgorithm,
    digest_algorithm: str,
    signature: bytes,
    data: bytes,
) -> None:
    """Verify one signature value.

    Args:
        key: public key of the signer.
        algorithm: AlgorithmIdentifier of the SignerInfo.
        digest_algorithm: name of the SignerInfo's digest, which the signature must use too.
        signature: the value.
        data: what was signed.

    Raises:
        SignatureRefused: SIG_CRYPTO_FAILURE; FORMAT_FAILURE for an algorithm that is unknown, or does not go
            with the key or the digest.
    """
    name = algorithm.signature_algo
    if name not in {"ed25519", "ed448"}:
        stated = (
            digest_algorithm if algorithm["algorithm"].native == "rsassa_pkcs1v15" else algorithm.hash_algo
        )
        if stated != digest_algorithm or stated not in _HASHES:
            raise SignatureRefused("FORMAT_FAILURE", "the digest algorithms of the signature do not agree")
    try:
        if isinstance(key, rsa.RSAPublicKey) and name == "rsassa_pkcs1v15":
            key.verify(signature, data, padding.PKCS1v15(), _HASHES[digest_algorithm])
        elif isinstance(key, rsa.RSAPublicKey) and name == "rsassa_pss":
            key.verify(signature, data, _pss(algorithm), _HASHES[digest_algorithm])
        elif isinstance(key, ec.EllipticCurvePublicKey) and name == "ecdsa":
            _require_der_signature(signature)
            key.verify(signature, data, ec.ECDSA(_HASHES[digest_algorithm]))
        elif (isinstance(key, ed25519.Ed25519PublicKey) and name == "ed25519") or (
            isinstance(key, ed448.Ed448PublicKey) and name == "ed448"
        ):
            key.verify(signature, data)
        else:
            raise SignatureRefused("FORMAT_FAILURE", "the signature algorithm does not go with the key")
    except InvalidSignature:
        raise SignatureRefused("SIG_CRYPTO_FAILURE", "the signature value does not verify") from None


def check_strength(key: object, digest_algorithm: str) -> None:
    """Refuse algorithms that prove nothing by themselves today.

    Raises:
        SignatureRefused: CRYPTO_CONSTRAINTS_FAILURE, indeterminate: a proof of existence from the time when
            the algorithm was sound could still save the signature.
    """
    small = (isinstance(key, rsa.RSAPublicKey) and key.key_size < OWN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < OWN_CURVE_BITS
    )
    if small or digest_algorithm in {"md5", "sha1"}:
        raise SignatureRefused(
            "CRYPTO_CONSTRAINTS_FAILURE",
            f"{digest_algorithm} or the key size is too weak without proof of existence",
            indeterminate=True,
        )


def _pss(algorithm: algos.SignedDigestAlgorithm) -> padding.PSS:
    parameters = algorithm["parameters"]
    mask = parameters["mask_gen_algorithm"]
    if mask["algorithm"].native != "mgf1" or int(parameters["trailer_field"]) != 1:
        raise SignatureRefused("FORMAT_FAILURE", "unknown RSASSA-PSS parameters")
    mask_hash = _HASHES[mask["parameters"]["algorithm"].native]
    return padding.PSS(mgf=padding.MGF1(mask_hash), salt_length=parameters["salt_length"].native)


def _require_der_signature(signature: bytes) -> None:
    """Leave an ECDSA value one encoding only, whatever the library would tolerate."""
    if utils.encode_dss_signature(*utils.decode_dss_signature(signature)) != signature:
        raise SignatureRefused("SIG_CRYPTO_FAILURE", "the ECDSA signature value is not DER")
