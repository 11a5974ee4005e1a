"""Errors of ledger proofs: why a note, receipt or proof is not accepted, in words a report can use."""

from __future__ import annotations

from vault.errors import LedgerError


class LedgerProofRefused(LedgerError):
    """A checkpoint, receipt or proof cannot be accepted.

    Attributes:
        indeterminate: True when something is missing or unknown (more data could settle it), False when
            something is wrong.
    """

    def __init__(self, code: str, detail: str = "", *, indeterminate: bool = False, **params: object) -> None:
        super().__init__(code, detail, **params)
        self.indeterminate = indeterminate


def malformed(detail: str, *, expected: object = None, found: object = None) -> LedgerProofRefused:
    """Return the refusal of octets that are not in the documented form (code FORMAT_FAILURE)."""
    return LedgerProofRefused("FORMAT_FAILURE", detail, expected=expected, found=found)
