"""Tokens of the one form of our own, checked by writing them again; every other goes to the full verifier."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from timestamping import der
from timestamping.algorithms import ECDSA_SHA256, PSS_SHA256, SHA256_ABSENT, low_s
from timestamping.base import PathValidator, TokenReport
from timestamping.certificates import Certificate, check_role
from timestamping.template import TokenTemplate
from timestamping.verify import Rfc3161Verifier

_IMPRINT = der.sequence(SHA256_ABSENT, der.octets(bytes(32)))[:-32]
_VERSION_1 = der.integer(1)
# What the authority writes (`timestamping.authority`): one second; a time of 15 octets.
_ACCURACY = der.sequence(der.integer(1))
_TIME = bytes((der.GENERALIZED_TIME, 15))
_ECDSA = ec.ECDSA(hashes.SHA256())
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_MIN_RSA_BITS = 3072
__all__ = ["OwnTokenVerifier"]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A timestamp certificate that has the role, with what its tokens hold besides."""

    certificate: x509.Certificate
    encoded: bytes
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    identifier: bytes
    digest: bytes
    algorithm: bytes


class OwnTokenVerifier:
    """Verifies tokens as `Rfc3161Verifier(strict=True)` does, at little more than the cost of their signature.

    A token of our own form is found out by its parts (TSTInfo, certificates, signature) and written again from
    them; only the same octets pass. Whatever differs, and whatever does not verify, is judged by the full
    verifier, so that it alone says why something is refused.

    Args:
        paths: decides whether a certificate leads to a trusted timestamp anchor.
    """

    def __init__(self, paths: PathValidator) -> None:
        self._paths = paths
        self._full = Rfc3161Verifier(paths, strict=True)

    def verify(
        self,
        token: bytes,
        imprint: bytes,
        *,
        others: Sequence[x509.Certificate] = (),
        crls: Sequence[bytes] = (),
    ) -> TokenReport:
        """Check a token over a SHA-256 imprint; see `Rfc3161Verifier.verify`, whose steps 1 to 10 hold.

        Raises:
            TokenRefused: as there.
        """
        report = self._rebuilt(token, imprint, others, crls)
        return report or self._full.verify(token, imprint, others=others, crls=crls)

    def _rebuilt(
        self, token: bytes, imprint: bytes, others: Sequence[x509.Certificate], crls: Sequence[bytes]
    ) -> TokenReport | None:
        try:
            content, encoded, identifier, signature = _parts(token)
            # Imprint, version, policy, serial number, time, and nothing else.
            policy, serial, moment = _tst_info(content, imprint)
            inside = [_certificate(item) for item in encoded]
            unit = next(unit for item in encoded if (unit := _unit(item)).identifier == identifier)
            content_digest = hashlib.sha256(content).digest()
            template = _template(unit.encoded, encoded, len(content))
            if template.token(content, content_digest, signature) != token:
                return None
            message = template.message(content_digest)
            if isinstance(unit.key, ec.EllipticCurvePublicKey):
                if low_s(signature) != signature:
                    return None
                unit.key.verify(signature, message, _ECDSA)
            else:
                unit.key.verify(signature, message, _PSS, hashes.SHA256())
            issuers = [item for item in inside if item is not unit.certificate]
            path = self._paths.validate(unit.certificate, [*issuers, *others], crls, moment)
            if len(set(encoded)) != len(encoded) or not all(item in path for item in inside):
                return None
        except Exception:
            # Hostile octets and the port's own refusals raise anything: the full verifier finds the words.
            return None
        return TokenReport(
            gen_time=moment,
            policy=policy,
            serial=serial,
            imprint_algorithm="sha256",
            imprint=imprint,
            signer=unit.certificate,
            certificates=tuple(inside),
        )


def _content(element: bytes) -> bytes:
    return element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]


def _children(element: bytes) -> list[bytes]:
    """Cut an element into those it holds; what is not in its shortest form shows when it is written again."""
    at, found = len(element) - len(_content(element)), []
    while at < len(element):
        size = element[at + 1]
        body = at + 2
        if size & 0x80:
            body += size & 0x7F
            size = int.from_bytes(element[at + 2 : body], "big")
        found.append(element[at : body + size])
        at = body + size
    return found


def _parts(token: bytes) -> tuple[bytes, tuple[bytes, ...], bytes, bytes]:
    """TSTInfo, certificates, signer identifier and signature, where our own form has them."""
    signed_data = _children(_children(_children(token)[1])[0])
    _version, _digests, encapsulated, certificates, signers = signed_data
    content = _content(_children(_children(encapsulated)[1])[0])
    info = _children(_children(signers)[0])
    return content, tuple(_children(certificates)), info[1], _content(info[5])


def _tst_info(content: bytes, imprint: bytes) -> tuple[str, int, datetime]:
    _version, policy, _imprint, serial, moment, _accuracy = _children(content)
    if der.sequence(_VERSION_1, policy, _IMPRINT + imprint, serial, moment, _ACCURACY) != content:
        raise der.DerError("not the TSTInfo of our own form")
    text = moment[2:]
    if (
        moment[:2] != _TIME
        or len(text) != 15
        or len(imprint) != 32
        or not text[:14].isdigit()
        or text[14:] != b"Z"
    ):
        raise der.DerError("not the TSTInfo of our own form")
    year, month, day, hour, minute, second = (
        int(text[:4]),
        *(int(text[at : at + 2]) for at in range(4, 14, 2)),
    )
    when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return _policy(policy), der.integer_value(der.only(serial, der.INTEGER)), when


@lru_cache(maxsize=64)
def _policy(encoded: bytes) -> str:
    return der.object_id_value(der.only(encoded, der.OBJECT_ID))


@lru_cache(maxsize=256)
def _certificate(encoded: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(encoded)


@lru_cache(maxsize=64)
def _unit(encoded: bytes) -> _Unit:
    """Read a timestamp certificate. Raises whatever an unfit one makes the library raise."""
    certificate = Certificate(encoded)
    identifier = der.sequence(certificate.issuer, der.integer(certificate.serial))
    held = _certificate(encoded)
    key = held.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = ECDSA_SHA256
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        algorithm = PSS_SHA256
    else:
        raise der.DerError("not a key of our own form")
    return _Unit(held, encoded, key, identifier, hashlib.sha256(encoded).digest(), algorithm)


@lru_cache(maxsize=256)
def _template(unit: bytes, certificates: tuple[bytes, ...], size: int) -> TokenTemplate:
    signer = _unit(unit)
    check_role(signer.certificate)
    return TokenTemplate(size, certificates, signer.identifier, signer.digest, signer.algorithm)
