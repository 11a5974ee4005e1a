"""The keys of a witness of our own: they cosign checkpoints (c2sp.org/tlog-cosignature) and nothing else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from vault.errors import SettingsRefused
from vault.ledger.keys import open_pair
from vault.ledger.note import NoteSignature, is_key_name
from vault.ledger.vkeys import (
    Algorithm,
    Signed,
    VerifierKey,
    ed25519_cosigned_message,
    ml_dsa_44_cosigned_message,
)

ED25519_FILE = "witness-ed25519.pem"
ML_DSA_FILE = "witness-ml-dsa-44.pem"


class WitnessKeys:
    """An Ed25519 (0x04) and an ML-DSA-44 (0x06) key under one name.

    Attributes:
        name: name of both keys, such as `witness.example/w1`.
        ed25519: public key of the 0x04 line.
        ml_dsa_44: public key of the 0x06 line.
    """

    def __init__(self, name: str, ed25519: Ed25519PrivateKey, mldsa44: MLDSA44PrivateKey) -> None:
        if not is_key_name(name) or len(name.encode()) > 255:
            raise SettingsRefused("WITNESS_NAME_INVALID", "a name has neither spaces nor plus signs")
        self.name = name
        self._ed25519 = ed25519
        self._mldsa44 = mldsa44
        self.ed25519 = VerifierKey(
            name, Algorithm.ED25519_COSIGNATURE, ed25519.public_key().public_bytes_raw()
        )
        self.ml_dsa_44 = VerifierKey(name, Algorithm.ML_DSA_44, mldsa44.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> WitnessKeys:
        """Make new keys, held in memory only."""
        return cls(name, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())

    @classmethod
    def open(cls, folder: Path, name: str) -> WitnessKeys:
        """Load the keys of a folder, making them when there are none.

        Raises:
            SettingsRefused: LEDGER_KEYS_MISSING, LEDGER_KEYS_UNREADABLE, LEDGER_KEYS_EXPOSED (readable by
                others), WITNESS_NAME_INVALID.
        """
        return cls(name, *open_pair(folder / ED25519_FILE, folder / ML_DSA_FILE, create=True))

    @property
    def vkeys(self) -> list[str]:
        """Both public keys in text form, Ed25519 first."""
        return [self.ed25519.vkey, self.ml_dsa_44.vkey]

    def cosign(self, signed: Signed, now: datetime) -> list[NoteSignature]:
        """Cosign a checkpoint with both keys.

        Args:
            signed: the checkpoint; the caller has seen that it extends everything cosigned before.
            now: time of the statement that this is the largest tree seen, written in seconds.
        """
        time = int(now.timestamp())
        stamp = time.to_bytes(8, "big")
        classic = self._ed25519.sign(ed25519_cosigned_message(signed.text, time))
        message = ml_dsa_44_cosigned_message(self.name, time, signed.origin, 0, signed.size, signed.root)
        return [
            NoteSignature(self.name, self.ed25519.id, stamp + classic),
            NoteSignature(self.name, self.ml_dsa_44.id, stamp + self._mldsa44.sign(message)),
        ]
