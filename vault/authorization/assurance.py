"""Which acts demand how sure and how recent a proof of identity: one table, and one place that demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from vault.clock import Clock
from vault.domain.actors import Actor, Assurance
from vault.errors import Unauthenticated

STEP_UP_PLACE = "/acces/renforcer"


class Act(StrEnum):
    """What a session may be asked to prove itself anew for."""

    CONSENT = "consent"
    SHARE = "share"
    MANDATE = "mandate"
    CLOSURE = "closure"
    EXPORT = "export"
    CONTACTS = "contacts"
    IDENTITIES = "identities"


@dataclass(frozen=True, slots=True)
class Demand:
    """What an act demands.

    Attributes:
        sensitive: whether it demands the level that the settings name for sensitive acts.
        fresh_within: how long ago the identity may have been proven; None: in this session.
    """

    sensitive: bool = False
    fresh_within: timedelta | None = None


# Taking a consent or a share back, declining, ending a session or reporting never demands more than being logged in.
DEMANDS: Mapping[Act, Demand] = {
    Act.CONSENT: Demand(sensitive=True),
    Act.SHARE: Demand(sensitive=True),
    Act.MANDATE: Demand(sensitive=True),
    Act.CLOSURE: Demand(sensitive=True, fresh_within=timedelta(minutes=15)),
    Act.EXPORT: Demand(sensitive=True, fresh_within=timedelta(minutes=15)),
    Act.CONTACTS: Demand(fresh_within=timedelta(minutes=15)),
    Act.IDENTITIES: Demand(fresh_within=timedelta(minutes=10)),
}


def demand_assurance(
    actor: Actor, level: Assurance | None, fresh_within: timedelta | None, clock: Clock
) -> None:
    """Demand a proof of identity of at least a level and at most an age.

    Args:
        actor: who acts.
        level: least level, or None.
        fresh_within: greatest age of the proof, or None.
        clock: the service's clock.

    Raises:
        Unauthenticated: STEP_UP_REQUIRED, with the level and minutes demanded and where a person proves anew.
    """
    proven, when = actor.assurance, actor.authenticated_at
    weak = level is not None and (proven is None or proven < level)
    stale = fresh_within is not None and (when is None or clock.now() - when > fresh_within)
    if weak or stale:
        raise Unauthenticated(
            "STEP_UP_REQUIRED",
            level="" if level is None else level.name.lower(),
            minutes=0 if fresh_within is None else int(fresh_within.total_seconds() // 60),
            place=STEP_UP_PLACE,
        )


class Assurances:
    """Demands what the table says, at the level that the settings name."""

    def __init__(self, clock: Clock, sensitive: Assurance | None) -> None:
        """Keep clock and level.

        Args:
            clock: the service's clock.
            sensitive: level of sensitive acts; None: being logged in is enough.
        """
        self._clock = clock
        self._sensitive = sensitive

    def demand(self, actor: Actor, act: Act) -> None:
        """Demand what an act needs. Raises Unauthenticated(STEP_UP_REQUIRED)."""
        said = DEMANDS[act]
        demand_assurance(actor, self._sensitive if said.sensitive else None, said.fresh_within, self._clock)
