"""Keys in a PKCS#11 token: made so that they never leave it, found, listed, and their public halves read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11 import exceptions as p11

from signing.errors import KeyUnusable
from signing.signers import PublicKey
from signing.tokens_session import Held

P256, RSA_3072, RSA_4096, ED25519, AES_256 = "p256", "rsa-3072", "rsa-4096", "ed25519", "aes-256"
KINDS = (P256, RSA_3072, RSA_4096, ED25519, AES_256)
OTHER = "other"

_P256_PARAMS = bytes.fromhex("06082a8648ce3d030107")
# PKCS#11 3.0 section 6.3: the curve by object identifier or by name; tokens know one or the other.
_ED25519_PARAMS = (bytes.fromhex("06032b6570"), bytes.fromhex("130c656477617264733235353139"))
_ED25519_POINT = 32
_SIGNS = MechanismFlag.SIGN | MechanismFlag.VERIFY
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    NotImplementedError,
    OverflowError,
    UnsupportedAlgorithm,
)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A private or secret key in a token.

    Attributes:
        label: CKA_LABEL.
        key_id: CKA_ID.
        kind: one of `KINDS`, or `other`.
        public: its public half where the token has that too; None for secret keys.
        extractable: True when the token says that the key may leave it, wrapped or in clear.
    """

    label: str
    key_id: bytes
    kind: str
    public: PublicKey | None
    extractable: bool


def read_public(held: Held, label: str, key_id: bytes) -> PublicKey | None:
    """Return the public half of a key, None when the token does not tell it.

    Raises:
        KeyUnusable: it cannot be read.
        pkcs11.exceptions.PKCS11Error: the token fails.
    """
    for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
        try:
            key = held.find(kind, label, key_id)
            return _public(key)
        except (p11.NoSuchKey, p11.AttributeTypeInvalid, p11.AttributeSensitive):
            continue
        except _UNREADABLE as error:
            raise KeyUnusable("the token's public key cannot be read") from error
    return None


def _public(key: Any) -> PublicKey | None:
    key_type = key[Attribute.KEY_TYPE]
    if key_type == KeyType.RSA:
        exponent, modulus = key[Attribute.PUBLIC_EXPONENT], key[Attribute.MODULUS]
        return rsa.RSAPublicNumbers(
            int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")
        ).public_key()
    if key_type not in (KeyType.EC, KeyType.EC_EDWARDS):
        return None
    parameters = key[Attribute.EC_PARAMS]
    if parameters == _P256_PARAMS:
        point = _bare(key[Attribute.EC_POINT], 65)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    if parameters in _ED25519_PARAMS:
        return ed25519.Ed25519PublicKey.from_public_bytes(_bare(key[Attribute.EC_POINT], _ED25519_POINT))
    return None


def _bare(point: bytes, size: int) -> bytes:
    """Take a point out of the OCTET STRING or BIT STRING in which most tokens keep it."""
    for header in (b"", bytes((0x04, size)), bytes((0x03, size + 1, 0))):
        if len(point) == len(header) + size and point.startswith(header):
            return point[len(header) :]
    raise ValueError("a point of another size")


def list_keys(held: Held) -> list[TokenKey]:
    """Return every private and secret key. Raises pkcs11's errors."""
    found = []
    for wanted in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
        for key in list(held.session.get_objects({Attribute.CLASS: wanted})):
            label, key_id = _read(key, Attribute.LABEL, ""), _read(key, Attribute.ID, b"")
            public = None
            if wanted is ObjectClass.PRIVATE_KEY and (label or key_id):
                try:
                    public = read_public(held, label, key_id)
                except (KeyUnusable, p11.MultipleObjectsReturned):
                    public = None
            found.append(TokenKey(label, key_id, _kind(key, public), public, _leaves(key)))
    return sorted(found, key=lambda each: (each.label, each.key_id))


