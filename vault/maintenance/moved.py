"""Where a safe went, and who is in it: what keeps two services from growing one ledger in two places.

Every process that opens a safe holds its lock together with the others until it ends. Whoever moves the safe holds it
alone, and leaves a note in the data folder before it does anything: from then on no process opens that folder, whether
the move was finished or not. The kernel frees the lock of a process that dies; the note stays.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from plumbing.disk import make_folder, replace_durably, sync_folder
from plumbing.locks import if_free, lock_file
from vault.errors import SettingsRefused

NOTE = "moved.json"
_LOCK = "in-use.lock"
_VERSION = 1


class Stage(StrEnum):
    """How far a move is.

    While it is `BEGUN` the safe lives where it was, and the move can be taken back. From `COMMITTING` on only the
    database of the new place says whether it lives there.
    """

    BEGUN = "begun"
    COMMITTING = "committing"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Note:
    """What stands in the folder of a safe that is moved or was.

    Attributes:
        to: the new place in words, without secrets.
        origin: of the ledger.
        begun_at: RFC 3339.
        stage: how far it is.
    """

    to: str
    origin: str
    begun_at: str
    stage: Stage


@contextmanager
def using(data: Path) -> Iterator[None]:
    """Be in a safe, beside others, while the block runs.

    Args:
        data: its folder, which exists.

    Raises:
        SettingsRefused: SAFE_MOVED, with `to`; SAFE_IN_USE while somebody moves it.
    """
    with _locked(data, fcntl.LOCK_SH) as held:
        # Behind the lock: a move that begins now waits for none, and finds this process in the safe.
        note = read_note(data)
        if note is not None:
            how = "" if note.stage is Stage.DONE else "; the move is not finished: see `probans migrate`"
            raise SettingsRefused("SAFE_MOVED", f"since {note.begun_at}{how}", to=note.to)
        if not held:
            raise SettingsRefused("SAFE_IN_USE", "it is about to be moved")
        yield


@contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Be in a safe alone while the block runs. Raises SettingsRefused(SAFE_IN_USE) when somebody else is."""
    with _locked(data, fcntl.LOCK_EX) as held:
        if not held:
            raise SettingsRefused(
                "SAFE_IN_USE", "stop the service, and every command that works on this folder"
            )
        yield


def read_note(data: Path) -> Note | None:
    """Return the note, None where there is none. Raises SettingsRefused(SAFE_MOVED) for one that cannot be read."""
    path = data / NOTE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsRefused("SAFE_MOVED", f"{NOTE} cannot be read: {error.strerror}", to="?") from error
    try:
        found = json.loads(text)
        # Of a later version nobody knows what its stages say.
        stage = {_VERSION: Stage}[found["v"]](found["stage"])
        return Note(str(found["to"]), str(found["origin"]), str(found["begun_at"]), stage)
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsRefused("SAFE_MOVED", f"{NOTE} cannot be read", to="?") from error


def write_note(data: Path, note: Note) -> None:
    """Write or replace the note, durably. Raises OSError."""
    text = json.dumps({"v": _VERSION, **asdict(note)}, ensure_ascii=False, indent=1)
    replace_durably(data / NOTE, text.encode("utf-8"), alone=True)


def remove_note(data: Path) -> None:
    """Remove the note, durably: the safe lives here again. Raises OSError."""
    (data / NOTE).unlink(missing_ok=True)
    sync_folder(data)


def _locked(data: Path, how: int) -> AbstractContextManager[bool]:
    make_folder(data / "run")
    return if_free(lock_file(data / "run" / _LOCK), how)
