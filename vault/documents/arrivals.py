"""Files on their way into the safe, beside others that came with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vault.documents.drafts import Draft, Intent
from vault.domain.documents import Outcome
from vault.intake import Spooled
from vault.records.objects import Delivery
from vault.sealing.desk import Sealed

#: What came of a file: what its caller is told, or why it is not taken in.
Result = Outcome | BaseException


@dataclass(slots=True, eq=False)
class Arrival:
    """One file, and how far it has come; each step of `vault.pipeline` writes what it found out.

    Attributes:
        intent: what was asked.
        chunks: the octets, read once.
        result: what came of it; None while that is open.
        scope: stands for caller, route and idempotency key.
        name: the file's name, clean.
        spooled: the file as received.
        request: stands for all that was asked, the file included.
        draft: the document before its rows exist.
        sealed: its seal; None while that waits.
        delivery: its parts in the object store.
    """

    intent: Intent
    chunks: Iterable[bytes]
    result: Result | None = None
    scope: bytes = b""
    name: str = ""
    spooled: Spooled = field(init=False)
    request: bytes = b""
    draft: Draft = field(init=False)
    sealed: Sealed | None = None
    delivery: Delivery = field(init=False)


def settled(result: Result) -> Outcome:
    """Return an outcome, or raise why there is none."""
    if isinstance(result, BaseException):
        raise result
    return result


def still(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return those whose result is open."""
    return [arrival for arrival in arrivals if arrival.result is None]


def each(arrivals: Iterable[Arrival], step: Callable[[Arrival], object]) -> None:
    """Take a step with each file whose result is open; what goes wrong with one is its own affair."""
    for arrival in still(arrivals):
        try:
            step(arrival)
        except Exception as error:
            arrival.result = error


def together(arrivals: Iterable[Arrival], step: Callable[[list[Arrival]], object]) -> None:
    """Take a step with all files whose result is open at once; what goes wrong then is the affair of them all."""
    left = still(arrivals)
    try:
        if left:
            step(left)
    except Exception as error:
        for arrival in still(left):
            arrival.result = error
