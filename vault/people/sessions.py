"""Sessions of browsers: kept by the server, known by the keyed digest of a random cookie value, and ended on time.

The value is new at each login and at each proof anew, and the one before is dead at once: whoever planted or saw an
older value holds nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from identity.base import LogoutNotice, ProvenIdentity
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core.keyring import Keyring
from vault.db.account_tables import logout_tokens, pending_logins, sessions
from vault.db.engine import Database
from vault.domain.actors import Actor, Assurance, Role
from vault.errors import NotFound, Refused, Unauthenticated, Unavailable
from vault.ids import new_id
from vault.people.account_rows import Account, AccountRows, open_sealed
from vault.people.accounts import SignedIn
from vault.people.pseudonyms import agent_pseudonym
from vault.people.qualities import Quality

_SEEN_EVERY = timedelta(minutes=1)
_MOST_OF_ONE = 20
_LONGEST_DEVICE = 200
_REMEMBER_LOGOUT = timedelta(days=1)
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts.

    Attributes:
        idle: after the last request.
        absolute: after the login, whatever happens.
    """

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """A live session.

    Attributes:
        id: `ses_…`, for lists; no secret.
        account_id: whose.
        provider: which provider proved the identity.
        actor: who acts.
        quality: what the person logged in as; the actor's own but under a mandate.
        created_at: when the person logged in, UTC.
        seen_at: last request, to the minute, UTC.
        ends_at: end whatever happens, UTC.
        device: what the browser calls itself.
        id_token: for the provider's own logout; personal data.
    """

    id: str
    account_id: str
    provider: str
    actor: Actor = field(repr=False)
    quality: Quality
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    device: str
    id_token: str = field(repr=False)


