"""The log's own signing keys: made once, used for checkpoints and nothing else.

They lie in two files; the first may say that its key lies in a token (`vault.ledger.token_key`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from plumbing.disk import make_folder, replace_durably
from plumbing.locks import in_turn
from vault.errors import LedgerError, SettingsRefused
from vault.ledger.checkpoint import checkpoint_text
from vault.ledger.note import NoteSignature, encode, is_key_name
from vault.ledger.token_key import Ed25519Key, is_token_key, read_token_key
from vault.ledger.vkeys import Algorithm, VerifierKey, ml_dsa_44_cosigned_message

Maker = Callable[[], bytes]
ED25519_FILE = "ledger-ed25519.pem"
ML_DSA_FILE = "ledger-ml-dsa-44.pem"


class KeySource(Protocol):
    """Where the signing keys of a log are had from, whichever its entries name."""

    @property
    def origin(self) -> str:
        """Identity of the log."""
        ...

    def find(self, stated: Sequence[VerifierKey]) -> LedgerKeys:
        """Return the pair that an entry states. Raises LedgerError(LEDGER_KEYS_MISMATCH) when it is not held."""
        ...

    def held(self) -> tuple[VerifierKey, ...]:
        """Return the public keys of every pair that is held; their order says nothing of their age."""
        ...


class LedgerKeys:
    """The Ed25519 and ML-DSA-44 keys of one log.

    Attributes:
        origin: identity of the log, also the name of both keys.
        ed25519: public key of the 0x01 line.
        ml_dsa_44: public key of the 0x06 line.
    """

    def __init__(self, origin: str, ed25519: Ed25519Key, mldsa44: MLDSA44PrivateKey) -> None:
        if not is_key_name(origin) or len(origin.encode()) > 255:
            raise SettingsRefused("LEDGER_ORIGIN_INVALID", "an origin has neither spaces nor plus signs")
        self.origin = origin
        self._ed25519 = ed25519
        self._mldsa44 = mldsa44
        self.ed25519 = VerifierKey(origin, Algorithm.ED25519, ed25519.public_key().public_bytes_raw())
        self.ml_dsa_44 = VerifierKey(origin, Algorithm.ML_DSA_44, mldsa44.public_key().public_bytes_raw())

    @classmethod
    def new(cls, origin: str) -> LedgerKeys:
        """Make new keys, held in memory only."""
        return cls(origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())

    @classmethod
    def open(cls, folder: Path, origin: str, *, create: bool = True, make: Maker | None = None) -> LedgerKeys:
        """Load the keys of a folder, making them when there are none.

        Args:
            folder: folder of key files, made with mode 0700 when absent.
            origin: identity of the log.
            create: False to refuse where there are no keys.
            make: makes an Ed25519 key elsewhere and returns what its file is to hold; None: it lies in the file.

        Raises:
            SettingsRefused: LEDGER_KEYS_MISSING, LEDGER_KEYS_UNREADABLE, LEDGER_KEYS_EXPOSED (readable by
                others), LEDGER_ORIGIN_INVALID; what `make` raises.
        """
        first, second = folder / ED25519_FILE, folder / ML_DSA_FILE
        if create and make is not None:
            _make_elsewhere(first, second, make)
        if first.exists() and is_token_key(_octets(first)):
            mldsa44 = _load(second)
            if not isinstance(mldsa44, MLDSA44PrivateKey):
                raise SettingsRefused("LEDGER_KEYS_UNREADABLE", "a key file holds a key of another kind")
            return cls(origin, read_token_key(_octets(first)), mldsa44)
        return cls(origin, *open_pair(first, second, create=create))

    @property
    def vkeys(self) -> list[str]:
        """Both public keys in text form, Ed25519 first."""
        return [self.ed25519.vkey, self.ml_dsa_44.vkey]

    def find(self, stated: Sequence[VerifierKey]) -> LedgerKeys:
        """Return this pair when it is the one stated. Raises LedgerError(LEDGER_KEYS_MISMATCH)."""
        if tuple(stated) != self.held():
            raise LedgerError("LEDGER_KEYS_MISMATCH", "the key files are not those the ledger states")
        return self

    def held(self) -> tuple[VerifierKey, ...]:
        """Return both public keys, Ed25519 first."""
        return (self.ed25519, self.ml_dsa_44)

    def sign_checkpoint(self, size: int, root: bytes, now: datetime) -> bytes:
        """Sign a checkpoint with both keys.

        Args:
            size: number of entries.
            root: root of the tree, 32 octets.
            now: the service's statement of the time, written into the ML-DSA line in seconds.
        """
        text = checkpoint_text(self.origin, size, root)
        return encode(text, self.lines(size, root, now))

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text that is no checkpoint, with the Ed25519 key: the other signs checkpoints alone."""
        return encode(text, [NoteSignature(self.origin, self.ed25519.id, self._ed25519.sign(text))])

    def lines(self, size: int, root: bytes, now: datetime) -> list[NoteSignature]:
        """Return the signature lines of a checkpoint by both keys; see `sign_checkpoint`."""
        text = checkpoint_text(self.origin, size, root)
        time = int(now.timestamp())
        message = ml_dsa_44_cosigned_message(self.origin, time, self.origin, 0, size, root)
        post_quantum = time.to_bytes(8, "big") + self._mldsa44.sign(message)
        return [
            NoteSignature(self.origin, self.ed25519.id, self._ed25519.sign(text)),
            NoteSignature(self.origin, self.ml_dsa_44.id, post_quantum),
        ]


