"""The embedded RFC 3161 authority: tokens made in process by the operator's own key."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from timestamping import der
from timestamping.algorithms import (
    ECDSA_SHA256,
    PSS_SHA256,
    SHA256_ABSENT,
    digest,
    low_s,
    read_algorithm,
    verify_signature,
)
from timestamping.base import Clock, SigningKey, Token
from timestamping.certificates import check_role
from timestamping.errors import AuthorityMisconfigured, AuthorityUnavailable, TimestampingError, TokenRefused
from timestamping.messages import Failure, RequestRefused, granted, parse_request, rejection
from timestamping.structure import assemble, own_attributes
from timestamping.template import TokenTemplate

MIN_RSA_BITS = 3072
_LONGEST_P256 = 71  # SEQUENCE of r (33 octets at most) and low s (32 at most), three headers
_VERSION_1 = der.integer(1)
_ACCURACY = der.sequence(der.integer(1))
# Headers of what has always the same length: an INTEGER of 19 octets, a time, the imprint's last OCTET STRING.
_SERIAL = bytes((der.INTEGER, 19))
_GENERALIZED_TIME = bytes((der.GENERALIZED_TIME, 15))
_SHA256_IMPRINT = der.sequence(SHA256_ABSENT, der.octets(bytes(32)))[:-32]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger(__name__)


class EmbeddedAuthority:
    """A timestamp authority whose key lives in this process.

    Tokens have one strictly canonical form (`structure.assemble`): SHA-256, one signer, the three signed
    attributes that RFC 3161 and RFC 5816 ask for, low-s ECDSA or RSASSA-PSS. `Rfc3161Verifier(strict=True)`
    accepts this form and no other.

    Args:
        key: P-256 key, or RSA key of 3072 bits and more, or anything that signs with such a key.
        chain: certificate of the key, then its issuers, without the root.
        policy: dotted identifier of the policy stated in every token.
        clock: source of genTime.

    Raises:
        AuthorityMisconfigured: the key is of another kind or not the certificate's, the certificate is not
            critically and solely for timestamping, or the chain is not in order. Of a key that does not answer now,
            whether it is the certificate's is found out when it does.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | SigningKey,
        chain: Sequence[x509.Certificate],
        policy: str,
        clock: Clock,
    ) -> None:
        self._sign_raw = _signer(key)
        self._chain = tuple(chain)
        self._clock = clock
        self._policy = policy
        try:
            self._policy_id = der.object_id(policy)
            self._algorithm, longest = self._check_chain()
            certificate = self._chain[0]
            self._encoded = tuple(sorted(c.public_bytes(Encoding.DER) for c in self._chain))
            encoded = certificate.public_bytes(Encoding.DER)
            self._identifier = _identifier(encoded)
            self._certificate_digest = digest("sha256", encoded)
        except (TokenRefused, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise AuthorityMisconfigured(f"the timestamp authority cannot start: {error}") from error
        self._is_checked = False
        try:
            self._check_key()
        except AuthorityUnavailable as error:
            _log.warning("the timestamp key does not answer yet", extra={"reason": str(error)})
        self._not_before = certificate.not_valid_before_utc
        self._not_after = certificate.not_valid_after_utc
        # All but the signature has a fixed length.
        content = self._tst_info(_sha256_imprint(bytes(32)), datetime(2000, 1, 1, tzinfo=UTC), b"")
        self._template = TokenTemplate(
            len(content), self._encoded, self._identifier, self._certificate_digest, self._algorithm
        )
        self._expected_size = len(self._template.token(content, bytes(32), bytes(longest)))

    def _check_chain(self) -> tuple[bytes, int]:
        """Return the signature algorithm and the length of the longest signature."""
        if not self._chain:
            raise ValueError("no certificate")
        check_role(self._chain[0])
        for child, parent in pairwise(self._chain):
            child.verify_directly_issued_by(parent)
        public = self._chain[0].public_key()
        if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
            return ECDSA_SHA256, _LONGEST_P256
        if isinstance(public, rsa.RSAPublicKey) and public.key_size >= MIN_RSA_BITS:
            return PSS_SHA256, (public.key_size + 7) // 8
        raise ValueError(f"the key is neither P-256 nor RSA of {MIN_RSA_BITS} bits and more")

    def _check_key(self) -> None:
        """Sign once and verify with the certificate: the key may be in hardware and cannot be compared.

        Raises:
            AuthorityMisconfigured: it is not the certificate's.
            AuthorityUnavailable: it does not answer.
        """
        probe = os.urandom(32)
        try:
            algorithm = read_algorithm(der.only(self._algorithm, der.SEQUENCE))
            verify_signature(self._chain[0].public_key(), algorithm, "sha256", self._low(probe), probe)
        except (TokenRefused, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise AuthorityMisconfigured(f"the timestamp authority cannot start: {error}") from error
        self._is_checked = True

    @property
    def own(self) -> bool:
        """Always True: this is the operator's own authority."""
        return True

    @property
    def policy(self) -> str:
        """The policy stated in every token."""
        return self._policy

    @property
    def expected_size(self) -> int:
        """Octets of the longest token that `token` can return; P-256 ones are up to a few octets shorter."""
        return self._expected_size

    def chain(self) -> Sequence[x509.Certificate]:
        """The authority's certificate, then its issuers, without the root."""
        return self._chain

    def token(self, imprint: bytes) -> Token:
        """Timestamp a 32-byte SHA-256 imprint; the certificates are inside, so that the token proves itself.

        Raises:
            TokenRefused: HASH_FAILURE when the imprint is not 32 octets.
            AuthorityUnavailable: the authority's certificate is not valid now, or its key does not answer.
            AuthorityMisconfigured: a key that did not answer before is not the certificate's.
        """
        if len(imprint) != 32:
            raise TokenRefused("HASH_FAILURE", "the imprint is not a SHA-256 digest")
        now = self._now()
        content = self._tst_info(_SHA256_IMPRINT + imprint, now, b"")
        content_digest = hashlib.sha256(content).digest()
        signature = self._sign(self._template.message(content_digest))
        encoded = self._template.token(content, content_digest, signature)
        moment = now.replace(microsecond=0)
        return Token(der=encoded, gen_time=moment, own_authority=True, chain=self._chain)

    def respond(self, request: bytes) -> bytes:
        """Answer a TimeStampReq with a TimeStampResp (RFC 3161, 2.4), whatever the request holds.

        Args:
            request: body of the HTTP request (application/timestamp-query).

        Returns:
            Body of the answer (application/timestamp-reply): granted with a token, or rejection and why.
        """
        try:
            asked = parse_request(request, self._policy)
            certificates = self._encoded if asked.want_certificates else ()
            encoded = self._make(asked.imprint, asked.nonce, certificates)
        except RequestRefused as refusal:
            return rejection(refusal.failure, str(refusal))
        except TimestampingError as error:
            return rejection(Failure.TIME_NOT_AVAILABLE, str(error))
        except Exception:
            # A key in hardware or a clock may fail in any way: the trace is for the operator.
            _log.exception("the timestamp authority failed")
            return rejection(Failure.SYSTEM_FAILURE, "the authority failed; ask again later")
        return granted(encoded)

    def _make(self, imprint: bytes, nonce: bytes, certificates: Sequence[bytes]) -> bytes:
        content = self._tst_info(imprint, self._now(), nonce)
        attributes = own_attributes(digest("sha256", content), self._certificate_digest)
        signature = self._sign(der.tlv(der.SET, attributes))
        return assemble(content, certificates, self._identifier, attributes, self._algorithm, signature)

    def _now(self) -> datetime:
        now = self._clock.now().astimezone(UTC)
        if not self._not_before <= now <= self._not_after:
            raise AuthorityUnavailable("the authority's certificate is not valid now")
        return now

    def _tst_info(self, imprint: bytes, now: datetime, nonce: bytes) -> bytes:
        """TSTInfo (RFC 3161, 2.4.2); ordering is false, hence absent."""
        return der.sequence(
            _VERSION_1,
            self._policy_id,
            imprint,
            _SERIAL,
            _serial(now),
            _GENERALIZED_TIME,
            b"%04d%02d%02d%02d%02d%02dZ" % (now.year, now.month, now.day, now.hour, now.minute, now.second),
            _ACCURACY,
            nonce,
        )

    def _sign(self, message: bytes) -> bytes:
        if not self._is_checked:
            self._check_key()
        return self._low(message)

    def _low(self, message: bytes) -> bytes:
        signature = self._sign_raw(message)
        return low_s(signature) if self._algorithm == ECDSA_SHA256 else signature


def _signer(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | SigningKey,
) -> Callable[[bytes], bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        ecdsa = ec.ECDSA(hashes.SHA256())
        return lambda message: key.sign(message, ecdsa)
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return lambda message: key.sign(message, pss, hashes.SHA256())
    return key.sign


def _serial(now: datetime) -> bytes:
    """Content of a positive INTEGER, always 19 octets: 01, microseconds since 1970 (8), random (10).

    The time orders serials for the reader; the 80 random bits alone make them unique across processes.
    """
    microseconds = (now - _EPOCH) // timedelta(microseconds=1)
    return b"\x01" + microseconds.to_bytes(8, "big", signed=True) + os.urandom(10)


def _sha256_imprint(digest_value: bytes) -> bytes:
    return der.sequence(SHA256_ABSENT, der.octets(digest_value))


def _identifier(certificate: bytes) -> bytes:
    """IssuerAndSerialNumber from the certificate's own octets."""
    fields = der.only(certificate, der.SEQUENCE).reader().take(der.SEQUENCE).reader()
    fields.optional(0xA0)
    serial = fields.integer()
    fields.take(der.SEQUENCE)
    return der.sequence(fields.take(der.SEQUENCE).raw, der.integer(serial))
