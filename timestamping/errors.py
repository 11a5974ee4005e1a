"""Errors of the timestamping package; every one carries a stable code."""

from __future__ import annotations


class TimestampingError(Exception):
    """Base of all timestamping errors.

    Attributes:
        code: stable machine-readable code, part of the interface.
    """

    code = "TIMESTAMP_ERROR"


class AuthorityUnavailable(TimestampingError):
    """The authority did not answer, or answered that it cannot; the caller may wait and ask again."""

    code = "TSA_UNAVAILABLE"


class TokenRefused(TimestampingError):
    """A timestamp token is not what it claims or not what was asked for.

    Attributes:
        code: HASH_FAILURE (imprint differs), SIG_CRYPTO_FAILURE, FORMAT_FAILURE, NO_CERTIFICATE_CHAIN_FOUND,
            CHAIN_CONSTRAINTS_FAILURE (EKU, key usage, ESSCertIDv2), TSA_NONCE, TSA_POLICY, TSA_STATUS, and the
            path codes that the path validator gives.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
