"""What works ask of the database, asked once for all works of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vault.db.driver import Driver

if TYPE_CHECKING:
    from vault.ledger.group import LedgerTransaction

T = TypeVar("T")
#: Returns, within the group's transaction, the answer for each of some keys. What it looks at is changed only by works
#: that use `LedgerTransaction.connection`, or that say so with `LedgerTransaction.forget`.
Question = Callable[[Driver, Sequence[Any]], Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class Asking(Generic[T]):
    """A work that says beforehand what it will ask.

    Attributes:
        work: the work; it asks with `LedgerTransaction.ask`.
        asks: questions with their keys. It may ask others too, at the price of any look at the database.
    """

    work: Callable[[LedgerTransaction], T]
    asks: Sequence[tuple[Question, Any]]

    def __call__(self, tx: LedgerTransaction) -> T:
        """Do the work."""
        return self.work(tx)


def answers_to(driver: Driver, works: Sequence[object]) -> dict[Question, dict[Any, Any]]:
    """Ask what the works of a group say they will ask, each question once.

    Args:
        driver: in the group's transaction, before any work ran.
        works: of the group; those that say nothing are passed over.
    """
    keys: dict[Question, dict[Any, None]] = {}
    for work in works:
        if isinstance(work, Asking):
            for question, key in work.asks:
                keys.setdefault(question, {})[key] = None
    return {question: dict(question(driver, list(asked))) for question, asked in keys.items()}
