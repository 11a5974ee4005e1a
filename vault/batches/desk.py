"""Batches: an administration issues many acts by a manifest and their files, which come in parts.

A batch says beforehand what will come; each line is one act. Nothing of a file is kept for later: what a part holds
is issued while its sender waits, and what was not issued comes again. So there is nothing to lose but time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.ties import Subject, Ties
from vault.batches.feeding import Feeder
from vault.batches.manifests import Line, read_manifest
from vault.batches.parts import Member, open_part
from vault.batches.rows import BatchRows
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.core.keyring import DocumentKey, Keyring
from vault.db.engine import Database
from vault.db.repositories import Safes
from vault.domain.actors import Actor
from vault.domain.batches import ENDED, Batch, BatchState, Fed, LineResult, move_batch
from vault.domain.documents import Outcome
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Refused, Unavailable
from vault.ids import new_id
from vault.intake import Spooled, receive
from vault.issuing import Issuing
from vault.records.idempotency import Idempotency
from vault.tasks.runner import Task

_ROUTE = "batches"
_LOADED = 500  # lines written together
_ERASED = 2000
_PAGE = 1000
_PERIOD_S = 60.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batch may take.

    Attributes:
        lines: of a manifest.
        manifest_bytes: of a manifest.
        part_bytes: of a zip or tar.
        parts_at_once: parts that one process works on.
        threads: groups of files of a part that are issued at once.
        group: files in a group at most.
        days: after which a batch that goes on is cancelled.
        least_days: the service's own retention.
    """

    lines: int
    manifest_bytes: int
    part_bytes: int
    parts_at_once: int
    threads: int
    group: int
    days: int
    least_days: int


