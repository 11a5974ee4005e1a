"""The boundary with libraries that throw many kinds of exception on hostile input."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from signing.errors import SignatureRefused, SigningError

HOSTILE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


@contextmanager
def refusing(what: str, code: str = "FORMAT_FAILURE", *, indeterminate: bool = False) -> Iterator[None]:
    """Turn whatever a library throws on hostile input into `SignatureRefused`.

    Args:
        what: the thing being read, for the message; no personal data.
        code: code of the refusal.
        indeterminate: passed on.

    Raises:
        SignatureRefused: in place of every exception in `HOSTILE`; the package's own errors pass unchanged.
    """
    try:
        yield
    except SigningError:
        raise
    except HOSTILE as error:
        message = f"{what} cannot be read ({type(error).__name__})"
        raise SignatureRefused(code, message, indeterminate=indeterminate) from error
