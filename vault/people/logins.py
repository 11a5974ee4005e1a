"""Logins under way: begun here, answered by a provider, used once; and what providers say has ended.

A login belongs to the browser that began it: a cookie of that browser is kept as a digest beside the state, so that
nobody can be logged in to an account of somebody else by following a link.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import orjson
from sqlalchemy import delete, insert, select

from identity.base import LOGIN_S, IdentityProvider, LoginStart, LogoutNotice, ProvenIdentity
from identity.base import Assurance as Level
from identity.errors import IdentityError, LoginRefused, ProviderMisconfigured, ProviderUnavailable
from storage.errors import KeyRefused, ObjectDamaged
from vault.clock import Clock, rfc3339
from vault.core.keyring import Keyring
from vault.db.account_tables import pending_logins
from vault.db.engine import Database
from vault.errors import LedgerError, NotFound, Refused, Unauthenticated, Unavailable
from vault.people.accounts import Accounts
from vault.people.sessions import Session, Sessions

_TIME_LIMIT = timedelta(seconds=LOGIN_S)
_SKEW = timedelta(minutes=1)
_ROLE = "login"
# What the person reads; every other refusal has one code for all, and the log says which.
_TOLD = {
    "IDENTITY_DENIED": "LOGIN_CANCELLED",
    "IDENTITY_ASSURANCE": "ASSURANCE_TOO_LOW",
    "IDENTITY_NOT_FRESH": "LOGIN_NOT_FRESH",
}
_log = logging.getLogger("probans.login")


class Purpose(StrEnum):
    """What a login is for."""

    LOGIN = "login"
    STEP_UP = "step-up"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun.

    Attributes:
        url: where the browser goes.
        tag: names the cookie that binds the browser; public.
        browser: value of that cookie.
    """

    url: str
    tag: str
    browser: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """A login that was answered.

    Attributes:
        purpose: what it was for.
        session: value of the session cookie from now on.
        back: where the person was going, a local path.
        language: `fr` or `en`, as at the beginning.
    """

    purpose: Purpose
    session: str = field(repr=False)
    back: str
    language: str


@dataclass(frozen=True, slots=True)
class _Pending:
    purpose: Purpose
    account_id: str | None
    start: LoginStart
    back: str
    language: str


