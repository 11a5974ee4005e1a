"""The key cabinet of production: keys that a table names, with certificates that an authority issued."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from signing.base import KeyPurpose
from signing.cabinet import HeldCertificate
from signing.cabinet_sources import Sources
from signing.cabinet_table import ACTIVE, WAITING, Entry, read_table
from signing.crl import is_root
from signing.crl_cache import CrlCache
from signing.errors import KeyUnusable, SealKeyMissing, SigningError
from signing.hostile import HOSTILE
from signing.keys import SealKey, check_role, issuers_of
from signing.signers import PublicKey, Signer, algorithm_of

_MOST_PEM = 1 << 20
_log = logging.getLogger(__name__)
_State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Certified:
    """An entry with its certificates, leaf first, the root left out; and what names the two."""

    entry: Entry
    chain: tuple[x509.Certificate, ...]
    name: str

    def valid_at(self, now: datetime) -> bool:
        # Its issuers too: nobody could verify what is sealed once one of them is over.
        return all(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in self.chain)


class HeldCabinet:
    """A `KeyCabinet` over a table (`signing.cabinet_table`).

    Of several active keys of one purpose the one counts whose certificate began last and is valid now, as are its
    issuers. The table is read again when it was replaced; one that cannot be read then changes nothing and is logged,
    so that an operator's slip does not stop a service that runs.
    """

    def __init__(
        self, path: Path, roots: Sequence[x509.Certificate], now: Callable[[], datetime], seconds: float
    ) -> None:
        """Read the table; no key is opened yet.

        Args:
            path: of the table.
            roots: trust anchors of the certificates, those before included.
            now: the clock.
            seconds: a token, a remote service or a CRL's server has to answer.

        Raises:
            KeyUnusable: the table or a certificate cannot be read.
        """
        self._path = path
        self._roots = list(roots)
        self._now = now
        self._sources = Sources(path.parent, seconds)
        self._crls = CrlCache(seconds, self._roots)
        self._opened: dict[str, SealKey] = {}
        self._guard = threading.Lock()
        self._state = _state(path)
        self._entries = self._read()
        self._by_use = _by_use(self._entries)

    def roots(self) -> list[x509.Certificate]:
        """See `KeyCabinet`."""
        return list(self._roots)

    def roots_pem(self) -> bytes:
        """See `KeyCabinet`."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self._roots)

    @property
    def reception_seal(self) -> SealKey:
        """See `KeyCabinet`."""
        return self._key(KeyPurpose.RECEPTION_SEAL)

    @property
    def evidence_seal(self) -> SealKey:
        """See `KeyCabinet`."""
        return self._key(KeyPurpose.EVIDENCE_SEAL)

    @property
    def timestamp(self) -> SealKey:
        """See `KeyCabinet`."""
        return self._key(KeyPurpose.TIMESTAMP)

    def act_seal(self, administration_id: str, name: str, *, algorithm: str = "p256") -> SealKey:
        """See `KeyCabinet`; the key's own kind decides, not `algorithm`."""
        return self._key(KeyPurpose.ACT_SEAL, administration_id)

    def service_keys(self) -> Sequence[SealKey]:
        """See `KeyCabinet`."""
        keys = [self.reception_seal, self.evidence_seal]
        if self._in_use(KeyPurpose.TIMESTAMP, "") is not None:
            keys.append(self.timestamp)
        return keys

    def ask_tokens(self) -> str:
        """See `KeyCabinet`."""
        held = [each for each in self._current() if each.entry.state == ACTIVE and each.entry.kind == "token"]
        # One key in each: the token has to look for it, which one that lost its keys or its store cannot.
        found = {self._sources.token(each.entry): each for each in held}
        for each in found.values():
            self._sources.signer(each.entry, public_of(each.chain[0]))
        return f"tokens that answer: {len(found)}"

    def crls(self, now: datetime) -> Sequence[bytes]:
        """See `KeyCabinet`: by HTTP, from the addresses that the certificates of active keys name."""
        active = [each for each in self._current() if each.entry.state == ACTIVE]
        return self._crls.crls(list(dict.fromkeys(item for each in active for item in each.chain)), now)

    def overview(self) -> Sequence[HeldCertificate]:
        """See `KeyCabinet`."""
        found = []
        for each in self._current():
            entry = each.entry
            used = entry.state == ACTIVE and self._in_use(entry.purpose, entry.administration) == each
            found.append(
                HeldCertificate(
                    entry.id,
                    entry.purpose,
                    entry.administration,
                    each.chain,
                    entry.kind,
                    entry.state,
                    in_use=used,
                )
            )
        return found

    def key(self, identifier: str) -> SealKey:
        """Open an active key by its id, whether it is in use or not. Raises SealKeyMissing, KeyUnusable."""
        for each in self._current():
            if each.entry.id == identifier and each.entry.state == ACTIVE:
                return self._open(each)
        raise SealKeyMissing(f"the cabinet has no active key {identifier}")

    def signer(self, identifier: str) -> Signer:
        """Open the signer of an active key now.

        Raises:
            SealKeyMissing: there is none of this id.
            KeyUnusable: it cannot be opened, or is not the certificate's.
            SigningUnavailable: its token or service does not answer.
        """
        for each in self._current():
            if each.entry.id == identifier and each.entry.state == ACTIVE:
                public = public_of(each.chain[0])
                signer = self._sources.signer(each.entry, public)
                if signer.algorithm != algorithm_of(public) or signer.public_key() != public:
                    raise KeyUnusable("the key is another than the certificate's, or cannot sign like it")
                return signer
        raise SealKeyMissing(f"the cabinet has no active key {identifier}")

    def close(self) -> None:
        """Log out of the tokens."""
        self._sources.close()

    def _key(self, purpose: KeyPurpose, administration: str = "") -> SealKey:
        found = self._in_use(purpose, administration)
        if found is None:
            whose = f" of {administration}" if administration else ""
            raise SealKeyMissing(
                f"the cabinet has no {purpose.value} key{whose} with a certificate valid now"
            )
        return self._open(found)

    def _in_use(self, purpose: KeyPurpose, administration: str) -> _Certified | None:
        now = self._now()
        self._current()
        usable = [each for each in self._by_use.get((purpose, administration), ()) if each.valid_at(now)]
        return max(usable, key=lambda each: each.chain[0].not_valid_before_utc, default=None)

    def _open(self, found: _Certified) -> SealKey:
        key = self._opened.get(found.name)
        if key is None:
            signer = self._sources.late_signer(found.entry, public_of(found.chain[0]))
            key = SealKey.from_signer(signer, found.chain[0], found.chain[1:], found.entry.purpose)
            # Of two threads that open it at once, one key counts.
            key = self._opened.setdefault(found.name, key)
        return key

    def _current(self) -> tuple[_Certified, ...]:
        state = _state(self._path)
        if state is not None and state != self._state:
            with self._guard:
                if state != self._state:
                    try:
                        self._entries = self._read()
                        self._by_use = _by_use(self._entries)
                    except SigningError as error:
                        _log.error("the key cabinet cannot be read again", extra={"reason": str(error)})
                    self._state = state
        return self._entries

    def _read(self) -> tuple[_Certified, ...]:
        found = []
        for entry in read_table(self._path):
            chain: tuple[x509.Certificate, ...] = ()
            if entry.state != WAITING:
                chain = read_chain(self._path.parent / entry.certificates)
            if entry.state == ACTIVE:
                # Before it is its turn to be used.
                try:
                    check_role(chain[0], entry.purpose)
                except KeyUnusable as error:
                    raise KeyUnusable(f"key {entry.id}: {error}") from error
            digest = chain[0].fingerprint(SHA256()).hex() if chain else ""
            # A changed source is another key's: it is opened anew.
            found.append(_Certified(entry, chain, f"{entry.id} {sorted(entry.source.items())} {digest}"))
        return tuple(found)


