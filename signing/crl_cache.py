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

    A list is fetched anew once half of its life has passed, but not more often than once a minute while it is
    fresh: authorities that issue a list for a year would otherwise be asked at every seal. A list that is missing or
    over is asked for at each call. Safe for threads.
    """

    def __init__(
        self,
        timeout: float,
        fetch: Callable[[Sequence[Sequence[x509.Certificate]], float], Sequence[bytes]] = fetch_http_crls,
    ) -> None:
        """Hold nothing yet.

        Args:
            timeout: seconds for each list.
            fetch: gets the lists of certificates, as `fetch_http_crls`.
        """
        self._timeout = timeout
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
            if self._due(each, now):
                found = tuple(read_crls(self._fetch([[each]], self._timeout)))
                with self._guard:
                    self._asked[each] = now
                    if found:
                        self._held[each] = found
        with self._guard:
            return list(dict.fromkeys(crl.der for each in wanted for crl in self._held.get(each, ())))

    def _due(self, certificate: x509.Certificate, now: datetime) -> bool:
        with self._guard:
            held = self._held.get(certificate, ())
            asked = self._asked.get(certificate)
        if not held or not all(crl.covers(now) for crl in held):
            return True
        if asked is not None and timedelta(0) <= now - asked < _BETWEEN:
            return False
        return any(now - crl.this_update >= (crl.next_update - crl.this_update) / 2 for crl in held)
