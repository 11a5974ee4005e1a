"""Asks a witness to cosign our checkpoints (c2sp.org/tlog-witness), and believes nothing it has not verified.

A witness is outside the service: whatever it answers ends in verified cosignatures, in `WitnessUnavailable`
with a reason, or, when it holds another history of this log, in `WitnessFork` with both heads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3

from plumbing.kept import cut_after, timed_session
from vault.errors import LedgerError, SettingsRefused, Unavailable
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.note import NoteSignature, encode
from vault.ledger.tree import HASH_SIZE, MAX_PROOF
from vault.ledger.vkeys import Algorithm, VerifierKey
from vault.ledger.witness_protocol import (
    MAX_ANSWER,
    PATH,
    TAKEN_BY_ALL,
    AddCheckpoint,
    Answer,
    read_conflict,
    read_cosignatures,
)

_LATE = "it does not answer in time"
_TRIES = 4
_SHORT = 64  # octets: an Ed25519 signature
_MEANINGS = {
    400: "it cannot read the request",
    403: "it does not accept the log's signatures",
    404: "it does not know this log",
}


class WitnessUnavailable(Unavailable):
    """A witness gave no cosignature; the reason is the detail. It may be asked again."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__("WITNESS_UNAVAILABLE", f"{url}: {reason}", witness=url, reason=reason)


