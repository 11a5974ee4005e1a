"""Receipts (c2sp.org/tlog-proof): an entry's place in the tree of a signed checkpoint, provable offline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vault.errors import LedgerError
from vault.ledger.checkpoint import CheckpointReport, verify_checkpoint
from vault.ledger.entry import decode, leaf_hash
from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.note import MAX_NOTE, b64decode, b64encode
from vault.ledger.policy import Policy
from vault.ledger.tree import HASH_SIZE, MAX_PROOF, verify_inclusion

HEADER = b"c2sp.org/tlog-proof@v1"
MAX_RECEIPT = MAX_NOTE + 256 * 1024
_INDEX = re.compile(rb"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt taken apart; nothing is verified.

    Attributes:
        index: number of the entry in the log.
        proof: audit path from the leaf's sibling up, 32 octets each.
        note: the checkpoint note, octet for octet.
        extra: opaque data that nothing protects, or None.
    """

    index: int
    proof: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReceiptReport:
    """A receipt accepted by a policy.

    Attributes:
        index: number of the entry.
        leaf: its leaf hash.
        checkpoint: what the checkpoint states and who signed it.
    """

    index: int
    leaf: bytes
    checkpoint: CheckpointReport


def format_receipt(index: int, proof: Sequence[bytes], note: bytes, extra: bytes | None = None) -> bytes:
    """Write a receipt."""
    lines = [HEADER]
    if extra is not None:
        lines.append(b"extra " + b64encode(extra).encode())
    lines.append(b"index %d" % index)
    lines += [b64encode(node).encode() for node in proof]
    return b"\n".join([*lines, b"", note])


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE with what is wrong.
    """
    if len(data) > MAX_RECEIPT:
        raise malformed("receipt too long", expected=MAX_RECEIPT, found=len(data))
    head, separator, note = data.partition(b"\n\n")
    if not separator:
        raise malformed("a receipt is a proof, an empty line and a checkpoint")
    header, *lines = head.split(b"\n")
    if header != HEADER or not lines:
        raise malformed("not a receipt", expected=HEADER.decode())
    extra = None
    if lines[0].startswith(b"extra "):
        extra = b64decode(_ascii(lines.pop(0)[6:]))
    match = _INDEX.fullmatch(lines[0]) if lines else None
    if match is None or int(match[1]) >= 2**63:
        raise malformed("a receipt names its index in one way")
    proof = tuple(b64decode(_ascii(line)) for line in lines[1:])
    if len(proof) > MAX_PROOF or any(len(node) != HASH_SIZE for node in proof):
        raise malformed("a proof is at most 63 hashes of 32 octets")
    return Receipt(int(match[1]), proof, note, extra)


def _ascii(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError as error:
        raise malformed("a proof is ASCII text") from error


def verify_receipt(receipt: bytes, leaf: bytes, policy: Policy, *, entry: bool = True) -> ReceiptReport:
    """Verify that an entry stands in the log at the index its receipt names.

    Steps:
        1. The receipt has the documented form.
        2. The leaf is a ledger entry and its seq is the index.
        3. The policy accepts the checkpoint.
        4. The audit path leads from the leaf at that index to the checkpoint's root.

    Args:
        receipt: octets of the receipt.
        leaf: octets of the entry.
        policy: the only keys that are trusted.
        entry: False for a log whose leaves are not entries of this service; step 2 is left out.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE, INDEX_MISMATCH, INCLUSION_PROOF_INVALID, and those of
            `verify_checkpoint`.
    """
    # 1
    parsed = parse_receipt(receipt)
    # 2
    if entry:
        try:
            seq = decode(leaf).seq
        except LedgerError as error:
            raise malformed(f"the leaf is not a ledger entry: {error.detail}") from error
        if seq != parsed.index:
            raise LedgerProofRefused(
                "INDEX_MISMATCH",
                "the entry stands at another index than its own number",
                expected=seq,
                found=parsed.index,
            )
    # 3
    checkpoint = verify_checkpoint(parsed.note, policy)
    # 4
    hashed = leaf_hash(leaf)
    verify_inclusion(hashed, parsed.index, checkpoint.size, parsed.proof, checkpoint.root)
    return ReceiptReport(parsed.index, hashed, checkpoint)
