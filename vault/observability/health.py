"""How the parts of the service do: asked all at once, each with a time limit, with since when they do so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from vault.clock import Clock

_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """State of one part.

    Attributes:
        ok: whether it works.
        note: one sentence for operators.
        needed: whether the service cannot keep its promises without it.
        since: since when it works, or does not, as this process saw it; None in a single answer of a part.
    """

    ok: bool
    note: str
    needed: bool = True
    since: datetime | None = None


Ask = Callable[[], Health]


def probe(ask: Callable[[], str], *, needed: bool = True) -> Health:
    """Return the health of a part that works where a function returns its note, and does not where that raises."""
    try:
        return Health(True, ask(), needed)
    except Exception as error:  # whatever is wrong with a part is what readiness must tell
        return Health(False, str(getattr(error, "code", "INTERNAL")), needed)


class Readiness:
    """Asks parts and remembers since when each works or does not. Safe for threads.

    A part that does not answer within the limit counts as one that does not work. It is not asked again before it
    answered: a thread that hangs in it stays the only one.

    Args:
        clock: the service's.
        limit_s: seconds for all parts together, which are asked at once.
    """

    def __init__(self, clock: Clock, limit_s: float = _LIMIT_S) -> None:
        self._clock, self._limit_s = clock, limit_s
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._known: dict[str, Health] = {}

    def ask(self, parts: Mapping[str, Ask], optional: frozenset[str] = frozenset()) -> Mapping[str, Health]:
        """Return how each part does, in the order given.

        Args:
            parts: by name, what to ask.
            optional: parts whose silence leaves the service able to keep its promises.
        """
        deadline = time.monotonic() + self._limit_s
        with self._lock:
            for name, ask in parts.items():
                known = self._asked.get(name)
                if known is None or known.answered.is_set():
                    self._asked[name] = _Asked(name, ask)
            asked = {name: self._asked[name] for name in parts}
        silent = f"no answer within {self._limit_s:g} s"
        found = {
            name: one.health
            if one.answered.wait(max(0.0, deadline - time.monotonic())) and one.health is not None
            else Health(False, silent, name not in optional)
            for name, one in asked.items()
        }
        return self._dated(found)

    def _dated(self, found: Mapping[str, Health]) -> Mapping[str, Health]:
        now = self._clock.now()
        with self._lock:
            for name, health in found.items():
                before = self._known.get(name)
                since = now if before is None or before.ok != health.ok else before.since
                self._known[name] = replace(health, since=since)
            return {name: self._known[name] for name in found}


class _Asked:
    """One question to one part."""

    def __init__(self, name: str, ask: Ask) -> None:
        self.health: Health | None = None
        self.answered = threading.Event()
        self._ask = ask
        threading.Thread(target=self._run, name=f"probans-health-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.health = self._ask()
        except Exception as error:  # as in `probe`: it is told, not raised in a thread nobody watches
            self.health = Health(False, str(getattr(error, "code", "INTERNAL")))
        finally:
            self.answered.set()
