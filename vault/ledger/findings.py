"""What audits report: each problem with the entry, the check that failed, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vault.errors import VaultError
from vault.ledger.tree import EMPTY_ROOT

Progress = Callable[[int, int], None]


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        code: stable code.
        where: entry, tile, checkpoint, document or file.
        expected: what should be there.
        found: what is there.
        check: name of the check, such as `chain`, `tree`, `opening` or `object`.
        entry: number of the ledger entry, where it is about one.
        indeterminate: True when something could not be decided (not reached, not signed by a key that the
            policy asks for), False when something is wrong.
    """

    code: str
    where: str
    expected: str
    found: str
    check: str = ""
    entry: int | None = None
    indeterminate: bool = False


@dataclass(slots=True)
class AuditReport:
    """What an audit looked at and what it found wrong.

    Attributes:
        origin: identity of the log; "" when it could not be read.
        size: entries whose chain holds.
        root: root of the tree of those entries, or of the checkpoint that an audit of anchors read; 32 octets.
        start: entry at which the audit began; those before were trusted already.
        checked: entries (or, of a safe, documents) that were looked at.
        checkpoints: checkpoints that were compared with the tree.
        tiles: tiles and bundles that were compared with the entries.
        witnesses: names of the witnesses that cosigned the published checkpoint.
        keys_changed: entries that changed the log's keys, each announced under the keys before.
        undetected_share: of a sample, the share of bad entries that it would have missed with a probability of
            5 % at most; None when everything was looked at.
        problems: empty when everything holds.
        repaired: of a scrub that repairs, what was wrong and is right now.
    """

    origin: str = ""
    size: int = 0
    root: bytes = EMPTY_ROOT
    start: int = 0
    checked: int = 0
    checkpoints: int = 0
    tiles: int = 0
    witnesses: tuple[str, ...] = ()
    keys_changed: tuple[int, ...] = ()
    undetected_share: float | None = None
    problems: list[Problem] = field(default_factory=list)
    repaired: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing is wrong and everything could be decided."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """PASSED, FAILED or INDETERMINATE, as `probans verify` says it."""
        if not self.problems:
            return "PASSED"
        return "INDETERMINATE" if all(item.indeterminate for item in self.problems) else "FAILED"

    def add(
        self,
        code: str,
        where: str,
        expected: object,
        found: object,
        *,
        check: str = "",
        entry: int | None = None,
        indeterminate: bool = False,
    ) -> None:
        """List a problem."""
        self.problems.append(
            Problem(code, where, _shown(expected), _shown(found), check, entry, indeterminate)
        )

    def add_error(
        self, error: VaultError, where: str, *, expected: str = "", check: str = "", entry: int | None = None
    ) -> None:
        """List a problem that was raised; its own words win over those given here."""
        wanted, found = error.params.get("expected"), error.params.get("found")
        self.add(
            error.code,
            where,
            expected if wanted is None else wanted,
            (error.detail or error.code) if found is None else found,
            check=check,
            entry=entry,
            indeterminate=bool(getattr(error, "indeterminate", False)),
        )


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
