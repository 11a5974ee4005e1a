"""Seals, in order of reception, what was received while no timestamp was to be had."""

from __future__ import annotations

import logging
import threading
import time

from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.db.twins import TwinGuard
from vault.errors import Unavailable
from vault.pipeline import Pipeline
from vault.services import SealKeyAbsent
from vault.tasks import Task

_BATCH = 50
_LOCK = b"healer"
_KEYLESS_S = 60.0
_log = logging.getLogger("probans.healing")


class Healer:
    """One per process; a lock lets only one of all processes work at a time, so that order is kept.

    A process that was paused while another one took its place ends its batch as soon as it knows. The document it was
    at may then be sealed by both: the ledger's transaction takes the seal that comes first and drops the other one.
    """

    def __init__(
        self,
        database: Database,
        documents: Documents,
        pipeline: Pipeline,
        guard: TwinGuard,
        interval: float,
    ) -> None:
        self._database = database
        self._documents = documents
        self._pipeline = pipeline
        self._guard = guard
        self._interval = interval
        self._stop = threading.Event()
        self._refused: set[str] = set()
        self._keyless: dict[str, float] = {}

    @property
    def task(self) -> Task:
        """Healing, as it runs in the background."""
        # Sealing one document may take as long as time-outs of timestamp authority, keys and store together.
        return Task("healing", self.heal, self._interval, limit_s=900.0, full=_BATCH, stop=self.close)

    def close(self) -> None:
        """Stop after the document under way, for good."""
        self._stop.set()

    def heal(self) -> int:
        """Seal what waits; return how many documents got their seal."""
        sealed = 0
        with self._guard.hold(_LOCK) as free:
            if not free:
                return 0
            with self._database.reading() as connection:
                known = len(self._refused) + len(self._keyless)
                waiting = self._documents.waiting(connection, _BATCH + known)
            for document_id in waiting:
                if self._stop.is_set() or not self._guard.holds(_LOCK):
                    break
                if document_id in self._refused or self._lacks_key(document_id):
                    continue
                try:
                    sealed += self._pipeline.seal_waiting(document_id)
                except SealKeyAbsent as error:
                    # Of one administration, or of acts and attachments alike: others need not wait for an operator.
                    self._keyless[document_id] = time.monotonic() + _KEYLESS_S
                    _log.error("no key seals a document", extra={"document": document_id, "code": error.code})
                except Unavailable:
                    break  # no timestamp, or a part of the service is down: the same for those behind it
                except Exception as error:
                    # One file that cannot be sealed must not hold up those behind it. Not the exception's text:
                    # it may quote the file.
                    self._refused.add(document_id)
                    code = getattr(error, "code", type(error).__name__)
                    _log.error("document cannot be sealed", extra={"document": document_id, "code": code})
        return sealed

    def _lacks_key(self, document_id: str) -> bool:
        """Tell whether there was no key for a document a moment ago; an operator may have installed it since."""
        if time.monotonic() < self._keyless.get(document_id, 0.0):
            return True
        self._keyless.pop(document_id, None)
        return False
