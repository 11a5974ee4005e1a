"""Anchors: outside dates of checkpoints. Pure: auditors run it alone, on the two files of an anchor.

An anchor is the text of a checkpoint with the log's own signatures, behind the SHA-256 of the token of the anchor
before; an RFC 3161 token over it dates all the entries that the checkpoint covers, and all the anchors before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from timestamping.base import TimestampVerifier, TokenReport
from vault.ledger.anchor_paths import FOLDER
from vault.ledger.checkpoint import Checkpoint, CheckpointReport, verify_checkpoint
from vault.ledger.errors import malformed
from vault.ledger.note import encode
from vault.ledger.policy import Policy

HEADER = b"probans/anchor/v1\n"
FIRST = bytes(32)
MAX_ANCHOR = 65_535
_PEM = re.compile(rb"-----BEGIN X509 CRL-----\n.*?-----END X509 CRL-----\n", re.DOTALL)
_TEXT_LINES = 3  # origin, size, root
_LINKS = re.compile(
    rb"previous ([0-9a-f]{64})\n"
    rb"(?:previous-month ([0-9a-f]{64})\n)?"
    rb"(?:previous-year ([0-9a-f]{64})\n)?"
)


@dataclass(frozen=True, slots=True)
class Links:
    """What an anchor says of those before it: SHA-256 digests of their tokens.

    Attributes:
        previous: of the token before; 32 zeros in the first anchor of a log.
        month: in the first anchor of a month (UTC), of the first token of the last month that had one; else None.
        year: in the first anchor of a year (UTC), of the first token of the last year that had one; else None.
    """

    previous: bytes = FIRST
    month: bytes | None = None
    year: bytes | None = None

    def encode(self) -> bytes:
        """Write the lines."""
        lines = b"previous %s\n" % self.previous.hex().encode()
        if self.month is not None:
            lines += b"previous-month %s\n" % self.month.hex().encode()
        if self.year is not None:
            lines += b"previous-year %s\n" % self.year.hex().encode()
        return lines


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor taken apart; nothing is verified.

    Attributes:
        links: digests of the tokens before.
        checkpoint: the checkpoint, with the log's own signatures only.
    """

    links: Links
    checkpoint: Checkpoint

    @classmethod
    def of(cls, note: bytes, links: Links) -> Anchor:
        """Make the anchor of a published checkpoint; the witnesses' lines, which may still grow, are left out.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE when the note is no checkpoint signed by its log.
        """
        whole = Checkpoint.parse(note)
        own = [line for line in whole.note.signatures if line.name == whole.origin]
        made = cls(links, Checkpoint.parse(encode(whole.note.text, own)))
        return cls.parse(made.encode())

    @classmethod
    def parse(cls, data: bytes) -> Anchor:
        """Read an anchor, strictly: only octets that `encode` could have written.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE with what is wrong.
        """
        if len(data) > MAX_ANCHOR:
            raise malformed("anchor too long", expected=MAX_ANCHOR, found=len(data))
        links = _LINKS.match(data, len(HEADER)) if data.startswith(HEADER) else None
        if links is None:
            raise malformed("not an anchor", expected=HEADER.decode().strip())
        rest = data[links.end() :].split(b"\n")
        text, signatures = rest[:_TEXT_LINES], rest[_TEXT_LINES:]
        checkpoint = Checkpoint.parse(b"\n".join([*text, b"", *signatures]))
        if checkpoint.extensions or checkpoint.note.text.count(b"\n") != _TEXT_LINES:
            raise malformed("the checkpoint of an anchor has three lines")
        if any(line.name != checkpoint.origin for line in checkpoint.note.signatures):
            raise malformed("an anchor holds the signatures of its log alone")
        previous, month, year = (bytes.fromhex(item.decode()) if item else None for item in links.groups())
        anchor = cls(Links(previous or FIRST, month, year), checkpoint)
        if anchor.encode() != data:
            raise malformed("an anchor has one form")
        return anchor

    def encode(self) -> bytes:
        """Write the anchor."""
        note = self.checkpoint.note
        return HEADER + self.links.encode() + note.text + b"".join(line.line() for line in note.signatures)

    @property
    def note(self) -> bytes:
        """The checkpoint as a note, with the log's own signatures."""
        return self.checkpoint.note.encode()

    @property
    def imprint(self) -> bytes:
        """What its token covers: SHA-256 of the anchor."""
        return hashlib.sha256(self.encode()).digest()


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """An anchor accepted by a policy, with its date.

    Attributes:
        origin, size, root: of the checkpoint.
        gen_time: the authority's time: the checkpoint existed by then.
        links: digests of the tokens before.
        token: what else the token says.
    """

    origin: str
    size: int
    root: bytes
    gen_time: datetime
    links: Links
    token: TokenReport


def verify_log_signatures(anchor: Anchor, policy: Policy) -> CheckpointReport:
    """Verify that the log signed the checkpoint of an anchor; witnesses are asked for in receipts, not here.

    Raises:
        LedgerProofRefused: see `verify_checkpoint`.
    """
    return verify_checkpoint(anchor.note, policy.of_logs())


def verify_anchor(
    anchor: bytes,
    token: bytes,
    policy: Policy,
    timestamps: TimestampVerifier,
    *,
    others: Sequence[x509.Certificate] = (),
    crls: Sequence[bytes] = (),
) -> AnchorReport:
    """Verify an anchor.

    Steps:
        1. The anchor has the documented form.
        2. Every key that the policy lists for the log has signed the checkpoint.
        3. The token covers the SHA-256 of the anchor, and its authority is trusted at its own time.

    Args:
        anchor: octets of the anchor.
        token: DER TimeStampToken.
        policy: keys of the log; the only ones that are trusted.
        timestamps: verifies tokens, from anchors of its own.
        others: further certificates from which the authority's path may be built.
        crls: DER revocation lists of the authority.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE (1), the codes of `verify_checkpoint` (2).
        timestamping.errors.TimestampingError: the codes of the verifier (3).
    """
    # 1
    parsed = Anchor.parse(anchor)
    # 2
    checkpoint = verify_log_signatures(parsed, policy)
    # 3
    stamp = timestamps.verify(token, parsed.imprint, others=others, crls=crls)
    return AnchorReport(
        checkpoint.origin, checkpoint.size, checkpoint.root, stamp.gen_time, parsed.links, stamp
    )


def token_digest(token: bytes) -> bytes:
    """Return what the next anchor names this one's token by."""
    return hashlib.sha256(token).digest()


def crls_path(token: bytes) -> str:
    """Return where the revocation lists for an anchor's token lie."""
    return f"{FOLDER}{token_digest(token).hex()}.crls"


def parse_crls(pem: bytes) -> tuple[bytes, ...]:
    """Return the revocation lists of such a file, DER. Raises ValueError when one cannot be read."""
    found = _PEM.findall(pem)
    return tuple(x509.load_pem_x509_crl(item).public_bytes(Encoding.DER) for item in found)