def _kind(key: Any, public: PublicKey | None) -> str:
    if isinstance(public, ec.EllipticCurvePublicKey):
        return P256
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ED25519
    if isinstance(public, rsa.RSAPublicKey):
        return {3072: RSA_3072, 4096: RSA_4096}.get(public.key_size, OTHER)
    if _read(key, Attribute.KEY_TYPE, None) == KeyType.AES and _read(key, Attribute.VALUE_LEN, 0) == 32:
        return AES_256
    return OTHER


def _leaves(key: Any) -> bool:
    return bool(_read(key, Attribute.EXTRACTABLE, True)) or not _read(key, Attribute.SENSITIVE, False)


def _read(key: Any, attribute: Attribute, absent: Any) -> Any:
    """Read an attribute that not every token tells."""
    try:
        return key[attribute]
    except (p11.AttributeTypeInvalid, p11.AttributeSensitive, p11.FunctionFailed, *_UNREADABLE):
        return absent


def generate(held: Held, kind: str, label: str, key_id: bytes) -> TokenKey:
    """Make a key that never leaves the token (sensitive, not extractable), in no other's place.

    Args:
        held: the session; a second one for writing is opened beside it.
        kind: one of `KINDS`.
        label: CKA_LABEL.
        key_id: CKA_ID.

    Raises:
        KeyUnusable: unknown kind, a key with this label or identifier stands there already, or the token made one
            that could leave it; that one is destroyed.
        pkcs11.exceptions.PKCS11Error: the token cannot do this.
    """
    if kind not in _MAKERS or not label or not key_id:
        raise KeyUnusable(f"a key has one of the kinds {', '.join(KINDS)}, a label and an identifier")
    if any(each.label == label or each.key_id == key_id for each in list_keys(held)):
        raise KeyUnusable("a key with this label or identifier stands in the token already")
    # It is logged in with the first one.
    session = held.token.open(rw=True)
    try:
        made = _MAKERS[kind](session, {"label": label, "id": key_id, "store": True})
        key = made[-1]
        if _leaves(key):
            for each in made:
                each.destroy()
            raise KeyUnusable("the token made a key that may leave it; it was destroyed again")
    finally:
        session.close()
    return next(each for each in list_keys(held) if each.key_id == key_id)


_STAYS = MappingProxyType(
    {
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
    }
)


def _curve(
    session: pkcs11.Session, named: dict[str, Any], key_type: KeyType, parameters: bytes
) -> tuple[Any, ...]:
    domain = session.create_domain_parameters(key_type, {Attribute.EC_PARAMS: parameters}, local=True)
    return domain.generate_keypair(**named, capabilities=_SIGNS, private_template=dict(_STAYS))


def _ed25519(session: pkcs11.Session, named: dict[str, Any]) -> tuple[Any, ...]:
    try:
        return _curve(session, named, KeyType.EC_EDWARDS, _ED25519_PARAMS[0])
    except (p11.DomainParamsInvalid, p11.AttributeValueInvalid, p11.GeneralError):
        return _curve(session, named, KeyType.EC_EDWARDS, _ED25519_PARAMS[1])


def _rsa(session: pkcs11.Session, named: dict[str, Any], bits: int) -> tuple[Any, ...]:
    return session.generate_keypair(
        KeyType.RSA, bits, **named, capabilities=_SIGNS, private_template=dict(_STAYS)
    )


def _aes(session: pkcs11.Session, named: dict[str, Any]) -> tuple[Any, ...]:
    capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    return (
        session.generate_key(KeyType.AES, 256, **named, capabilities=capabilities, template=dict(_STAYS)),
    )


_MAKERS: MappingProxyType[str, Callable[[pkcs11.Session, dict[str, Any]], tuple[Any, ...]]] = (
    MappingProxyType(
        {
            P256: lambda session, named: _curve(session, named, KeyType.EC, _P256_PARAMS),
            RSA_3072: lambda session, named: _rsa(session, named, 3072),
            RSA_4096: lambda session, named: _rsa(session, named, 4096),
            ED25519: _ed25519,
            AES_256: _aes,
        }
    )
)
