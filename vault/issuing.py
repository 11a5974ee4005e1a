"""An administration issues an act into a holder's safe."""

from __future__ import annotations

from collections.abc import Iterable

from vault.access import Action, demand
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


class Issuing:
    """Issues acts."""

    def __init__(self, database: Database, safes: Safes, pipeline: Pipeline, attributes: Attributes) -> None:
        self._database = database
        self._safes = safes
        self._pipeline = pipeline
        self._attributes = attributes

    def issue(
        self,
        actor: Actor,
        administration_id: str,
        new: NewDocument,
        chunks: Iterable[bytes],
        transfer: Transfer,
    ) -> Outcome:
        """Seal a file as an act of the administration and put it into the holder's safe.

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
            demand(actor, Action.ISSUE, issuer_id=administration_id)
            safe_id = self._safes.of_holder(connection, new.holder)
        self._attributes.check_stated(new.document_type, administration_id, new.attributes)
        if safe_id is None:
            raise NotFound("UNKNOWN_HOLDER")
        intent = Intent("acts", Kind.ACT, actor, safe_id, administration_id, new, transfer)
        return self._pipeline.accept(intent, chunks)