def sign_with_all(pairs: Sequence[LedgerKeys], size: int, root: bytes, now: datetime) -> bytes:
    """Sign a checkpoint with several pairs of one log: while keys change, the old ones sign beside the new."""
    text = checkpoint_text(pairs[0].origin, size, root)
    return encode(text, [line for pair in pairs for line in pair.lines(size, root, now)])


def open_pair(first: Path, second: Path, *, create: bool) -> tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
    """Load an Ed25519 and an ML-DSA-44 key from two files of one folder, making both when there are none.

    A crash in the middle of making them leaves no Ed25519 file, and the next call begins again; when that
    file stands and the other does not, somebody lost a key and nothing is made anew.

    Args:
        first: file of the Ed25519 key.
        second: file of the ML-DSA-44 key.
        create: False to refuse where there are no keys.

    Raises:
        SettingsRefused: LEDGER_KEYS_MISSING, LEDGER_KEYS_UNREADABLE, LEDGER_KEYS_EXPOSED.
    """
    folder = first.parent
    if create:
        make_folder(folder)
        with _turn(folder):
            if not first.exists():
                _write(second, MLDSA44PrivateKey.generate())
                _write(first, Ed25519PrivateKey.generate())
    ed25519, mldsa44 = _load(first), _load(second)
    if not isinstance(ed25519, Ed25519PrivateKey) or not isinstance(mldsa44, MLDSA44PrivateKey):
        raise SettingsRefused("LEDGER_KEYS_UNREADABLE", "a key file holds a key of another kind")
    return ed25519, mldsa44


def _make_elsewhere(first: Path, second: Path, make: Maker) -> None:
    """Make a pair whose Ed25519 key lies in a token, where there is none; a crash before the end leaves none."""
    make_folder(first.parent)
    with _turn(first.parent):
        if not first.exists():
            _write(second, MLDSA44PrivateKey.generate())
            replace_durably(first, make(), alone=True)


def _turn(folder: Path) -> AbstractContextManager[None]:
    return in_turn(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _write(path: Path, key: Ed25519PrivateKey | MLDSA44PrivateKey) -> None:
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    replace_durably(path, octets, alone=True)


def _octets(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SettingsRefused("LEDGER_KEYS_EXPOSED", f"{path.name} is open to other users: chmod 600")
            return file.read(65_536)
    except FileNotFoundError as error:
        raise SettingsRefused("LEDGER_KEYS_MISSING", f"{path.name} is not there") from error


def _load(path: Path) -> object:
    content = _octets(path)
    try:
        return load_pem_private_key(content, None)
    except (ValueError, TypeError) as error:
        raise SettingsRefused("LEDGER_KEYS_UNREADABLE", f"{path.name} cannot be read") from error
