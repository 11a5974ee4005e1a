"""Opening a share: a code and a second secret, for a token that counts ten minutes.

Whatever is wrong (no such code, another secret, over, used up, withdrawn, locked) costs the same work and gets the same
answer. Of refused tries the ledger gets one entry an interval, later, by `record_refusals`: an entry at once would take
time that an unknown code does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from storage.errors import KeyRefused
from vault.authorization.rates import Lockout
from vault.clock import parse_rfc3339, rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.repositories import PRIVATE_ROLE
from vault.db.share_tables import share_tokens, share_tries
from vault.domain.actors import Actor, Role
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound
from vault.ids import new_id
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.sharing.codes import read_code, read_secret
from vault.sharing.shares import code_index, is_secret, said_of, status_of

LIFETIME = timedelta(minutes=10)
# Tells a bearer's token from others before any look-up, and leaked ones from other texts.
TOKEN_PREFIX = "psb_"  # noqa: S105 - says what a token is, and is none
_TOKEN_OCTETS = 32
_MAX_TOKEN = 128
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """What an opening gives.

    Attributes:
        token: bearer token.
        ends_at: when it stops counting, UTC.
        actor: whom it stands for.
    """

    token: str
    ends_at: datetime
    actor: Actor


@dataclass(frozen=True, slots=True)
class _Decoy:
    """A row that is opened where no code was found, so that both ways cost the same."""

    wrapped: bytes
    sealed: bytes
    salt: str
    digest: str


class Openings(MatterService):
    """Opens shares, tells who bears a token, and writes refused tries down."""

    def __init__(self, means: Means, lockout: Lockout, interval: timedelta) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            lockout: counts wrong secrets.
            interval: from one entry about refused tries on a share to the next.
        """
        super().__init__(means)
        self._lockout = lockout
        self._interval = interval
        self._decoy = _decoy(means.keyring)

    def open(self, code: str, secret: str) -> Opened:
        """Open a share: one view is used up, in the transaction that counts.

        Steps:
            1. Find the share by its code; a decoy is opened where there is none.
            2. Compare the second secret in constant time, and see whether the share counts.
            3. Let the lockout decide, whatever came out.
            4. Count the view, write the entry and draw the token in one transaction, deciding once more.

        Raises:
            NotFound: SHARE_REFUSED, whatever is wrong.
            Unavailable: the entry cannot be written; no view was used up.
        """
        said = read_code(code) or code[:_MAX_TOKEN]
        index = code_index(self._keyring, said)
        # 1
        with self._database.reading() as connection:
            share = self._found(connection, index)
            if share is None:
                self._open_decoy()
        # 2
        salt, digest = self._decoy.salt, self._decoy.digest
        if share is not None:
            salt, digest = str(share.private["salt"]), str(share.private["secret"])
        right = is_secret(self._keyring, salt, read_secret(secret), digest)
        right = right and share is not None and self._counts(share)
        # 3
        if not self._lockout.judge(f"share:{said}", right) or share is None:
            self._refuse(index)
        share_id = share.id
        # 4
        token, opening = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_OCTETS), new_id("opn")
        actor = Actor(id=opening, role=Role.BEARER, share_id=share_id)
        try:
            ends_at = self._ledger.run(lambda tx: self._count(tx, actor, share_id, token))
        except NotFound:  # somebody else was first, or the holder
            self._refuse(index)
        return Opened(token, ends_at, actor)

    def authenticate(self, token: str) -> Actor | None:
        """Return who bears a token, or None. Whether the share still counts is for `vault.authorization.ties` to say.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        if not token.startswith(TOKEN_PREFIX) or len(token) > _MAX_TOKEN:
            return None
        query = select(share_tokens).where(
            share_tokens.c.token_ix == self._token_index(token),
            share_tokens.c.ends_at > rfc3339(self._clock.now()),
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Actor(id=row["opening_id"], role=Role.BEARER, share_id=row["share_id"])

    def record_refusals(self) -> int:
        """Write refused tries of known codes into the ledger, one entry an interval and share; return how many.

        Raises:
            Unavailable: nothing was lost, they wait.
        """
        known = select(models.matters.c.lookup_ix).where(models.matters.c.kind == MatterKind.SHARE.value)
        strange = share_tries.c.lookup_ix.not_in(known.where(models.matters.c.lookup_ix.is_not(None)))
        with self._database.reading() as connection:
            if connection.execute(select(share_tries.c.tries).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            connection.execute(delete(share_tries).where(strange))
        return sum(self._write(index) for index in self._due())

    def _due(self) -> Sequence[bytes]:
        with self._database.reading() as connection:
            waiting = connection.scalars(select(share_tries.c.lookup_ix)).all()
            found = [(index, self._found(connection, index)) for index in waiting]
        return [index for index, share in found if share is not None and self._is_due(share)][:_BATCH]

    def _is_due(self, share: Matter) -> bool:
        before = share.private.get("refused_at")
        return before is None or abs(self._clock.now() - parse_rfc3339(str(before))) >= self._interval

    def _write(self, index: bytes) -> int:
        return self._ledger.run(lambda tx: self._record(tx, index))

    def _record(self, tx: LedgerTransaction, index: bytes) -> int:
        connection = tx.connection
        share = self._found(connection, index)
        tries = connection.scalar(select(share_tries.c.tries).where(share_tries.c.lookup_ix == index))
        if share is None or tries is None or not self._is_due(share):
            return 0  # another process was first
        gone = delete(share_tries).where(share_tries.c.lookup_ix == index, share_tries.c.tries == tries)
        if connection.execute(gone).rowcount != 1:
            return 0
        total = int(share.private["refused"]) + int(tries)
        self._matters.move(
            tx,
            Actor(id="", role=Role.BEARER, share_id=share.id),
            share.id,
            "share.refused",
            said_of(share.private, tries=int(tries)),
            changed={"refused": total, "refused_at": rfc3339(self._clock.now())},
        )
        return 1

    def _count(self, tx: LedgerTransaction, actor: Actor, share_id: str, token: str) -> datetime:
        share = self._matters.rows.load(tx.connection, share_id, MatterKind.SHARE)
        if share is None or not self._counts(share):
            raise NotFound("SHARE_REFUSED")
        if not self._ties.is_open(tx.connection, share.safe_id or ""):
            raise NotFound("SHARE_REFUSED")
        now = self._clock.now()
        used, views = int(share.private["used"]) + 1, int(share.private["views"])
        self._matters.move(
            tx,
            actor,
            share_id,
            "share.opened",
            said_of(share.private, view=used, views=views),
            changed={"used": used, "opened_at": rfc3339(now)},
        )
        if used == views:
            self._matters.move(tx, actor, share_id, "share.exhausted", said_of(share.private))
        ends_at = min(now + LIFETIME, share.ends_at or now)
        tx.connection.execute(delete(share_tokens).where(share_tokens.c.ends_at <= rfc3339(now)))
        row = {
            "token_ix": self._token_index(token),
            "share_id": share_id,
            "opening_id": actor.id,
            "ends_at": rfc3339(ends_at),
        }
        tx.connection.execute(insert(share_tokens), row)
        return ends_at

    def _counts(self, share: Matter) -> bool:
        in_time = status_of(share, self._clock.now()) == "live"
        return in_time and int(share.private["used"]) < int(share.private["views"])

    def _refuse(self, index: bytes) -> NoReturn:
        with self._database.writing() as connection:
            more = update(share_tries).where(share_tries.c.lookup_ix == index)
            if connection.execute(more.values(tries=share_tries.c.tries + 1)).rowcount == 0:
                connection.execute(insert(share_tries), {"lookup_ix": index, "tries": 1})
        raise NotFound("SHARE_REFUSED")

    def _found(self, connection: Connection, index: bytes) -> Matter | None:
        share = self._matters.rows.by_lookup(connection, index)
        return share if share is not None and share.kind is MatterKind.SHARE else None

    def _open_decoy(self) -> None:
        try:
            key = self._keyring.open_key(_DECOY, self._decoy.wrapped)
        except KeyRefused:
            # The key-encryption key it was wrapped with had its time.
            self._decoy = _decoy(self._keyring)
            key = self._keyring.open_key(_DECOY, self._decoy.wrapped)
        orjson.loads(key.open(PRIVATE_ROLE, self._decoy.sealed))

    def _token_index(self, token: str) -> bytes:
        return self._keyring.index("share-token", token.encode(errors="replace"))


_DECOY = "shr_00000000000000000000000000"


def _decoy(keyring: Keyring) -> _Decoy:
    key = keyring.new_key(_DECOY)
    private = {"words": "x" * 500, "documents": ["doc_00000000000000000000000000"]}
    return _Decoy(
        key.wrapped,
        key.seal(PRIVATE_ROLE, orjson.dumps(private)),
        secrets.token_hex(16),
        secrets.token_hex(32),
    )
