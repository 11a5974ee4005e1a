"""Verifier keys of notes: their text form, and what each algorithm signs.

0x01 Ed25519 over the text (c2sp.org/signed-note); 0x04 Ed25519 and 0x06 ML-DSA-44 cosignatures with a time
(c2sp.org/tlog-cosignature). A log signs with 0x01 and 0x06, a witness with 0x04 or 0x06.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.note import b64decode, b64encode, is_key_name

MAX_TIME = 2**63 - 1


class Algorithm(IntEnum):
    """Signature types of c2sp.org/signed-note that are understood here."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44 = 0x06


_PUBLIC_SIZE = {Algorithm.ED25519: 32, Algorithm.ED25519_COSIGNATURE: 32, Algorithm.ML_DSA_44: 1312}
_SIGNATURE_SIZE = {Algorithm.ED25519: 64, Algorithm.ED25519_COSIGNATURE: 72, Algorithm.ML_DSA_44: 2428}
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


def key_id(name: str, algorithm: Algorithm, public: bytes) -> bytes:
    """Return the four octets that identify a key beside its name."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]


def ed25519_cosigned_message(text: bytes, time: int) -> bytes:
    """Return what a 0x04 cosignature signs: a header, the time and the whole note text."""
    return b"cosignature/v1\ntime %d\n" % time + text


def ml_dsa_44_cosigned_message(
    name: str, time: int, origin: str, start: int, end: int, digest: bytes
) -> bytes:
    """Return what a 0x06 cosignature signs: `cosigned_message` of c2sp.org/tlog-cosignature.

    Args:
        name: name of the cosigner's key.
        time: POSIX seconds; 0 makes no statement about time.
        origin: origin of the log.
        start: first leaf of the subtree, 0 for a checkpoint.
        end: leaf after the last one; the tree size for a checkpoint.
        digest: hash of the subtree, 32 octets.
    """
    cosigner, log = name.encode(), origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            len(cosigner).to_bytes(1, "big"),
            cosigner,
            time.to_bytes(8, "big"),
            len(log).to_bytes(1, "big"),
            log,
            start.to_bytes(8, "big"),
            end.to_bytes(8, "big"),
            digest,
        )
    )


@dataclass(frozen=True, slots=True)
class Signed:
    """What the signature lines of a checkpoint cover.

    Attributes:
        text: the note text.
        origin: its first line.
        size: tree size.
        root: root hash, 32 octets.
    """

    text: bytes
    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and algorithm.

    Attributes:
        name: key name; for a log, its origin.
        algorithm: what it signs with.
        public: raw public key.
    """

    name: str
    algorithm: Algorithm
    public: bytes

    @property
    def id(self) -> bytes:
        """The four octets that with the name identify the key."""
        return key_id(self.name, self.algorithm, self.public)

    @property
    def vkey(self) -> str:
        """The text form `name+hex(key id)+base64(algorithm ‖ public key)`."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.algorithm]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE for another form, a wrong key id, or an unknown algorithm.
        """
        match = _VKEY.fullmatch(text)
        if match is None or not is_key_name(match[1]):
            raise malformed("not a vkey", found=text[:80])
        octets = b64decode(match[3])
        try:
            algorithm = Algorithm(octets[0])
        except ValueError as error:
            raise malformed("unknown algorithm of a vkey", found=text[:80]) from error
        key = cls(match[1], algorithm, octets[1:])
        if len(key.public) != _PUBLIC_SIZE[algorithm] or len(key.name.encode()) > 255:
            raise malformed("a vkey has another size", found=text[:80])
        if key.id.hex() != match[2]:
            raise malformed("the key id of a vkey is another", expected=key.id.hex(), found=match[2])
        return key

    def verify(self, signature: bytes, signed: Signed) -> int | None:
        """Check a signature line of this key.

        Args:
            signature: octets after the key id.
            signed: the checkpoint.

        Returns:
            The time it states in POSIX seconds (0: none), or None for an algorithm without time.

        Raises:
            LedgerProofRefused: SIGNATURE_INVALID.
        """
        wrong = LedgerProofRefused("SIGNATURE_INVALID", key=self.name, algorithm=self.algorithm.name)
        if len(signature) != _SIGNATURE_SIZE[self.algorithm]:
            raise wrong
        time: int | None = None
        value = signature
        if self.algorithm is not Algorithm.ED25519:
            time, value = int.from_bytes(signature[:8], "big"), signature[8:]
            if time > MAX_TIME:
                raise wrong
        try:
            match self.algorithm:
                case Algorithm.ED25519:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(value, signed.text)
                case Algorithm.ED25519_COSIGNATURE:
                    message = ed25519_cosigned_message(signed.text, time or 0)
                    Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
                case Algorithm.ML_DSA_44:
                    message = ml_dsa_44_cosigned_message(
                        self.name, time or 0, signed.origin, 0, signed.size, signed.root
                    )
                    MLDSA44PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError, OverflowError) as error:
            raise wrong from error
        return time
