"""Has the ledger dated from outside: makes anchors, hourly by default while entries come.

Every process has one; an operating system lock elects the one that works. An anchor counts when its token is
stored, the last of its files; the row in the database follows, and is made again from the store when it is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from signing.base import ValidationMaterial
from signing.errors import SigningError
from storage.base import LogStore
from storage.errors import LogConflict, ObjectMissing, StorageError
from timestamping.base import TimestampAuthority, TimestampVerifier, Token
from timestamping.errors import AuthorityUnavailable, TimestampingError
from timestamping.several import turns
from vault.clock import Clock
from vault.core import faults
from vault.db.engine import Database
from vault.errors import Unavailable, VaultError
from vault.ledger.anchor import Anchor, AnchorReport, Links, token_digest, verify_anchor
from vault.ledger.anchors import (
    Known,
    begun_anchor,
    known_sizes,
    latest_anchor,
    links,
    read_anchor,
    remember,
    stored_sizes,
    write_anchor,
)
from vault.ledger.cosignatures import best_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.policy import Policy
from vault.tasks.runner import Task

_MAX_PAUSE_S = 30.0
_log = logging.getLogger("probans.ledger")


class MaterialSource(Protocol):
    """Gives fresh revocation data of an authority."""

    def material(self, chains: Sequence[Sequence[x509.Certificate]], now: datetime) -> ValidationMaterial:
        """Raises signing.errors.RevocationStale when nothing fresh is at hand."""
        ...


class Anchoring:
    """Makes the anchors of one ledger."""

    def __init__(
        self,
        database: Database,
        log: LogStore,
        authority: TimestampAuthority,
        verifier: TimestampVerifier,
        revocation: MaterialSource,
        policy: Callable[[], Policy],
        clock: Clock,
        interval: timedelta,
    ) -> None:
        """Make a worker.

        Args:
            database: holds the checkpoints, and which anchors there are.
            log: where anchors are stored.
            authority: dates them.
            verifier: what readers will verify tokens with: one that it refuses is not stored.
            revocation: gives the authority's revocation lists.
            policy: returns the keys of the log, which may change.
            clock: says when the next one is due, and which month it is.
            interval: from one anchor to the next while entries come.
        """
        self._database = database
        self._log = log
        self._authority = authority
        self._verifier = verifier
        self._revocation = revocation
        self._policy = policy
        self._clock = clock
        self._interval = interval
        self._refused: set[int] = set()

    @property
    def task(self) -> Task:
        """Anchoring, as it runs in the background."""
        pause = min(self._interval.total_seconds() / 10, _MAX_PAUSE_S)
        return Task("anchoring", lambda: int(self.anchor() is not None), pause, at_once=True)

    def anchor(self, *, force: bool = False) -> int | None:
        """Make an anchor of a published checkpoint, if one is due and nobody else is at it.

        It is the newest one, or, where witnesses cosign, the one most of them cosigned lately: the receipts of a
        bundle with this anchor are for the same checkpoint.

        Steps:
            1. Become the one that makes anchors.
            2. See whether one is due: entries came since the last one, and the interval is over.
            3. Take over the anchors that are stored and not in the database; look again if there were any.
            4. Write it, or take the one that was begun for this checkpoint; get its token and the revocation
               lists of the authority; verify it all as a reader will.
            5. Store it, the token last; then remember it.

        Args:
            force: make it before the interval is over.

        Returns:
            The size of its checkpoint; None when none was made.

        Raises:
            Unavailable: ANCHOR_PUT_OFF when no good token can be had or stored now; may be repeated.
        """
        # 1
        with self._database.leading("anchoring") as leader:
            if not leader:
                return None
            try:
                return self._anchor(force=force)
            except (TimestampingError, SigningError, StorageError, LedgerProofRefused) as error:
                raise Unavailable("ANCHOR_PUT_OFF", error.code) from error

    def _anchor(self, *, force: bool) -> int | None:
        # 2
        due = self._due(force=force)
        # 3: the process that made the anchor before may have been stopped between its token and its row: an anchor
        # that is made without asking the store would name the token before that one, and the chain would fork.
        if due is not None and self._adopt():
            due = self._due(force=force)
        if due is None:
            return None
        size, note, following = due
        # 4
        begun = begun_anchor(self._log, size)
        anchor = Anchor.parse(begun) if begun is not None else Anchor.of(note, following)
        if anchor.links.previous != following.previous:
            return None  # another host's: taken over once it is whole
        token, crls, report = self._dated(anchor)
        # 5
        try:
            write_anchor(self._log, anchor, token.der, tuple(crls))
        except LogConflict:
            return None  # another host was first
        faults.point("anchor.before-row")
        with self._database.writing() as connection:
            remember(connection, Known(report.size, token_digest(token.der), report.gen_time))
        faults.point("anchor.after-row")
        return report.size

    def _dated(self, anchor: Anchor) -> tuple[Token, Sequence[bytes], AnchorReport]:
        """Have an anchor dated by the first authority whose token is good, with what proves its certificates."""
        failure: Exception = AuthorityUnavailable("no timestamp authority is asked now")
        for authority in turns(self._authority):
            try:
                self._revocation.material([authority.chain()], self._clock.now())
                faults.point("anchor.before-token")
                token = authority.token(anchor.imprint)
                faults.point("anchor.after-token")
                # Once more: an authority may have changed its key since its last token.
                crls = self._revocation.material([token.chain], self._clock.now()).crls
                report = verify_anchor(anchor.encode(), token.der, self._policy(), self._verifier, crls=crls)
            except (TimestampingError, SigningError, LedgerProofRefused) as error:
                failure = error
            else:
                return token, crls, report
        raise failure

    def _due(self, *, force: bool) -> tuple[int, bytes, Links] | None:
        """Return size and note of the checkpoint to anchor now, and what the anchor names; None when none is due."""
        now = self._clock.now()
        with self._database.reading() as connection:
            last = latest_anchor(connection)
            published = best_checkpoint(connection, 1 if last is None else last.size + 1)
            following = links(connection, now)
        # The distance, whichever is ahead: a clock that was set back must not hold anchors up for long.
        early = last is not None and not force and abs(now - last.gen_time) < self._interval
        return None if published is None or early else (*published, following)

    def _adopt(self) -> int:
        """Take over stored anchors that the database does not know; return how many. A bad one is told of once."""
        with self._database.reading() as connection:
            known = known_sizes(connection)
        adopted = 0
        for size in stored_sizes(self._log):
            if size in known or size in self._refused:
                continue
            try:
                stored = read_anchor(self._log, size)
                report = verify_anchor(
                    stored.anchor, stored.token, self._policy(), self._verifier, crls=stored.crls
                )
                if report.size != size:
                    raise LedgerProofRefused("ANCHOR_MISMATCH", "it bears another size than its name")
            except (VaultError, TimestampingError, ObjectMissing, ValueError) as error:
                code = getattr(error, "code", type(error).__name__)
                _log.error("an anchor in the log store is not good", extra={"size": size, "code": code})
                self._refused.add(size)
                continue
            with self._database.writing() as connection:
                remember(connection, Known(size, token_digest(stored.token), report.gen_time))
            adopted += 1
        return adopted
