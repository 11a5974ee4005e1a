"""Reads and writes the rows of batches and their lines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from storage.errors import KeyRefused, ObjectDamaged
from vault.batches.manifests import Line
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of
from vault.domain.batches import ENDED, OPEN_LINES, Batch, BatchState, LineResult, LineState
from vault.domain.documents import Outcome
from vault.errors import Conflict, LedgerError
from vault.ledger.group import LedgerTransaction

_BATCH_ROLE = "batch"
_COLUMNS = ("batch_id", "line", "state", "code", "field", "name_ix", "sealed")
# One statement decides: the line is still open, and its batch takes what was under way. A pause lets that come in.
_TAKE = (
    "UPDATE batch_lines SET state = ?, code = '', field = '', document_id = ?, seq = ?, file_ix = ?, sealed = NULL "
    "WHERE batch_id = ? AND line = ? AND state IN ('waiting', 'refused') "
    "AND EXISTS (SELECT 1 FROM batches WHERE id = ? AND state IN ('open', 'paused'))"
)


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line as it is found by the name of its file.

    Attributes:
        number: in the manifest.
        state: of the line.
        file_ix: stands for the file that was issued for it; None where none was.
        content: what it says, see `vault.batches.manifests.Line.content`; None once there is an act.
        act: the act and its entry; None where there is none.
    """

    number: int
    state: LineState
    file_ix: bytes | None
    content: bytes | None
    act: tuple[str, int] | None