class Logins:
    """Begins logins and takes their answers."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        clock: Clock,
        providers: Mapping[str, IdentityProvider],
        accounts: Accounts,
        sessions: Sessions,
    ) -> None:
        """Keep what it works on.

        Args:
            database: the rows.
            keyring: keys and keyed digests.
            clock: the service's clock.
            providers: the identity providers by name.
            accounts: who an identity is here.
            sessions: what a login opens.
        """
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._accounts = accounts
        self._sessions = sessions
        self.providers = providers

    def begin(
        self,
        provider: str,
        redirect_uri: str,
        back: str,
        language: str,
        *,
        purpose: Purpose = Purpose.LOGIN,
        session: Session | None = None,
        level: Level | None = None,
    ) -> Begun:
        """Begin a login; one that strengthens a session or adds an identity asks the person anew.

        Args:
            provider: name of the provider.
            redirect_uri: our absolute address for the answer.
            back: local path to go to afterwards.
            language: `fr` or `en`.
            purpose: what it is for.
            session: the session it is about, but for LOGIN.
            level: least assurance level demanded.

        Raises:
            NotFound: NOT_FOUND: no such provider.
            Unauthenticated: ASSURANCE_TOO_LOW: the provider proves no such level.
            Unavailable: IDENTITY_UNAVAILABLE.
        """
        with _told(provider):
            start = self._provider(provider).begin(
                redirect_uri, assurance=level, fresh=purpose is not Purpose.LOGIN, language=language
            )
        index = self._state_index(start.state)
        browser = secrets.token_urlsafe(32)
        key = self._keyring.new_key(index.hex())
        kept = {"start": start.as_dict(), "back": back, "language": language}
        now = self._clock.now()
        row = {
            "state_ix": index,
            "provider": provider,
            "browser_ix": self._keyring.index("browser", browser),
            "purpose": purpose.value,
            "account_id": session.account_id if session else None,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(_ROLE, orjson.dumps(kept)),
            "ends_at": rfc3339(now + _TIME_LIMIT),
        }
        table = pending_logins
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.ends_at <= rfc3339(now)))
            connection.execute(insert(table), row)
        return Begun(start.url, self.tag(start.state), browser)

    def tag(self, state: str) -> str:
        """Return the name that the cookie of a login's browser ends with."""
        return self._state_index(state).hex()[:16]

    def answer(
        self,
        provider: str,
        parameters: Mapping[str, str],
        redirect_uri: str,
        *,
        browser: str,
        session_value: str,
        device: str,
    ) -> Done:
        """Take a provider's answer.

        1. The answer's state is that of a login begun here, at this provider, not ended and not answered yet.
        2. The browser is the one that began it.
        3. The login is used up, whatever comes next.
        4. The provider proves the identity.
        5. For a new login: a new session; the one that the browser had before ends.
        6. For a proof anew or a link: the browser's session lives and is the one it was begun in; the identity is
           of this account, or becomes so.

        Args:
            provider: name in the address.
            parameters: of the address, each once.
            redirect_uri: our absolute address, as at the beginning.
            browser: value of the cookie that binds the browser, or "".
            session_value: value of the session cookie, or "".
            device: what the browser calls itself.

        Raises:
            Refused: LOGIN_EXPIRED (1, 2).
            Unauthenticated: LOGIN_REFUSED, LOGIN_CANCELLED, ASSURANCE_TOO_LOW, LOGIN_NOT_FRESH (4), OTHER_PERSON,
                SESSION_ENDED (6).
            Unavailable: IDENTITY_UNAVAILABLE (4).
            VaultError: what `Accounts.sign_in` and `Accounts.link` raise.
        """
        pending = self._take(provider, parameters.get("state", ""), browser)
        with _told(provider):  # 4
            proven = self._provider(provider).finish(pending.start, parameters, redirect_uri)
        if pending.purpose is Purpose.LOGIN:  # 5
            signed = self._accounts.sign_in(proven)
            value = self._sessions.open(signed, proven, device, session_value)
        else:  # 6
            value = self._in_session(pending, proven, session_value)
        return Done(pending.purpose, value, pending.back, pending.language)

    def leave(self, session: Session, back: str) -> str | None:
        """Return where the browser goes to end the provider's own session, or None.

        Args:
            session: the session that ended.
            back: our absolute address to come back to.
        """
        provider = self.providers.get(session.provider)
        if provider is None or not session.id_token:
            return None
        try:
            return provider.logout_url(session.id_token, back)
        except IdentityError as error:
            _log.warning("no logout at the provider: %s %s", session.provider, error.code)
            return None

    def ended_elsewhere(self, provider: str, token: str) -> int:
        """Take a provider's back-channel logout message (OpenID Connect Back-Channel Logout 1.0).

        Returns:
            How many sessions ended.

        Raises:
            NotFound: no such provider.
            Refused: LOGOUT_REFUSED: forged, for somebody else, too old, or seen before.
            Unavailable: IDENTITY_UNAVAILABLE.
        """
        known = self._provider(provider)
        try:
            notice = known.check_logout_token(token)
        except (ProviderUnavailable, ProviderMisconfigured) as error:
            raise Unavailable("IDENTITY_UNAVAILABLE", error.code) from error
        except IdentityError as error:
            raise Refused("LOGOUT_REFUSED", error.code) from error
        if notice.issuer != known.config.issuer or not notice.jti:
            raise Refused("LOGOUT_REFUSED")
        return self._sessions.end_at_provider(notice)

    def ended_in_front(self, provider: str, parameters: Mapping[str, str]) -> int:
        """Take a provider's front-channel logout (OpenID Connect Front-Channel Logout 1.0); return sessions ended.

        Raises:
            NotFound: no such provider.
            Refused: LOGOUT_REFUSED: issuer or session missing or another's.
        """
        known = self._provider(provider)
        try:
            notice = known.check_front_channel(parameters)
        except IdentityError as error:
            raise Refused("LOGOUT_REFUSED", error.code) from error
        if not notice.sid or notice.issuer != known.config.issuer:
            raise Refused("LOGOUT_REFUSED")
        return self._sessions.end_at_provider(LogoutNotice(notice.issuer, "", notice.sid, ""))

    def _provider(self, name: str) -> IdentityProvider:
        provider = self.providers.get(name)
        if provider is None:
            raise NotFound("NOT_FOUND")
        return provider

    def _state_index(self, state: str) -> bytes:
        return self._keyring.index("login-state", state)

    def _take(self, provider: str, state: str, browser: str) -> _Pending:
        index, table = self._state_index(state), pending_logins
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.state_ix == index)).mappings().first()
        # 1
        if row is None or row["provider"] != provider or row["ends_at"] <= rfc3339(self._clock.now()):
            raise Refused("LOGIN_EXPIRED")
        # 2: before it is used up, so that whoever saw the state cannot spoil the login of another.
        if not hmac.compare_digest(row["browser_ix"], self._keyring.index("browser", browser)):
            raise Refused("LOGIN_EXPIRED")
        # 3
        with self._database.writing() as connection:
            if connection.execute(delete(table).where(table.c.state_ix == index)).rowcount != 1:
                raise Refused("LOGIN_EXPIRED")
        try:
            kept = orjson.loads(
                self._keyring.open_key(index.hex(), row["wrapped_key"]).open(_ROLE, row["sealed"])
            )
        except (KeyRefused, ObjectDamaged) as error:
            raise LedgerError("ROW_DAMAGED", "a pending login does not open with its key") from error
        return _Pending(
            Purpose(row["purpose"]),
            row["account_id"],
            LoginStart.from_dict(kept["start"]),
            kept["back"],
            kept["language"],
        )

    def _in_session(self, pending: _Pending, proven: ProvenIdentity, session_value: str) -> str:
        """Strengthen the browser's session, or add an identity to its account; return the new cookie value."""
        session = self._sessions.find(session_value)
        if session is None or session.account_id != pending.account_id:
            raise Unauthenticated("SESSION_ENDED")
        self._demand_fresh(proven, pending.start.begun_at)
        if pending.purpose is Purpose.LINK:
            self._accounts.link(session.account_id, proven)
            return self._sessions.rotate(session_value)
        signed = self._accounts.demand_same(session.account_id, proven)
        return self._sessions.renew(session_value, session, signed, proven)

    @staticmethod
    def _demand_fresh(proven: ProvenIdentity, begun_at: datetime) -> None:
        if proven.authenticated_at < begun_at - _SKEW:
            raise Unauthenticated("LOGIN_NOT_FRESH")


@contextmanager
def _told(provider: str) -> Iterator[None]:
    """Say in the safe's own words what a provider's failure means to the person; the log says which it was."""
    try:
        yield
    except (ProviderUnavailable, ProviderMisconfigured) as error:
        _log.error("identity provider %s: %s", provider, error.code)
        raise Unavailable("IDENTITY_UNAVAILABLE", error.code) from error
    except LoginRefused as error:
        _log.info("login at %s refused: %s", provider, error.code)
        raise Unauthenticated(_TOLD.get(error.code, "LOGIN_REFUSED"), error.code) from error
    except IdentityError as error:
        _log.warning("login at %s refused: %s", provider, error.code)
        raise Unauthenticated("LOGIN_REFUSED", error.code) from error
