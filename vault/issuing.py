"""An administration issues an act into a holder's safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.ties import Subject, Ties
from vault.db.driver import driver_of
from vault.db.engine import Database
from vault.db.matters import quiet_safes
from vault.db.repositories import Safes
from vault.documents.arrivals import Arrival, Result, settled
from vault.documents.drafts import Intent
from vault.domain.actors import Actor
from vault.domain.documents import Kind, NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import NotFound, VaultError
from vault.files.fields import check_description
from vault.ledger.writer import LedgerTransaction
from vault.matters.attributes import Attributes
from vault.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Act:
    """A file to issue.

    Attributes:
        new: what is said of it.
        chunks: its octets.
        transfer: key, declared length and digest.
        noted: see `vault.documents.drafts.Intent`.
    """

    new: NewDocument
    chunks: Iterable[bytes]
    transfer: Transfer
    noted: Callable[[LedgerTransaction, Outcome], None] | None = None


class Issuing:
    """Issues acts."""

    def __init__(
        self, database: Database, safes: Safes, pipeline: Pipeline, attributes: Attributes, ties: Ties
    ) -> None:
        self._database = database
        self._safes = safes
        self._pipeline = pipeline
        self._attributes = attributes
        self._ties = ties

    def issue(
        self,
        actor: Actor,
        administration_id: str,
        new: NewDocument,
        chunks: Iterable[bytes],
        transfer: Transfer,
    ) -> Outcome:
        """Seal a file as an act of the administration and put it into the holder's safe.

        Args:
            actor: the caller.
            administration_id: the issuer.
            new: what is said of the file.
            chunks: its octets.
            transfer: key, declared length and digest.

        Raises:
            NotFound: UNKNOWN_ADMINISTRATION, UNKNOWN_HOLDER, or NOT_FOUND when the caller may not issue there
                or the act to replace is not the administration's.
            Refused: ATTRIBUTE_UNKNOWN, or FIELD_INVALID for an attribute that such an act does not state.
            Refused, Conflict, Unavailable: see `Pipeline.accept`.
        """
        (result,) = self.issue_all(actor, administration_id, (Act(new, chunks, transfer),))
        return settled(result)

    def issue_all(self, actor: Actor, administration_id: str, acts: Sequence[Act]) -> list[Result]:
        """Issue files together, see `Pipeline.accept_all`.

        Args:
            actor: the caller.
            administration_id: the issuer.
            acts: what to issue.

        Returns:
            For each act what `issue` would return or raise.
        """
        intents = self._intents(actor, administration_id, acts)
        arrivals = [
            Arrival(intent, act.chunks)
            for intent, act in zip(intents, acts, strict=True)
            if isinstance(intent, Intent)
        ]
        taken = iter(self._pipeline.accept_all(arrivals))
        return [next(taken) if isinstance(intent, Intent) else intent for intent in intents]

    def _intents(
        self, actor: Actor, administration_id: str, acts: Sequence[Act]
    ) -> list[Intent | VaultError]:
        """Return for each act what is to be done, or why it may not be."""
        found: list[Intent | VaultError | None] = [_refusal(act.new) for act in acts]
        if all(found):
            return [each for each in found if each is not None]
        with self._database.reading() as connection:
            try:
                if self._safes.administration(connection, administration_id) is None:
                    raise NotFound("UNKNOWN_ADMINISTRATION")
                self._ties.demand(connection, actor, Action.ISSUE, Subject(None, administration_id))
            except VaultError as error:
                return [each or error for each in found]
            safes = self._safes.of_holders(connection, {act.new.holder for act in acts})
            quiet = quiet_safes(driver_of(connection), [each for each in safes.values() if each])
            return [
                each or self._intent(connection, actor, administration_id, act, safes[act.new.holder], quiet)
                for each, act in zip(found, acts, strict=True)
            ]

    def _intent(
        self,
        connection: Connection,
        actor: Actor,
        administration_id: str,
        act: Act,
        safe_id: str | None,
        quiet: Mapping[str, bool],
    ) -> Intent | VaultError:
        new, subject = act.new, Subject(safe_id, administration_id)
        lasting = self._ties.is_lasting(actor, Action.ISSUE, subject)
        try:
            if safe_id is not None and not (lasting and quiet[safe_id]):
                self._ties.demand(connection, actor, Action.ISSUE, subject)
            self._attributes.check_stated(new.document_type, administration_id, new.attributes)
        except VaultError as error:
            return error
        return Intent(
            "acts",
            Kind.ACT,
            actor,
            safe_id or "",
            administration_id,
            new,
            act.transfer,
            lambda within: self._ties.demand(within, actor, Action.ISSUE, subject),
            lasting=lasting,
            noted=act.noted,
        )


def _refusal(new: NewDocument) -> VaultError | None:
    try:
        check_description(new)
    except VaultError as error:
        return error
    return None
