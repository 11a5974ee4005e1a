"""Errors of evidence bundles."""

from __future__ import annotations

from vault.errors import VaultError


class EvidenceRefused(VaultError):
    """A bundle, or a part of one, is not what it must be; the code names the binding that broke."""


class LedgerUnavailable(VaultError):
    """A published ledger cannot be read; more luck or another copy could settle it.

    Attributes:
        indeterminate: always True.
    """

    indeterminate = True
