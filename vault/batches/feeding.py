"""Issues the files of a batch's part: by groups, a few groups at once, so that a few files are in memory.

Each act is issued as any other one is, and its line is written in the transaction of its entry. So a process that is
killed at any moment leaves each line either waiting or with its act, and the same part may simply come again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from vault.batches.manifests import document_of, line_key
from vault.batches.parts import Member
from vault.batches.rows import BatchRows, OpenLine
from vault.core import faults
from vault.core.keyring import DocumentKey
from vault.db.engine import Database
from vault.documents.arrivals import Result, settled
from vault.domain.actors import Actor
from vault.domain.batches import OPEN_LINES, Batch, BatchState, Fed, LineState, MemberProblem
from vault.domain.documents import Outcome
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Refused, VaultError
from vault.files.names import clean_file_name
from vault.intake import IN_MEMORY, DeclaredDigest
from vault.issuing import Act, Issuing

if TYPE_CHECKING:
    from hashlib import _Hash

_LOOKED_UP = 64  # members whose lines are found with one query
_GROUP_OCTETS = 4 << 20  # of files that are held together, or a little more
_SHOWN = 100  # problems told
_BUSY = frozenset({"TWIN_RUNNING", "BATCH_LINE_TAKEN"})
_FIELDS = {"document_type": "type", "file_name": "file"}


@dataclass(frozen=True, slots=True)
class _File:
    """A file that waits to be issued.

    Attributes:
        line: it is for.
        size: octets it is said to have, or None.
        chunks: its octets, read once.
        member: where it came from; None when it came by itself.
        declared: what the caller declared of it, or None.
    """

    line: OpenLine
    size: int | None
    chunks: Iterator[bytes]
    member: Member | None = None
    declared: DeclaredDigest | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    """Files that are issued together."""

    files: Sequence[_File]
    future: Future[list[Result]]


class Feeder:
    """Issues what one part holds; made anew for each."""

    def __init__(
        self,
        database: Database,
        rows: BatchRows,
        issuing: Issuing,
        actor: Actor,
        batch: Batch,
        key: DocumentKey,
        threads: int,
        group: int,
        entitled: Callable[[Connection], object],
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            rows: of batches.
            issuing: issues acts.
            actor: who brings the files.
            batch: for which.
            key: of the batch.
            threads: groups of files issued at once.
            group: files in a group at most.
            entitled: asked now and then whether the caller still may; raises NotFound.
        """
        self._database = database
        self._rows = rows
        self._issuing = issuing
        self._actor = actor
        self._batch = batch
        self._key = key
        self._threads = threads
        self._group = group
        self._entitled = entitled
        self._window: deque[_Task] = deque()
        self._held: list[_File] = []
        self._octets = 0
        self._refused: list[tuple[int, str, str]] = []
        self.fed = Fed()

    def feed(self, members: Iterator[Member]) -> Fed:
        """Issue files until they end, or the batch is paused or ended.

        Raises:
            Unavailable: a part of the service is down; what was issued until then stays, the rest may come again.
            Refused: the archive turns out to be none in the middle.
        """
        pool = ThreadPoolExecutor(self._threads, "probans-batch")
        try:
            while chunk := list(islice(members, _LOOKED_UP)):
                if not self._chunk(chunk, pool):
                    self.fed.stopped = True
                    break
        finally:
            # Whatever happened, what is under way comes to its end and is counted.
            self._send(pool)
            failure = self._drain(0)
            pool.shutdown()
            self._write_refused()
        if failure is not None:
            raise failure
        return self.fed

    def _chunk(self, chunk: Sequence[Member], pool: ThreadPoolExecutor) -> bool:
        """Issue some files; False when the batch takes none now."""
        names = {each.number: self._rows.name_index(self._batch.id, _name(each)) for each in chunk}
        with self._database.reading() as connection:
            self._entitled(connection)
            found = self._rows.load(connection, self._batch.id)
            lines = self._rows.find(connection, self._key, list(names.values()))
        if found is None or found[0].state is not BatchState.OPEN:
            return False
        for member in chunk:
            self.fed.members += 1
            line = lines.get(names[member.number])
            if line is None:
                self.fed.unmatched += 1
                self._tell(member, None, "BATCH_FILE_UNKNOWN")
            elif line.state in OPEN_LINES:
                self._issue(member, line, pool)
            else:
                self._compare(member, line)
            if failure := self._drain(self._threads):
                raise failure
        self._write_refused()
        faults.point("batch.chunk")
        return True

    def _issue(self, member: Member, line: OpenLine, pool: ThreadPoolExecutor) -> None:
        if member.size > IN_MEMORY:
            # Read where it lies, while nobody else reads the part.
            large, done = _File(line, member.size, member.chunks(), member), Future[list[Result]]()
            try:
                done.set_result(self._issued((large,)))
            except Exception as error:
                done.set_exception(error)
            self._window.append(_Task((large,), done))
            return
        try:
            content = b"".join(member.chunks())
        except VaultError as error:
            self._say(member, line, error)
            return
        self._held.append(_File(line, len(content), iter((content,)), member))
        self._octets += len(content)
        if len(self._held) >= self._group or self._octets > _GROUP_OCTETS:
            self._send(pool)

    def _send(self, pool: ThreadPoolExecutor) -> None:
        """Have the files that are held issued together."""
        if self._held:
            self._window.append(_Task(self._held, pool.submit(self._issued, self._held)))
            self._held, self._octets = [], 0

    def feed_one(
        self, line: OpenLine, size: int | None, chunks: Iterator[bytes], digest: DeclaredDigest | None
    ) -> Outcome:
        """Issue the file of one line, which came by itself.

        Args:
            line: of the batch.
            size: octets announced, or None.
            chunks: the file.
            digest: what the caller declared of it, or None.

        Raises:
            Conflict: BATCH_LINE_WRONG; BATCH_FILE_DIFFERS: another file was issued for the line; BATCH_LINE_TAKEN.
            VaultError: why it is not issued; the line says it too where the file or its holder is at fault.
        """
        if line.act is not None:
            if not self._is_issued(line, chunks):
                raise Conflict("BATCH_FILE_DIFFERS")
            status = 201 if line.state is LineState.ISSUED else 202
            return Outcome(line.act[0], status, line.act[1], replayed=True)
        if line.state not in OPEN_LINES:
            raise Conflict("BATCH_LINE_WRONG")
        (result,) = self._issued((_File(line, size, chunks, declared=digest),))
        if isinstance(result, VaultError) and _is_the_files(result):
            self._refused.append((line.number, result.code, _field(result)))
            self._write_refused()
        return settled(result)

    def _issued(self, files: Sequence[_File]) -> list[Result]:
        digests = [hashlib.sha256() for _ in files]
        acts = [self._act(file, hashing) for file, hashing in zip(files, digests, strict=True)]
        results: list[Result]
        try:
            results = self._issuing.issue_all(self._actor, self._batch.administration_id, acts)
        except VaultError as error:
            results = [error] * len(acts)
        return [
            self._again(file, hashing, result) if isinstance(result, Outcome) and result.replayed else result
            for file, hashing, result in zip(files, digests, results, strict=True)
        ]

    def _act(self, file: _File, hashing: _Hash) -> Act:
        line = file.line
        new, stated = document_of(line.content or b"")
        values = (() if stated is None else (("sha-256", stated),)) + (
            () if file.declared is None else file.declared.values
        )
        transfer = Transfer(
            line_key(self._batch.scope, line.number, line.content or b""),
            file.size,
            DeclaredDigest(values) if values else None,
        )
        take = self._rows.taker(self._batch.id, line.number, lambda: self._rows.file_index(hashing.digest()))
        return Act(new, _hashed(file.chunks, hashing), transfer, take)

    def _again(self, file: _File, hashing: _Hash, outcome: Outcome) -> Result:
        """Write an act that is older than its line's rows: they were lost, or another batch has begun with them."""
        file_ix = self._rows.file_index(hashing.digest())
        try:
            with self._database.writing() as connection:
                self._rows.take(connection, self._batch.id, file.line.number, file_ix, outcome)
        except Conflict as error:
            return error
        return outcome

    def _drain(self, left: int) -> VaultError | None:
        """Wait until no more than some groups are under way; return why no more should be begun."""
        failure: VaultError | None = None
        while len(self._window) > left:
            task = self._window.popleft()
            for file, result in zip(task.files, task.future.result(), strict=True):
                if isinstance(result, Outcome):
                    self.fed.issued += 1
                elif isinstance(result, VaultError) and file.member is not None:
                    failure = self._say(file.member, file.line, result) or failure
                else:
                    settled(result)
        return failure

    def _say(self, member: Member, line: OpenLine, error: VaultError) -> VaultError | None:
        """Note why a file was not issued; return it when it is no fault of the file."""
        if error.code in _BUSY:
            self.fed.busy += 1
            self._tell(member, line.number, error.code)
            return None
        if not _is_the_files(error):
            return error
        self.fed.refused += 1
        self._refused.append((line.number, error.code, _field(error)))
        self._tell(member, line.number, error.code, _field(error))
        return None

    def _compare(self, member: Member, line: OpenLine) -> None:
        """Look at a file whose line has an act: the same file brought again is nothing, another one a problem."""
        if self._is_issued(line, member.chunks()):
            self.fed.already += 1
        else:
            self.fed.unmatched += 1
            self._tell(member, line.number, "BATCH_FILE_DIFFERS")

    def _is_issued(self, line: OpenLine, chunks: Iterator[bytes]) -> bool:
        """Tell whether octets are those that were issued for a line."""
        hashing = hashlib.sha256()
        for chunk in chunks:
            hashing.update(chunk)
        return line.file_ix == self._rows.file_index(hashing.digest())

    def _write_refused(self) -> None:
        if not self._refused:
            return
        refused, self._refused = self._refused, []
        with self._database.writing() as connection:
            for number, code, field in refused:
                self._rows.refuse(connection, self._batch.id, number, code, field)

    def _tell(self, member: Member, line: int | None, code: str, field: str = "") -> None:
        if len(self.fed.problems) < _SHOWN:
            self.fed.problems.append(MemberProblem(member.number, line, code, field))


def _is_the_files(error: VaultError) -> bool:
    """Tell whether an error is about this file or holder, and not about the service."""
    return isinstance(error, Refused | NotFound | Conflict) and error.code not in _BUSY


def _field(error: VaultError) -> str:
    field = str(error.params.get("field", ""))
    return _FIELDS.get(field, field)[:40]


def _name(member: Member) -> str:
    """Return a member's name in the form in which manifests have it; one that none may have stays as it is."""
    try:
        return clean_file_name(member.name)
    except Refused:
        return member.name


def _hashed(chunks: Iterator[bytes], hashing: _Hash) -> Iterator[bytes]:
    for chunk in chunks:
        hashing.update(chunk)
        yield chunk
