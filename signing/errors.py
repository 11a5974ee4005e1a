"""Errors of the signing package; every one carries a stable code."""

from __future__ import annotations


class SigningError(Exception):
    """Base of all signing errors.

    Attributes:
        code: stable machine-readable code, part of the interface.
    """

    code = "SIGNING_ERROR"


class KeyUnusable(SigningError):
    """A key cannot be loaded, or may not be used for this purpose."""

    code = "KEY_UNUSABLE"


class SealKeyMissing(KeyUnusable):
    """There is no key for this, or none whose certificate is valid now: an operator has to install one."""

    code = "SEAL_KEY_MISSING"


class SigningUnavailable(SigningError):
    """The token or service that holds a key gives no signature now: sealing waits, the file is not at fault."""

    code = "KEY_UNAVAILABLE"


class RevocationStale(SigningError):
    """No revocation data with thisUpdate ≤ now < nextUpdate is at hand: sealing waits."""

    code = "REVOCATION_STALE"


class PdfRefused(SigningError):
    """This PDF cannot receive a seal revision; the reason is in the code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ReserveExceeded(SigningError):
    """The token does not fit the reserved space (or leaves too much of it): prepare again.

    Attributes:
        needed: size in octets of the token that came.
    """

    code = "RESERVE_EXCEEDED"

    def __init__(self, needed: int) -> None:
        super().__init__(f"the timestamp token has {needed} octets, other than reserved")
        self.needed = needed


class ContainerRefused(SigningError):
    """A zip container is not in the strict form that has one meaning for every reader."""

    code = "FORMAT_FAILURE"


class SignatureRefused(SigningError):
    """A signature, certificate path or container fails a numbered verification step.

    Attributes:
        code: ETSI EN 319 102-1 sub-indication (HASH_FAILURE, SIG_CRYPTO_FAILURE, FORMAT_FAILURE,
            NO_CERTIFICATE_CHAIN_FOUND, REVOKED, REVOKED_NO_POE, EXPIRED, NOT_YET_VALID, OUT_OF_BOUNDS_NO_POE,
            CHAIN_CONSTRAINTS_FAILURE, SIG_CONSTRAINTS_FAILURE, CRYPTO_CONSTRAINTS_FAILURE, TRY_LATER,
            SIGNED_DATA_NOT_FOUND, NO_POE…) or a Probans code where it has none.
        indeterminate: True when EN 319 102-1 files the code under INDETERMINATE.
    """

    def __init__(self, code: str, message: str, *, indeterminate: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.indeterminate = indeterminate
