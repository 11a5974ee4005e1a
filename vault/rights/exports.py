"""Everything about me: one archive with all that a safe holds about its holder, made while it leaves.

Asking is an entry; for each document whose content leaves, one more, in the document's own chain, so that whoever
follows a document by its key sees that it was taken out, as for any other read. They are written in batches, each
durable before the first octet of its documents leaves. Nothing of the archive is ever on disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from vault.access import Action
from vault.authorization.assurance import Act, Assurances
from vault.authorization.ties import Subject
from vault.clock import parse_rfc3339, rfc3339
from vault.db import models
from vault.db.export_tables import export_runs
from vault.db.twins import TwinGuard
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict, NotFound, Unavailable, VaultError
from vault.journal import Journal
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.rights.archive import Archive
from vault.rights.everything import DocumentMembers, Writing
from vault.rights.everything_else import RecordMembers

PURPOSE = "acces-aux-donnees"
WHAT = "everything"
MEDIA_TYPE = "application/zip"
OPEN_FOR = timedelta(hours=24)
MAX_A_DAY = 10
_BATCH = 25  # documents whose entries are written together
_AT_ONCE = 4  # archives a process makes at a time
_END = 2**53
_log = logging.getLogger("probans.rights")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export is.

    Attributes:
        matter: the export.
        state: `asked`; `running`, or broken off without a word; `delivered`; `ended`, it opens no more.
        documents: in the safe when the newest archive began; None before.
        done: of them, those that have left.
        missing: what could not be read from the store.
        started_at: when the newest archive began, UTC.
    """

    matter: Matter
    state: str
    documents: int | None = None
    done: int = 0
    missing: int = 0
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ArchiveOut:
    """An archive on its way; close `chunks` whatever happens.

    Attributes:
        name: for people.
        chunks: the octets; breaks off with an error when they cannot be whole.
    """

    name: str
    chunks: Generator[bytes, None, None]


