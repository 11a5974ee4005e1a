"""Development PKI in a folder: made at first start, then loaded; marked so that production refuses it."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from plumbing.disk import replace_durably
from plumbing.locks import in_turn, lock_file
from signing import profiles
from signing.base import KeyPurpose
from signing.cabinet import HeldCertificate
from signing.cabinet_table import ACTIVE
from signing.errors import KeyUnusable
from signing.keys import SealKey, load_pkcs12
from signing.profiles import CRL_LIFE, DEVELOPMENT_OID, Issuer, Revoked, is_development, whole_second

__all__ = ["CRL_LIFE", "DEVELOPMENT_OID", "DevPki", "is_development"]

_PROBANS = "Probans SPÉCIMEN"
_NEWEST = "newest"
_RENEWAL = timedelta(days=30)  # a key is made anew when its certificate has less than this left
_SERVICE_KEYS = {
    KeyPurpose.RECEPTION_SEAL: "cachet de réception (développement)",
    KeyPurpose.EVIDENCE_SEAL: "cachet de preuve (développement)",
    KeyPurpose.TIMESTAMP: "unité d'horodatage (développement)",
}


class DevPki:
    """Root, issuing authority, service keys, act seals and CRLs, for development only.

    One file lock in the folder makes every change exclusive between threads and processes; each file is
    replaced whole, and `root.p12`, written last, says that the PKI is complete: a first start that was
    cut short begins again. Never trust its root in production (`is_development`).
    """

    def __init__(
        self, folder: Path, root: Issuer, authority: Issuer, passphrase: bytes, now: datetime
    ) -> None:
        """Use `open`."""
        self._folder = folder
        self._root = root
        self._authority = authority
        self._passphrase = passphrase
        self._now = now
        self._keys: dict[str, SealKey] = {}
        self._guard = threading.Lock()

    @classmethod
    def open(cls, folder: Path, clock_now: datetime) -> DevPki:
        """Load the PKI of a folder, or make it there.

        Args:
            folder: its own folder (mode 0700); made if absent.
            clock_now: the present, UTC; begins the certificates made now.

        Raises:
            KeyUnusable: the folder holds key files that do not open.
            OSError: the folder cannot be written.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with in_turn(lock_file(folder / ".lock")):
            if not (folder / "root.p12").exists():
                _create(folder, clock_now)
            passphrase = _read(folder / "passphrase")
            root = _load_issuer(folder / "root.p12", passphrase)
            authority = _load_issuer(folder / "authority.p12", passphrase)
        pki = cls(folder, root, authority, passphrase, clock_now)
        for purpose in _SERVICE_KEYS:
            pki._service(purpose)
        pki.refresh_crls(clock_now)
        return pki

    @property
    def root(self) -> x509.Certificate:
        """The root certificate."""
        return self._root.certificate

    @property
    def authority(self) -> x509.Certificate:
        """The issuing authority's certificate."""
        return self._authority.certificate

    def roots(self) -> list[x509.Certificate]:
        """The trust anchors: the one root."""
        return [self._root.certificate]

    def roots_pem(self) -> bytes:
        """The trust anchors, PEM."""
        return self._root.certificate.public_bytes(Encoding.PEM)

    @property
    def reception_seal(self) -> SealKey:
        """The key that seals attachments."""
        return self._service(KeyPurpose.RECEPTION_SEAL)

    @property
    def evidence_seal(self) -> SealKey:
        """The key that seals bundles, consents and reports."""
        return self._service(KeyPurpose.EVIDENCE_SEAL)

    @property
    def timestamp(self) -> SealKey:
        """The key of the embedded timestamp authority."""
        return self._service(KeyPurpose.TIMESTAMP)

    def act_seal(self, administration_id: str, name: str, *, algorithm: str = "p256") -> SealKey:
        """The act seal of an administration; made at the first call.

        Args:
            administration_id: stable identifier of the administration; never shown in a file name.
            name: its French name, written in the certificate at the first call only.
            algorithm: `p256` or `rsa-pss` (3072 bits); each has its own key.

        Raises:
            KeyUnusable: unknown algorithm, or a key file that does not open.
        """
        if algorithm not in {"p256", "rsa-pss"}:
            raise KeyUnusable(f"unknown key algorithm {algorithm!r}")
        digest = hashlib.sha256(administration_id.encode()).hexdigest()[:32]
        return self._key(
            f"act-{digest}-{algorithm}",
            KeyPurpose.ACT_SEAL,
            lambda: profiles.subject(f"cachet {name}", f"{name} (SPÉCIMEN)", administration_id),
            algorithm,
        )

    def ask_tokens(self) -> str:
        """See `KeyCabinet`: there are none."""
        return "no token"

    def close(self) -> None:
        """See `KeyCabinet`: there is nothing to log out of."""

    def service_keys(self) -> list[SealKey]:
        """The keys of reception, of evidence and of timestamps."""
        return [self.reception_seal, self.evidence_seal, self.timestamp]

    def overview(self) -> list[HeldCertificate]:
        """The keys that were asked for since it was opened; see `signing.cabinet`."""
        with self._guard:
            held = sorted(self._keys.items())
        return [
            HeldCertificate(
                name,
                key.purpose,
                name if key.purpose is KeyPurpose.ACT_SEAL else "",
                (key.certificate, *key.chain),
                "development",
                ACTIVE,
                in_use=True,
            )
            for name, key in held
        ]

    def crls(self, now: datetime) -> tuple[bytes, bytes]:
        """The root's and the issuing authority's CRLs (DER), renewed first when due."""
        self.refresh_crls(now)
        return _read(self._folder / "root.crl"), _read(self._folder / "authority.crl")

    def refresh_crls(self, now: datetime) -> bool:
        """Renew each CRL that has less than half its life left, misses a revocation or is older than a key.

        Returns:
            Whether a CRL was renewed.
        """
        with in_turn(lock_file(self._folder / ".lock")):
            revoked = _load_revoked(self._folder)
            renewed = [
                self._renew(name, issuer, revoked, now)
                for name, issuer in (("root.crl", self._root), ("authority.crl", self._authority))
            ]
        return any(renewed)

    def revoke(
        self,
        serial: int,
        at: datetime,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
        *,
        now: datetime | None = None,
    ) -> None:
        """Revoke a certificate of this PKI and renew the CRL that says so.

        Args:
            serial: its serial number.
            at: revocation date, UTC; may lie in the past.
            reason: RFC 5280 reason code.
            now: the present; by default the later of `at` and the time given to `open`.
        """
        with in_turn(lock_file(self._folder / ".lock")):
            revoked = _load_revoked(self._folder)
            revoked[serial] = Revoked(whole_second(at), reason)
            lines = {
                str(number): [entry.at.isoformat(), entry.reason.value] for number, entry in revoked.items()
            }
            _write(self._folder / "revoked.json", json.dumps(lines, sort_keys=True).encode())
        self.refresh_crls(now or max(at, self._now))

    def _renew(self, name: str, issuer: Issuer, everything: Mapping[int, Revoked], now: datetime) -> bool:
        own = self._authority.certificate.serial_number
        # The root issues one certificate, the authority's; all others come from the authority.
        revoked = {
            serial: entry for serial, entry in everything.items() if (serial == own) == (issuer is self._root)
        }
        path = self._folder / name
        number = 1
        if path.exists():
            current = x509.load_der_x509_crl(path.read_bytes())
            listed = {entry.serial_number: entry.revocation_date_utc for entry in current}
            ends = current.next_update_utc
            due = (
                ends is None
                or not timedelta(0) <= now - current.last_update_utc
                or ends - now < CRL_LIFE / 2
                or (issuer is self._authority and current.last_update_utc < self._newest())
            )
            if not due and listed == {serial: entry.at for serial, entry in revoked.items()}:
                return False
            number = current.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        _write(path, profiles.revocation_list(issuer, revoked, number, now))
        return True

    def _newest(self) -> datetime:
        """When the youngest certificate of the authority begins."""
        path = self._folder / _NEWEST
        if not path.exists():
            return datetime.min.replace(tzinfo=UTC)
        return datetime.fromisoformat(path.read_text("ascii")).astimezone(UTC)

    def _service(self, purpose: KeyPurpose) -> SealKey:
        return self._key(
            purpose.value,
            purpose,
            lambda: profiles.subject(_SERVICE_KEYS[purpose], _PROBANS, "probans"),
            "p256",
        )

    def _key(
        self, name: str, purpose: KeyPurpose, subject: Callable[[], x509.Name], algorithm: str
    ) -> SealKey:
        with self._guard:
            held = self._keys.get(name)
            if held is None:
                with in_turn(lock_file(self._folder / ".lock")):
                    held = self._load_or_make(name, purpose, subject(), algorithm)
                self._keys[name] = held
        return held

    def _load_or_make(self, name: str, purpose: KeyPurpose, subject: x509.Name, algorithm: str) -> SealKey:
        path = self._folder / f"{name}.p12"
        if path.exists():
            key = load_pkcs12(path, self._passphrase, purpose)
            if key.certificate.not_valid_after_utc - self._now >= _RENEWAL:
                return key
        private = profiles.new_key(algorithm)
        certificate = profiles.leaf_certificate(self._authority, private, subject, purpose, self._now)
        # Before the key can be used: a list older than a certificate proves nothing of it, so a new one is due.
        newest = max(self._newest(), certificate.not_valid_before_utc)
        _write(self._folder / _NEWEST, newest.isoformat().encode())
        chain = [self._authority.certificate]
        _write(
            path,
            pkcs12.serialize_key_and_certificates(
                name.encode(), private, certificate, chain, BestAvailableEncryption(self._passphrase)
            ),
        )
        return SealKey.from_private_key(private, certificate, chain, purpose)


