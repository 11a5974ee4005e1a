"""Generations of a log: where one cannot be gone on with, the next begins with its last checkpoint. Pure.

The last part of an origin, where it is a number, is the generation: `…/ledger/2` follows `…/ledger/1`. Each has its
own keys and its own place; the first is published at the ledger's root, generation n at `n/` under it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vault.ledger.checkpoint import Checkpoint, CheckpointReport
from vault.ledger.entry import LogEntry, decode, leaf_hash
from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.files import LogReader
from vault.ledger.note import b64encode
from vault.ledger.tree import HASH_SIZE, TILE_WIDTH, inclusion_proof, verify_inclusion
from vault.ledger.vkeys import VerifierKey

_NUMBERED = re.compile(r"(.*/)([1-9][0-9]?)")
_UNSIGNED = f"\n\u2014 none {b64encode(bytes(HASH_SIZE))}\n"


def generation_of(origin: str) -> int:
    """Return the generation that an origin names, 1 where it names none."""
    match = _NUMBERED.fullmatch(origin)
    return int(match[2]) if match else 1


def predecessor(origin: str) -> str | None:
    """Return the origin of the generation before, None for the first."""
    match = _NUMBERED.fullmatch(origin)
    return f"{match[1]}{int(match[2]) - 1}" if match and int(match[2]) > 1 else None


def prefix_of(origin: str) -> str:
    """Return where a generation is published under the ledger's root: "" or `n/`."""
    number = generation_of(origin)
    return f"{number}/" if number > 1 else ""


def previous_checkpoint(body: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint to which entry 0 of a generation commits, None where it commits to none.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE.
    """
    text = body.get("previous")
    if not isinstance(text, str) or not text:
        return None
    return Checkpoint.parse((text + _UNSIGNED).encode())


def previous_keys(body: Mapping[str, Any]) -> dict[VerifierKey, int | None]:
    """Return the keys of the generations before that entry 0 names.

    Returns:
        With each the largest tree it signed, None where it was not replaced while its log lasted.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE.
    """
    stated = body.get("previous_keys", [])
    found: dict[VerifierKey, int | None] = {}
    for item in stated if isinstance(stated, list) else [None]:
        size = item.get("last_size", 1) if isinstance(item, dict) else None
        if not isinstance(item, dict) or type(size) is not int or size < 1:
            raise malformed("keys of the generations before in another form")
        found[VerifierKey.parse(str(item.get("vkey")))] = item.get("last_size")
    return found


def check_previous(reader: LogReader, newest: CheckpointReport, known: CheckpointReport) -> None:
    """Check that a log goes on from what is known of the generation before.

    Steps:
        1. Its entry 0 is in the tree of its checkpoint, and commits to a checkpoint of that log.
        2. That is not smaller than the known one: else entries that were published were left out.
        3. It is the known one. Of a larger one nothing can be said without the copy that it closes.

    Args:
        reader: the published files of the later generation.
        newest: its checkpoint, accepted.
        known: the last checkpoint known of the generation before, accepted.

    Raises:
        LedgerProofRefused: PREVIOUS_MISSING, PREVIOUS_OUTDATED, PREVIOUS_MISMATCH (failed), PREVIOUS_UNPROVEN
            (indeterminate), and what reading raises.
    """
    # 1
    body = reader.entries(0, min(TILE_WIDTH, newest.size))[0]
    verify_inclusion(leaf_hash(body), 0, newest.size, inclusion_proof(reader, 0, newest.size), newest.root)
    entry = decode(body)
    previous = previous_checkpoint(entry.body) if isinstance(entry, LogEntry) else None
    expected = f"{known.origin} {known.size} {known.root.hex()}"
    if previous is None or previous.origin != known.origin:
        found = previous.origin if previous else "none"
        raise LedgerProofRefused(
            "PREVIOUS_MISSING", "it does not go on from that log", expected=expected, found=found
        )
    shown = f"{previous.origin} {previous.size} {previous.root.hex()}"
    # 2
    if previous.size < known.size:
        raise LedgerProofRefused(
            "PREVIOUS_OUTDATED",
            "it goes on from an older checkpoint than one that was published",
            expected=expected,
            found=shown,
        )
    # 3
    if previous.size > known.size:
        raise LedgerProofRefused(
            "PREVIOUS_UNPROVEN",
            "it goes on from a newer checkpoint than the one given",
            indeterminate=True,
            expected=expected,
            found=shown,
        )
    if previous.root != known.root:
        raise LedgerProofRefused(
            "PREVIOUS_MISMATCH", "it goes on from another history", expected=expected, found=shown
        )
