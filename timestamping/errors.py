"""Errors of the timestamping package; every one carries a stable code."""

from __future__ import annotations

from datetime import datetime


class TimestampingError(Exception):
    """Base of all timestamping errors.

    Attributes:
        code: stable machine-readable code, part of the interface.
    """

    code = "TIMESTAMP_ERROR"


class AuthorityUnavailable(TimestampingError):
    """The authority did not answer, or answered that it cannot; the caller may wait and ask again."""

    code = "TSA_UNAVAILABLE"


class AuthorityMisconfigured(TimestampingError):
    """The authority's own key, certificate, chain or settings cannot work; someone must change them."""

    code = "TSA_MISCONFIGURED"


class TokenRefused(TimestampingError):
    """A timestamp token is not what it claims or not what was asked for.

    Attributes:
        code: HASH_FAILURE (imprint differs), SIG_CRYPTO_FAILURE, CRYPTO_CONSTRAINTS_FAILURE (algorithm or key
            size), FORMAT_FAILURE, NO_SIGNING_CERTIFICATE_FOUND, NO_CERTIFICATE_CHAIN_FOUND,
            CERTIFICATE_CHAIN_GENERAL_FAILURE, CHAIN_CONSTRAINTS_FAILURE (EKU, key usage, ESSCertIDv2),
            TSA_NONCE, TSA_POLICY, TSA_STATUS, TSA_CLOCK, and the path codes that the path validator gives.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ClockDisagrees(TokenRefused):
    """A token is good in all but its time, which is too far from the local clock: one of the two is wrong.

    Attributes:
        gen_time: the UTC instant that the token states.
    """

    def __init__(self, gen_time: datetime, message: str) -> None:
        super().__init__("TSA_CLOCK", message)
        self.gen_time = gen_time


class RecordRefused(TimestampingError):
    """An evidence record is malformed, or does not prove what it should (RFC 4998).

    Attributes:
        code: FORMAT_FAILURE, HASH_FAILURE (a hash is not in the tree, or the tree does not lead to the
            timestamp); and where more data or time could help: SIGNED_DATA_NOT_FOUND,
            TIMESTAMP_ORDER_FAILURE, SIGNATURE_FORMAT_UNSUPPORTED, CRYPTO_CONSTRAINTS_FAILURE.
        indeterminate: True for the latter.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.indeterminate = code not in {"FORMAT_FAILURE", "HASH_FAILURE"}