class WitnessFork(LedgerError):
    """A witness holds another history of this log than we do, or a longer one: needs an operator.

    Attributes:
        url: the witness.
        ours: size and root of our checkpoint.
        theirs: size the witness cosigned last.
        not_root: root that our log has at that size and the witness contradicts; None when our log has no
            such size.
    """

    def __init__(self, url: str, ours: tuple[int, bytes], theirs: int, not_root: bytes | None) -> None:
        self.url = url
        self.ours = ours
        self.theirs = theirs
        self.not_root = not_root
        size, root = ours
        if not_root is None:
            code = "WITNESS_AHEAD"
            head = f"size {theirs}, which this log has not; was it set back? run `probans recover`"
        else:
            code = "WITNESS_FORK"
            head = (
                f"size {theirs}, root other than {not_root.hex()}; was another copy restored? put the right one"
                " back; if the other witnesses hold this history, take that one out of the policy"
            )
        super().__init__(
            code,
            f"our head: size {size}, root {root.hex()}; head of {url}: {head}",
            witness=url,
            expected=f"size {size}, root {root.hex()}",
            found=head,
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """How our checkpoint extends an older tree of ours.

    Attributes:
        root: root of the older tree.
        proof: consistency proof, hashes of 32 octets.
    """

    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified cosignature.

    Attributes:
        key: the witness' key.
        line: its signature line.
        time: POSIX seconds it states.
    """

    key: VerifierKey
    line: NoteSignature
    time: int


class WitnessClient:
    """One witness, known by its submission prefix and its keys. Safe for threads."""

    def __init__(self, url: str, vkeys: Sequence[VerifierKey], timeout: float = 10.0) -> None:
        """Make a client.

        Args:
            url: submission prefix, http or https; `/add-checkpoint` is put after it.
            vkeys: the witness' keys, 0x04 or 0x06; lines of other keys are ignored.
            timeout: seconds for an answer, from connecting to its last octet.

        Raises:
            SettingsRefused: WITNESS_SETTINGS_INVALID.
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable or not vkeys:
            raise SettingsRefused("WITNESS_SETTINGS_INVALID", f"{url}: an http address with keys is wanted")
        if any(key.algorithm is Algorithm.ED25519 for key in vkeys):
            raise SettingsRefused("WITNESS_SETTINGS_INVALID", f"{url}: 0x01 is a log's key")
        self.url = url
        self.vkeys = tuple(vkeys)
        self._address = url.rstrip("/") + PATH
        self._timeout = timeout
        self._session = timed_session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def submit(self, note: bytes, known: int, extend: Callable[[int], Extension]) -> tuple[Cosignature, ...]:
        """Have a checkpoint cosigned.

        Steps:
            1. Send as many of the log's own lines as every witness takes, with a proof from the size it saw last,
               as far as known.
            2. 409 with another size: send again with the proof from that size; a size beyond ours is an alarm.
            3. 409 with the size sent, where it is ours, or 422: it holds another root there, an alarm.
            4. 200: every line of the witness' keys is verified; one valid line at least.

        Args:
            note: our checkpoint, lines of the newest keys first; other lines than the log's own are not sent.
            known: size the witness is believed to have cosigned last; 0 when nothing is known.
            extend: gives root and proof from an older size of ours, at most the checkpoint's.

        Raises:
            WitnessUnavailable: no cosignature, with the reason.
            WitnessFork: WITNESS_FORK, WITNESS_AHEAD.
        """
        checkpoint = Checkpoint.parse(note)
        sent = encode(checkpoint.note.text, _lines_to_send(checkpoint))
        ours = (checkpoint.size, checkpoint.root)
        old = min(known, checkpoint.size)
        for _ in range(_TRIES):
            # 1
            extension = self._extension(extend, old, checkpoint)
            answer = self._ask(AddCheckpoint(old, extension.proof, sent).encode())
            if answer.status == 200:
                # 4
                return self._verified(answer, checkpoint)
            if answer.status == 422:
                # 3
                raise WitnessFork(self.url, ours, old, extension.root)
            if answer.status != 409:
                raise self._unavailable(_MEANINGS.get(answer.status, f"it answers {answer.status}"))
            theirs = self._conflict(answer)
            if theirs == old == checkpoint.size:
                # 3
                raise WitnessFork(self.url, ours, theirs, checkpoint.root)
            if theirs > checkpoint.size:
                # 2
                raise WitnessFork(self.url, ours, theirs, None)
            if theirs == old:
                raise self._unavailable("it contradicts itself: a conflict with the size it states")
            old = theirs
        raise self._unavailable("its size changes with every answer")

    def _extension(self, extend: Callable[[int], Extension], old: int, checkpoint: Checkpoint) -> Extension:
        """Return a proof that we have verified ourselves: a witness that refuses it has another root."""
        extension = extend(old)
        tree.verify_consistency(old, checkpoint.size, extension.proof, extension.root, checkpoint.root)
        return extension

    def _conflict(self, answer: Answer) -> int:
        try:
            return read_conflict(answer)
        except LedgerProofRefused as error:
            raise self._unavailable(f"its conflict cannot be read: {error.detail}") from error

    def _verified(self, answer: Answer, checkpoint: Checkpoint) -> tuple[Cosignature, ...]:
        """Return the cosignatures by this witness' keys; a line of such a key that does not verify spoils all."""
        try:
            lines = read_cosignatures(answer, checkpoint)
        except LedgerProofRefused as error:
            raise self._unavailable(f"its answer cannot be read: {error.detail}") from error
        found: dict[VerifierKey, Cosignature] = {}
        for line in lines:
            for key in self.vkeys:
                if (line.name, line.key_id) != (key.name, key.id):
                    continue
                try:
                    stated = key.verify(line.signature, checkpoint.signed)
                except LedgerProofRefused as error:
                    raise self._unavailable("its cosignature does not verify") from error
                if not stated:
                    raise self._unavailable("its cosignature states no time")
                found[key] = Cosignature(key, line, stated)
        if not found:
            raise self._unavailable("no cosignature is of the keys that the policy lists")
        return tuple(found.values())

    def _ask(self, body: bytes) -> Answer:
        end = time.monotonic() + self._timeout
        try:
            with (
                cut_after(self._timeout),
                self._session.post(
                    self._address,
                    data=body,
                    headers={"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"},
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                body = b""
                while chunk := response.raw.read1(MAX_ANSWER + 1 - len(body), decode_content=False):
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise self._unavailable("its answer has no end")
                # One that was cut looks like one that ended.
                if time.monotonic() > end:
                    raise self._unavailable(_LATE)
                return Answer(response.status_code, response.headers.get("Content-Type", ""), body)
        except requests.Timeout as error:
            raise self._unavailable(_LATE) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            late = time.monotonic() > end
            reason = _LATE if late else f"it cannot be reached: {type(error).__name__}"
            raise self._unavailable(reason) from error

    def _unavailable(self, reason: str) -> WitnessUnavailable:
        return WitnessUnavailable(self.url, reason)


def _lines_to_send(checkpoint: Checkpoint) -> list[NoteSignature]:
    """Return what a witness needs to judge the log: its own lines, the short ones served first where room is short.

    So every witness that knows one Ed25519 key of the log finds it, and lines of the newest post-quantum keys come
    along as far as `TAKEN_BY_ALL` allows beside the longest proof.
    """
    own = [line for line in checkpoint.note.signatures if line.name == checkpoint.origin]
    longest = AddCheckpoint(
        checkpoint.size, (bytes(HASH_SIZE),) * MAX_PROOF, encode(checkpoint.note.text, [])
    )
    room = TAKEN_BY_ALL - len(longest.encode())
    chosen = set()
    for line in sorted(own, key=lambda line: len(line.signature) > _SHORT):
        if len(line.line()) <= room:
            chosen.add(line)
            room -= len(line.line())
    return [line for line in own if line in chosen]
