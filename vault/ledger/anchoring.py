"""Has the ledger dated from outside: makes anchors, hourly by default while entries come.

Every process has one; an operating system lock elects the one that works. An anchor counts when its token is
stored, the last of its files; the row in the database follows, and is made again from the store when it is lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from signing.base import ValidationMaterial
from signing.errors import SigningError
from storage.base import LogStore
from storage.errors import LogConflict, ObjectMissing, StorageError
from timestamping.base import TimestampAuthority, TimestampVerifier
from timestamping.errors import TimestampingError
from vault.clock import Clock
from vault.db.engine import Database
from vault.errors import Unavailable, VaultError
from vault.ledger.anchor import Anchor, token_digest, verify_anchor
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
        policy: Policy,
        clock: Clock,
        interval: timedelta,
    ) -> None:
        """Make a worker; `start` begins.

        Args:
            database: holds the checkpoints, and which anchors there are.
            log: where anchors are stored.
            authority: dates them.
            verifier: what readers will verify tokens with: one that it refuses is not stored.
            revocation: gives the authority's revocation lists.
            policy: keys of the log.
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
        self._adopted = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="probans-anchoring", daemon=True)

    def start(self) -> None:
        """Make anchors in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the anchor under way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def anchor(self, *, force: bool = False) -> int | None:
        """Make an anchor of a published checkpoint, if one is due and nobody else is at it.

        It is the newest one, or, where witnesses cosign, the one most of them cosigned lately: the receipts of a
        bundle with this anchor are for the same checkpoint.

        Steps:
            1. Become the one that makes anchors.
            2. Once: take over the anchors that are stored and not in the database.
            3. See whether one is due: entries came since the last one, and the interval is over.
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
        if not self._adopted:
            self._adopt()
            self._adopted = True
        # 3
        now = self._clock.now()
        with self._database.reading() as connection:
            last = latest_anchor(connection)
            published = best_checkpoint(connection, 1 if last is None else last.size + 1)
            following = links(connection, now)
        if published is None:
            return None
        # The distance, whichever is ahead: a clock that was set back must not hold anchors up for long.
        if last is not None and not force and abs(now - last.gen_time) < self._interval:
            return None
        # 4
        begun = begun_anchor(self._log, published[0])
        anchor = Anchor.parse(begun) if begun is not None else Anchor.of(published[1], following)
        if anchor.links.previous != following.previous:
            self._adopted = False  # another host's: taken over next time, if it is whole
            return None
        crls = self._revocation.material([self._authority.chain()], self._clock.now()).crls
        token = self._authority.token(anchor.imprint)
        report = verify_anchor(anchor.encode(), token.der, self._policy, self._verifier, crls=crls)
        # 5
        try:
            write_anchor(self._log, anchor, token.der, tuple(crls))
        except LogConflict:
            self._adopted = False  # another host was first
            return None
        with self._database.writing() as connection:
            remember(connection, Known(report.size, token_digest(token.der), report.gen_time))
        return report.size

    def _adopt(self) -> None:
        with self._database.reading() as connection:
            known = known_sizes(connection)
        for size in stored_sizes(self._log):
            if size in known:
                continue
            try:
                stored = read_anchor(self._log, size)
                report = verify_anchor(
                    stored.anchor, stored.token, self._policy, self._verifier, crls=stored.crls
                )
                if report.size != size:
                    raise LedgerProofRefused("ANCHOR_MISMATCH", "it bears another size than its name")
            except (VaultError, TimestampingError, ObjectMissing, ValueError) as error:
                code = getattr(error, "code", type(error).__name__)
                _log.error("an anchor in the log store is not good", extra={"size": size, "code": code})
                continue
            with self._database.writing() as connection:
                remember(connection, Known(size, token_digest(stored.token), report.gen_time))

    def _loop(self) -> None:
        pause = min(self._interval.total_seconds() / 10, _MAX_PAUSE_S)
        while not self._stop.is_set():
            try:
                self.anchor()
            except Unavailable as error:
                _log.warning("anchor put off: %s %s", error.code, error.detail)
            except Exception:
                _log.exception("anchoring failed; it is tried again")
            self._stop.wait(pause)
