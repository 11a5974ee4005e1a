"""Fresh revocation data for sealing: held, renewed in time, refused when stale."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import requests
from cryptography import x509

from signing.base import ValidationMaterial
from signing.crl import UNREADABLE, Crl, find_issuer, is_root, read_crls
from signing.errors import KeyUnusable, RevocationStale

_log = logging.getLogger(__name__)

_RETRY_AFTER = timedelta(seconds=5)
_MAX_CRL = 16 * 1024 * 1024
_CHUNK = 64 * 1024
_MAX_ANSWERS = 1024

Chain = Sequence[x509.Certificate]
_Key = tuple[tuple[x509.Certificate, ...], ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Material and the span (start included, end excluded) in which it is fresh.

    `certificates` are the objects whose `id` the answer is kept under: while it is kept, no other has theirs.
    """

    material: ValidationMaterial
    start: datetime
    end: datetime
    certificates: tuple[x509.Certificate, ...]


class RevocationSource:
    """Holds CRLs and answers with the ones a seal must carry.

    CRLs are fetched again once half the life of one has passed; while they are still fresh, a failing or
    slow fetch delays nobody. Instances are safe for threads.
    """

    def __init__(
        self,
        fetch: Callable[[datetime], Sequence[bytes]],
        anchors: Sequence[x509.Certificate],
    ) -> None:
        """Hold nothing yet; the first `material` fetches.

        Args:
            fetch: returns the current DER CRLs of every authority in use; may raise when it cannot.
            anchors: the roots; their keys check the CRLs that they sign.
        """
        self._fetch = fetch
        self._anchors = tuple(anchors)
        self._held: tuple[Crl, ...] = ()
        self._asked: datetime | None = None
        self._due_at: datetime | None = None
        self._answers: dict[tuple[int, ...], _Answer] = {}
        self._met: dict[_Key, int] = {}
        self._fetches = 0
        self._fetching = threading.Lock()

    def material(self, chains: Sequence[Chain], now: datetime) -> ValidationMaterial:
        """Gather what proves several certificates at this time.

        Args:
            chains: for each key in play (seal, timestamp), its certificate then its issuers.
            now: the present, UTC.

        Returns:
            Every certificate but roots, once, in the order given; and for each the CRL of its issuer that
            began last, with thisUpdate ≤ now < nextUpdate, not older than the certificate.

        Raises:
            RevocationStale: a certificate has no such CRL, even after a fetch.
            KeyUnusable: a fresh CRL says that a certificate is revoked, or an issuer is missing.
        """
        # A hash of a certificate reads all of it; which objects these are is known at once.
        names = tuple([id(certificate) for chain in chains for certificate in chain])
        answer = self._answers.get(names)
        if answer is not None and answer.start <= now < answer.end and not self._due(now):
            return answer.material
        key = tuple(tuple(chain) for chain in chains)
        met = self._met.setdefault(key, self._fetches)
        if self._due(now):
            self._refresh(now, wait=False)
        # Kept beside the lists it was made of: a refresh meanwhile starts with no answers.
        answers = self._answers
        answer = answers.get(names)
        if answer is None or not answer.start <= now < answer.end:
            try:
                answer = self._gather(key, now)
            except RevocationStale:
                self._refresh(now, wait=True, met=met)
                answer = self._gather(key, now)
            if len(answers) >= _MAX_ANSWERS:
                answers.clear()
            answers[names] = answer
        return answer.material

    def refresh(self, now: datetime, *, force: bool = False) -> bool:
        """Fetch when half the life of a CRL has passed; for a background task.

        Args:
            now: the present, UTC.
            force: fetch in any case, so that a revocation made just now takes effect.

        Returns:
            Whether it fetched.
        """
        if force:
            self._asked = None
        return (force or self._due(now)) and self._refresh(now, wait=True)

    def _due(self, now: datetime) -> bool:
        return self._due_at is None or now >= self._due_at

    def _refresh(self, now: datetime, *, wait: bool, met: int | None = None) -> bool:
        """Fetch; `met` is how many fetches had begun when the chain that needs it was first met."""
        if not self._fetching.acquire(blocking=wait):
            return False
        try:
            # A thread that waited here finds the work done; a dead authority is not asked at every seal. But
            # a fetch older than the chain does not count, however recent: the key may have been made since.
            recent = self._asked is not None and timedelta(0) <= now - self._asked < _RETRY_AFTER
            if recent and met != self._fetches:
                return False
            self._asked = now
            self._fetches += 1
            fetched = read_crls(self._fetch(now))
        except Exception:
            # The fetcher is the operator's own code or a network client: whatever it raises means no CRL now.
            _log.warning("revocation lists could not be fetched", exc_info=True)
            return False
        else:
            kept = [
                crl for crl in self._held if crl.covers(now) and crl.der not in {new.der for new in fetched}
            ]
            self._held = (*fetched, *kept)
            half = [crl.this_update + (crl.next_update - crl.this_update) / 2 for crl in self._held]
            self._due_at = min(half, default=None)
            self._answers = {}
            return True
        finally:
            self._fetching.release()

    def _gather(self, chains: Sequence[Chain], now: datetime) -> _Answer:
        certificates = [item for item in dict.fromkeys(_flat(chains)) if not is_root(item)]
        issuers = [*self._anchors, *certificates]
        usable = sorted(
            (crl for crl in self._held if crl.covers(now)), key=lambda crl: crl.this_update, reverse=True
        )
        chosen: dict[bytes, Crl] = {}
        for certificate in certificates:
            issuer = find_issuer(certificate, issuers)
            if issuer is None:
                raise KeyUnusable("the issuer of a sealing or timestamp certificate is not known")
            listed = (crl for crl in usable if crl.could_name(certificate))
            crl = next((crl for crl in listed if crl.issued_by(issuer)), None)
            if crl is None:
                raise RevocationStale("no current revocation list covers a sealing or timestamp certificate")
            revoked = crl.revocation_date(certificate.serial_number)
            if revoked is not None and revoked <= now:
                raise KeyUnusable("a sealing or timestamp certificate is revoked")
            chosen[crl.der] = crl
        starts = [crl.this_update for crl in chosen.values()]
        ends = [crl.next_update for crl in chosen.values()]
        material = ValidationMaterial(tuple(certificates), tuple(chosen))
        held = tuple(_flat(chains))
        return _Answer(material, max(starts, default=now), min(ends, default=now), held)


