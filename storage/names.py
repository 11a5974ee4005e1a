"""Shapes of the names that stores accept, the same for every backend."""

from __future__ import annotations

import re

from storage.errors import NameRefused, ObjectMissing

_ADDRESS = re.compile(r"[0-9a-f]{64}")
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
_LOG_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,15}}")
_RECORD = re.compile(_SEGMENT)


def is_address(text: str) -> bool:
    """Tell whether a text is a lower-case hex SHA-256."""
    return _ADDRESS.fullmatch(text) is not None


def known_address(text: str) -> str:
    """Return an address. Raises ObjectMissing when it has another shape: no object can bear that name."""
    if not is_address(text):
        raise ObjectMissing("no object has such an address")
    return text


def is_log_path(text: str) -> bool:
    """Tell whether a text is a relative POSIX path of 1 to 16 segments, none hidden, empty or `..`."""
    return _LOG_PATH.fullmatch(text) is not None


def writable_log_path(text: str) -> str:
    """Return a log path. Raises NameRefused when no file may be written there."""
    if not is_log_path(text):
        raise NameRefused("log paths are relative, of the characters A-Z a-z 0-9 . _ - in 1 to 16 segments")
    return text


def is_record_name(text: str) -> bool:
    """Tell whether a text may name a record: 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with a dot."""
    return _RECORD.fullmatch(text) is not None


def writable_record_name(text: str) -> str:
    """Return a record name. Raises NameRefused when no record may bear it."""
    if not is_record_name(text):
        raise NameRefused("record names are 1 to 128 of the characters A-Z a-z 0-9 . _ -, no leading dot")
    return text
