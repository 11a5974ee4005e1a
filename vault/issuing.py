"""An administration issues an act into a holder's safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from vault.access import Action
from vault.attributes import Attributes
from vault.db.engine import Database
from vault.db.repositories import Safes
from vault.domain.actors import Actor
from vault.domain.documents import Kind, NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.drafts import Intent
from vault.errors import NotFound
from vault.fields import check_description
from vault.pipeline import Pipeline
from vault.ties import Subject, Ties


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
        noted: Callable[[Connection, Outcome], None] | None = None,
    ) -> Outcome:
        """Seal a file as an act of the administration and put it into the holder's safe.

        Args:
            actor: the caller.
            administration_id: the issuer.
            new: what is said of the file.
            chunks: its octets.
            transfer: key, declared length and digest.
            noted: see `vault.drafts.Intent`.

        Raises:
            NotFound: UNKNOWN_ADMINISTRATION, UNKNOWN_HOLDER, or NOT_FOUND when the caller may not issue there
                or the act to replace is not the administration's.
            Refused: ATTRIBUTE_UNKNOWN, or FIELD_INVALID for an attribute that such an act does not state.
            Refused, Conflict, Unavailable: see `Pipeline.accept`.
        """
        check_description(new)
        with self._database.reading() as connection:
            if self._safes.administration(connection, administration_id) is None:
                raise NotFound("UNKNOWN_ADMINISTRATION")
            self._ties.demand(connection, actor, Action.ISSUE, Subject(None, administration_id))
            safe_id = self._safes.of_holder(connection, new.holder)
            subject = Subject(safe_id, administration_id)
            if safe_id is not None:
                self._ties.demand(connection, actor, Action.ISSUE, subject)
        self._attributes.check_stated(new.document_type, administration_id, new.attributes)
        intent = Intent(
            "acts",
            Kind.ACT,
            actor,
            safe_id or "",
            administration_id,
            new,
            transfer,
            lambda connection: self._ties.demand(connection, actor, Action.ISSUE, subject),
            lasting=self._ties.is_lasting(actor, Action.ISSUE, subject),
            noted=noted,
        )
        return self._pipeline.accept(intent, chunks)
