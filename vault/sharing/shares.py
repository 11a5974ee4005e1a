"""Shares: a holder lets somebody outside see documents, for one purpose, until a day, a number of times.

The holder gets two things once: a share code, and a second secret that goes another way (by telephone). The safe keeps
keyed digests of both. Who has one of them has nothing. What opening means stands in `vault.sharing.opening`, what
can be read then in `vault.sharing.reading`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from vault.access import Action
from vault.authorization.assurance import Act, Assurances
from vault.authorization.giving import Giving
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.share_tables import share_tries
from vault.documents.watermarks import demand_markable
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Outcome
from vault.domain.matters import Matter, MatterKind
from vault.domain.states import Status
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_code, check_text
from vault.ids import looks_like_id
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.sharing.codes import draw_code, draw_secret, read_code

MAX_DOCUMENTS = 10
MAX_VIEWS = 50
WATERMARK, ORIGINAL, EVIDENCE = "watermark", "original", "evidence"
_MAX_WORDS = 300
_MAX_RECIPIENT = 120


@dataclass(frozen=True, slots=True)
class NewShare:
    """A share that is about to be made.

    Attributes:
        documents: identifiers, of one safe.
        purpose: code of what it is for, such as `housing`.
        words: what it is for, in words, or "".
        recipient: for whom, in words.
        ends_at: until when, UTC.
        views: how many times it may be opened.
        form: `watermark`, a marked copy, or `original`.
        evidence: whether the evidence bundle, which holds the original, may be had too.
    """

    documents: tuple[str, ...]
    purpose: str
    words: str
    recipient: str
    ends_at: datetime
    views: int
    form: str
    evidence: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """What the making of a share answers; a repeated request gets no code and no secret.

    Attributes:
        outcome: identifier and entry.
        code: the share code, without groups, or "".
        secret: the second secret, without groups, or "".
    """

    outcome: Outcome
    code: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class SeenShare:
    """A share as who made it sees it.

    Attributes:
        matter: the share.
        status: `live`, `exhausted`, `ended` or `withdrawn`.
        refused: openings that were refused.
    """

    matter: Matter
    status: str
    refused: int


class Shares(MatterService):
    """Makes, shows and withdraws shares."""

    def __init__(self, means: Means, assurances: Assurances, giving: Giving, *, longest_days: int) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            assurances: how surely an identity must be proven to share.
            giving: decides whether contents are fit to leave.
            longest_days: days a share may last at most.
        """
        super().__init__(means)
        self._assurances = assurances
        self._longest = timedelta(days=longest_days)
        self._giving = giving

    def create(self, actor: Actor, new: NewShare, idempotency_key: str) -> Created:
        """Make a share.

        Raises:
            NotFound: a document is unknown, or not for this caller to share.
            Unauthenticated: STEP_UP_REQUIRED.
            Refused: FIELD_INVALID naming the member, EVIDENCE_HOLDS_ORIGINAL, COPY_TYPE_UNSUPPORTED.
            Conflict: as `Giving.demand`; DOCUMENT_NOT_IN_FORCE, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        self.check(actor, new)
        self._assurances.demand(actor, Act.SHARE)
        key = self._matters.draw(MatterKind.SHARE)
        code, secret, salt = draw_code(), draw_secret(), secrets.token_hex(16)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            documents = self._given(tx.connection, actor, new)
            private = {
                "holder": documents[0].private.holder if documents[0].private else "",
                "documents": list(new.documents),
                "purpose": new.purpose,
                "words": new.words,
                "recipient": new.recipient,
                "gives": [new.form, *([EVIDENCE] if new.evidence else [])],
                "views": new.views,
                "used": 0,
                "refused": 0,
                "salt": salt,
                "secret": secret_digest(self._keyring, salt, secret).hex(),
            }
            matter = NewMatter(
                key,
                MatterKind.SHARE,
                actor,
                private,
                documents[0].safe_id,
                ends_at=new.ends_at,
                lookup_ix=code_index(self._keyring, code),
            )
            said = said_of(private, documents=" ".join(new.documents), gives=new.form, views=new.views)
            return key.document_id, self._matters.begin(tx, matter, "share.created", said, mark=mark)

        outcome = self._matters.once(actor, "shares", idempotency_key, _asked(new), work)
        return Created(outcome) if outcome.replayed else Created(outcome, code, secret)

    def check(self, actor: Actor, new: NewShare) -> Sequence[Document]:
        """Check a share that is about to be made, and return its documents; nothing is written.

        Raises:
            NotFound, Refused, Conflict: as `create`.
        """
        self._check(new)
        with self._database.reading() as connection:
            return self._given(connection, actor, new)

    def withdraw(self, actor: Actor, share_id: str, idempotency_key: str) -> Outcome:
        """End a share at once, whoever reads at this moment included.

        Raises:
            NotFound: unknown, or not for this caller.
            Conflict: STATE_CONFLICT when it was withdrawn before, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        with self._database.reading() as connection:
            self._entitled(connection, actor, Action.SHARE_WITHDRAW, share_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            share = self._entitled(tx.connection, actor, Action.SHARE_WITHDRAW, share_id)
            _, seq = self._matters.move(
                tx, actor, share_id, "share.withdrawn", said_of(share.private), mark=mark
            )
            return share_id, seq

        request = {"share": share_id}
        return self._matters.once(actor, "share-withdrawals", idempotency_key, request, work, status_code=200)

    def see(self, actor: Actor, share_id: str) -> SeenShare:
        """Return a share. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            return self._seen(connection, self._entitled(connection, actor, Action.SHARE_SEE, share_id))

    def of_safe(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[SeenShare]:
        """Return the shares of a safe, newest first, as far as the caller may see them. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.SHARE_SEE, Subject(safe_id))
            found = self._matters.rows.visible(
                connection,
                MatterKind.SHARE,
                lambda share: self._may(connection, actor, Action.SHARE_SEE, share),
                safe_id=safe_id,
                before=before,
                limit=limit,
            )
            return [self._seen(connection, share) for share in found]

    def with_code(self, actor: Actor, share_id: str, code: str) -> Matter:
        """Return a share that counts, to who made it and shows its code. Raises NotFound."""
        with self._database.reading() as connection:
            share = self._entitled(connection, actor, Action.SHARE_SEE, share_id)
            found = self._matters.rows.by_lookup(connection, code_index(self._keyring, read_code(code)))
        if found is None or found.id != share.id or status_of(share, self._clock.now()) != "live":
            raise NotFound("NOT_FOUND")
        return share

    def _check(self, new: NewShare) -> None:
        count = len(new.documents)
        if not 1 <= count <= MAX_DOCUMENTS or len(set(new.documents)) != count:
            raise Refused("FIELD_INVALID", f"1 to {MAX_DOCUMENTS} documents, each once", field="documents")
        if not all(looks_like_id(each, "doc") for each in new.documents):
            raise Refused("FIELD_INVALID", "document identifiers", field="documents")
        check_code("purpose", new.purpose, required=True)
        check_text("words", new.words, _MAX_WORDS)
        check_text("recipient", new.recipient, _MAX_RECIPIENT, required=True)
        if not 1 <= new.views <= MAX_VIEWS:
            raise Refused("FIELD_INVALID", f"1 to {MAX_VIEWS}", field="views")
        if new.form not in {WATERMARK, ORIGINAL}:
            raise Refused("FIELD_INVALID", f"{WATERMARK} or {ORIGINAL}", field="form")
        if new.evidence and new.form != ORIGINAL:
            raise Refused("EVIDENCE_HOLDS_ORIGINAL")
        now = self._clock.now()
        if not now < new.ends_at <= now + self._longest:
            raise Refused(
                "FIELD_INVALID", f"in the future, in {self._longest.days} days at most", field="ends_at"
            )

    def _given(self, connection: Connection, actor: Actor, new: NewShare) -> Sequence[Document]:
        """Return the documents, all the caller's to share, of one safe, published and in force."""
        found = [self._document(connection, actor, each) for each in new.documents]
        if len({each.safe_id for each in found}) != 1:
            raise Refused("FIELD_INVALID", "documents of one safe", field="documents")
        for each in found:
            self._giving.demand(each)
            if each.status is not Status.VALID:
                raise Conflict("DOCUMENT_NOT_IN_FORCE", document=each.id)
            if new.form == WATERMARK:
                demand_markable(each.media_type)
        return found

    def _document(self, connection: Connection, actor: Actor, document_id: str) -> Document:
        document = self._load_document(connection, document_id)
        self._ties.demand(connection, actor, Action.SHARE_CREATE, Subject.of(document))
        return document

    def _entitled(self, connection: Connection, actor: Actor, action: Action, share_id: str) -> Matter:
        share = self._matters.rows.load(connection, share_id, MatterKind.SHARE)
        if share is None or not self._may(connection, actor, action, share):
            raise NotFound("NOT_FOUND")
        return share

    def _may(self, connection: Connection, actor: Actor, action: Action, share: Matter) -> bool:
        """Who has a mandate for some types of document has to do with shares of those alone."""
        if self._ties.grant(connection, actor, action, Subject.about(share)) is None:
            return False
        if actor.role is not Role.MANDATARY:
            return True
        documents = [self._documents.load(connection, each) for each in share.private["documents"]]
        return all(
            each is not None and self._ties.grant(connection, actor, action, Subject.of(each)) is not None
            for each in documents
        )

    def _seen(self, connection: Connection, share: Matter) -> SeenShare:
        lookup = select(models.matters.c.lookup_ix).where(models.matters.c.id == share.id).scalar_subquery()
        waiting = connection.scalar(select(share_tries.c.tries).where(share_tries.c.lookup_ix == lookup)) or 0
        status = status_of(share, self._clock.now())
        return SeenShare(share, status, int(share.private["refused"]) + int(waiting))


