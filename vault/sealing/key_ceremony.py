"""Keys are brought into the cabinet: made where they stay, certified by an authority, tried before they are used."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from plumbing.disk import create_durably
from signing.cabinet_sources import Sources
from signing.cabinet_table import ACTIVE, RETIRED, WAITING, Entry, changing, write_file
from signing.certificate_request import certificate_request
from signing.crl_cache import CrlCache
from signing.errors import KeyUnusable, SignatureRefused, SigningUnavailable
from signing.held_cabinet import public_of, read_certificates
from signing.keys import SealKey, issuers_of
from signing.profiles import is_development, new_key
from signing.secret_files import Secret
from signing.signers import Signer, verifies
from signing.trust import TrustStore
from vault.clock import Clock
from vault.errors import Unavailable

_RETRY = "try again once the authority has published its next list"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What keys are brought into.

    Attributes:
        table: the cabinet's table; made when it is not there.
        roots: trust anchors of certificates.
        seconds: a token or a server of revocation lists has to answer.
        development: whether certificates of a development PKI will do.
    """

    table: Path
    roots: Sequence[x509.Certificate]
    seconds: float
    development: bool

    def request(self, entry: Entry, subject: x509.Name, kind: str) -> bytes:
        """Return a certificate request for a key; a key that is not there yet is made first.

        1. A PKCS#12 file that is missing gets a new key, durably; in a token one is made, not extractable.
        2. The key stands in the table, as waiting. A second request for it changes nothing there.
        3. The key signs its own request.

        Args:
            entry: the key, in state `waiting`.
            subject: of the certificate.
            kind: of a key that is made: `p256` or `rsa-3072`.

        Returns:
            PKCS#10, DER.

        Raises:
            KeyUnusable: it cannot be made or opened, or the table has another key of that id.
            Unavailable: KEY_UNAVAILABLE, the token does not answer.
        """
        sources = Sources(self.table.parent, self.seconds)
        try:
            with changing(self.table) as entries:
                held = next((each for each in entries if each.id == entry.id), None)
                if held is not None and replace(held, state=WAITING, certificates="") != entry:
                    raise KeyUnusable(f"the cabinet has another key {entry.id}")
                # 1
                signer = self._made(sources, entry, kind)
                # 2
                if held is None:
                    entries.append(entry)
            # 3
            return certificate_request(signer, subject, entry.purpose)
        except SigningUnavailable as error:
            raise Unavailable("KEY_UNAVAILABLE", str(error)) from error
        finally:
            sources.close()

    def install(self, given: Path, clock: Clock) -> tuple[Entry, x509.Certificate]:
        """Take a certificate with its issuers for the key that it belongs to.

        1. One of the keys that wait, or of the active ones, has the public key of the first certificate of the file.
        2. The certificate states the key's purpose and is fit for it; outside development it is of no such PKI.
        3. It is valid now, and leads to a root.
        4. Its authorities' current lists, from the addresses that it names, do not revoke it, and are not older.
        5. The key signs, and the certificate verifies that.
        6. The chain lies in a file beside the table, durably, and the table says that the key is active.

        Args:
            given: PEM file: the certificate, then its issuers.
            clock: the safe's.

        Returns:
            The key as it stands now, and its certificate.

        Raises:
            KeyUnusable: one of these does not hold.
            Unavailable: KEY_UNAVAILABLE, the token does not answer.
        """
        leaf, *others = read_certificates(given)
        chain = (leaf, *issuers_of(leaf, others))
        sources = Sources(self.table.parent, self.seconds)
        try:
            with changing(self.table) as entries:
                # 1
                place, signer = self._owner(sources, entries, leaf)
                entry = entries[place]
                # 2
                SealKey.from_signer(signer, leaf, others, entry.purpose)
                if not self.development and any(is_development(each) for each in chain):
                    raise KeyUnusable("the certificate is of a development PKI")
                # 3, 4
                self._demand_trusted(chain, clock)
                # 5
                demand_signature(signer)
                # 6
                name = f"{entry.id}-{leaf.serial_number:x}.pem"
                pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
                write_file(self.table.parent / name, pem, 0o644)
                entries[place] = replace(entry, state=ACTIVE, certificates=name)
                return entries[place], leaf
        except SigningUnavailable as error:
            raise Unavailable("KEY_UNAVAILABLE", str(error)) from error
        finally:
            sources.close()

    def retire(self, identifier: str) -> Entry:
        """Keep a key of the table for who looks back; it seals nothing any more. Raises KeyUnusable."""
        with changing(self.table) as entries:
            for place, each in enumerate(entries):
                if each.id == identifier and each.state == ACTIVE:
                    entries[place] = replace(each, state=RETIRED)
                    return entries[place]
        raise KeyUnusable(f"the cabinet has no active key {identifier}")

    def _made(self, sources: Sources, entry: Entry, kind: str) -> Signer:
        if entry.kind == "pkcs12":
            path = self.table.parent / entry.source["file"]
            if not path.exists():
                secret = Secret.in_file(self.table.parent / entry.source["passphrase_file"])
                private = new_key("p256" if kind == "p256" else "rsa-pss")
                _write_new(path, private, secret.read().encode())
        elif entry.kind == "token":
            token = sources.token(entry)
            label, key_id, held = entry.source["key"], entry.source.get("key_id", ""), token.keys()
            if not any(each.label == label for each in held):
                token.generate(kind, label, bytes.fromhex(key_id) if key_id else secrets.token_bytes(8))
        return sources.signer(entry)

    def _owner(
        self, sources: Sources, entries: Sequence[Entry], leaf: x509.Certificate
    ) -> tuple[int, Signer]:
        public = public_of(leaf)
        failures = []
        for place, each in enumerate(entries):
            if each.state == RETIRED:
                continue
            try:
                signer = sources.signer(each, public)
            except (KeyUnusable, SigningUnavailable) as error:
                failures.append(f"{each.id}: {error}")
                continue
            if signer.public_key() == public:
                return place, signer
        told = f" ({'; '.join(failures)})" if failures else ""
        raise KeyUnusable(f"no key of the cabinet is that of the certificate{told}")

    def _demand_trusted(self, chain: Sequence[x509.Certificate], clock: Clock) -> None:
        now = clock.now()
        lists = CrlCache(self.seconds, self.roots).crls(chain, now)
        try:
            TrustStore(self.roots, require_revocation=False).validate(chain[0], chain[1:], (), now)
            TrustStore(self.roots).validate(chain[0], chain[1:], lists, now)
        except SignatureRefused as error:
            hint = f"; {_RETRY}" if error.code == "TRY_LATER" else ""
            raise KeyUnusable(f"{error.code}: {error}{hint}") from error


def demand_signature(signer: Signer) -> None:
    """Have a key sign once, and verify that. Raises KeyUnusable, SigningUnavailable."""
    digest = secrets.token_bytes(32)
    if not verifies(signer.public_key(), signer.algorithm, signer.sign_digest(digest), digest):
        raise KeyUnusable("what the key signs its public key does not verify")


def _write_new(
    path: Path, private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes
) -> None:
    """Write a key to a file that is not there. Raises KeyUnusable."""
    try:
        content = pkcs12.serialize_key_and_certificates(
            None, private, None, None, BestAvailableEncryption(passphrase)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path.name} cannot be encrypted with this passphrase") from error
    try:
        # Never in the place of another key.
        create_durably(path, content)
    except OSError as error:
        raise KeyUnusable(f"{path.name} cannot be written: {error.strerror}") from error
