"""What verification can say about a file: checks, reasons, signatures, ledger, status, and the verdict.

`Verdict.as_json` is the object that `probans verify --json` prints; its members are an interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson


class Outcome(StrEnum):
    """How one check, one signature or the whole ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"
    PENDING = "PENDING"
    UNCHECKED = "UNCHECKED"


EXIT_CODES = {Outcome.PASSED: 0, Outcome.FAILED: 1, Outcome.INDETERMINATE: 3}


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
        changes_after: what was added after the signature and is allowed, as `kind: where, page N`.
        part: which part of the file it is, such as `document` or `bundle` (not in the JSON object).
        form: `PAdES`, `PKCS7`, `CAdES`, `document timestamp`; "" for the safe's own seals. The following members are
            in the JSON object only where there is a form.
        field: name of the PDF signature field, or "".
        best_time: RFC 3339 UTC; the instant at which the certificate was judged, or None.
        time_source: where that instant comes from: `timestamp`, `document timestamp`, `record`, `asked`, `now`; or "".
        reasons: codes of this signature's own checks that did not pass.
        revocation: `good`, or `unchecked` where no revocation data says anything, or "" when not reached.
    """

    verdict: Outcome
    level: str
    signer: str
    signing_time: str | None
    timestamps: tuple[TimestampFinding, ...] = ()
    covers_whole_file: bool = False
    changes_after: tuple[str, ...] = ()
    part: str = "document"
    form: str = ""
    field: str = ""
    best_time: str | None = None
    time_source: str = ""
    reasons: tuple[str, ...] = ()
    revocation: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface; a safe's own seals, which have one form, have fewer members."""
        judged: dict[str, object] = {}
        if self.form:
            judged = {
                "form": self.form,
                "field": self.field,
                "best_time": self.best_time,
                "time_source": self.time_source,
                "reasons": list(self.reasons),
                "revocation": self.revocation,
            }
        return {
            "verdict": self.verdict.value,
            "level": self.level,
            "signer": self.signer,
            "signing_time": self.signing_time,
            "timestamps": [stamp.as_json() for stamp in self.timestamps],
            "covers_whole_file": self.covers_whole_file,
            "changes_after": list(self.changes_after),
            **judged,
        }


@dataclass(frozen=True, slots=True)
class Dated:
    """Between which dates the entry of a document's seal was made, by authorities and not by the service's word.

    Attributes:
        after: RFC 3339 UTC time of the seal's token, whose digest the entry holds; None without one.
        before: RFC 3339 UTC time of the anchor's token, which covers the entry.
        authority: who made the anchor's token.
        own_authority: True when the operator's own authority made it: no outsider's statement.
    """

    after: str | None
    before: str
    authority: str
    own_authority: bool


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
        anchor: `pending` where the bundle has no anchor; else `PASSED`, `FAILED` or `INDETERMINATE`.
        dated: what a good anchor says of the entry's date; its members are in the JSON object only then.
    """

    verdict: Outcome
    origin: str
    size: int | None
    entries: tuple[int, ...]
    recorded_at: str | None
    witnesses: tuple[str, ...] = ()
    rests_on: str = ""
    anchor: str = "pending"
    dated: Dated | None = None

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        bounds: dict[str, object] = {}
        if self.dated is not None:
            bounds = {
                "recorded_after": self.dated.after,
                "recorded_before": self.dated.before,
                "anchor_authority": self.dated.authority,
                "anchor_own_authority": self.dated.own_authority,
            }
        return {
            "verdict": self.verdict.value,
            "origin": self.origin,
            "size": self.size,
            "entries": list(self.entries),
            "recorded_at": self.recorded_at,
            "witnesses": list(self.witnesses),
            "rests_on": self.rests_on,
            "anchor": self.anchor,
            **bounds,
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
class LineMember:
    """One member of what a line says."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class LineFinding:
    """What a line of an access journal says.

    Attributes:
        event: what happened, such as `document.read`.
        granted: False for a refused try.
        said: the other members by name, those that are empty left out: `subject`, `document`, `action`, `holder`,
            `actor`, `mandate`, `role`, `organisation`, `service`, `purpose`, `words`, `case`, `consent`, `share`,
            `requisition`.
    """

    event: str
    granted: bool
    said: tuple[LineMember, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the object of the interface."""
        return {"event": self.event, "granted": self.granted, **{item.name: item.value for item in self.said}}


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
        line: what a line of an access journal says; None for other files. In the JSON object only then.
    """

    verdict: Outcome
    reasons: tuple[Reason, ...] = ()
    signatures: tuple[SignatureFinding, ...] = ()
    ledger: LedgerFinding | None = None
    status: StatusFinding | None = None
    checks: tuple[Check, ...] = ()
    line: LineFinding | None = None

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
            **({"line": self.line.as_json()} if self.line else {}),
        }

    def as_json(self) -> bytes:
        """Return the JSON object of `probans verify --json`, one line."""
        return orjson.dumps(self.as_dict())
