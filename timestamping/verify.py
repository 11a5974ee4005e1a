"""Verification of RFC 3161 tokens, whoever made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from timestamping import der
from timestamping.algorithms import (
    DIGESTS,
    ECDSA_SHA256,
    PSS_SHA256,
    READABLE,
    Judged,
    digest,
    digest_name,
    low_s,
    verify_signature,
)
from timestamping.base import AlgorithmRule, PathValidator, TokenReport
from timestamping.certificates import (
    HOSTILE,
    Certificate,
    check_reference,
    check_role,
    load,
    select_signer,
    single,
)
from timestamping.errors import TimestampingError, TokenRefused
from timestamping.messages import GRANTED, GRANTED_WITH_MODS, parse_response
from timestamping.structure import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    TST_INFO,
    ParsedToken,
    assemble,
    own_attributes,
    parse_token,
)

MAX_TOKEN = 4 * 1024 * 1024


def unwrap_response(response: bytes) -> bytes:
    """Return the token inside a TimeStampResp (a `.tsr` file, or an HTTP body).

    Args:
        response: DER TimeStampResp.

    Returns:
        DER TimeStampToken, not verified.

    Raises:
        TokenRefused: TSA_STATUS when the status is neither granted nor grantedWithMods, FORMAT_FAILURE when
            this is no response or a granted one lacks its token (RFC 3161, 2.4.2).
    """
    try:
        parsed = parse_response(response)
    except der.DerError as error:
        raise TokenRefused("FORMAT_FAILURE", f"not a timestamp response: {error}") from error
    if parsed.status not in (GRANTED, GRANTED_WITH_MODS):
        failures = ", ".join(map(str, sorted(parsed.failures))) or "none"
        raise TokenRefused(
            "TSA_STATUS", f"the authority answered status {parsed.status}, failures {failures}: {parsed.text}"
        )
    if parsed.token is None or parsed.failures:
        raise TokenRefused("FORMAT_FAILURE", "a granted response without token, or with a failure")
    return parsed.token


class Rfc3161Verifier:
    """Verifies tokens against the trust of a path validator.

    Args:
        path_validator: decides whether a certificate leads to a trusted timestamp anchor.
        strict: also demand the one form that the embedded authority writes, in which no octet is left
            unauthenticated. For the operator's own tokens; a foreign token is refused by it.
        rule: judges the algorithms at the time that `verify` is given, and so makes older ones readable;
            None accepts only what is good at any time.
    """

    def __init__(
        self, path_validator: PathValidator, *, strict: bool = False, rule: AlgorithmRule | None = None
    ) -> None:
        self._paths = path_validator
        self._strict = strict
        self._rule = rule

    def verify(
        self,
        token: bytes,
        imprint: bytes,
        *,
        others: Sequence[x509.Certificate] = (),
        crls: Sequence[bytes] = (),
        at: datetime | None = None,
        proven: bool = False,
    ) -> TokenReport:
        """Check a token over an imprint.

        1. Form: one DER element without anything after it, SignedData version 3 over a TSTInfo version 1,
           exactly one SignerInfo, no signed attribute twice, no critical TSTInfo extension (RFC 3161, 2.4.2).
        2. Algorithms: every digest algorithm is SHA-256, SHA-384 or SHA-512, or with a rule one that it accepts
           at `at`; the SignerInfo's is listed in SignedData.
        3. Imprint: the token's algorithm has the size of the given imprint, and the imprint is the same.
        4. Signer: the certificate named by the SignerInfo, in the token or among `others`.
        5. Binding: signing-certificate or signing-certificate-v2 refers to that certificate by hash, and by
           issuer and serial number when it has them (RFC 5816).
        6. Content: signed attributes content-type and message-digest, one value each, fit the TSTInfo.
        7. Signature over the signed attributes, with the certificate's key.
        8. Role: critical and sole timeStamping, key usage, not a CA (RFC 3161, 2.3).
        9. Path: the validator leads the certificate to an anchor at genTime.
        10. Own form (`strict`): the token equals the one rebuilt from its signed parts, certificates and
            signature; ECDSA has the low s; every certificate in it is on the path.

        Args:
            token: DER TimeStampToken.
            imprint: the digest that the token must cover, made with the token's own hash algorithm.
            others: further certificates from which a path may be built.
            crls: further DER certificate lists.
            at: time at which the rule judges the algorithms; None for genTime.
            proven: that the token existed at `at` is proven by something newer.

        Returns:
            What was found, all of it verified except `certificates`, which are the token's own.

        Raises:
            TokenRefused: with the code of the first step that failed: FORMAT_FAILURE (1, 6, 10),
                CRYPTO_CONSTRAINTS_FAILURE (2, 7), HASH_FAILURE (3, 6), NO_SIGNING_CERTIFICATE_FOUND (4),
                CHAIN_CONSTRAINTS_FAILURE (5, 8), SIG_CRYPTO_FAILURE (7), the validator's code (9).
        """
        try:
            return self._verify(token, imprint, others, crls, at, proven=proven)
        except TimestampingError:
            raise
        except HOSTILE as error:
            raise TokenRefused("FORMAT_FAILURE", f"unreadable token: {error}") from error

    def _verify(
        self,
        token: bytes,
        imprint: bytes,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime | None,
        *,
        proven: bool,
    ) -> TokenReport:
        # 1 form
        if len(token) > MAX_TOKEN:
            raise TokenRefused("FORMAT_FAILURE", f"token longer than {MAX_TOKEN} octets")
        parsed = parse_token(token)
        info, signer = parsed.tst_info, parsed.signer
        if info.critical_extensions:
            raise TokenRefused("FORMAT_FAILURE", "unknown critical extension in TSTInfo")
        # 2 algorithms
        judged = None if self._rule is None else Judged(self._rule, at or info.gen_time, proven)
        accepted = DIGESTS if judged is None else READABLE
        listed = {digest_name(algorithm, accepted) for algorithm in parsed.digest_algorithms}
        digest_algorithm = digest_name(signer.digest_algorithm, accepted)
        imprint_algorithm = digest_name(info.imprint_algorithm, accepted)
        if digest_algorithm not in listed:
            raise TokenRefused("FORMAT_FAILURE", "the signer's digest algorithm is not listed")
        # 3 imprint
        size = hashlib.new(imprint_algorithm, usedforsecurity=False).digest_size
        if len(imprint) != size or info.imprint != imprint:
            raise TokenRefused("HASH_FAILURE", "the token covers another imprint")
        # 4 signer
        inside = load(parsed.certificates, strict=self._strict)
        certificate = select_signer(signer, inside, others, accepted)
        # 5 binding
        check_reference(signer, certificate, accepted)
        # 6 content
        content_type = single(signer, CONTENT_TYPE, "content-type")
        if content_type.tag != der.OBJECT_ID or der.object_id_value(content_type) != TST_INFO:
            raise TokenRefused("FORMAT_FAILURE", "content-type is not TSTInfo")
        stated = single(signer, MESSAGE_DIGEST, "message-digest")
        content_digest = digest(digest_algorithm, parsed.content)
        if stated.tag != der.OCTET_STRING or stated.content != content_digest:
            raise TokenRefused("HASH_FAILURE", "message-digest is not the digest of the TSTInfo")
        # 7 signature
        verify_signature(
            certificate.x509.public_key(),
            signer.signature_algorithm,
            digest_algorithm,
            signer.signature,
            signer.signed_message,
            judged,
        )
        if judged is not None:
            # After the signature: that a token is not what it claims to be is worse than that it is old.
            judged.check(digest=digest_algorithm)
            judged.check(digest=imprint_algorithm)
        # 8 role
        check_role(certificate.x509)
        # 9 path
        pool = [c.x509 for c in inside if c.der != certificate.der]
        path = self._path(certificate.x509, [*pool, *others], [*crls, *parsed.crls], info.gen_time)
        # 10 own form
        if self._strict:
            _check_own_form(token, parsed, certificate, inside, path)
        return TokenReport(
            gen_time=info.gen_time,
            policy=info.policy,
            serial=info.serial,
            imprint_algorithm=imprint_algorithm,
            imprint=info.imprint,
            signer=certificate.x509,
            certificates=tuple(c.x509 for c in inside),
        )

    def _path(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> Sequence[x509.Certificate]:
        try:
            return self._paths.validate(certificate, others, crls, at)
        except Exception as error:
            # The port promises an exception with a `code`, of a class this package cannot know.
            code = getattr(error, "code", None)
            if isinstance(code, str):
                raise TokenRefused(code, str(error)) from error
            if isinstance(error, HOSTILE):
                raise TokenRefused("CERTIFICATE_CHAIN_GENERAL_FAILURE", str(error)) from error
            raise


def _check_own_form(
    token: bytes,
    parsed: ParsedToken,
    certificate: Certificate,
    inside: Sequence[Certificate],
    path: Sequence[x509.Certificate],
) -> None:
    signer = parsed.signer
    algorithm = signer.signature_algorithm.raw
    if algorithm not in (ECDSA_SHA256, PSS_SHA256):
        raise TokenRefused("FORMAT_FAILURE", "not the own form: signature algorithm")
    if algorithm == ECDSA_SHA256 and low_s(signer.signature) != signer.signature:
        raise TokenRefused("FORMAT_FAILURE", "not the own form: ECDSA signature with the high s")
    on_path = {c.public_bytes(Encoding.DER) for c in path}
    carried = [c.der for c in inside]
    if len(set(carried)) != len(carried) or not on_path.issuperset(carried):
        raise TokenRefused("FORMAT_FAILURE", "not the own form: a certificate that is not on the path")
    rebuilt = assemble(
        parsed.content,
        carried,
        der.sequence(certificate.issuer, der.integer(certificate.serial)),
        own_attributes(digest("sha256", parsed.content), digest("sha256", certificate.der)),
        algorithm,
        signer.signature,
    )
    if rebuilt != token:
        raise TokenRefused("FORMAT_FAILURE", "not the own form")
