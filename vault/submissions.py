"""A holder, or who acts for the holder, submits an attachment to the safe; its bytes are never changed."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.ties import Subject, Ties
from vault.db.engine import Database
from vault.db.repositories import Safes
from vault.documents.drafts import Intent
from vault.domain.actors import Actor
from vault.domain.documents import Kind, NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import NotFound, Refused
from vault.files.fields import check_description
from vault.pipeline import Pipeline


class Submissions:
    """Takes attachments in."""

    def __init__(self, database: Database, safes: Safes, pipeline: Pipeline, ties: Ties) -> None:
        self._database = database
        self._safes = safes
        self._pipeline = pipeline
        self._ties = ties

    def deposit(self, actor: Actor, new: NewDocument, chunks: Iterable[bytes], transfer: Transfer) -> Outcome:
        """Seal a file beside, as received, and put it into the holder's safe.

        Raises:
            NotFound: UNKNOWN_HOLDER, also for somebody else's safe.
            Refused: FIELD_INVALID when an attachment claims to replace an act; else see `Pipeline.accept`.
            Conflict, Unavailable: see `Pipeline.accept`.
        """
        check_description(new)
        if new.supersedes is not None:
            raise Refused("FIELD_INVALID", "only acts replace acts", field="supersedes")
        if new.attributes:
            raise Refused("FIELD_INVALID", "only issuers state attributes", field="attributes")
        with self._database.reading() as connection:
            safe_id = self._safes.of_holder(connection, new.holder)
            if safe_id is None:
                raise NotFound("UNKNOWN_HOLDER")
            self._demand(connection, actor, safe_id, new)
        intent = Intent(
            "attachments",
            Kind.ATTACHMENT,
            actor,
            safe_id,
            None,
            new,
            transfer,
            lambda connection: self._demand(connection, actor, safe_id, new),
            lasting=self._ties.is_lasting(actor, Action.DEPOSIT, Subject.to_come(safe_id, new.document_type)),
        )
        return self._pipeline.accept(intent, chunks)

    def _demand(self, connection: Connection, actor: Actor, safe_id: str, new: NewDocument) -> None:
        subject = Subject.to_come(safe_id, new.document_type)
        try:
            self._ties.demand(connection, actor, Action.DEPOSIT, subject)
        except NotFound:
            raise NotFound("UNKNOWN_HOLDER") from None  # does not tell which holders exist
