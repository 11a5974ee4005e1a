"""Seals, in order of reception, what was received while no timestamp was to be had."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection

from signing.errors import SigningUnavailable
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.db.twins import TwinGuard
from vault.errors import Unavailable
from vault.pipeline import Pipeline
from vault.sealing.desk import SealingWaits
from vault.sealing.sealers import SealKeyAbsent
from vault.tasks.runner import Task

_BATCH = 50
_LOCK = b"healer"
_KEYLESS_S = 60.0
# A seal that takes longer than this: its key is slow. For so long a batch deals with such keys.
_SLOW_S = 1.0
_SLOW_BATCH_S = 10.0
# A key that gave no signature is left alone for so many times as long as it took to say so.
_REST = 4
_log = logging.getLogger("probans.healing")


class Healer:
    """One per process; a lock lets only one of all processes work at a time, so that order is kept.

    A process that was paused while another one took its place ends its batch as soon as it knows. The document it was
    at may then be sealed by both: the ledger's transaction takes the seal that comes first and drops the other one.

    What waits for the key of an administration that is away or slow comes after the others, for some seconds in each
    batch: it must not hold up those whose keys answer.
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
        # Administrations whose keys are away or slow, "" for the service's own; not asked before.
        self._apart: dict[str, float] = {}

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
        with self._guard.hold(_LOCK) as free:
            if not free:
                return 0
            sealed, goes_on = self._batch(but=tuple(self._apart))
            due = [issuer for issuer, until in self._apart.items() if time.monotonic() >= until]
            if goes_on and due:
                sealed += self._batch(of=due, seconds=_SLOW_BATCH_S)[0]
        return sealed

    def _batch(
        self, *, but: Collection[str] = (), of: Collection[str] = (), seconds: float = math.inf
    ) -> tuple[int, bool]:
        """Seal what waits, of some administrations; return how many got their seal, and whether to go on."""
        begun, sealed, away = time.monotonic(), 0, set[str]()
        with self._database.reading() as connection:
            known = len(self._refused) + len(self._keyless)
            waiting = self._documents.waiting(connection, _BATCH + known, but=but, of=of)
        for document_id, issuer in waiting:
            if self._stop.is_set() or not self._guard.holds(_LOCK) or time.monotonic() - begun > seconds:
                return sealed, False
            if document_id in self._refused or self._lacks_key(document_id):
                continue
            # One that turned out to be slow in this batch waits for its own.
            if issuer in away or (not of and issuer in self._apart):
                continue
            tried = time.monotonic()
            try:
                sealed += self._sealed(document_id)
            except Unavailable as error:
                if not isinstance(error, SealingWaits) or error.code != SigningUnavailable.code:
                    return (
                        sealed,
                        False,
                    )  # no timestamp, or a part of the service is down: the same for those behind it
                away.add(issuer)
                self._keep_apart(issuer, time.monotonic() - tried)
            else:
                took = time.monotonic() - tried
                if took > _SLOW_S:
                    self._apart[issuer] = 0.0
                else:
                    self._apart.pop(issuer, None)
        return sealed, True

    def _sealed(self, document_id: str) -> bool:
        """Seal a document; False for one that cannot be sealed now, or at all. Raises Unavailable."""
        try:
            return self._pipeline.seal_waiting(document_id)
        except SealKeyAbsent as error:
            # Of one administration, or of acts and attachments alike: others need not wait for an operator.
            self._keyless[document_id] = time.monotonic() + _KEYLESS_S
            _log.error("no key seals a document", extra={"document": document_id, "code": error.code})
        except Unavailable:
            raise
        except Exception as error:
            # One file that cannot be sealed must not hold up those behind it. Not the exception's text:
            # it may quote the file.
            self._refused.add(document_id)
            code = getattr(error, "code", type(error).__name__)
            _log.error("document cannot be sealed", extra={"document": document_id, "code": code})
        return False

    def _keep_apart(self, issuer: str, took: float) -> None:
        """Leave a key alone that gave no signature; one that says so at once may be asked at each turn."""
        self._apart[issuer] = time.monotonic() + _REST * took if took > _SLOW_S else 0.0

    def _lacks_key(self, document_id: str) -> bool:
        """Tell whether there was no key for a document a moment ago; an operator may have installed it since."""
        if time.monotonic() < self._keyless.get(document_id, 0.0):
            return True
        self._keyless.pop(document_id, None)
        return False