def _by_use(entries: Sequence[_Certified]) -> dict[tuple[KeyPurpose, str], list[_Certified]]:
    found: dict[tuple[KeyPurpose, str], list[_Certified]] = {}
    for each in entries:
        if each.entry.state == ACTIVE:
            found.setdefault((each.entry.purpose, each.entry.administration), []).append(each)
    return found


def read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Read a certificate and its issuers from a PEM file; in order, roots left out.

    Raises:
        KeyUnusable: it holds none, or cannot be read.
    """
    first, *others = read_certificates(path)
    return (first, *issuers_of(first, others))


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file, at least one. Raises KeyUnusable."""
    try:
        with path.open("rb") as file:
            return x509.load_pem_x509_certificates(file.read(_MOST_PEM))
    except OSError as error:
        raise KeyUnusable(f"the certificates {path.name} cannot be read") from error
    except HOSTILE as error:
        raise KeyUnusable(f"{path.name} holds no certificate in PEM") from error


def read_roots(path: Path) -> list[x509.Certificate]:
    """Read trust anchors. Raises KeyUnusable: there are none, or one is no root."""
    roots = read_certificates(path)
    if not all(is_root(each) for each in roots):
        raise KeyUnusable(f"{path.name} holds a certificate that is no root")
    return roots


def public_of(certificate: x509.Certificate) -> PublicKey:
    """Return the public key of a certificate. Raises KeyUnusable: it makes no seals."""
    try:
        public = certificate.public_key()
    except HOSTILE as error:
        raise KeyUnusable("the certificate's public key cannot be read") from error
    algorithm_of(public)
    return public  # type: ignore[return-value]


def _state(path: Path) -> _State | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - on the way of every seal
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
