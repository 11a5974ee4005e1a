"""Processor time of each step of the issue path: within threads by the functions that are the steps, and by thread."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from storage.filesystem_objects import FilesystemObjectStore
from timestamping.authority import EmbeddedAuthority
from vault import pipeline
from vault.documents.recording import Recorder
from vault.issuing import Issuing
from vault.ledger.group import Group
from vault.ledger.publisher import Publisher
from vault.ledger.writer import LedgerWriter
from vault.outbox import OutboxCourier
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.records.objects import Shelf
from vault.sealing.desk import SealingDesk

ISSUER = "issuer"  # begins the names of the threads that issue
# A step counts only what is left of it without those within it.
_STEPS: tuple[tuple[Any, str, str], ...] = (
    (Issuing, "issue_all", "who may, twins, asked before"),
    (pipeline, "receive", "1 receive"),
    (pipeline, "inspect", "2 inspect"),
    (SealingDesk, "seal", "3 seal"),
    (EmbeddedAuthority, "token", "4 timestamp"),
    (Shelf, "stage", "6 encrypt"),
    (Shelf, "keep", "6 keep"),
    (FilesystemObjectStore, "put", "6 stage"),
    (FilesystemObjectStore, "commit", "6 make durable"),
    (Recorder, "_work", "7 opening and rows"),
    (Change, "encode", "7 recovery record"),
    (LedgerWriter, "run_all", "7 hand in and wait"),
    (LedgerWriter, "_commit", "7 turn and commit"),
    (Group, "run", "7 works"),
    (Group, "write", "7 rows, entries, head"),
    (RecordBook, "add", "7 recovery file"),
    (Publisher, "publish", "publication"),
    (OutboxCourier, "deliver_waiting", "8 outbox"),
)


class Steps:
    """Counts processor seconds by step.

    Attributes:
        seconds: by step, and by thread besides those that issue.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._mine = threading.local()
        self._guard = threading.Lock()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count while the block runs; the functions are wrapped meanwhile."""
        before = _clocks()
        with ExitStack() as undo:
            for owner, name, step in _STEPS:
                plain = owner.__dict__[name]
                setattr(owner, name, self._wrapped(plain, step))
                undo.callback(setattr, owner, name, plain)
            yield
        for (number, name), seconds in _clocks().items():
            if not name.startswith(ISSUER):
                kind = name.rstrip("_-0123456789")
                self.seconds[f"thread {kind}"] += seconds - before.get((number, name), 0.0)

    def _wrapped(self, plain: Callable[..., Any], step: str) -> Callable[..., Any]:
        mine = self._mine

        def wrapped(*arguments: Any, **named: Any) -> Any:
            outer, mine.inner = getattr(mine, "inner", 0.0), 0.0
            begun = time.thread_time()
            try:
                return plain(*arguments, **named)
            finally:
                took = time.thread_time() - begun
                with self._guard:
                    self.seconds[step] += took - mine.inner
                mine.inner = outer + took

        return wrapped


def _clocks() -> dict[tuple[int, str], float]:
    """Return what each living thread has used of the processor, in seconds."""
    found: dict[tuple[int, str], float] = {}
    for thread in threading.enumerate():
        if thread.ident is not None:
            with suppress(OSError):  # it ended meanwhile
                clock = time.pthread_getcpuclockid(thread.ident)
                found[thread.ident, thread.name] = time.clock_gettime(clock)
    return found
