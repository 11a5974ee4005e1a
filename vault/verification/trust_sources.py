"""Whom a verifier trusts, from where its user says: PEM files, the system's own roots, trusted lists."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from signing.errors import KeyUnusable
from signing.hostile import HOSTILE
from signing.trust import TrustStore
from signing.trusted_list import ISSUING, STAMPING, TrustedList, TrustedService, listed, open_list
from vault.clock import rfc3339
from vault.evidence.findings import Check, Outcome, Verdict

SYSTEM = "system"
_MAX_PEM = 64 << 20
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom a verifier trusts.

    Attributes:
        trust: anchors of seals and signatures.
        tsa_trust: anchors of timestamp authorities.
        lists: trusted lists that some of them come from.
    """

    trust: TrustStore
    tsa_trust: TrustStore
    lists: tuple[TrustedList, ...] = ()

    def noted(self, verdict: Verdict, at: datetime) -> Verdict:
        """Return a verdict with a note for each list that should have been replaced; it still counts."""
        return noted(verdict, self.lists, at)


def noted(verdict: Verdict, lists: Sequence[TrustedList], at: datetime) -> Verdict:
    """See `Sources.noted`."""
    notes = tuple(
        Check(
            f"trusted-list.stale[{number}]",
            Outcome.UNCHECKED,
            "a list in force",
            f"{each.territory} {each.number}, to be replaced by {rfc3339(each.next_update)}"
            if each.next_update is not None
            else f"{each.territory} {each.number}, closed",
        )
        for number, each in enumerate(lists)
        if each.stale(at)
    )
    return replace(verdict, checks=(*verdict.checks, *notes)) if notes else verdict


def open_sources(
    trust: Sequence[str], tsa_trust: Sequence[str], lists: Sequence[Path], signers: Sequence[Path]
) -> Sources:
    """Read whom to trust.

    Args:
        trust: places of anchors of signatures, see `anchors_of`.
        tsa_trust: those of timestamp authorities; none means those of `trust`.
        lists: trusted lists.
        signers: PEM certificates, any of which may have signed the lists.

    Raises:
        SigningError: one of them cannot be used.
        OSError: one of them cannot be read.
    """
    anchors = anchors_of(trust)
    stamping = anchors_of(tsa_trust) if tsa_trust else anchors
    opened = open_lists(lists, signers)
    services = [service for each in opened for service in each.services]
    return Sources(store(anchors, services, ISSUING), store(stamping, services, STAMPING), opened)


def open_lists(lists: Sequence[Path], signers: Sequence[Path]) -> tuple[TrustedList, ...]:
    """Verify and read trusted lists; see `open_sources`."""
    known = [each for path in signers for each in read_certificates(path)]
    now = datetime.now(UTC)
    return tuple(open_list(_octets(path), known, now) for path in lists)


def store(
    anchors: Sequence[x509.Certificate], services: Sequence[TrustedService], kinds: frozenset[str]
) -> TrustStore:
    """Return the trust in anchors that hold at any time, and in services at the times that their list says."""
    if not services:
        return TrustStore(anchors)
    always, given = frozenset(anchors), listed(services, kinds)

    def admits(certificate: x509.Certificate, at: datetime) -> bool:
        return certificate in always or given.admits(certificate, at)

    return TrustStore([*dict.fromkeys((*anchors, *given.anchors))], admits=admits)


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file.

    Raises:
        KeyUnusable: it holds none, or one that cannot be read.
        OSError: it cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(_octets(path))
    except HOSTILE as error:
        raise KeyUnusable("not PEM certificates") from error


def system_certificates() -> list[x509.Certificate]:
    """Return the roots that this system's own configuration trusts; those that cannot be read are passed over.

    Raises:
        KeyUnusable: there is none.
    """
    found: dict[x509.Certificate, None] = {}
    for path in _system_files():
        for pem in _CERTIFICATE.findall(_octets(path)):
            try:
                found[x509.load_pem_x509_certificate(pem)] = None
            except HOSTILE:
                continue
    if not found:
        raise KeyUnusable("this system has no roots of its own")
    return list(found)


def anchors_of(places: Sequence[str]) -> list[x509.Certificate]:
    """Return the certificates of several places, each once: PEM files, or `system`.

    Raises:
        KeyUnusable: one of them holds no certificate.
        OSError: one of them cannot be read.
    """
    found: dict[x509.Certificate, None] = {}
    for place in places:
        certificates = system_certificates() if place == SYSTEM else read_certificates(Path(place))
        found.update(dict.fromkeys(certificates))
    return list(found)


def _system_files() -> Iterator[Path]:
    places = ssl.get_default_verify_paths()
    if places.cafile is not None:
        yield Path(places.cafile)
    if places.capath is not None:
        # Many systems name each certificate twice, by itself and by a hash: reading both costs little.
        yield from sorted(each for each in Path(places.capath).iterdir() if each.is_file())


def _octets(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_PEM)
