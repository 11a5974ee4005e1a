"""What a log and a witness say to each other: add-checkpoint of c2sp.org/tlog-witness, and nothing about keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vault.ledger.checkpoint import Checkpoint
from vault.ledger.errors import malformed
from vault.ledger.note import MAX_NOTE, Note, NoteSignature, b64decode, b64encode
from vault.ledger.tree import HASH_SIZE, MAX_PROOF

PATH = "/add-checkpoint"
MAX_REQUEST = MAX_NOTE + 8192
TAKEN_BY_ALL = 10_240  # octets of a request: litewitness takes no more
MAX_ANSWER = 256 * 1024
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
_OLD = re.compile(rb"old (0|[1-9][0-9]{0,18})")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign.

    Attributes:
        old: size of the checkpoint the witness cosigned last, as the log believes.
        proof: consistency proof from `old` to the checkpoint's size, hashes of 32 octets.
        note: the checkpoint, octet for octet.
    """

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """Write the body of the request."""
        lines = [b"old %d" % self.old, *(b64encode(node).encode() for node in self.proof)]
        return b"\n".join([*lines, b"", self.note])

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read the body of a request; the checkpoint in it is not looked at.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE with what is wrong.
        """
        if len(data) > MAX_REQUEST:
            raise malformed("request too long", expected=MAX_REQUEST, found=len(data))
        head, separator, note = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        match = _OLD.fullmatch(first)
        if not separator or match is None or int(match[1]) >= 2**63:
            raise malformed("a request is an old size, a proof, an empty line and a checkpoint")
        if len(lines) > MAX_PROOF:
            raise malformed("a proof is at most 63 hashes", expected=MAX_PROOF, found=len(lines))
        try:
            proof = tuple(b64decode(line.decode("ascii")) for line in lines)
        except UnicodeDecodeError as error:
            raise malformed("a proof is ASCII text") from error
        if any(len(node) != HASH_SIZE for node in proof):
            raise malformed("a hash has 32 octets")
        return cls(int(match[1]), proof, note)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers.

    Attributes:
        status: HTTP status: 200, 400, 403, 404, 409 or 422.
        media_type: content type.
        body: octets.
    """

    status: int
    media_type: str
    body: bytes


BAD_REQUEST = Answer(400, TEXT_TYPE, b"invalid input\n")
BAD_SIGNATURE = Answer(403, TEXT_TYPE, b"invalid signature\n")
UNKNOWN_LOG = Answer(404, TEXT_TYPE, b"unknown log\n")
BAD_PROOF = Answer(422, TEXT_TYPE, b"bad consistency proof\n")


def cosigned(signatures: Sequence[NoteSignature]) -> Answer:
    """Answer with cosignatures."""
    return Answer(200, TEXT_TYPE, b"".join(signature.line() for signature in signatures))


def conflict(size: int) -> Answer:
    """Answer that the last checkpoint cosigned has another size than the request says."""
    return Answer(409, SIZE_TYPE, b"%d\n" % size)


def read_conflict(answer: Answer) -> int:
    """Return the size that a 409 answer states.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE.
    """
    match = _SIZE.fullmatch(answer.body)
    if answer.media_type.partition(";")[0].strip().lower() != SIZE_TYPE or match is None:
        raise malformed("a conflict states a size", found=answer.body[:40].decode("ascii", "replace"))
    size = int(match[1])
    if size >= 2**63:
        raise malformed("a size is below 2^63", found=size)
    return size


def read_cosignatures(answer: Answer, checkpoint: Checkpoint) -> tuple[NoteSignature, ...]:
    """Return the signature lines of a 200 answer; they are not verified.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE.
    """
    # Read as the note they complete: another text would mean that the answer smuggles one in.
    note = Note.parse(checkpoint.note.text + b"\n" + answer.body)
    if note.text != checkpoint.note.text:
        raise malformed("an answer is signature lines and nothing else")
    return note.signatures
