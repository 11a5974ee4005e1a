"""Port: where the service's certified keys come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from signing.base import KeyPurpose
from signing.keys import SealKey


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """A certificate of one of the service's keys.

    Attributes:
        id: what the operator calls the key.
        purpose: what it does.
        administration: whose act seal it is; "" for the service's own keys.
        chain: its certificate, then its issuers; empty while none was issued.
        source: where the private key lies: `pkcs12`, `token`, `csc`, or `development`.
        state: `waiting` for its certificate, `active`, or `retired`: kept for who looks back.
        in_use: it makes the seals or timestamps that are made now.
    """

    id: str
    purpose: KeyPurpose
    administration: str
    chain: tuple[x509.Certificate, ...]
    source: str
    state: str
    in_use: bool


class KeyCabinet(Protocol):
    """The keys that seal and timestamp, each with its certificate and its one purpose. Safe for threads.

    Which key of a purpose is in use may change while the service runs: whoever seals asks each time.
    """

    def roots(self) -> list[x509.Certificate]:
        """The trust anchors of the keys, those before included."""
        ...

    def roots_pem(self) -> bytes:
        """The trust anchors, PEM."""
        ...

    @property
    def reception_seal(self) -> SealKey:
        """The key that seals attachments. Raises SealKeyMissing, KeyUnusable."""
        ...

    @property
    def evidence_seal(self) -> SealKey:
        """The key that seals bundles, consents and reports. Raises SealKeyMissing, KeyUnusable."""
        ...

    @property
    def timestamp(self) -> SealKey:
        """The key of the embedded timestamp authority. Raises SealKeyMissing, KeyUnusable."""
        ...

    def act_seal(self, administration_id: str, name: str, *, algorithm: str = "p256") -> SealKey:
        """The act seal of an administration, never another's.

        Args:
            administration_id: stable identifier of the administration.
            name: its French name, for keys that are made when they are asked for.
            algorithm: kind of such keys: `p256` or `rsa-pss`.

        Raises:
            SealKeyMissing: it has none that is valid now.
            KeyUnusable: it cannot be opened.
        """
        ...

    def service_keys(self) -> Sequence[SealKey]:
        """The service's own keys that are in use: of reception, of evidence, and of timestamps where there is one.

        Raises:
            SealKeyMissing, KeyUnusable: one of the first two cannot be had.
        """
        ...

    def ask_tokens(self) -> str:
        """Ask each token that an active key lies in; return how many answer, in words.

        Raises:
            KeyUnusable, SigningUnavailable: one does not.
        """
        ...

    def crls(self, now: datetime) -> Sequence[bytes]:
        """Current CRLs (DER) of every authority behind the keys, as far as they can be had."""
        ...

    def overview(self) -> Sequence[HeldCertificate]:
        """Every key with its certificate; no key is opened for it."""
        ...

    def close(self) -> None:
        """Log out of the tokens; never raises."""
        ...
