"""The notice beside a log that has ended: where it ended, and what follows. Pure.

It is signed by the log's Ed25519 key alone, since the other signs checkpoints only, and is for people: what binds the
next generation is its own entry 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from vault.ledger.checkpoint import Checkpoint
from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.files import LogReader
from vault.ledger.note import MAX_NOTE, Note
from vault.ledger.policy import Policy
from vault.ledger.vkeys import Algorithm, Signed

PATH = "retired"
_HEADER = "probans/retired/v1"
_LINES = 8


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notice says.

    Attributes:
        origin, size, root: last checkpoint of the log that ended.
        successor: origin of the next generation.
        prefix: where that is published, under the root of the first.
        vkeys: its keys; nobody is to trust them because they stand here.
    """

    origin: str
    size: int
    root: bytes
    successor: str
    prefix: str
    vkeys: tuple[str, ...]


def notice_text(last: Checkpoint, successor: str, prefix: str, vkeys: tuple[str, ...]) -> bytes:
    """Write the text of a notice: header, checkpoint text, successor, its place, its two keys, one a line."""
    lines = [_HEADER, *last.note.text.decode().splitlines(), successor, prefix, *vkeys]
    return "".join(f"{line}\n" for line in lines).encode()


def read_notice(reader: LogReader, policy: Policy, origin: str) -> Notice | None:
    """Return the notice of a log, None where there is none that a trusted key of it signed.

    Anybody who serves the log could put another one there, so one that does not verify says nothing.

    Args:
        reader: the published files.
        policy: keys that are trusted.
        origin: of the log.
    """
    data = reader.files.read(PATH, MAX_NOTE)
    if data is None:
        return None
    try:
        note = Note.parse(data)
        lines = note.text.decode().split("\n")[:-1]
        if len(lines) != _LINES or lines[0] != _HEADER:
            raise malformed("not a notice")
        last = Checkpoint.parse(
            "\n".join([*lines[1:4], "", *data.decode().split("\n")[_LINES + 1 :]]).encode()
        )
        if last.origin != origin:
            raise malformed("a notice of another log")
        signed = Signed(note.text, last.origin, last.size, last.root)
        for key in policy.log_keys(origin):
            for line in note.signatures:
                if key.algorithm is Algorithm.ED25519 and (line.name, line.key_id) == (key.name, key.id):
                    key.verify(line.signature, signed)
                    return Notice(origin, last.size, last.root, lines[4], lines[5], tuple(lines[6:]))
    except (LedgerProofRefused, UnicodeDecodeError):
        return None
    return None
