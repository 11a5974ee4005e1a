"""CRLs of configured authorities, fetched when they are due and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from signing.crl import Crl, read_crls
from signing.revocation import distribution_points, fetch_http_crls

_BETWEEN = timedelta(minutes=1)


class CrlCache:
    """Holds one CRL for each address that certificates name (RFC 5280 section 4.2.1.13).

    A list is fetched anew once half of its life has passed, beside the work that asked for it, and not more often than
    once a minute: authorities that issue a list for a year would otherwise be asked at every seal. Only a list that is
    missing or over is waited for. Lists come over plain HTTP: what none of the authorities signed is not held, or a
    forged one with a long life would keep the right one away; nor is one that is older than the one at hand. Safe for
    threads.
    """

    def __init__(
        self,
        timeout: float,
        anchors: Sequence[x509.Certificate],
        fetch: Callable[[Sequence[Sequence[x509.Certificate]], float], Sequence[bytes]] = fetch_http_crls,
    ) -> None:
        """Hold nothing yet.

        Args:
            timeout: seconds for each list.
            anchors: roots of the certificates; they and the certificates themselves sign the lists.
            fetch: gets the lists of certificates, as `fetch_http_crls`.
        """
        self._timeout = timeout
        self._anchors = tuple(anchors)
        self._fetch = fetch
        self._held: dict[x509.Certificate, tuple[Crl, ...]] = {}
        self._asked: dict[x509.Certificate, datetime] = {}
        self._guard = threading.Lock()

    def crls(self, certificates: Sequence[x509.Certificate], now: datetime) -> list[bytes]:
        """Return the lists (DER) that certificates point at, as far as they can be had.

        Args:
            certificates: that the operator named, never ones out of a submitted file.
            now: the present, UTC.
        """
        # Certificates of one authority point at one list.
        by_place = {tuple(distribution_points(each)): each for each in certificates}
        wanted = [each for place, each in by_place.items() if place]
        for each in wanted:
            if not self._is_fresh(each, now):
                self._get(each, certificates)
            elif self._is_due(each, now):
                threading.Thread(
                    target=self._get, args=(each, tuple(certificates)), name="probans-crls", daemon=True
                ).start()
        with self._guard:
            return list(dict.fromkeys(crl.der for each in wanted for crl in self._held.get(each, ())))

    def _get(self, certificate: x509.Certificate, certificates: Sequence[x509.Certificate]) -> None:
        issuers = (*self._anchors, *certificates)
        found = tuple(
            crl
            for crl in read_crls(self._fetch([[certificate]], self._timeout))
            if any(crl.issued_by(each) for each in issuers)
        )
        with self._guard:
            held = self._held.get(certificate, ())
            if found and (not held or _began(found) >= _began(held)):
                self._held[certificate] = found

    def _is_fresh(self, certificate: x509.Certificate, now: datetime) -> bool:
        with self._guard:
            held = self._held.get(certificate, ())
        return bool(held) and all(crl.covers(now) for crl in held)

    def _is_due(self, certificate: x509.Certificate, now: datetime) -> bool:
        """Tell whether it is this caller who fetches a fresh list anew."""
        with self._guard:
            asked = self._asked.get(certificate)
            if asked is not None and timedelta(0) <= now - asked < _BETWEEN:
                return False
            held = self._held.get(certificate, ())
            if all(now - crl.this_update < (crl.next_update - crl.this_update) / 2 for crl in held):
                return False
            self._asked[certificate] = now
            return True


def _began(lists: Sequence[Crl]) -> datetime:
    return max(crl.this_update for crl in lists)