class Batches:
    """Takes batches in."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        safes: Safes,
        ties: Ties,
        issuing: Issuing,
        idempotency: Idempotency,
        clock: Clock,
        spool: Path,
        limits: BatchLimits,
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            keyring: makes keys of batches.
            safes: knows administrations.
            ties: decides.
            issuing: issues acts.
            idempotency: keys of callers.
            clock: the service's time.
            spool: folder of unnamed files.
            limits: what a batch may take.
        """
        self.rows = BatchRows(keyring)
        self.limits = limits
        self._database = database
        self._keyring = keyring
        self._safes = safes
        self._ties = ties
        self.issuing = issuing
        self._idempotency = idempotency
        self._clock = clock
        self._spool = spool
        self._places = threading.BoundedSemaphore(limits.parts_at_once)

    def begin(
        self,
        actor: Actor,
        administration_id: str,
        form: str,
        chunks: Iterable[bytes],
        transfer: Transfer,
        *,
        dry_run: bool = False,
        all_or_nothing: bool = False,
    ) -> Batch:
        """Take a manifest in and check every line; the same key with the same manifest gives the same batch.

        Args:
            actor: the caller.
            administration_id: issues the acts.
            form: `csv` or `ndjson`.
            chunks: the manifest.
            transfer: key, declared length and digest.
            dry_run: nothing may be issued until the batch is opened.
            all_or_nothing: a line that is wrong refuses the batch.

        Raises:
            NotFound: UNKNOWN_ADMINISTRATION; NOT_FOUND, the caller may not issue there.
            Refused: MANIFEST_INVALID, MANIFEST_EMPTY, MANIFEST_TOO_LONG; as `vault.intake.receive`.
            Conflict: IDEMPOTENCY_KEY_REUSED, TWIN_RUNNING.
        """
        with self._database.reading() as connection:
            # In this order, so that others' administrations look like none.
            self._demand(connection, actor, administration_id)
            if self._safes.administration(connection, administration_id) is None:
                raise NotFound("UNKNOWN_ADMINISTRATION")
        scope = self._idempotency.scope(actor, _ROUTE, transfer.idempotency_key)
        with (
            self._idempotency.alone(scope),
            receive(
                chunks,
                folder=self._spool,
                limit=self.limits.manifest_bytes,
                expected_length=transfer.expected_length,
                expected_digest=transfer.digest,
            ) as spooled,
        ):
            asked = {
                "administration": administration_id,
                "form": form,
                "dry_run": dry_run,
                "all_or_nothing": all_or_nothing,
            }
            request = self._idempotency.request(asked, spooled.sha256)
            batch, key = self._begun(
                administration_id, spooled, scope, request, all_or_nothing=all_or_nothing
            )
            if batch.state is BatchState.LOADING:
                batch = self._load(batch, key, spooled, form, dry_run=dry_run)
        self._erase(batch)
        return self._counted(batch)

    def see(self, actor: Actor, batch_id: str) -> Batch:
        """Return a batch with its counts. Raises NotFound."""
        with self._database.reading() as connection:
            batch, _ = self._entitled(connection, actor, batch_id)
        return self._counted(batch)

    def move(self, actor: Actor, batch_id: str, wanted: BatchState) -> Batch:
        """Open, pause, finish or cancel a batch; where it is already, nothing happens.

        Raises:
            NotFound: no such batch, or not for this caller.
            Conflict: STATE_CONFLICT.
        """
        with self._database.writing() as connection:
            batch, _ = self._entitled(connection, actor, batch_id)
            if batch.state is not wanted:
                if batch.state is BatchState.LOADING:
                    # Whoever brings the manifest again finishes that.
                    raise Conflict("STATE_CONFLICT", current=batch.state.value, wanted=wanted.value)
                state, now = move_batch(batch.state, wanted), rfc3339(self._clock.now())
                self.rows.move(connection, batch_id, state, now, None)
                batch = replace(batch, state=state, ended_at=now if state in ENDED else None)
        self._erase(batch)
        return self._counted(batch)

    def feed(self, actor: Actor, batch_id: str, chunks: Iterable[bytes], transfer: Transfer) -> Fed:
        """Issue the files of a zip or tar; when this returns, each of them has its act or its reason.

        Raises:
            NotFound: no such batch, or not for this caller.
            Conflict: BATCH_NOT_OPEN.
            Refused: as `vault.batches.parts.open_part` and `vault.intake.receive`; nothing was issued then.
            Unavailable: BUSY; a part of the service is down: what was issued stays, the same part may come again.
        """
        self._demand_open(actor, batch_id)
        if not self._places.acquire(blocking=False):
            raise Unavailable("BUSY")
        try:
            with receive(
                chunks,
                folder=self._spool,
                limit=self.limits.part_bytes,
                expected_length=transfer.expected_length,
                expected_digest=transfer.digest,
            ) as spooled:
                return self.feed_members(actor, batch_id, open_part(spooled.stream))
        finally:
            self._places.release()

    def feed_members(self, actor: Actor, batch_id: str, members: Iterator[Member]) -> Fed:
        """Issue files that are at hand; see `feed`."""
        batch, key = self._demand_open(actor, batch_id)
        return self._feeder(actor, batch, key).feed(members)

    def feed_line(
        self, actor: Actor, batch_id: str, number: int, chunks: Iterator[bytes], transfer: Transfer
    ) -> Outcome:
        """Issue the file of one line.

        Raises:
            NotFound: no such batch or line, or not for this caller.
            Conflict: BATCH_NOT_OPEN; as `vault.batches.feeding.Feeder.feed_one`.
            Refused, Unavailable: as `vault.issuing.Issuing.issue`.
        """
        batch, key = self._demand_open(actor, batch_id)
        with self._database.reading() as connection:
            line = self.rows.line(connection, key, number)
        if line is None:
            raise NotFound("NOT_FOUND")
        feeder = self._feeder(actor, batch, key)
        return feeder.feed_one(line, transfer.expected_length, chunks, transfer.digest)

    def results(self, actor: Actor, batch_id: str) -> Iterator[list[LineResult]]:
        """Yield what became of lines, in their order, a page at a time. Raises NotFound before the first."""
        with self._database.reading() as connection:
            self._entitled(connection, actor, batch_id)
        return self._pages(batch_id)

    @property
    def task(self) -> Task:
        """Erases what ended batches still say, and cancels those that nobody goes on with."""
        return Task("batches", self.tidy, _PERIOD_S, at_once=True)

    def tidy(self) -> int:
        """Erase what ended batches still say, and cancel old ones; return how many batches were changed."""
        before = rfc3339(self._clock.now() - timedelta(days=self.limits.days))
        with self._database.reading() as connection:
            found = list(self.rows.over(connection, before))
        for batch_id, state in found:
            if state not in ENDED:
                with self._database.writing() as connection:
                    now = rfc3339(self._clock.now())
                    self.rows.move(connection, batch_id, BatchState.CANCELLED, now, None)
            self._erase_lines(batch_id)
        return len(found)

    def _begun(
        self, administration_id: str, spooled: Spooled, scope: bytes, request: bytes, *, all_or_nothing: bool
    ) -> tuple[Batch, DocumentKey]:
        """Return the batch under this key, made now where there was none. Raises Conflict."""
        with self._database.writing() as connection:
            earlier = self.rows.of_scope(connection, scope)
            if earlier is not None:
                if earlier[0].request != request:
                    raise Conflict("IDEMPOTENCY_KEY_REUSED")
                if earlier[0].state is BatchState.LOADING:
                    self.rows.clear(connection, earlier[0].id)
                return earlier
            key = self._keyring.new_key(new_id("bat"))
            batch = Batch(
                id=key.document_id,
                administration_id=administration_id,
                state=BatchState.LOADING,
                all_or_nothing=all_or_nothing,
                lines=0,
                created_at=rfc3339(self._clock.now()),
                ended_at=None,
                manifest=spooled.sha256.hex(),
                scope=scope,
                request=request,
            )
            self.rows.add(connection, key, batch)
            return batch, key

    def _load(self, batch: Batch, key: DocumentKey, spooled: Spooled, form: str, *, dry_run: bool) -> Batch:
        """Write the lines. Cut short, the batch stays as it is, and is loaded anew when its manifest comes again."""
        spooled.stream.seek(0)
        lines = read_manifest(
            spooled.stream, form, limit=self.limits.lines, least_days=self.limits.least_days
        )
        count = 0
        try:
            while chunk := list(islice(lines, _LOADED)):
                count += len(chunk)
                self._write(key, chunk)
                faults.point("batch.loading")
        except Refused:
            # Nothing of a manifest that cannot be read is kept, its key neither.
            with self._database.writing() as connection:
                self.rows.forget(connection, batch.id)
            raise
        with self._database.writing() as connection:
            wrong = self.rows.has_wrong(connection, batch.id)
            state = BatchState.CHECKED if dry_run else BatchState.OPEN
            if batch.all_or_nothing and wrong:
                state = BatchState.REFUSED
            now = rfc3339(self._clock.now())
            self.rows.move(connection, batch.id, move_batch(batch.state, state), now, count)
        faults.point("batch.loaded")
        return replace(batch, state=state, lines=count, ended_at=now if state in ENDED else None)

    def _write(self, key: DocumentKey, lines: list[Line]) -> None:
        with self._database.writing() as connection:
            self.rows.add_lines(connection, key, lines)

    def _feeder(self, actor: Actor, batch: Batch, key: DocumentKey) -> Feeder:
        return Feeder(
            self._database,
            self.rows,
            self.issuing,
            actor,
            batch,
            key,
            self.limits.threads,
            self.limits.group,
            lambda connection: self._demand(connection, actor, batch.administration_id),
        )

    def _demand_open(self, actor: Actor, batch_id: str) -> tuple[Batch, DocumentKey]:
        with self._database.reading() as connection:
            batch, key = self._entitled(connection, actor, batch_id)
        if batch.state is not BatchState.OPEN:
            raise Conflict("BATCH_NOT_OPEN", state=batch.state.value)
        return batch, key

    def _entitled(self, connection: Connection, actor: Actor, batch_id: str) -> tuple[Batch, DocumentKey]:
        found = self.rows.load(connection, batch_id)
        if found is None:
            raise NotFound("NOT_FOUND")
        self._demand(connection, actor, found[0].administration_id)
        return found

    def _demand(self, connection: Connection, actor: Actor, administration_id: str) -> None:
        self._ties.demand(connection, actor, Action.ISSUE, Subject(None, administration_id))

    def _counted(self, batch: Batch) -> Batch:
        with self._database.reading() as connection:
            return replace(batch, counts=self.rows.counts(connection, batch.id))

    def _pages(self, batch_id: str) -> Iterator[list[LineResult]]:
        after = 0
        while True:
            with self._database.reading() as connection:
                page = self.rows.results(connection, batch_id, after, _PAGE)
            if not page:
                return
            yield page
            after = page[-1].line

    def _erase(self, batch: Batch) -> None:
        if batch.state in ENDED:
            self._erase_lines(batch.id)

    def _erase_lines(self, batch_id: str) -> None:
        """Erase what lines say, a few at a time; cut short, the task goes on with it."""
        while True:
            with self._database.writing() as connection:
                if not self.rows.erase(connection, batch_id, _ERASED):
                    return
            faults.point("batch.erasing")