def _create(folder: Path, now: datetime) -> None:
    """Make the authorities; `root.p12` comes last and says that all the rest is there."""
    passphrase = secrets.token_urlsafe(32).encode()
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = profiles.subject("autorité racine (développement)", _PROBANS, "probans")
    root = Issuer(profiles.root_certificate(root_key, root_name, now), root_key)
    key = ec.generate_private_key(ec.SECP256R1())
    name = profiles.subject("autorité émettrice (développement)", _PROBANS, "probans")
    authority = Issuer(profiles.ca_certificate(root, key, name, now), key)
    for leftover in folder.glob("*.p12"):
        leftover.unlink()
    for stale in ("root.crl", "authority.crl", "revoked.json", _NEWEST):
        (folder / stale).unlink(missing_ok=True)
    _write(folder / "passphrase", passphrase)
    _write(folder / "roots.pem", root.certificate.public_bytes(Encoding.PEM))
    for file, issuer in (("authority.p12", authority), ("root.p12", root)):
        encryption = BestAvailableEncryption(passphrase)
        _write(
            folder / file,
            pkcs12.serialize_key_and_certificates(None, issuer.key, issuer.certificate, None, encryption),
        )


def _load_issuer(path: Path, passphrase: bytes) -> Issuer:
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(_read(path), passphrase)
    except ValueError as error:
        raise KeyUnusable("a key file of the development PKI does not open") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate is None:
        raise KeyUnusable("a key file of the development PKI lacks its key or certificate")
    return Issuer(certificate, key)


def _load_revoked(folder: Path) -> dict[int, Revoked]:
    path = folder / "revoked.json"
    if not path.exists():
        return {}
    lines: dict[str, list[str]] = json.loads(path.read_bytes())
    return {
        int(serial): Revoked(datetime.fromisoformat(at).astimezone(UTC), x509.ReasonFlags(reason))
        for serial, (at, reason) in lines.items()
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyUnusable("a file of the development PKI cannot be read") from error


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole and durably, readable by its owner only; who writes holds the folder's lock."""
    replace_durably(path, content, alone=True)
