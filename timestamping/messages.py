"""Requests and responses of the timestamp protocol (RFC 3161, 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from timestamping import der
from timestamping.algorithms import DIGESTS, NULL_PARAMETERS, Algorithm, read_algorithm

MAX_REQUEST = 4096
MAX_NONCE = 64
_DIGEST_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
GRANTED = 0
GRANTED_WITH_MODS = 1
REJECTION = 2
WAITING = 3
_STATUS_GRANTED = der.sequence(der.integer(GRANTED))


class Failure(IntEnum):
    """PKIFailureInfo: the bit numbers."""

    BAD_ALG = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADD_INFO_NOT_AVAILABLE = 17
    SYSTEM_FAILURE = 25


class RequestRefused(Exception):
    """A request that cannot be granted, with what to answer.

    Attributes:
        failure: bit of PKIFailureInfo.
    """

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Request:
    """A TimeStampReq that may be granted.

    Attributes:
        imprint: DER MessageImprint, to be echoed as it is.
        policy: dotted policy asked for, None for any.
        nonce: DER INTEGER to be echoed, empty when there is none.
        want_certificates: certReq.
    """

    imprint: bytes
    policy: str | None
    nonce: bytes
    want_certificates: bool


@dataclass(frozen=True, slots=True)
class Response:
    """A TimeStampResp taken apart.

    Attributes:
        status: PKIStatus.
        text: free text of the authority, made printable and cut to 200 characters.
        failures: bits of PKIFailureInfo.
        token: DER TimeStampToken, None when absent.
    """

    status: int
    text: str
    failures: frozenset[int]
    token: bytes | None


def _check_imprint(algorithm: Algorithm, hashed: bytes) -> None:
    name = DIGESTS.get(algorithm.oid)
    if name is None or algorithm.parameters not in (None, NULL_PARAMETERS):
        raise RequestRefused(Failure.BAD_ALG, "the imprint must be SHA-256, SHA-384 or SHA-512")
    if len(hashed) != _DIGEST_SIZES[name]:
        raise RequestRefused(Failure.BAD_DATA_FORMAT, "the imprint's length is not that of its algorithm")


def _read_request(request: bytes) -> Request:
    reader = der.only(request, der.SEQUENCE).reader()
    if reader.integer() != 1:
        raise RequestRefused(Failure.BAD_REQUEST, "the version is not 1")
    imprint = reader.take(der.SEQUENCE)
    inner = imprint.reader()
    algorithm = read_algorithm(inner.take(der.SEQUENCE))
    hashed = inner.take(der.OCTET_STRING).content
    inner.finish()
    policy = reader.object_id() if reader.tag == der.OBJECT_ID else None
    nonce = reader.optional(der.INTEGER)
    if nonce is not None:
        der.integer_value(nonce)
        if nonce.end - nonce.body > MAX_NONCE:
            raise RequestRefused(Failure.BAD_REQUEST, f"the nonce is longer than {MAX_NONCE} octets")
    flag = reader.optional(der.BOOLEAN)
    # rfc3161ng and others write FALSE although it is the default; harmless here, so taken.
    want = flag is not None and der.boolean_value(flag)
    extensions = reader.optional(0xA0)
    if extensions is not None:
        der.check_canonical(extensions)
    reader.finish()
    _check_imprint(algorithm, hashed)
    if extensions is not None:
        raise RequestRefused(Failure.UNACCEPTED_EXTENSION, "no request extension is supported")
    return Request(imprint.raw, policy, nonce.raw if nonce else b"", want)


def parse_request(request: bytes, policy: str) -> Request:
    """Read a TimeStampReq.

    Args:
        request: DER.
        policy: the only policy that may be asked for.

    Raises:
        RequestRefused: badRequest (too long, version, nonce), badDataFormat (not DER, imprint length),
            badAlg, unacceptedExtension, unacceptedPolicy.
    """
    if len(request) > MAX_REQUEST:
        raise RequestRefused(Failure.BAD_REQUEST, f"the request is longer than {MAX_REQUEST} octets")
    try:
        asked = _read_request(request)
    except der.DerError as error:
        raise RequestRefused(Failure.BAD_DATA_FORMAT, f"not a timestamp request in DER: {error}") from error
    if asked.policy not in (None, policy):
        raise RequestRefused(Failure.UNACCEPTED_POLICY, f"the only policy is {policy}")
    return asked


def granted(token: bytes) -> bytes:
    """Encode a TimeStampResp with a token."""
    return der.sequence(_STATUS_GRANTED, token)


def rejection(failure: Failure, message: str) -> bytes:
    """Encode a TimeStampResp that refuses. A named bit list ends with its last set bit (X.690 11.2.2)."""
    bits = bytearray(failure // 8 + 1)
    bits[-1] = 0x80 >> (failure % 8)
    information = der.tlv(der.BIT_STRING, bytes((7 - failure % 8,)), bytes(bits))
    text = der.sequence(der.tlv(der.UTF8_STRING, message.encode("utf-8")))
    return der.sequence(der.sequence(der.integer(REJECTION), text, information))


def _free_text(element: der.Element) -> str:
    parts = [part.content.decode("utf-8", "replace") for part in element.reader().rest()]
    return "".join(c if c.isprintable() else " " for c in " / ".join(parts))[:200]


def parse_response(response: bytes) -> Response:
    """Read a TimeStampResp; the token inside is not looked at.

    Raises:
        DerError: not a TimeStampResp in DER, or octets left over.
    """
    reader = der.only(response, der.SEQUENCE).reader()
    information = reader.take(der.SEQUENCE).reader()
    status = information.integer()
    text = information.optional(der.SEQUENCE)
    failure = information.optional(der.BIT_STRING)
    information.finish()
    token = reader.optional(der.SEQUENCE)
    reader.finish()
    failures: frozenset[int] = frozenset()
    if failure is not None:
        der.check_bit_string(failure)
        octets = failure.content[1:]
        failures = frozenset(
            bit for bit in range(min(len(octets) * 8, 64)) if octets[bit // 8] & 0x80 >> bit % 8
        )
    return Response(
        status,
        _free_text(text) if text is not None else "",
        failures,
        token.raw if token is not None else None,
    )
