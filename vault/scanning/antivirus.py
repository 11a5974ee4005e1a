"""The safe's use of an antivirus: whole files and what is within them, and what follows where it does not judge."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Literal

from vault.core import faults
from vault.domain.states import Scan
from vault.errors import Refused
from vault.intake import Spooled
from vault.records.objects import file_chunks
from vault.scanning.base import NotScanned, Reason, Scanner, ScannerDown, Verdict
from vault.scanning.contents import Contents, may_hold_files

WhenDown = Literal["pending", "refuse", "allow"]
_FRESH_S = 5.0
_PAUSE_S = 2.0
_log = logging.getLogger("probans.antivirus")


@dataclass(frozen=True, slots=True)
class EngineState:
    """How the engine is.

    Attributes:
        up: it answered when it was asked last; True before it was asked.
        engine: what it said it is, last; "" before.
        code: why it is not up: SCANNER_DOWN or SCANNER_BLIND, else "".
        detail: more of that, for operators.
    """

    up: bool
    engine: str = ""
    code: str = ""
    detail: str = ""


class Antivirus:
    """Looks at files with one engine; safe for many threads."""

    def __init__(self, scanner: Scanner, contents: Contents, when_down: WhenDown) -> None:
        """Take what it works with; the engine is not asked yet.

        Args:
            scanner: the engine.
            contents: takes out what the engine does not look into.
            when_down: what follows for a file that is to be taken in and is not judged.
        """
        self._scanner = scanner
        self._contents = contents
        self._when_down = when_down
        self._guard = threading.Lock()
        self._state = EngineState(up=True)
        self._asked_at = float("-inf")
        self._proven = ""
        self._closed_until = float("-inf")

    @property
    def state(self) -> EngineState:
        """How the engine was when somebody asked it last."""
        return self._state

    def judge(self, spooled: Spooled, *, embeds: bool = True) -> Verdict:
        """Look at a file that is to be taken in.

        For some seconds after the engine did not answer it is not asked: uploads do not wait for it one by one.

        Args:
            spooled: the file.
            embeds: False where it is known that no files are within it.

        Returns:
            Clean; or what is settled for files without verdict: pending or unscanned.

        Raises:
            Refused: SCAN_INFECTED; SCAN_IMPOSSIBLE where files without verdict are refused.
            ScannerDown: where they are refused.
        """
        try:
            self._demand_open()
            verdict = self.look(spooled, embeds=embeds)
        except (ScannerDown, NotScanned) as error:
            return self._without(error)
        if verdict.scan is Scan.INFECTED:
            raise Refused("SCAN_INFECTED", found=verdict.found)
        return verdict

    def look(self, spooled: Spooled, *, embeds: bool = True) -> Verdict:
        """Look at a file, and at every file within it.

        Steps:
            1. The engine says what it is, and has shown that it is not blind.
            2. The file as it is.
            3. Each file within it that the engine does not look into by itself.

        Args:
            spooled: the file.
            embeds: False where it is known that none are within it.

        Returns:
            Clean or infected.

        Raises:
            ScannerDown, NotScanned: see there.
        """
        # 1
        engine = self.engine()
        try:
            # 2
            found = self._scanner.scan(file_chunks(spooled.stream))
            faults.point("scan.looked")
            # 3
            if not found and embeds and may_hold_files(spooled):
                for octets in self._contents.files(spooled):
                    if found := self._scanner.scan(octets):
                        break
        except ScannerDown as error:
            self._note_down(error)
            raise
        if found:
            return Verdict(Scan.INFECTED, engine, found=found)
        return Verdict(Scan.CLEAN, engine)

    def engine(self, *, anew: bool = False) -> str:
        """Return what the engine is, asked again every few seconds; new signatures must show that they find something.

        Args:
            anew: ask now.

        Raises:
            ScannerDown: see there.
        """
        with self._guard:
            state, age = self._state, time.monotonic() - self._asked_at
        if state.up and state.engine and age < _FRESH_S and not anew:
            return state.engine
        try:
            engine = self._scanner.version()
            if engine != self._proven:
                self._scanner.prove()
        except NotScanned as error:  # the test file passes a limit: what could not?
            refused = ScannerDown("SCANNER_BLIND", str(error))
            self._note_down(refused)
            raise refused from error
        except ScannerDown as error:
            self._note_down(error)
            raise
        with self._guard:
            back = not self._state.up
            self._state, self._proven = EngineState(up=True, engine=engine), engine
            self._asked_at, self._closed_until = time.monotonic(), float("-inf")
        if back:
            _log.info("antivirus answers again", extra={"engine": engine})
        return engine

    def _demand_open(self) -> None:
        if time.monotonic() < self._closed_until:
            raise ScannerDown(self._state.code or "SCANNER_DOWN", "it did not answer a moment ago")

    def _note_down(self, error: ScannerDown) -> None:
        with self._guard:
            was_up = self._state.up
            self._state = EngineState(False, self._state.engine, error.code, error.detail)
            # It may come back as another one.
            self._proven = ""
            self._closed_until = time.monotonic() + _PAUSE_S
        if was_up:
            _log.error("antivirus does not answer", extra={"code": error.code, "detail": error.detail})

    def _without(self, error: ScannerDown | NotScanned) -> Verdict:
        """Return what is settled for a file that was not judged. Raises the error, or Refused, where it is refused."""
        if isinstance(error, NotScanned):
            if self._when_down == "refuse":
                raise Refused(error.code, error.detail, **error.params) from error
            reason, engine = error.reason, self._state.engine
        else:
            if self._when_down == "refuse":
                raise error
            reason, engine = Reason.DOWN, ""
        scan = Scan.UNSCANNED if self._when_down == "allow" else Scan.PENDING
        return Verdict(scan, engine, reason.value)
