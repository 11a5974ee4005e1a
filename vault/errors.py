"""The safe's exception tree. Every error has a stable code; `vault.messages.catalogue` has the words for people."""

from __future__ import annotations


class VaultError(Exception):
    """Base of all errors of the safe.

    Attributes:
        code: stable upper-case code, part of the interface.
        params: values the message for people may show; never personal data beyond what the caller sent.
    """

    def __init__(self, code: str, detail: str = "", **params: object) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.params = params


class Refused(VaultError):
    """The request or file cannot be accepted as it is; nothing was kept."""


class Forbidden(VaultError):
    """A known caller may not do this. Looks like `NotFound` from outside where existence is private."""


class NotFound(VaultError):
    """No such thing, or none this caller may know of."""


class Conflict(VaultError):
    """The request contradicts what already happened (idempotency, state transitions, twins)."""


class Unavailable(VaultError):
    """A part is down or saturated; nothing was promised; the caller may repeat with the same key."""


class Unauthenticated(VaultError):
    """The caller is not known."""


class LedgerError(VaultError):
    """The ledger is inconsistent or refuses a write; needs an operator."""


class SettingsRefused(VaultError):
    """The configuration cannot be used; says which setting and what to do."""