def fetch_http_crls(
    chains: Sequence[Chain],
    timeout: float,
    *,
    limit: int = _MAX_CRL,
    session: requests.Session | None = None,
) -> list[bytes]:
    """Fetch the CRLs that certificates of configured authorities point at (RFC 5280 section 4.2.1.13).

    Args:
        chains: certificates that the operator trusts, never ones out of a submitted file.
        timeout: seconds to connect, to wait for an answer, and for each transfer as a whole.
        limit: octets a CRL may have.
        session: keeps connections open between calls.

    Returns:
        The DER CRLs that could be had; a list that is missing shows when `material` is asked for.
    """
    found: list[bytes] = []
    for url in dict.fromkeys(url for item in _flat(chains) for url in distribution_points(item)):
        try:
            found.append(_download(session or requests.Session(), url, timeout, limit))
        except (requests.RequestException, RevocationStale):
            _log.warning("no revocation list from %s", url, exc_info=True)
    return found


def distribution_points(certificate: x509.Certificate) -> list[str]:
    """The http and https addresses where a certificate says its CRL is."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    names = [name.value for point in points for name in point.full_name or ()]
    return [name for name in names if isinstance(name, str) and name.startswith(("http://", "https://"))]


def _download(session: requests.Session, url: str, timeout: float, limit: int) -> bytes:
    deadline = time.monotonic() + timeout
    content = bytearray()
    with session.get(url, timeout=timeout, stream=True) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(_CHUNK):
            content += chunk
            if len(content) > limit:
                raise RevocationStale("the revocation list is over the size limit")
            if time.monotonic() > deadline:
                raise RevocationStale("the revocation list came too slowly")
    return bytes(content)


def _flat(chains: Iterable[Chain]) -> Iterable[x509.Certificate]:
    return (certificate for chain in chains for certificate in chain)
