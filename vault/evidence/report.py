"""What verification found, and the only place where an exception becomes a status.

Verifiers elsewhere raise; here each raised error is filed under PASSED, FAILED or INDETERMINATE
(ETSI EN 319 102-1 section 5.1.3), with a reason code in that standard's own spelling where it has one.
`Verdict.as_json` is the object that `probans verify --json` prints; its members are an interface.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ParamSpec, TypeVar

import orjson

P = ParamSpec("P")
T = TypeVar("T")


class Outcome(StrEnum):
    """How one check, one signature or the whole ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"
    PENDING = "PENDING"
    UNCHECKED = "UNCHECKED"


EXIT_CODES = {Outcome.PASSED: 0, Outcome.FAILED: 1, Outcome.INDETERMINATE: 3}

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
        "LOG_UNKNOWN",
        "LOG_SIGNATURE_MISSING",
        "WITNESS_QUORUM_UNMET",
        "LEDGER_UNAVAILABLE",
        "NOT_JUDGED",
        "PROCESSING_ERROR",
        "NO_SIGNATURE_FOUND",
        "CHANGES_NOT_JUDGED",
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


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: stable dotted name, such as `entry[5].opening`.
        outcome: how it ended.
        expected: what it should have been, or "".
        found: what it was, or "".
    """

    name: str
    outcome: Outcome
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the verdict is not PASSED; `message` starts with the name of the check."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TimestampFinding:
    """A timestamp that was found.

    Attributes:
        time: RFC 3339 UTC instant in the token, or None when the token could not be read.
        authority: subject of the authority's certificate.
        policy: dotted policy identifier.
        own_authority: True when the operator's own authority made it: no outsider's statement.
        verdict: outcome for this token.
    """

    time: str | None
    authority: str
    policy: str
    own_authority: bool
    verdict: Outcome

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {
            "time": self.time,
            "authority": self.authority,
            "policy": self.policy,
            "own_authority": self.own_authority,
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True, slots=True)
class SignatureFinding:
    """A seal or signature that was found.

    Attributes:
        verdict: outcome for this signature alone.
        level: such as `PAdES-B-T`; "" when unknown.
        signer: subject of the signer's certificate; "" when unknown.
        signing_time: RFC 3339 UTC; the proven time (timestamp) if there is one, else None.
        timestamps: tokens over it.
        covers_whole_file: True when every byte of the file but the signature itself is signed.
        changes_after: sentences about what was added after the signature.
        part: which part of the file it is, such as `document` or `bundle` (not in the JSON object).
    """

    verdict: Outcome
    level: str
    signer: str
    signing_time: str | None
    timestamps: tuple[TimestampFinding, ...] = ()
    covers_whole_file: bool = False
    changes_after: tuple[str, ...] = ()
    part: str = "document"

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {
            "verdict": self.verdict.value,
            "level": self.level,
            "signer": self.signer,
            "signing_time": self.signing_time,
            "timestamps": [stamp.as_json() for stamp in self.timestamps],
            "covers_whole_file": self.covers_whole_file,
            "changes_after": list(self.changes_after),
        }


@dataclass(frozen=True, slots=True)
class LedgerFinding:
    """What the ledger proves of the document.

    Attributes:
        verdict: outcome of the ledger part.
        origin: name of the log.
        size: entries under the newest verified checkpoint; None when no checkpoint could be verified.
        entries: numbers of the document's status entries.
        recorded_at: the service's own statement of the first entry's time, RFC 3339 UTC.
        witnesses: names of the witnesses that cosigned the newest checkpoint.
        rests_on: what the ledger's word rests on, in plain English.
        anchor: `pending` until an outside timestamp of a checkpoint exists.
    """

    verdict: Outcome
    origin: str
    size: int | None
    entries: tuple[int, ...]
    recorded_at: str | None
    witnesses: tuple[str, ...] = ()
    rests_on: str = ""
    anchor: str = "pending"

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {
            "verdict": self.verdict.value,
            "origin": self.origin,
            "size": self.size,
            "entries": list(self.entries),
            "recorded_at": self.recorded_at,
            "witnesses": list(self.witnesses),
            "rests_on": self.rests_on,
            "anchor": self.anchor,
        }


@dataclass(frozen=True, slots=True)
class StatusFinding:
    """Whether the document is in force, which is another question than whether it is authentic.

    Attributes:
        value: `received`, `valid`, `superseded`, `revoked`, `destroyed` or `unknown`.
        as_of_size: tree size up to which this is known; None without a ledger.
        as_of_time: RFC 3339 time of the newest entry seen about the document; the service's own statement.
        source: `bundle`, `ledger` or `none`.
    """

    value: str
    as_of_size: int | None
    as_of_time: str | None
    source: str

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {
            "value": self.value,
            "as_of_size": self.as_of_size,
            "as_of_time": self.as_of_time,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer about one file.

    Attributes:
        verdict: PASSED, FAILED or INDETERMINATE.
        reasons: why not PASSED; empty when PASSED.
        signatures: every seal found, the document's own first.
        ledger: what the ledger proves, or None where the file holds no ledger part.
        status: whether the document is in force, or None when the file is no document of a safe.
        checks: everything looked at, in order.
    """

    verdict: Outcome
    reasons: tuple[Reason, ...] = ()
    signatures: tuple[SignatureFinding, ...] = ()
    ledger: LedgerFinding | None = None
    status: StatusFinding | None = None
    checks: tuple[Check, ...] = ()

    @property
    def exit_code(self) -> int:
        """Exit code of the command line: 0 PASSED, 1 FAILED, 3 INDETERMINATE."""
        return EXIT_CODES[self.verdict]

    def as_dict(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {
            "verdict": self.verdict.value,
            "reasons": [{"code": reason.code, "message": reason.message} for reason in self.reasons],
            "signatures": [signature.as_json() for signature in self.signatures],
            "ledger": self.ledger.as_json() if self.ledger else None,
            "status": self.status.as_json() if self.status else None,
            "checks": [
                {
                    "name": check.name,
                    "outcome": check.outcome.value,
                    "expected": check.expected,
                    "found": check.found,
                }
                for check in self.checks
            ],
        }

    def as_json(self) -> bytes:
        """Return the JSON object of `probans verify --json`, one line."""
        return orjson.dumps(self.as_dict())


@dataclass(slots=True)
class Judgement:
    """Collects checks and reasons while a file is examined; never raises on what the file holds."""

    checks: list[Check] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    worst: Outcome = Outcome.PASSED

    def passed(self, name: str, expected: str = "", found: str = "") -> None:
        """Record that a check passed."""
        self.checks.append(Check(name, Outcome.PASSED, expected, found or expected))

    def note(self, name: str, outcome: Outcome, found: str) -> None:
        """Record something that does not weigh on the verdict (PENDING, UNCHECKED)."""
        self.checks.append(Check(name, outcome, "", found))

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
        self.checks.append(Check(name, outcome, expected, found))
        self.reasons.append(Reason(code, f"{name}: {message}"))
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
    or of the machine: it proves nothing about the file, so it can neither pass nor fail it.
    """
    code = getattr(error, "code", None)
    if isinstance(code, str) and code:
        unsure = getattr(error, "indeterminate", None)
        words = str(error) if str(error) not in {"", code} else code.replace("_", " ").lower()
        return code, words, unsure if isinstance(unsure, bool) else code in INDETERMINATE_CODES
    if isinstance(error, HOSTILE):
        return "FORMAT_FAILURE", "cannot be read in its own format", False
    return "PROCESSING_ERROR", f"verification stopped on {type(error).__name__}", True


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset | set | tuple | list):
        return " ".join(sorted(str(item) for item in value))
    return str(value)
