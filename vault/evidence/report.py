"""The only place where an exception becomes a status.

Verifiers elsewhere raise; here each raised error is filed under PASSED, FAILED or INDETERMINATE
(ETSI EN 319 102-1 section 5.1.3), with a reason code in that standard's own spelling where it has one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from vault.evidence.findings import (
    EXIT_CODES,
    Check,
    LedgerFinding,
    Outcome,
    Reason,
    SignatureFinding,
    StatusFinding,
    TimestampFinding,
    Verdict,
)

__all__ = [
    "EXIT_CODES",
    "INDETERMINATE_CODES",
    "Check",
    "Judgement",
    "LedgerFinding",
    "Outcome",
    "Reason",
    "SignatureFinding",
    "StatusFinding",
    "TimestampFinding",
    "Verdict",
    "filed",
]

_MAX_TEXT = 8192  # letters of one text of a report
_MAX_CAUSES = 32

P = ParamSpec("P")
T = TypeVar("T")

# Those of EN 319 102-1 V1.3.1 table 6, and ours that state a lack of means rather than a contradiction.
INDETERMINATE_CODES = frozenset(
    {
        "SIG_CONSTRAINTS_FAILURE",
        "CHAIN_CONSTRAINTS_FAILURE",
        "CERTIFICATE_CHAIN_GENERAL_FAILURE",
        "CRYPTO_CONSTRAINTS_FAILURE",
        "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
        "POLICY_PROCESSING_ERROR",
        "SIGNATURE_POLICY_NOT_AVAILABLE",
        "TIMESTAMP_ORDER_FAILURE",
        "NO_SIGNING_CERTIFICATE_FOUND",
        "NO_CERTIFICATE_CHAIN_FOUND",
        "REVOKED_NO_POE",
        "REVOKED_CA_NO_POE",
        "OUT_OF_BOUNDS_NOT_REVOKED",
        "OUT_OF_BOUNDS_NO_POE",
        "NO_POE",
        "TRY_LATER",
        "SIGNED_DATA_NOT_FOUND",
        "SIGNATURE_FORMAT_UNSUPPORTED",
        "PDF_AMBIGUOUS",
        "PDF_ENCRYPTED",
        "PDF_TOO_COMPLEX",
        "PDF_DYNAMIC_FORM",
        "PDF_ANNOTATION_MAY_HIDE",
        "VERIFIER_TIME_LIMIT",
        "VERIFIER_MEMORY_LIMIT",
        "VERIFIER_OUTPUT_LIMIT",
        "VERIFIER_CRASHED",
        "LOG_UNKNOWN",
        "LOG_SIGNATURE_MISSING",
        "WITNESS_QUORUM_UNMET",
        "LEDGER_UNAVAILABLE",
        "LEDGER_DAMAGED",
        "PREVIOUS_UNPROVEN",
        "PROCESSING_ERROR",
        "NO_SIGNATURE_FOUND",
    }
)

# What libraries throw when hostile bytes reach them.
HOSTILE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,
    EOFError,
    struct.error,
    zlib.error,
)


@dataclass(slots=True)
class Judgement:
    """Collects checks and reasons while a file is examined; never raises on what the file holds.

    Attributes:
        checks: in the order in which they were made.
        reasons: what makes the file FAILED first, then what leaves it INDETERMINATE.
        worst: of all checks that weigh.
    """

    checks: list[Check] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    worst: Outcome = Outcome.PASSED
    _failures: int = 0

    def passed(self, name: str, expected: str = "", found: str = "") -> None:
        """Record that a check passed."""
        self._add(name, Outcome.PASSED, expected, found or expected)

    def note(self, name: str, outcome: Outcome, found: str) -> None:
        """Record something that does not weigh on the verdict (PENDING, UNCHECKED)."""
        self._add(name, outcome, "", found)

    def refuse(
        self,
        name: str,
        code: str,
        message: str,
        expected: str = "",
        found: str = "",
        *,
        indeterminate: bool | None = None,
    ) -> None:
        """Record that a check did not pass; `indeterminate` None lets the code decide."""
        unsure = code in INDETERMINATE_CODES if indeterminate is None else indeterminate
        outcome = Outcome.INDETERMINATE if unsure else Outcome.FAILED
        self._add(name, outcome, expected, found)
        reason = Reason(code, plain(f"{name}: {message}"))
        self.reasons.insert(len(self.reasons) if unsure else self._failures, reason)
        self._failures += not unsure
        if self.worst is not Outcome.FAILED:
            self.worst = outcome

    def equal(self, name: str, expected: object, found: object, code: str, message: str) -> bool:
        """Record whether two things that must be equal are."""
        if expected == found:
            self.passed(name, _shown(expected))
            return True
        self.refuse(name, code, message, _shown(expected), _shown(found))
        return False

    def attempt(self, name: str, verify: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Run a verifier that raises; file what it raises under `name` and return None then.

        The check is recorded as passed only by the caller, who knows what was found.
        """
        try:
            return verify(*args, **kwargs)
        except Exception as error:
            code, message, unsure = filed(error)
            self.refuse(name, code, message, indeterminate=unsure)
            return None

    def _add(self, name: str, outcome: Outcome, expected: str, found: str) -> None:
        self.checks.append(Check(plain(name), outcome, plain(expected), plain(found)))

    def outcome_since(self, mark: int) -> Outcome:
        """Return the worst outcome among checks recorded after the first `mark` ones."""
        outcomes = {check.outcome for check in self.checks[mark:]}
        for outcome in (Outcome.FAILED, Outcome.INDETERMINATE):
            if outcome in outcomes:
                return outcome
        return Outcome.PASSED


def filed(error: Exception) -> tuple[str, str, bool]:
    """Say under which code, words and conclusion an exception goes: (code, message, indeterminate).

    An exception that carries no code and is not of a kind that hostile bytes cause is a fault of this program
    or of the machine: it proves nothing about the file, so it can neither pass nor fail it. The same holds for
    whatever was caused by a lack of memory, under whichever name it was raised again.
    """
    if _out_of_memory(error):
        return "VERIFIER_MEMORY_LIMIT", "judging this file took more memory than it may", True
    code = getattr(error, "code", None)
    if isinstance(code, str) and code:
        unsure = getattr(error, "indeterminate", None)
        words = str(error) if str(error) not in {"", code} else code.replace("_", " ").lower()
        return code, words, code in INDETERMINATE_CODES or unsure is True
    if isinstance(error, HOSTILE):
        return "FORMAT_FAILURE", "cannot be read in its own format", False
    return "PROCESSING_ERROR", f"verification stopped on {type(error).__name__}", True


def plain(text: str) -> str:
    """Leave out what a terminal or a page could take for something else than letters; cut what is very long."""
    if not text.isprintable():
        text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _out_of_memory(error: BaseException) -> bool:
    seen: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if seen is None or isinstance(seen, MemoryError):
            return seen is not None
        seen = seen.__cause__ or seen.__context__
    return False


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset | set | tuple | list):
        return " ".join(sorted(str(item) for item in value))
    return str(value)
