"""Errors of the storage package; every one carries a stable code."""

from __future__ import annotations


class StorageError(Exception):
    """Base of all storage errors.

    Attributes:
        code: stable machine-readable code, part of the interface.
    """

    code = "STORAGE_ERROR"


class ObjectMissing(StorageError):
    """No object, log file or record has this name."""

    code = "OBJECT_MISSING"


class NameRefused(StorageError):
    """Nothing can be written under a name of this shape."""

    code = "NAME_REFUSED"


class ObjectDamaged(StorageError):
    """The stored bytes no longer match their address, or cannot be decrypted."""

    code = "OBJECT_DAMAGED"


class RetentionActive(StorageError):
    """The object is under retention: it can be neither deleted nor have its retention shortened."""

    code = "RETENTION_ACTIVE"


class LogConflict(StorageError):
    """Other bytes already stand at this path of the log store, or the compared value differs."""

    code = "LOG_CONFLICT"


class KeyRefused(StorageError):
    """A wrapped key does not open with this key-encryption key and associated data."""

    code = "KEY_REFUSED"


class StorageUnavailable(StorageError):
    """The backend cannot be written or read now; nothing was promised."""

    code = "STORAGE_UNAVAILABLE"
