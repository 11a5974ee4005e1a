"""What looks at files for malware: the port. Engines stand behind it (`vault.scanning.clamav`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from vault.domain.states import Scan
from vault.errors import Unavailable, VaultError


class Reason(StrEnum):
    """Why there is no verdict; shown to people beside `pending`."""

    DOWN = "engine-down"
    LARGE = "too-large"
    COMPLEX = "too-complex"
    DAMAGED = "unreadable"


class ScannerDown(Unavailable):
    """The engine does not answer, not in time, or not as it must: nothing is known of the file."""


class NotScanned(VaultError):
    """The engine works, and cannot judge this file.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__("SCAN_IMPOSSIBLE", detail, reason=reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a file.

    Attributes:
        scan: clean or infected; pending or unscanned where the engine did not judge.
        engine: the engine and its signatures, asked before the file was sent; "" where it did not answer.
        reason: why there is no verdict, else "".
        found: what the engine calls what it found, else "".
    """

    scan: Scan
    engine: str = ""
    reason: str = ""
    found: str = ""


# Where no antivirus is named.
NOT_LOOKED = Verdict(Scan.UNSCANNED)


class Scanner(Protocol):
    """An engine. Many threads use it at once; no call outlasts its time limits, however the engine behaves."""

    def version(self) -> str:
        """Return the engine's name and what identifies its signatures: it changes when they do.

        Raises:
            ScannerDown: see there.
        """
        ...

    def scan(self, chunks: Iterable[bytes]) -> str:
        """Look at octets, of any number, in flat memory.

        Returns:
            What was found, in the engine's words, at most 120 printable characters; "" for nothing.

        Raises:
            ScannerDown: see there; the octets may have been read in part.
            NotScanned: the octets pass a limit of the engine.
        """
        ...

    def prove(self) -> None:
        """Have the engine show that it finds what every engine knows, and that it tells where its limits stop it.

        An engine without signatures calls everything clean, and so does one that passes over what is too deep.

        Raises:
            ScannerDown: SCANNER_BLIND, or as `scan`.
        """
        ...
