"""Public keys and certificates that a system is registered with: read strictly, kept in one form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key, thumbprint

from vault.errors import Refused

MOST_KEYS = 8
MAX_OCTETS = 65_536
_RSA_BITS = range(2048, 8193)
_MAX_KID = 128
_PEM = b"-----BEGIN "
# What is kept of a key; a key's own word on algorithm and operations could only make it unusable.
_MEMBERS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}


def read_keys(data: bytes) -> tuple[dict[str, str], ...]:
    """Read public keys: a JSON Web Key, a set of them (RFC 7517), or PEM.

    Returns:
        One to eight JSON Web Keys, of P-256, Ed25519 or RSA from 2048 bits, each with a `kid` of its own (the key's
        thumbprint of RFC 7638 where none was given).

    Raises:
        Refused: KEY_REFUSED; a private key above all: it would not be one any more.
    """
    if len(data) > MAX_OCTETS:
        raise _refused("the file is too large")
    try:
        raws = _pem_keys(data) if _PEM in data else _json_keys(data)
    except (
        JoseError,
        UnsupportedAlgorithm,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        raise _refused("not readable as a JSON Web Key (set) or as PEM of public keys") from error
    if not 0 < len(raws) <= MOST_KEYS:
        raise _refused(f"one to {MOST_KEYS} keys are expected")
    keys = tuple(_kept(key, kid) for key, kid in raws)
    if len({key["kid"] for key in keys}) != len(keys):
        raise _refused("two keys have the same kid")
    return keys


def read_certificates(data: bytes) -> tuple[str, ...]:
    """Return the SHA-256 thumbprints, hex, of the certificates of a PEM file. Raises Refused(KEY_REFUSED)."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise _refused("not readable as PEM certificates") from error
    if not 0 < len(found) <= MOST_KEYS:
        raise _refused(f"one to {MOST_KEYS} certificates are expected")
    return tuple(dict.fromkeys(each.fingerprint(SHA256()).hex() for each in found))


def _json_keys(data: bytes) -> list[tuple[Key, str]]:
    value = json.loads(data)
    members = value.get("keys", [value])
    return [(_public(member), str(member.get("kid", ""))) for member in members]


def _public(member: dict[str, Any]) -> Key:
    if {"d", "k", "p", "q"} & member.keys():
        raise _refused("a private key or a secret: keep it where it is, and send the public key alone")
    public = {name: member[name] for name in _MEMBERS[member["kty"]]}
    return import_key(public)


def _pem_keys(data: bytes) -> list[tuple[Key, str]]:
    if b"PRIVATE KEY" in data:
        raise _refused("a private key: keep it where it is, and send the public key alone")
    end = b"-----END PUBLIC KEY-----"
    return [(_imported(load_pem_public_key(part + end)), "") for part in data.split(end)[:-1]]


def _imported(found: object) -> Key:
    if isinstance(found, ec.EllipticCurvePublicKey):
        return ECKey.import_key(found)
    if isinstance(found, rsa.RSAPublicKey):
        return RSAKey.import_key(found)
    if isinstance(found, ed25519.Ed25519PublicKey):
        return OKPKey.import_key(found)
    raise _refused("the key is neither P-256, Ed25519 nor RSA")


def _kept(key: Key, kid: str) -> dict[str, str]:
    raw = key.raw_value
    fits = (
        (isinstance(raw, ec.EllipticCurvePublicKey) and isinstance(raw.curve, ec.SECP256R1))
        or isinstance(raw, ed25519.Ed25519PublicKey)
        or (isinstance(raw, rsa.RSAPublicKey) and raw.key_size in _RSA_BITS)
    )
    if not fits:
        raise _refused("the key is neither P-256, Ed25519 nor RSA of 2048 to 8192 bits")
    if len(kid) > _MAX_KID or not kid.isprintable():
        raise _refused("the kid is too long")
    described = key.as_dict(private=False)
    members: Sequence[str] = _MEMBERS[str(described["kty"])]
    kept = {name: str(described[name]) for name in members}
    return {**kept, "kid": kid or thumbprint(kept)}


def _refused(problem: str) -> Refused:
    return Refused("KEY_REFUSED", problem)
