"""How long the certificates last that the service seals and timestamps with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from signing.base import KeyPurpose
from signing.cabinet import HeldCertificate, KeyCabinet
from signing.cabinet_table import ACTIVE
from signing.crl import find_issuer

NOTICE, WARNING, URGENT, OVER = "notice", "warning", "urgent", "over"
_LEVELS = ((0, OVER), (7, URGENT), (30, WARNING), (90, NOTICE))
_DAY = timedelta(days=1)
#: Without these nothing is sealed at all; an act seal is one administration's.
_NEEDED = frozenset(
    {KeyPurpose.RECEPTION_SEAL.value, KeyPurpose.EVIDENCE_SEAL.value, KeyPurpose.TIMESTAMP.value}
)


@dataclass(frozen=True, slots=True)
class Ending:
    """When the first certificate of a kind ends.

    Attributes:
        what: a purpose, `issuer` or `root`; no administration is named.
        days: whole days left; negative once it is over.
        level: `notice` from 90 days, `warning` from 30, `urgent` from 7, `over`; "" before.
    """

    what: str
    days: int
    level: str

    @property
    def is_down(self) -> bool:
        """Whether the service cannot seal because of it."""
        return self.level == OVER and self.what in _NEEDED


def level_of(ends: datetime, now: datetime) -> str:
    """Return how near an end is: `notice`, `warning`, `urgent`, `over`, or ""."""
    left = ends - now
    return next((level for days, level in _LEVELS if left <= days * _DAY), "")


def days_left(ends: datetime, now: datetime) -> int:
    """Return the whole days until an end; negative afterwards."""
    return (ends - now) // _DAY


def in_force(held: Sequence[HeldCertificate]) -> list[HeldCertificate]:
    """Return for each use the key that seals now; where none does any more, the one that did last."""
    by_use: dict[tuple[KeyPurpose, str], list[HeldCertificate]] = defaultdict(list)
    for each in held:
        if each.state == ACTIVE:
            by_use[each.purpose, each.administration].append(each)
    return [
        max(group, key=lambda each: (each.in_use, each.chain[0].not_valid_after_utc))
        for group in by_use.values()
    ]


def endings(cabinet: KeyCabinet, now: datetime) -> list[Ending]:
    """Return when the first certificate of each kind ends, soonest first."""
    first: dict[str, datetime] = {}

    def meet(what: str, certificate: x509.Certificate) -> None:
        ends = certificate.not_valid_after_utc
        first[what] = min(first.get(what, ends), ends)

    roots = cabinet.roots()
    for held in in_force(cabinet.overview()):
        meet(held.purpose.value, held.chain[0])
        for issuer in held.chain[1:]:
            meet("issuer", issuer)
        root = find_issuer(held.chain[-1], roots)
        if root is not None:
            meet("root", root)
    found = [Ending(what, days_left(ends, now), level_of(ends, now)) for what, ends in first.items()]
    return sorted(found, key=lambda each: (each.days, each.what))


def note_of(found: Sequence[Ending]) -> str:
    """Say in one sentence what is near its end."""
    near = [f"{each.what}: {each.days} days left ({each.level})" for each in found if each.level]
    if near:
        return "; ".join(near)
    return f"the first certificate ends in {found[0].days} days" if found else "no certificate is in use"
