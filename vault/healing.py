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

_BATCH = 50
_LOCK = b"healer"
_KEYLESS_S = 60.0
_log = logging.getLogger("probans.healing")


class Healer:
    """One per process; a lock lets only one of all processes work at a time, so that order is kept."""

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
        self._thread = threading.Thread(target=self._loop, name="probans-healer", daemon=True)

    def start(self) -> None:
        """Start healing in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the document under way."""
        self._stop.set()
        self._thread.join()

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
                if document_id in self._refused or self._stop.is_set() or self._lacks_key(document_id):
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

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.heal()
            except Exception:
                _log.exception("healer")