class BatchRows:
    """Batches as the database holds them."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def name_index(self, batch_id: str, name: str) -> bytes:
        """Return what stands for the name of a file in a batch."""
        return self._keyring.index("batch-name", batch_id, name)

    def file_index(self, sha256: bytes) -> bytes:
        """Return what stands for the content of a file."""
        return self._keyring.index("batch-file", sha256)

    def add(self, connection: Connection, key: DocumentKey, batch: Batch) -> None:
        """Write a new batch, without its lines."""
        kept = orjson.dumps({"manifest": batch.manifest})
        row = {
            "id": batch.id,
            "administration_id": batch.administration_id,
            "state": batch.state.value,
            "all_or_nothing": int(batch.all_or_nothing),
            "lines": batch.lines,
            "created_at": batch.created_at,
            "ended_at": batch.ended_at,
            "scope_ix": batch.scope,
            "request_ix": batch.request,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(_BATCH_ROLE, kept),
        }
        connection.execute(insert(models.batches), row)

    def load(self, connection: Connection, batch_id: str) -> tuple[Batch, DocumentKey] | None:
        """Return a batch and its key, without counts. Raises LedgerError(ROW_DAMAGED)."""
        table = models.batches
        return self._opened(
            connection.execute(select(table).where(table.c.id == batch_id)).mappings().first()
        )

    def of_scope(self, connection: Connection, scope: bytes) -> tuple[Batch, DocumentKey] | None:
        """Return the batch that somebody brought under a key. Raises LedgerError(ROW_DAMAGED)."""
        table = models.batches
        query = select(table).where(table.c.scope_ix == scope)
        return self._opened(connection.execute(query).mappings().first())

    def counts(self, connection: Connection, batch_id: str) -> Mapping[LineState, int]:
        """Count the lines of a batch by state."""
        table = models.batch_lines
        query = (
            select(table.c.state, func.count()).where(table.c.batch_id == batch_id).group_by(table.c.state)
        )
        found = {LineState(state): int(count) for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in LineState}

    def clear(self, connection: Connection, batch_id: str) -> None:
        """Delete the lines of a batch whose loading was cut short."""
        table = models.batch_lines
        connection.execute(delete(table).where(table.c.batch_id == batch_id))

    def forget(self, connection: Connection, batch_id: str) -> None:
        """Delete a batch that never was."""
        self.clear(connection, batch_id)
        connection.execute(delete(models.batches).where(models.batches.c.id == batch_id))

    def has_wrong(self, connection: Connection, batch_id: str) -> bool:
        """Tell whether a line of a batch is wrong."""
        table = models.batch_lines
        query = select(table.c.line).where(
            table.c.batch_id == batch_id, table.c.state == LineState.WRONG.value
        )
        return connection.scalar(query.limit(1)) is not None

    def add_lines(self, connection: Connection, key: DocumentKey, lines: Sequence[Line]) -> None:
        """Write lines; of several that name the same file the first counts."""
        batch_id = key.document_id
        names = {each.number: self.name_index(batch_id, each.said["file"]) for each in lines if each.said}
        taken = self._named(connection, batch_id, names.values())
        rows: list[tuple[Any, ...]] = []
        for each in lines:
            state, code, field = LineState.WRONG, each.code, each.field
            name, sealed = names.get(each.number), None
            if name is not None and name in taken:
                code, field, name = "MANIFEST_FILE_TWICE", "file", None
            elif name is not None:
                taken.add(name)
                state, sealed = LineState.WAITING, key.seal(_line_role(each.number), each.content)
            rows.append((batch_id, each.number, state.value, code, field, name, sealed))
        insert_rows(driver_of(connection), "batch_lines", _COLUMNS, rows)

    def move(
        self, connection: Connection, batch_id: str, state: BatchState, at: str, lines: int | None
    ) -> None:
        """Write the state of a batch, and the number of its lines once it is known."""
        values: dict[str, Any] = {"state": state.value}
        if state in ENDED:
            values["ended_at"] = at
        if lines is not None:
            values["lines"] = lines
        connection.execute(update(models.batches).where(models.batches.c.id == batch_id).values(values))

    def find(
        self, connection: Connection, key: DocumentKey, names: Collection[bytes]
    ) -> dict[bytes, OpenLine]:
        """Return lines by what stands for the names of their files."""
        table = models.batch_lines
        query = select(table).where(table.c.batch_id == key.document_id, table.c.name_ix.in_(names))
        return {bytes(row["name_ix"]): _open_line(key, row) for row in connection.execute(query).mappings()}

    def line(self, connection: Connection, key: DocumentKey, number: int) -> OpenLine | None:
        """Return one line, or None."""
        table = models.batch_lines
        query = select(table).where(table.c.batch_id == key.document_id, table.c.line == number)
        row = connection.execute(query).mappings().first()
        return None if row is None else _open_line(key, row)

    def taker(
        self, batch_id: str, number: int, file_ix: Callable[[], bytes]
    ) -> Callable[[LedgerTransaction, Outcome], None]:
        """Return what writes a line's act within the transaction that makes it.

        It raises Conflict(BATCH_LINE_TAKEN) when the line has an act already, or its batch takes none any more.
        """

        def take(tx: LedgerTransaction, outcome: Outcome) -> None:
            if not tx.settle(_TAKE, _taken(batch_id, number, file_ix(), outcome)):
                raise Conflict("BATCH_LINE_TAKEN")

        return take

    def take(
        self, connection: Connection, batch_id: str, number: int, file_ix: bytes, outcome: Outcome
    ) -> None:
        """Write the act of a line that was issued before. Raises Conflict(BATCH_LINE_TAKEN) as `taker`."""
        if driver_of(connection).execute(_TAKE, _taken(batch_id, number, file_ix, outcome)).rowcount != 1:
            raise Conflict("BATCH_LINE_TAKEN")

    def refuse(self, connection: Connection, batch_id: str, number: int, code: str, field: str) -> None:
        """Write why a line was refused, unless there is an act by now."""
        table = models.batch_lines
        statement = update(table).where(
            table.c.batch_id == batch_id,
            table.c.line == number,
            table.c.state.in_([state.value for state in OPEN_LINES]),
        )
        connection.execute(statement.values(state=LineState.REFUSED.value, code=code, field=field))

    def results(self, connection: Connection, batch_id: str, after: int, limit: int) -> list[LineResult]:
        """Return what became of lines, in their order, a page at a time."""
        table = models.batch_lines
        columns = (table.c.line, table.c.state, table.c.code, table.c.field, table.c.document_id, table.c.seq)
        query = select(*columns).where(table.c.batch_id == batch_id, table.c.line > after)
        return [
            LineResult(line, LineState(state), code, field, document or "", seq)
            for line, state, code, field, document, seq in connection.execute(
                query.order_by(table.c.line).limit(limit)
            )
        ]

    def erase(self, connection: Connection, batch_id: str, limit: int) -> int:
        """Erase what lines of an ended batch still say; return of how many."""
        table = models.batch_lines
        first = (
            select(table.c.line)
            .where(table.c.batch_id == batch_id, table.c.name_ix.is_not(None))
            .order_by(table.c.line)
            .limit(limit)
        )
        numbers = list(connection.scalars(first))
        if numbers:
            statement = update(table).where(
                table.c.batch_id == batch_id, table.c.line.between(numbers[0], numbers[-1])
            )
            connection.execute(statement.values(name_ix=None, file_ix=None, sealed=None))
        return len(numbers)

    def over(self, connection: Connection, before: str) -> Iterator[tuple[str, BatchState]]:
        """Yield batches that ended and still say something, and those that were begun before a time and go on."""
        table, lines = models.batches, models.batch_lines
        ended = [state.value for state in ENDED]
        says = (
            select(lines.c.line).where(lines.c.batch_id == table.c.id, lines.c.name_ix.is_not(None)).exists()
        )
        old = table.c.state.not_in(ended) & (table.c.created_at < before)
        query = select(table.c.id, table.c.state).where((table.c.state.in_(ended) & says) | old)
        for batch_id, state in connection.execute(query.order_by(table.c.created_at)):
            yield batch_id, BatchState(state)

    def _named(self, connection: Connection, batch_id: str, names: Collection[bytes]) -> set[bytes]:
        table = models.batch_lines
        query = select(table.c.name_ix).where(table.c.batch_id == batch_id, table.c.name_ix.in_(names))
        return {bytes(name) for name in connection.scalars(query)}

    def _opened(self, row: RowMapping | None) -> tuple[Batch, DocumentKey] | None:
        if row is None:
            return None
        try:
            key = self._keyring.open_key(row["id"], row["wrapped_key"])
            kept = orjson.loads(key.open(_BATCH_ROLE, row["sealed"]))
        except (KeyRefused, ObjectDamaged) as error:
            raise LedgerError("ROW_DAMAGED", f"{row['id']}: its row does not open with its key") from error
        batch = Batch(
            id=row["id"],
            administration_id=row["administration_id"],
            state=BatchState(row["state"]),
            all_or_nothing=bool(row["all_or_nothing"]),
            lines=row["lines"],
            created_at=row["created_at"],
            ended_at=row["ended_at"],
            manifest=kept["manifest"],
            scope=bytes(row["scope_ix"]),
            request=bytes(row["request_ix"]),
        )
        return batch, key


def _line_role(number: int) -> str:
    return f"batch-line-{number}"


def _open_line(key: DocumentKey, row: RowMapping) -> OpenLine:
    try:
        content = None if row["sealed"] is None else key.open(_line_role(row["line"]), row["sealed"])
    except ObjectDamaged as error:
        raise LedgerError("ROW_DAMAGED", f"{key.document_id}: a line does not open") from error
    act = None if row["document_id"] is None else (row["document_id"], row["seq"])
    file_ix = None if row["file_ix"] is None else bytes(row["file_ix"])
    return OpenLine(row["line"], LineState(row["state"]), file_ix, content, act)


def _taken(batch_id: str, number: int, file_ix: bytes, outcome: Outcome) -> tuple[Any, ...]:
    state = LineState.ISSUED if outcome.status_code == 201 else LineState.RECEIVED
    return state.value, outcome.document_id, outcome.seq, file_ix, batch_id, number, batch_id