def status_of(share: Matter, now: datetime) -> str:
    """Return `live`, `exhausted`, `ended` or `withdrawn`."""
    over = share.ends_at is not None and share.ends_at <= now
    return "ended" if over and share.state != "withdrawn" else share.state


def code_index(keyring: Keyring, code: str) -> bytes:
    """Return the keyed digest by which a share is found."""
    return keyring.index("share", code.encode(errors="replace"))


def secret_digest(keyring: Keyring, salt: str, secret: str) -> bytes:
    """Return the keyed, salted digest of a second secret."""
    return keyring.index("share-secret", salt, secret)


def is_secret(keyring: Keyring, salt: str, secret: str, digest: str) -> bool:
    """Tell whether a second secret is the one of a digest, in constant time."""
    return hmac.compare_digest(secret_digest(keyring, salt, secret), bytes.fromhex(digest))


def said_of(private: Any, **details: str | int) -> Said:
    """Return what an entry about a share says of it."""
    return Said(
        holder=private["holder"],
        context=entries.context(
            purpose=private["purpose"], title=private["recipient"], words=private["words"]
        ),
        details=details,
    )


def _asked(new: NewShare) -> dict[str, Any]:
    return {
        "documents": list(new.documents),
        "purpose": new.purpose,
        "words": new.words,
        "recipient": new.recipient,
        "ends_at": rfc3339(new.ends_at),
        "views": new.views,
        "form": new.form,
        "evidence": new.evidence,
    }
