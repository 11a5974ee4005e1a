"""Tokens of the one form of our own, checked by writing them again; every other goes to the full verifier."""

from __future__ import annotations

import hashlib
import re
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
# Of one authority, signatures on P-256 differ by two octets in length; of several, certificates do.
_MOST_SIZES, _MOST_OF_ONE_SIZE = 64, 4
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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Tokens of one unit that have the same length: where each part stands, found out once.

    Attributes:
        unit: the certificate that the tokens name.
        template: writes them again.
        inside: every certificate in them.
        issuers: those but the unit's.
        policy: that they state, dotted.
        content: offsets of TSTInfo.
        signature: octets of it, at the end.
        information: TSTInfo in the one way to write it; imprint, serial number and six parts of its time are groups.
    """

    unit: _Unit
    template: TokenTemplate
    inside: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    policy: str
    content: tuple[int, int]
    signature: int
    information: re.Pattern[bytes]

    def read(self, token: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Return TSTInfo, its digest and the signature; None for a token that is not exactly of this layout."""
        content = token[slice(*self.content)]
        signature = token[len(token) - self.signature :]
        digest = hashlib.sha256(content).digest()
        if self.template.token(content, digest, signature) != token:
            return None
        return content, digest, signature


class OwnTokenVerifier:
    """Verifies tokens as `Rfc3161Verifier(strict=True)` does, at little more than the cost of their signature.

    A token of our own form is found out by its parts (TSTInfo, certificates, signature) and written again from
    them; only the same octets pass. Whatever differs, and whatever does not verify, is judged by the full
    verifier, so that it alone says why something is refused. Where the parts stand is known from the tokens before.

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
            layout, (content, digest, signature) = _taken_apart(token)
            # Imprint, version, policy, serial number, time, and nothing else.
            said = layout.information.fullmatch(content)
            if said is None or said[1] != imprint:
                return None
            year, month, day, hour, minute, second = map(int, said.group(3, 4, 5, 6, 7, 8))
            moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            unit, message = layout.unit, layout.template.message(digest)
            if isinstance(unit.key, ec.EllipticCurvePublicKey):
                if low_s(signature) != signature:
                    return None
                unit.key.verify(signature, message, _ECDSA)
            else:
                unit.key.verify(signature, message, _PSS, hashes.SHA256())
            path = self._paths.validate(unit.certificate, [*layout.issuers, *others], crls, moment)
            if not all(item in path for item in layout.inside):
                return None
            _remember(len(token), layout)
        except Exception:
            # Hostile octets and the port's own refusals raise anything: the full verifier finds the words.
            return None
        return TokenReport(
            gen_time=moment,
            policy=layout.policy,
            serial=int.from_bytes(said[2], "big", signed=True),
            imprint_algorithm="sha256",
            imprint=imprint,
            signer=unit.certificate,
            certificates=layout.inside,
        )


_layouts: dict[int, tuple[_Layout, ...]] = {}


def _taken_apart(token: bytes) -> tuple[_Layout, tuple[bytes, bytes, bytes]]:
    """Find the layout of a token, one seen before or the one it shows. Raises whatever another form makes it raise."""
    for layout in _layouts.get(len(token), ()):
        if (parts := layout.read(token)) is not None:
            return layout, parts
    layout = _layout(token)
    parts = layout.read(token)
    if parts is None:
        raise der.DerError("not a token of our own form")
    return layout, parts


def _remember(size: int, layout: _Layout) -> None:
    """Keep a layout whose token was good; strangers' would only take the place of ours."""
    known = _layouts.get(size, ())
    if layout not in known:
        if len(_layouts) >= _MOST_SIZES:
            _layouts.clear()
        _layouts[size] = (layout, *known[: _MOST_OF_ONE_SIZE - 1])


def _layout(token: bytes) -> _Layout:
    """Read where the parts of a token stand; what is not of our own form shows when it is written again."""
    info = der.only(token, der.SEQUENCE).reader()
    info.take(der.OBJECT_ID)
    signed = info.take(0xA0).reader().take(der.SEQUENCE).reader()
    signed.take(der.INTEGER)
    signed.take(der.SET)
    encapsulated = signed.take(der.SEQUENCE).reader()
    encapsulated.take(der.OBJECT_ID)
    content = encapsulated.take(0xA0).reader().take(der.OCTET_STRING)
    encoded = tuple(item.raw for item in signed.take(0xA0).reader().rest())
    if len(set(encoded)) != len(encoded):
        raise der.DerError("a certificate stands there twice")
    signer = signed.take(der.SET).reader().take(der.SEQUENCE).reader()
    signer.take(der.INTEGER)
    identifier = signer.take(der.SEQUENCE).raw
    for tag in (der.SEQUENCE, 0xA0, der.SEQUENCE):
        signer.take(tag)
    signature = signer.take(der.OCTET_STRING)
    unit = next(unit for item in encoded if (unit := _unit(item)).identifier == identifier)
    inside = tuple(map(_certificate, encoded))
    policy, information = _information(content)
    return _Layout(
        unit,
        _template(unit.encoded, encoded, content.end - content.body),
        inside,
        tuple(item for item in inside if item is not unit.certificate),
        policy,
        (content.body, content.end),
        signature.end - signature.body,
        information,
    )


def _information(content: der.Element) -> tuple[str, re.Pattern[bytes]]:
    """Return the policy of a TSTInfo, and what one with this policy and a serial number of this length looks like."""
    stated = content.reader().take(der.SEQUENCE).reader()
    stated.take(der.INTEGER)
    policy = stated.take(der.OBJECT_ID)
    stated.take(der.SEQUENCE)
    serial = stated.take(der.INTEGER)
    size = serial.end - serial.body
    parts = b"".join((_VERSION_1, policy.raw, _IMPRINT, bytes(32), serial.raw, _TIME, bytes(15), _ACCURACY))
    fixed = der.sequence(parts).removesuffix(parts) + _VERSION_1 + policy.raw + _IMPRINT
    header = serial.raw[: serial.body - serial.start]
    # An INTEGER in its shortest form does not begin with nine bits alike (X.690 8.3.2).
    shortest = rb"(?!\x00[\x00-\x7f]|\xff[\x80-\xff])" if size > 1 else b""
    text = rb"%b(.{32})%b(%b.{%d})%b([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z%b" % (
        *(re.escape(fixed), re.escape(header), shortest, size, re.escape(_TIME), re.escape(_ACCURACY)),
    )
    return der.object_id_value(policy), re.compile(text, re.DOTALL)


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
