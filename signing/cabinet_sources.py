"""Opens the keys that a key cabinet names: PKCS#12 files, keys in tokens, keys of remote services."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import pkcs12

from signing.cabinet_table import Entry
from signing.errors import KeyUnusable, SigningUnavailable
from signing.hostile import HOSTILE
from signing.secret_files import Secret
from signing.signers import PublicHalf, PublicKey, Signer, SoftSigner, algorithm_of

if TYPE_CHECKING:
    from signing.csc import CscService
    from signing.tokens import Pkcs11Token


class Sources:
    """Opens signers; each token and service once, whatever number of keys it has. Safe for threads."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """Name what files are relative to.

        Args:
            folder: of the table.
            seconds: a token or service has to answer.
        """
        self._folder = folder
        self._seconds = seconds
        self._tokens: dict[tuple[str, ...], Pkcs11Token] = {}
        self._services: dict[tuple[str, ...], CscService] = {}
        self._guard = threading.Lock()

    def signer(self, entry: Entry, public: PublicKey | None = None) -> Signer:
        """Open the key of an entry now.

        Args:
            entry: the key.
            public: its public half, where its certificate is there.

        Raises:
            KeyUnusable: it cannot be opened, or a part that it needs is not installed.
            SigningUnavailable: its token or service does not answer.
        """
        if entry.kind == "pkcs12":
            passphrase = Secret.in_file(self._at(entry, "passphrase_file")).read().encode()
            return SoftSigner(load_private(self._at(entry, "file"), passphrase))
        if entry.kind == "csc":
            pin = Secret.in_file(self._at(entry, "pin_file")) if "pin_file" in entry.source else None
            return self._service(entry).signer(entry.source["credential"], pin)
        key_id = _octets(entry, entry.source.get("key_id", ""))
        return self.token(entry).signer(entry.source["key"], key_id, public=public)

    def late_signer(self, entry: Entry, public: PublicKey) -> Signer:
        """Return what opens the key when it first signs, where that may be down at this moment; else as `signer`.

        Raises:
            KeyUnusable: see `signer`.
        """
        if entry.kind == "pkcs12":
            return self.signer(entry, public)
        return LateSigner(public, lambda: self.signer(entry, public))

    def token(self, entry: Entry) -> Pkcs11Token:
        """Return the token that a key lies in. Raises KeyUnusable, SigningUnavailable."""
        try:
            from signing.tokens import Pkcs11Token, TokenPlace
        except ImportError as error:
            raise KeyUnusable("keys in tokens need the extra `hsm`: pip install 'probans[hsm]'") from error
        source = entry.source
        names = tuple(source.get(each, "") for each in ("module", "token", "serial", "pin_file"))
        with self._guard:
            token = self._tokens.get(names)
        if token is None:
            place = TokenPlace(Path(source["module"]), source.get("token", ""), source.get("serial", ""))
            pin = Secret.in_file(self._at(entry, "pin_file"))
            # Not within the guard: one that does not answer would keep the other keys from being opened.
            opened = Pkcs11Token.open(place, pin, seconds=self._seconds)
            with self._guard:
                token = self._tokens.setdefault(names, opened)
            if token is not opened:
                opened.close()
        return token

    def close(self) -> None:
        """Log out of the tokens."""
        with self._guard:
            for token in self._tokens.values():
                token.close()
            self._tokens.clear()

    def _service(self, entry: Entry) -> CscService:
        from signing.csc import CscConfig, CscService

        source = entry.source
        files = {
            member: Secret.in_file(self._at(entry, name)) if name in source else None
            for member, name in (("bearer", "bearer_file"), ("client_secret", "client_secret_file"))
        }
        names = tuple(
            source.get(each, "")
            for each in (
                "address",
                "bearer_file",
                "token_address",
                "client_id",
                "client_secret_file",
                "ca",
            )
        )
        with self._guard:
            if names not in self._services:
                self._services[names] = CscService(
                    CscConfig(
                        address=source["address"],
                        token_address=source.get("token_address", ""),
                        client_id=source.get("client_id", ""),
                        seconds=self._seconds,
                        tls_ca=self._at(entry, "ca") if "ca" in source else None,
                        **files,
                    )
                )
            return self._services[names]

    def _at(self, entry: Entry, member: str) -> Path:
        return self._folder / entry.source[member]


class LateSigner(PublicHalf):
    """A `Signer` whose key is opened by the first signature: what holds it may be down before."""

    def __init__(self, public: PublicKey, open_key: Callable[[], Signer]) -> None:
        """Take the public half, from the certificate, and what opens the private one. Raises KeyUnusable."""
        super().__init__(public, algorithm_of(public))
        self._open = open_key
        self._signer: Signer | None = None

    def sign(self, data: bytes) -> bytes:
        """Sign data. Raises SigningUnavailable, also for a key that cannot be opened: that is for an operator."""
        return self._opened().sign(data)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest. Raises KeyUnusable, SigningUnavailable: see `Signer`."""
        return self._opened().sign_digest(digest)

    def _opened(self) -> Signer:
        signer = self._signer
        if signer is None:
            try:
                signer = self._open()
            except KeyUnusable as error:
                raise SigningUnavailable(str(error)) from error
            if signer.algorithm != self._algorithm or signer.public_key() != self._public:
                raise SigningUnavailable("the key is another than the certificate's, or cannot sign like it")
            self._signer = signer
        return signer


def load_private(path: Path, passphrase: bytes) -> object:
    """Return the private key of a PKCS#12 file; its certificates do not count.

    Raises:
        KeyUnusable: unreadable file, wrong passphrase, no key.
    """
    try:
        private, _, _ = pkcs12.load_key_and_certificates(path.read_bytes(), passphrase)
    except OSError as error:
        raise KeyUnusable(f"the key file {path.name} cannot be read") from error
    except HOSTILE as error:
        raise KeyUnusable(f"the key file {path.name} does not open with this passphrase") from error
    if private is None:
        raise KeyUnusable(f"the key file {path.name} holds no private key")
    return private


def _octets(entry: Entry, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise KeyUnusable(f"key {entry.id}: key_id is in hex digits") from error