class Sessions:
    """Opens, finds, renews and ends sessions."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        clock: Clock,
        limits: SessionLimits,
        providers: Collection[str],
    ) -> None:
        """Keep what it works on.

        Args:
            database: the rows.
            keyring: keyed digests and accounts' keys.
            clock: the service's clock.
            limits: idle and absolute limit.
            providers: names of the configured providers; sessions of others are dead.
        """
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._limits = limits
        self._providers = providers
        self._rows = AccountRows(keyring)

    def open(self, signed: SignedIn, proven: ProvenIdentity, device: str, earlier: str = "") -> str:
        """Open a session and return the cookie's value; the browser's earlier one ends.

        Args:
            signed: the account and quality of the login.
            proven: what the provider said.
            device: what the browser calls itself.
            earlier: value of the cookie that came with the request, or "".
        """
        now = self._clock.now()
        value = secrets.token_urlsafe(32)
        session_id = new_id("ses")
        row = {
            "session_ix": self._index(value),
            "id": session_id,
            "account_id": signed.account.id,
            "created_at": rfc3339(now),
            "ends_at": rfc3339(now + self._limits.absolute),
            **self._proof(session_id, signed, proven, device, now),
        }
        with self._database.writing() as connection:
            _sweep(connection, rfc3339(now))
            if earlier:
                connection.execute(delete(sessions).where(sessions.c.session_ix == self._index(earlier)))
            self._make_room(connection, signed.account.id)
            connection.execute(insert(sessions), row)
        return value

    def renew(self, value: str, session: Session, signed: SignedIn, proven: ProvenIdentity) -> str:
        """Note a proof anew in a live session, under a new value; the old one is dead.

        The proof may come from another identity of the person, but not give another quality: who logged in as a
        holder does not become an agent in the middle of it.

        Raises:
            Unauthenticated: SESSION_ENDED; OTHER_PERSON: another account or quality.
        """
        if session.account_id != signed.account.id or session.quality != signed.quality:
            raise Unauthenticated("OTHER_PERSON")
        return self._move(value, self._proof(session.id, signed, proven, session.device, self._clock.now()))

    def rotate(self, value: str) -> str:
        """Give a live session a new value; the old one is dead. Raises Unauthenticated(SESSION_ENDED)."""
        return self._move(value, {})

    def find(self, value: str) -> Session | None:
        """Return the live session of a cookie's value, or None; its being used is noted each minute.

        Raises:
            LedgerError: ROW_DAMAGED.
        """
        if not value:
            return None
        now, index = self._clock.now(), self._index(value)
        with self._database.reading() as connection:
            row = (
                connection.execute(select(sessions).where(sessions.c.session_ix == index)).mappings().first()
            )
            if row is None or not self._is_live(row, now):
                return None
            account = self._rows.load(connection, row["account_id"])
        if account is None:
            return None
        session = self._session(row, account)
        if now - session.seen_at > _SEEN_EVERY:
            # A writer that is down must not keep people from what they may read.
            with suppress(Unavailable), self._database.writing() as connection:
                where = sessions.c.session_ix == index
                connection.execute(update(sessions).where(where).values(seen_at=rfc3339(now)))
        return session

    def of_account(self, account_id: str) -> list[Session]:
        """Return an account's live sessions, newest first."""
        now = self._clock.now()
        query = select(sessions).where(sessions.c.account_id == account_id)
        with self._database.reading() as connection:
            account = self._rows.load(connection, account_id)
            rows = connection.execute(query.order_by(sessions.c.created_at.desc())).mappings().all()
        if account is None:
            return []
        return [self._session(row, account) for row in rows if self._is_live(row, now)]

    def end(self, value: str) -> None:
        """End the session of a cookie's value, if there is one."""
        self._delete(sessions.c.session_ix == self._index(value))

    def end_one(self, account_id: str, session_id: str) -> None:
        """End one of an account's sessions. Raises NotFound: the account has no such session."""
        if not self._delete((sessions.c.id == session_id) & (sessions.c.account_id == account_id)):
            raise NotFound("NOT_FOUND")

    def end_all(self, account_id: str, but: str = "") -> int:
        """End an account's sessions, but for the one with this identifier; return how many."""
        return self._delete((sessions.c.account_id == account_id) & (sessions.c.id != but))

    def end_at_provider(self, notice: LogoutNotice) -> int:
        """End what a provider says is over: one session there, or all of a person (Back-Channel Logout 1.0, 2.7).

        A message with an identifier counts once; it is remembered in the transaction that obeys it.

        Args:
            notice: the verified message.

        Returns:
            How many sessions ended here.

        Raises:
            Refused: LOGOUT_REFUSED: the message was seen before, or names neither person nor session.
        """
        which: list[ColumnElement[bool]] = []
        if notice.sid:
            which.append(sessions.c.sid_ix == self._keyring.index("sid", notice.issuer, notice.sid))
        if notice.subject:
            which.append(sessions.c.subject_ix == self._rows.identity_index(notice.issuer, notice.subject))
        if not which:
            raise Refused("LOGOUT_REFUSED")
        now = self._clock.now()
        with self._database.writing() as connection:
            _sweep(connection, rfc3339(now))
            if notice.jti:
                index, table = self._keyring.index("jti", notice.issuer, notice.jti), logout_tokens
                if connection.scalar(select(table.c.jti_ix).where(table.c.jti_ix == index)) is not None:
                    raise Refused("LOGOUT_REFUSED", "seen before")
                until = (notice.expires_at or now + _REMEMBER_LOGOUT) + _SKEW
                connection.execute(insert(table), {"jti_ix": index, "ends_at": rfc3339(until)})
            return connection.execute(delete(sessions).where(*which)).rowcount

    def act_under(self, session_id: str, mandate_id: str | None) -> None:
        """Have the person of a session act under a mandate, or for themselves again with None.

        The mandate is checked where it is used: it may end at any moment.

        Raises:
            Unauthenticated: SESSION_ENDED.
        """
        with self._database.writing() as connection:
            change = update(sessions).where(sessions.c.id == session_id).values(mandate_id=mandate_id)
            if connection.execute(change).rowcount != 1:
                raise Unauthenticated("SESSION_ENDED")

    def form_token(self, value: str) -> str:
        """Return what the forms of a session carry: it changes with the cookie's value and tells nothing of it."""
        return self._keyring.index("form", value).hex()

    def _index(self, value: str) -> bytes:
        return self._keyring.index("session", value)

    def _move(self, value: str, values: Mapping[str, Any]) -> str:
        fresh = secrets.token_urlsafe(32)
        with self._database.writing() as connection:
            change = update(sessions).where(sessions.c.session_ix == self._index(value))
            moved = connection.execute(change.values(session_ix=self._index(fresh), **values))
            if moved.rowcount != 1:
                raise Unauthenticated("SESSION_ENDED")
        return fresh

    def _proof(
        self, session_id: str, signed: SignedIn, proven: ProvenIdentity, device: str, now: datetime
    ) -> dict[str, Any]:
        """Return the columns that a login or a proof anew writes."""
        quality = signed.quality
        private = {
            "name": proven.name,
            "role": quality.role.value,
            "administration": quality.administration_id,
            "service": quality.service,
            "agent": quality.agent,
            "device": device[:_LONGEST_DEVICE],
            "id_token": proven.id_token,
        }
        return {
            "provider": proven.provider,
            "subject_ix": signed.identity_ix,
            "sid_ix": self._keyring.index("sid", proven.issuer, proven.sid) if proven.sid else None,
            "assurance": proven.assurance,
            "authenticated_at": rfc3339(min(proven.authenticated_at, now)),
            "seen_at": rfc3339(now),
            "sealed": signed.account.key.seal(_role(session_id), orjson.dumps(private)),
        }

    def _make_room(self, connection: Connection, account_id: str) -> None:
        """End the sessions of an account that have been unused longest, so that there is room for one."""
        query = select(sessions.c.session_ix).where(sessions.c.account_id == account_id)
        query = query.order_by(sessions.c.seen_at.desc()).offset(_MOST_OF_ONE - 1)
        for index in connection.scalars(query).all():
            connection.execute(delete(sessions).where(sessions.c.session_ix == index))

    def _is_live(self, row: RowMapping, now: datetime) -> bool:
        return (
            row["provider"] in self._providers
            and now < parse_rfc3339(row["ends_at"])
            and now - parse_rfc3339(row["seen_at"]) < self._limits.idle
        )

    def _session(self, row: RowMapping, account: Account) -> Session:
        private = open_sealed(account.key, _role(row["id"]), row["sealed"])
        quality = Quality(
            Role(private["role"]), private["administration"], private["service"], private["agent"]
        )
        return Session(
            id=row["id"],
            account_id=account.id,
            provider=row["provider"],
            actor=self._actor(row, account, quality, private["name"]),
            quality=quality,
            created_at=parse_rfc3339(row["created_at"]),
            seen_at=parse_rfc3339(row["seen_at"]),
            ends_at=parse_rfc3339(row["ends_at"]),
            device=private["device"],
            id_token=private["id_token"],
        )

    def _actor(self, row: RowMapping, account: Account, quality: Quality, name: str) -> Actor:
        """Return who acts: a holder under a mandate acts as its mandatary, and nobody else acts under one.

        An agent goes by the pseudonym that the administration resolves, wherever the login came from.
        """
        holder = quality.role is Role.HOLDER
        mandate_id = row["mandate_id"] if holder else None
        identifier = account.holder if holder else account.id
        if quality.role is Role.AGENT and quality.administration_id is not None:
            identifier = agent_pseudonym(self._keyring, quality.administration_id, quality.agent)
        return Actor(
            id=identifier,
            role=Role.MANDATARY if mandate_id else quality.role,
            name=name,
            safe_id=account.safe_id if holder else None,
            administration_id=quality.administration_id,
            service=quality.service,
            assurance=Assurance[row["assurance"].upper()] if row["assurance"] else None,
            mandate_id=mandate_id,
            authenticated_at=parse_rfc3339(row["authenticated_at"]),
        )

    def _delete(self, where: ColumnElement[bool]) -> int:
        with self._database.writing() as connection:
            return connection.execute(delete(sessions).where(where)).rowcount


def _role(session_id: str) -> str:
    return f"session-{session_id}"


def _sweep(connection: Connection, now: str) -> None:
    """Delete what has ended; times of one form sort as texts."""
    for table in (sessions, pending_logins, logout_tokens):
        connection.execute(delete(table).where(table.c.ends_at <= now))
