"""Signature verification by the algorithms found in CMS (RFC 3370, 4056, 5754, 8419)."""

from __future__ import annotations

from asn1crypto import algos
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils

from signing.errors import SignatureRefused

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
_WEAK = frozenset({"md5", "sha1"})
_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 256


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
    small = (isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _MIN_EC_BITS
    )
    if small or digest_algorithm in _WEAK:
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