class Rights(MatterService):
    """Takes in requests for everything, and answers them."""

    def __init__(
        self,
        means: Means,
        journal: Journal,
        assurances: Assurances,
        documents: DocumentMembers,
        records: RecordMembers,
        trust: Callable[[], Mapping[str, bytes]],
        guard: TwinGuard,
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            journal: writes access entries.
            assurances: demands a fresh proof of identity.
            documents: writes the documents into an archive.
            records: writes everything else into it.
            trust: the files a verifier needs, by name.
            guard: keeps a second archive of the same safe from being made at once.
        """
        super().__init__(means)
        self._journal = journal
        self._assurances = assurances
        self._members = documents
        self._records = records
        self._trust = trust
        self._guard = guard
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def ask(self, actor: Actor, safe_id: str, idempotency_key: str) -> Outcome:
        """Ask for everything; the archive can be had for `OPEN_FOR` from then on.

        Raises:
            NotFound: no such safe, or not for this caller.
            Unauthenticated: STEP_UP_REQUIRED.
            Conflict: EXPORT_LIMIT after `MAX_A_DAY` in a day; TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.EXPORT, Subject(safe_id))
        self._assurances.demand(actor, Act.EXPORT)
        key = self._matters.draw(MatterKind.EXPORT)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            self._ties.demand(tx.connection, actor, Action.EXPORT, Subject(safe_id))
            self._demand_few(tx.connection, safe_id)
            safe = self._safes.load(tx.connection, safe_id)
            new = NewMatter(
                key,
                MatterKind.EXPORT,
                actor,
                {"what": WHAT, "actor": actor.id},
                safe_id,
                ends_at=self._clock.now() + OPEN_FOR,
            )
            said = Said("" if safe is None else safe.holder, entries.context(purpose=PURPOSE), {"what": WHAT})
            return key.document_id, self._matters.begin(tx, new, "export.asked", said, mark=mark)

        return self._matters.once(actor, "exports", idempotency_key, {"safe": safe_id, "what": WHAT}, work)

    def see(self, actor: Actor, export_id: str) -> Progress:
        """Tell how far an export is. Raises NotFound."""
        with self._database.reading() as connection:
            matter = self._entitled(connection, actor, export_id)
            table = export_runs
            row = connection.execute(select(table).where(table.c.export_id == export_id)).mappings().first()
        state = matter.state
        if row is not None and row["ended_at"] is None:
            state = "running"
        if state != "running" and self._is_over(matter):
            state = "ended"
        if row is None:
            return Progress(matter, state)
        return Progress(
            matter, state, row["documents"], row["done"], row["missing"], parse_rfc3339(row["started_at"])
        )

    def archive(self, actor: Actor, export_id: str) -> ArchiveOut:
        """Begin the archive; the entries of the first documents are durable when this returns.

        Raises:
            NotFound: no such export, or not for this caller.
            Conflict: EXPORT_ENDED; TWIN_RUNNING while another archive of the safe is being made.
            Unavailable: BUSY; LEDGER_UNAVAILABLE: nothing leaves without its entry.
        """
        with self._database.reading() as connection:
            matter = self._entitled(connection, actor, export_id)
        if self._is_over(matter):
            raise Conflict("EXPORT_ENDED")
        with ExitStack() as held:
            if not self._places.acquire(blocking=False):
                raise Unavailable("BUSY")
            held.callback(self._places.release)
            if not held.enter_context(self._guard.hold(b"export " + (matter.safe_id or "").encode())):
                raise Conflict("TWIN_RUNNING")
            chunks = self._chunks(held.pop_all(), actor, matter)
        next(chunks)  # begun, so that closing it frees what is held
        return ArchiveOut(f"coffre-{rfc3339(self._clock.now())[:10]}.zip", chunks)

    def _chunks(self, held: ExitStack, actor: Actor, matter: Matter) -> Generator[bytes, None, None]:
        with held:
            first = True
            for chunk in self._written(actor, matter):
                if first:
                    first = False
                    yield b""
                yield chunk

    def _written(self, actor: Actor, matter: Matter) -> Generator[bytes, None, None]:
        export_id, safe_id = matter.id, matter.safe_id or ""
        writing = Writing(Archive(self._clock.now()))
        before = self._begin(export_id, safe_id)
        done = 0
        batch = self._batch(actor, matter, before, done, writing)
        for name in ("LISEZMOI.txt", "README.txt"):
            text = resources.files("vault.rights").joinpath("export_texts", name).read_bytes()
            yield from writing.archive.text(name, text)
        for name, data in self._trust().items():
            yield from writing.archive.text(f"confiance/{name}", data)
        while batch:
            for _, document_id, noted in batch:
                yield from self._members.write(writing, actor, document_id, noted=noted)
            done += len(batch)
            batch = self._batch(actor, matter, batch[-1][0], done, writing)
        yield from writing.json("cles-de-suivi.json", writing.follow_keys)
        yield from self._records.write(writing, safe_id)
        head: dict[str, Any] = {
            "export": export_id,
            "safe": safe_id,
            "made_at": rfc3339(self._clock.now()),
            "documents": done,
        }
        yield from writing.index(head)
        yield writing.archive.end()
        self._delivered(actor, matter, done, len(writing.missing))

    def _begin(self, export_id: str, safe_id: str) -> int:
        """Begin to count; return an entry number above those of every document that is in the safe now."""
        documents, table = models.documents, export_runs
        query = select(func.count(), func.max(documents.c.first_seq)).where(documents.c.safe_id == safe_id)
        with self._database.writing() as connection:
            count, newest = connection.execute(query).one()
            connection.execute(delete(table).where(table.c.export_id == export_id))
            row = {"export_id": export_id, "documents": count, "done": 0, "missing": 0}
            connection.execute(insert(table), {**row, "started_at": rfc3339(self._clock.now())})
        return _END if newest is None else int(newest) + 1

    def _batch(
        self, actor: Actor, matter: Matter, before: int, done: int, writing: Writing
    ) -> list[tuple[int, str, bool]]:
        """Return the next documents, and for each whether an entry says that it leaves now."""
        safe_id = matter.safe_id or ""

        def work(tx: LedgerTransaction) -> list[tuple[int, str, bool]]:
            # Whose right ended in the middle gets no more.
            self._ties.demand(tx.connection, actor, Action.EXPORT, Subject(safe_id))
            progress = {"done": done, "missing": len(writing.missing)}
            table = export_runs
            tx.connection.execute(update(table).where(table.c.export_id == matter.id).values(progress))
            return [
                (
                    seq,
                    document_id,
                    document is not None
                    and self._journal.note_taken(tx, actor, document, PURPOSE, Action.EXPORT),
                )
                for seq, document_id, document in self._members.load(tx.connection, safe_id, before, _BATCH)
            ]

        return self._ledger.run(work)

    def _delivered(self, actor: Actor, matter: Matter, done: int, missing: int) -> None:
        """Say that the whole archive has left; it has, whether that can be said now or not."""
        table = export_runs

        def work(tx: LedgerTransaction) -> None:
            values = {"done": done, "missing": missing, "ended_at": rfc3339(self._clock.now())}
            tx.connection.execute(update(table).where(table.c.export_id == matter.id).values(values))
            safe = self._safes.load(tx.connection, matter.safe_id or "")
            said = Said(
                "" if safe is None else safe.holder,
                entries.context(purpose=PURPOSE),
                {"what": WHAT, "documents": done, "missing": missing},
            )
            self._matters.move(tx, actor, matter.id, "export.delivered", said)

        try:
            self._ledger.run(work)
        except VaultError as error:
            _log.error("an archive left without its closing entry", extra={"code": error.code})

    def _entitled(self, connection: Connection, actor: Actor, export_id: str) -> Matter:
        matter = self._matters.rows.load(connection, export_id, MatterKind.EXPORT)
        if matter is None or matter.private.get("what") != WHAT:
            raise NotFound("NOT_FOUND")
        self._ties.demand(connection, actor, Action.EXPORT, Subject(matter.safe_id))
        return matter

    def _is_over(self, matter: Matter) -> bool:
        return matter.ends_at is None or self._clock.now() >= matter.ends_at

    def _demand_few(self, connection: Connection, safe_id: str) -> None:
        since = self._clock.now() - timedelta(days=1)
        found = self._matters.rows.visible(
            connection,
            MatterKind.EXPORT,
            lambda each: each.private.get("what") == WHAT,
            safe_id=safe_id,
            limit=MAX_A_DAY,
        )
        if len(found) == MAX_A_DAY and found[-1].created_at > since:
            raise Conflict("EXPORT_LIMIT", limit=MAX_A_DAY)
